/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Load beside the testimony: random writes to a file of its own, and a child
 * that forks and execs without end.  Neither keeps an invariant; they make the
 * guest busy where checkpoints go wrong: block rings with requests in flight,
 * page tables that come and go.
 *
 * The forking child starts before the arena exists and so never shares it.
 */
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOAD_FILE_BYTES = 16 << 20,
    LOAD_MAX_BYTES = 64 << 10,
};

struct load {
    struct witness *w;
    int fd;
    unsigned char *buf;
};

static void *load_run(void *arg)
{
    struct load *l = arg;
    uint64_t dice = l->w->control->instance;

    while (!atomic_load(&l->w->is_stopping)) {
        size_t len;
        off_t at;

        dice = fmt_mix(dice, FMT_PAGE_MAGIC);
        len = FMT_PAGE * (1 + dice % (LOAD_MAX_BYTES / FMT_PAGE));
        at = (off_t)(dice >> 8) % (LOAD_FILE_BYTES - LOAD_MAX_BYTES) &
             ~(off_t)(FMT_PAGE - 1);
        memset(l->buf, (int)(dice >> 40 & 0xff), len);
        if (pwrite(l->fd, l->buf, len, at) < 0 && errno != EINTR) {
            witness_say("WITNESS NOTE load: %s\n", strerror(errno));
            witness_sleep_us(1000000);
        }
        witness_sleep_us(l->w->opt.load_ms * 1000);
    }
    close(l->fd);
    free(l->buf);
    free(l);
    return NULL;
}

int load_start_disk(struct witness *w)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC;
    struct load *l;
    int rc;

    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->w = w;
    l->buf = aligned_alloc(FMT_PAGE, LOAD_MAX_BYTES);
    l->fd = open(w->opt.load, flags | O_DIRECT, 0600);
    if (l->fd < 0 && errno == EINVAL)
        l->fd = open(w->opt.load, flags, 0600);
    if (l->fd < 0 || !l->buf) {
        rc = l->fd < 0 ? -errno : -ENOMEM;
        goto out;
    }
    rc = -posix_fallocate(l->fd, 0, LOAD_FILE_BYTES);
    if (rc && rc != -ENODEV) /* a bare device has its space already */
        goto out;
    rc = witness_thread(w, load_run, l);
    if (!rc)
        l = NULL;
out:
    if (l && l->fd >= 0)
        close(l->fd);
    if (l)
        free(l->buf);
    free(l);
    return rc;
}

int load_start_fork(void)
{
    pid_t parent = getpid();
    pid_t pid;

    pid = fork();
    if (pid)
        return pid < 0 ? -errno : 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) {
        pid = fork();
        if (!pid) {
            execl("/bin/true", "true", (char *)NULL);
            _exit(0);
        }
        if (pid > 0)
            waitpid(pid, NULL, 0);
        witness_sleep_us(1000);
    }
    _exit(0);
}
