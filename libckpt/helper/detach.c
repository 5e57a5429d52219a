/* SPDX-License-Identifier: LGPL-2.1-only */
/* Becoming a process of its own (roles.h). */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "roles.h"

int role_detach(void)
{
    static const int ignored[] = { SIGINT, SIGHUP, SIGQUIT, SIGPIPE };
    struct sigaction ign = { .sa_handler = SIG_IGN };
    pid_t pid;
    size_t i;
    int fd;

    pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    setsid();
    for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &ign, NULL);
    /* Who starts us may be a guard, which memory pressure spares. */
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "0", 1); /* it is the kernel's to say */
        close(fd);
    }
    return chdir("/");
}
