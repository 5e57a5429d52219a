/* SPDX-License-Identifier: LGPL-2.1-only */
/* The programs of a folder, one after the other, each within the time left. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

static int is_hook(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && e->d_name[len - 1] != '~';
}

/* A hook that overstays is killed with all it has started.  @child: SIGCHLD,
 * which is blocked; it may be of one that went before, so it only wakes us. */
static int wait_for(pid_t pid, const sigset_t *child, int timeout_ms)
{
    const uint64_t end_ms = now_ms() + (uint64_t)timeout_ms;
    uint64_t now = now_ms();
    int status = -1; /* a failure, should there be no child */
    pid_t gone;

    while (!(gone = waitpid(pid, &status, WNOHANG)) && now < end_ms) {
        const struct timespec left = {.tv_sec = (time_t)((end_ms - now) / 1000),
                                      .tv_nsec = (long)((end_ms - now) % 1000) *
                                                 1000000};

        sigtimedwait(child, NULL, &left);
        now = now_ms();
    }
    kill(-pid, SIGKILL);
    while (!gone && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_one(const char *path, const char *event, const char *arg,
                   int timeout_ms)
{
    sigset_t none, child, before;
    int status = 1;
    pid_t pid;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    signal(SIGCHLD, SIG_DFL); /* we may have been started with it ignored */
    pid = fork();
    if (!pid) {
        setpgid(0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execl(path, path, event, arg, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        setpgid(pid, pid);
        status = wait_for(pid, &child, timeout_ms);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
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
