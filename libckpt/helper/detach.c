/* SPDX-License-Identifier: LGPL-2.1-only */
/* Becoming a process of its own (roles.h). */
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

    pid = fork();
    if (pid < 0)
        return -1;
    if (pid > 0)
        _exit(0);
    setsid();
    for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &ign, NULL);
    return chdir("/");
}
