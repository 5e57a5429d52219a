/* SPDX-License-Identifier: LGPL-2.1-only */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DIRTY_MAX 256

static enum fault armed;
static unsigned target, passed;
static int is_armed, is_full;

/* Inodes with something that a power cut would take. */
static ino_t dirty[DIRTY_MAX];
static unsigned nr_dirty;
static char unsound[256];

/* --- what is durable ----------------------------------------------------- */

static void forget(ino_t ino)
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

static ino_t ino_of(int fd)
{
    return ino_at(fd, "");
}

static void mark(ino_t ino)
{
    if (is_armed && ino && !is_dirty(ino) && nr_dirty < DIRTY_MAX)
        dirty[nr_dirty++] = ino;
}

static void look_for_dirt(int dirfd, const char *name)
{
    static const char *const files[] = {
        "", "pages", "index", "manifest.json", "blob.state", "blob.config"};
    char path[512];

    for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s%s%s", name, *files[i] ? "/" : "",
                 files[i]);
        if (is_dirty(ino_at(dirfd, path)) && !unsound[0])
            snprintf(unsound, sizeof(unsound), "%.200s is not durable", path);
    }
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

static void die(void)
{
    kill(getpid(), SIGKILL);
}

/* Before a call that writes no data. Nonzero: it fails, errno is set. */
static int before(void)
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
    if (armed == FAULT_EIO || armed == FAULT_ENOSPC) {
        errno = armed == FAULT_EIO ? EIO : ENOSPC;
        return 1;
    }
    return 0;
}

static void after(void)
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
int __real_renameat2(int from, const char *a, int to, const char *b,
                     unsigned flags);
int __real_mkdirat(int dirfd, const char *name, mode_t mode);
int __real_unlinkat(int dirfd, const char *name, int flags);
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
    r = __real_fsync(fd);
    forget(ino_of(fd));
    after();
    return r;
}

int __wrap_fdatasync(int fd)
{
    int r;

    if (before())
        return -1;
    r = __real_fdatasync(fd);
    forget(ino_of(fd));
    after();
    return r;
}

/* Whatever goes to another folder or name is meant to be durable before. */
int __wrap_renameat2(int from, const char *a, int to, const char *b,
                     unsigned flags)
{
    int r;

    if (before())
        return -1;
    if (is_armed && !strstr(b, ".drop"))
        look_for_dirt(from, a);
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
