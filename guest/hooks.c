/* SPDX-License-Identifier: LGPL-2.1-only */
/* The programs of a folder, one after the other, each within the time left. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static int is_hook(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && e->d_name[len - 1] != '~';
}

/* A hook that overstays is killed with all it has started.  A signal to us
 * does not lengthen its time. */
static int wait_for(pid_t pid, int timeout_ms)
{
    const uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
    struct pollfd p = {.events = POLLIN};
    bool is_killed = false;
    int status = 0, n = 0;

    p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
    while (p.fd >= 0 && (n == 0 || (n < 0 && errno == EINTR))) {
        const uint64_t now = now_ms();

        n = poll(&p, 1,
                 is_killed      ? -1
                 : now < end_ms ? (int)(end_ms - now)
                                : 0);
        if (n == 0) {
            kill(-pid, SIGKILL);
            is_killed = true;
        }
    }
    if (p.fd >= 0)
        close(p.fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    kill(-pid, SIGKILL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_one(const char *path, const char *event, const char *arg,
                   int timeout_ms)
{
    sigset_t none;
    int status;
    pid_t pid;

    pid = fork();
    if (pid < 0)
        return 1;
    if (!pid) {
        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl(path, path, event, arg, (char *)NULL);
        _exit(127);
    }
    setpgid(pid, pid);
    status = wait_for(pid, timeout_ms);
    if (status)
        fprintf(stderr, "ckpt-guest: %s %s: status %d\n", path, event, status);
    return status;
}

int hooks_run(const char *dir, const char *event, const char *arg,
              bool is_backwards, bool is_strict, int timeout_ms)
{
    const uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
    struct dirent **names;
    char path[512];
    struct stat st;
    int nr, failed = 0;

    nr = scandir(dir, &names, is_hook, alphasort);
    for (int i = 0; i < nr && !(failed && is_strict); i++) {
        const int at = is_backwards ? nr - 1 - i : i;
        const uint64_t now = now_ms();

        snprintf(path, sizeof(path), "%.240s/%.255s", dir, names[at]->d_name);
        /* Others than root must not decide what root runs. */
        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
            !(st.st_mode & S_IXUSR) || st.st_mode & S_IWOTH)
            continue;
        /* Thawing is never too late. */
        failed += run_one(path, event, arg,
                          now < end_ms   ? (int)(end_ms - now)
                          : is_backwards ? 5000
                                         : 1) != 0;
    }
    for (int i = 0; i < nr; i++)
        free(names[i]);
    if (nr >= 0)
        free(names);
    return failed;
}
