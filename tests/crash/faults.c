/* SPDX-License-Identifier: LGPL-2.1-only */
#include "faults_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>


#define DIRTY_MAX 256

enum fault armed;
unsigned target, passed, nr_syncs;
int is_armed;
static int is_full;

/* Inodes with something that a power cut would take. */
static ino_t dirty[DIRTY_MAX];
static unsigned nr_dirty;
char unsound[256];

/* --- what is durable ----------------------------------------------------- */

void forget(ino_t ino)
{
    for (unsigned i = 0; i < nr_dirty; i++) {
        if (dirty[i] == ino)
            dirty[i--] = dirty[--nr_dirty];
    }
}

static int is_dirty(ino_t ino)
{
    for (unsigned i = 0; i < nr_dirty; i++) {
        if (dirty[i] == ino)
            return 1;
    }
    return 0;
}

/* errno is that of the call we stand around. */
static ino_t ino_at(int dirfd, const char *name)
{
    const int saved_errno = errno;
    struct stat sb;
    int r;

    r = fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH);
    errno = saved_errno;
    return r ? 0 : sb.st_ino;
}

ino_t ino_of(int fd)
{
    return ino_at(fd, "");
}

void mark(ino_t ino)
{
    if (is_armed && ino && !is_dirty(ino) && nr_dirty < DIRTY_MAX)
        dirty[nr_dirty++] = ino;
}

static void look_for_dirt(int dirfd, const char *name)
{
    if (is_dirty(ino_at(dirfd, name)) && !unsound[0])
        snprintf(unsound, sizeof(unsound), "%.200s is not durable", name);
}

int faults_is_durable(const char *dir)
{
    look_for_dirt(AT_FDCWD, dir);
    return !unsound[0];
}

const char *faults_unsound(void)
{
    return unsound;
}

/* --- what a power cut takes ---------------------------------------------- */

struct loss losses[LOSS_MAX];
unsigned nr_losses;
static unsigned seed;

void faults_seed(unsigned n)
{
    seed = n;
}

struct loss *new_loss(ino_t ino, int fd)
{
    if (!is_armed || armed != FAULT_POWER || nr_losses == LOSS_MAX)
        return NULL;
    memset(&losses[nr_losses], 0, sizeof(losses[0]));
    losses[nr_losses].ino = ino;
    losses[nr_losses].fd = fd < 0 ? -1 : dup(fd);
    losses[nr_losses].to_fd = -1;
    return &losses[nr_losses++];
}

int __real_unlinkat(int dirfd, const char *name, int flags);

static void lose_nothing_of(ino_t ino)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < nr_losses; i++) {
        if (losses[i].ino != ino) {
            losses[kept++] = losses[i];
            continue;
        }
        if (losses[i].was[0])
            __real_unlinkat(losses[i].to_fd, losses[i].was, 0);
        if (losses[i].fd >= 0)
            close(losses[i].fd);
        if (losses[i].to_fd >= 0)
            close(losses[i].to_fd);
    }
    nr_losses = kept;
}

ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t off);
int __real_renameat2(int from, const char *a, int to, const char *b,
                     unsigned flags);

/* What is in the caches of the processor is lost line by line. */
static void lose_lines(const struct loss *l)
{
    for (size_t at = 0; at < l->len; at += 64) {
        if (rand_r(&seed) % 2)
            memset(l->mem + at, 0, l->len - at < 64 ? l->len - at : 64);
    }
}

/* The last first, so that what is undone can be.  A write is lost in parts of
 * a sector. */
static void cut_power(void)
{
    static const char zeros[512];

    while (nr_losses--) {
        const struct loss *l = &losses[nr_losses];

        if (l->mem) {
            lose_lines(l);
            continue;
        }
        if (l->to_fd >= 0) {
            const int is_lost = rand_r(&seed) % 2;

            if (is_lost)
                __real_renameat2(l->to_fd, l->to_name, l->fd, l->name, 0);
            if (is_lost && l->was[0])
                __real_renameat2(l->to_fd, l->was, l->to_fd, l->to_name, 0);
            else if (l->was[0])
                __real_unlinkat(l->to_fd, l->was, 0);
            continue;
        }
        if (rand_r(&seed) % 3 == 0)
            continue;
        for (size_t at = 0; at < l->len; at += sizeof(zeros)) {
            size_t n = l->len - at < sizeof(zeros) ? l->len - at : sizeof(zeros);

            if (rand_r(&seed) % 2)
                (void)!__real_pwrite(l->fd, zeros, n, l->off + (off_t)at);
        }
    }
    die();
}

/* --- when ---------------------------------------------------------------- */

void faults_arm(enum fault fault, unsigned n)
{
    armed = fault;
    target = n;
    passed = 0;
    is_full = 0;
    nr_dirty = 0;
    unsound[0] = '\0';
    is_armed = 1;
}

unsigned faults_disarm(void)
{
    is_armed = 0;
    return passed;
}

unsigned faults_syncs(void)
{
    return nr_syncs;
}

void die(void)
{
    kill(getpid(), SIGKILL);
}

/* Before a call that writes no data. Nonzero: it fails, errno is set. */
int before(void)
{
    if (!is_armed || armed == FAULT_ENOMEM)
        return 0;
    passed++;
    if (armed == FAULT_DEAD && passed >= target) {
        errno = EIO;
        return 1;
    }
    if (passed != target)
        return 0;
    if (armed == FAULT_KILL_BEFORE)
        die();
    if (armed == FAULT_POWER)
        cut_power();
    if (armed == FAULT_EIO || armed == FAULT_ENOSPC) {
        errno = armed == FAULT_EIO ? EIO : ENOSPC;
        return 1;
    }
    return 0;
}

void after(void)
{
    if (is_armed && passed == target && armed == FAULT_KILL_AFTER)
        die();
}

/* --- writes -------------------------------------------------------------- */

ssize_t __real_pwritev(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __real_writev(int fd, const struct iovec *iov, int nr);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t off);
ssize_t __real_write(int fd, const void *data, size_t len);

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int nr);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t off);
ssize_t __wrap_write(int fd, const void *data, size_t len);

/* off < 0: where the file stands. */
static ssize_t real_writev(int fd, const struct iovec *iov, int nr, off_t off)
{
    return off < 0 ? __real_writev(fd, iov, nr)
                   : __real_pwritev(fd, iov, nr, off);
}

static ssize_t write_half(int fd, const struct iovec *iov, off_t off)
{
    struct iovec half = {.iov_base = iov->iov_base,
                         .iov_len = (iov->iov_len + 1) / 2};

    return real_writev(fd, &half, 1, off);
}

static void note_write(int fd, const struct iovec *iov, int nr, off_t off)
{
    struct loss *l = new_loss(ino_of(fd), fd);

    if (!l)
        return;
    l->off = off < 0 ? lseek(fd, 0, SEEK_CUR) : off;
    for (int i = 0; i < nr; i++)
        l->len += iov[i].iov_len;
}

static ssize_t do_writev(int fd, const struct iovec *iov, int nr, off_t off)
{
    const int is_half = armed == FAULT_SHORT || armed == FAULT_ENOSPC;
    ssize_t n;

    mark(ino_of(fd));
    if (is_armed && is_full) {
        errno = ENOSPC;
        return -1;
    }
    if (is_armed && passed + 1 == target && armed != FAULT_ENOMEM &&
        (is_half || armed == FAULT_KILL_TORN || armed == FAULT_EINTR)) {
        passed++;
        if (armed == FAULT_EINTR) {
            errno = EINTR;
            return -1;
        }
        n = write_half(fd, iov, off);
        if (armed == FAULT_KILL_TORN)
            die();
        is_full = armed == FAULT_ENOSPC;
        return n;
    }
    if (before())
        return -1;
    note_write(fd, iov, nr, off);
    n = real_writev(fd, iov, nr, off);
    after();
    return n;
}

ssize_t __wrap_pwritev(int fd, const struct iovec *iov, int nr, off_t off)
{
    return do_writev(fd, iov, nr, off);
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int nr)
{
    return do_writev(fd, iov, nr, -1);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t off)
{
    struct iovec iov = {.iov_base = (void *)(size_t)data, .iov_len = len};

    return is_armed ? do_writev(fd, &iov, 1, off)
                    : __real_pwrite(fd, data, len, off);
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    struct iovec iov = {.iov_base = (void *)(size_t)data, .iov_len = len};

    return is_armed ? do_writev(fd, &iov, 1, -1) : __real_write(fd, data, len);
}

/* --- the others ---------------------------------------------------------- */

int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_renameat(int from, const char *a, int to, const char *b);
int __real_mkdirat(int dirfd, const char *name, mode_t mode);
int __real_openat(int dirfd, const char *name, int flags, ...);

int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat2(int from, const char *a, int to, const char *b,
                     unsigned flags);
int __wrap_mkdirat(int dirfd, const char *name, mode_t mode);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int __wrap_openat(int dirfd, const char *name, int flags, ...);

int __wrap_fsync(int fd)
{
    int r;

    if (before())
        return -1;
    nr_syncs++;
    r = __real_fsync(fd);
    lose_nothing_of(ino_of(fd));
    forget(ino_of(fd));
    after();
    return r;
}

int __wrap_fdatasync(int fd)
{
    int r;

    if (before())
        return -1;
    nr_syncs++;
    r = __real_fdatasync(fd);
    lose_nothing_of(ino_of(fd));
    forget(ino_of(fd));
    after();
    return r;
}

/* A rename is lost with the folder it leads to, or the one it comes from:
 * whichever is made durable, has it. */
static void note_rename(int from, const char *a, int to, const char *b)
{
    struct loss *l = new_loss(ino_of(to), from);

    if (!l)
        return;
    l->to_fd = dup(to);
    snprintf(l->name, sizeof(l->name), "%s", a);
    snprintf(l->to_name, sizeof(l->to_name), "%s", b);
    snprintf(l->was, sizeof(l->was), ".was%u", nr_losses);
    if (linkat(to, b, to, l->was, 0) < 0)
        l->was[0] = '\0';
}

/* Whatever goes to another folder or name is meant to be durable before. */
int __wrap_renameat2(int from, const char *a, int to, const char *b,
                     unsigned flags)
{
    int r;

    if (before())
        return -1;
    /* What is removed, or can be made anew, need not last. */
    if (is_armed && !strstr(b, ".drop") && strcmp(b, "equals")) {
        look_for_dirt(from, a);
        look_for_copies();
    }
    note_rename(from, a, to, b);
    r = __real_renameat2(from, a, to, b, flags);
    mark(ino_of(to));
    after();
    return r;
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
    return __wrap_renameat2(from, a, to, b, 0);
}

int __wrap_mkdirat(int dirfd, const char *name, mode_t mode)
{
    int r;

    if (before())
        return -1;
    r = __real_mkdirat(dirfd, name, mode);
    if (!r)
        mark(ino_at(dirfd, name));
    after();
    return r;
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    int r;

    if (before())
        return -1;
    r = __real_unlinkat(dirfd, name, flags);
    mark(ino_of(dirfd));
    after();
    return r;
}

int __wrap_openat(int dirfd, const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list ap;
    int fd;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = (mode_t)va_arg(ap, int);
        va_end(ap);
    }
    if (before())
        return -1;
    fd = __real_openat(dirfd, name, flags, mode);
    if (fd >= 0 && flags & O_EXCL)
        mark(ino_of(dirfd));
    after();
    return fd;
}

/* --- memory -------------------------------------------------------------- */

void *__real_malloc(size_t len);
void *__real_calloc(size_t nr, size_t len);
void *__real_realloc(void *old, size_t len);

void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t nr, size_t len);
void *__wrap_realloc(void *old, size_t len);

static int is_out_of_memory(void)
{
    if (!is_armed || armed != FAULT_ENOMEM || ++passed != target)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *__wrap_malloc(size_t len)
{
    return is_out_of_memory() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t nr, size_t len)
{
    return is_out_of_memory() ? NULL : __real_calloc(nr, len);
}

void *__wrap_realloc(void *old, size_t len)
{
    return is_out_of_memory() ? NULL : __real_realloc(old, len);
}
