/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Files that are seen whole or not at all.
 *
 *     open temp, lock it -> write -> fsync -> rename -> fsync the folder
 *
 * The writer holds a flock on its temporary file until the rename, so that
 * safe_sweep() can tell what a dead process left from what a living one is
 * writing.  Between open and flock the sweeper may win: then the file has
 * lost its name, and the writer begins anew.
 */
#include "safe_io.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"

#define TEMP_TRIES 16
#define TREE_DEPTH_MAX 16

int safe_write_all(int fd, const void *data, size_t len_bytes)
{
    const char *p = data;

    while (len_bytes > 0) {
        ssize_t n = write(fd, p, len_bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

/* Drops @n bytes from the front of @iov. */
static void iov_consume(struct iovec **iov, int *nr, size_t n)
{
    while (*nr > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*nr)--;
    }
    if (n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

int safe_writev_all(int fd, struct iovec *iov, int nr)
{
    iov_consume(&iov, &nr, 0);
    while (nr > 0) {
        ssize_t n = writev(fd, iov, nr < IOV_MAX ? nr : IOV_MAX);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        iov_consume(&iov, &nr, (size_t)n);
    }
    return 0;
}

int safe_pwritev_all(int fd, struct iovec *iov, int nr, off_t off)
{
    iov_consume(&iov, &nr, 0);
    while (nr > 0) {
        ssize_t n = pwritev(fd, iov, nr < IOV_MAX ? nr : IOV_MAX, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        off += n;
        iov_consume(&iov, &nr, (size_t)n);
    }
    return 0;
}

int safe_preadv_all(int fd, struct iovec *iov, int nr, off_t off)
{
    iov_consume(&iov, &nr, 0);
    while (nr > 0) {
        ssize_t n = preadv(fd, iov, nr < IOV_MAX ? nr : IOV_MAX, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        off += n;
        iov_consume(&iov, &nr, (size_t)n);
    }
    return 0;
}

int safe_pwrite_all(int fd, const void *data, size_t len_bytes, off_t off)
{
    const char *p = data;

    while (len_bytes > 0) {
        ssize_t n = pwrite(fd, p, len_bytes, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        p += n;
        off += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

int safe_read_all(int fd, void *data, size_t len_bytes)
{
    char *p = data;

    while (len_bytes > 0) {
        ssize_t n = read(fd, p, len_bytes);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

int safe_pread_all(int fd, void *data, size_t len_bytes, off_t off)
{
    char *p = data;

    while (len_bytes > 0) {
        ssize_t n = pread(fd, p, len_bytes, off);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        p += n;
        off += n;
        len_bytes -= (size_t)n;
    }
    return 0;
}

int safe_fail(struct ckpt *c, int rc, const char *verb, int dirfd,
              const char *name)
{
    const char *slash = "/";
    char link[64], folder[PATH_MAX];
    int verb_len = (int)strlen(verb);
    ssize_t len;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
    len = dirfd >= 0 ? readlink(link, folder, sizeof(folder) - 1) : -1;
    if (len <= 0)
        slash = "";
    folder[len > 0 ? len : 0] = '\0';
    if (verb_len && verb[verb_len - 1] == '.')
        return fail(c, rc, "%s%s%s: %.*s.", folder, slash, name, verb_len - 1,
                    verb);
    return fail(c, rc, "%s%s%s: %s", folder, slash, name, verb);
}

/* A new file of our own in @dirfd, locked; its name in @temp. */
static int temp_open(struct ckpt *c, int dirfd, const char *name,
                     char temp[NAME_MAX + 1], int *fd_out)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        struct stat sb;
        uint64_t salt;
        int fd, len;

        if (getrandom(&salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
            return safe_fail(c, -EIO, "random number", dirfd, name);
        len = snprintf(temp, NAME_MAX + 1, ".%s.%08x" SAFE_TEMP_SUFFIX, name,
                       (unsigned)salt);
        if (len < 0 || len > NAME_MAX)
            return safe_fail(c, -ENAMETOOLONG, "create", dirfd, name);
        fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return safe_fail(c, -errno, "create", dirfd, temp);
        if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &sb) &&
            sb.st_nlink > 0) {
            *fd_out = fd;
            return 0;
        }
        close(fd);
    }
    return safe_fail(c, -EBUSY, "create a temporary file", dirfd, name);
}

int safe_replace(struct ckpt *c, int dirfd, const char *name, const void *data,
                 size_t len_bytes)
{
    return safe_replace_via(c, dirfd, dirfd, name, data, len_bytes);
}

int safe_replace_via(struct ckpt *c, int temp_dirfd, int dirfd,
                     const char *name, const void *data, size_t len_bytes)
{
    char temp[NAME_MAX + 1] = "";
    int fd = -1;
    int rc;

    rc = temp_open(c, temp_dirfd, name, temp, &fd);
    if (rc)
        return rc;
    rc = safe_write_all(fd, data, len_bytes);
    if (rc) {
        safe_fail(c, rc, "write", dirfd, name);
        goto out;
    }
    if (fsync(fd) < 0) {
        rc = safe_fail(c, -errno, "fsync", dirfd, name);
        goto out;
    }
    if (renameat(temp_dirfd, temp, dirfd, name) < 0) {
        rc = safe_fail(c, -errno, "rename", dirfd, name);
        goto out;
    }
    temp[0] = '\0';
    if (fsync(dirfd) < 0) {
        rc = safe_fail(c, -errno, "fsync of the folder", dirfd, name);
        goto out;
    }
    rc = 0;
out:
    if (close(fd) < 0 && !rc)
        rc = safe_fail(c, -errno, "close", dirfd, name);
    if (temp[0])
        unlinkat(temp_dirfd, temp, 0);
    return rc;
}

int safe_is_temp(const char *name)
{
    size_t len = strlen(name), suffix_len = strlen(SAFE_TEMP_SUFFIX);

    return name[0] == '.' && len > suffix_len &&
           !strcmp(name + len - suffix_len, SAFE_TEMP_SUFFIX);
}

void safe_sweep_temp(int dirfd, const char *name)
{
    int fd;

    fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        unlinkat(dirfd, name, 0);
    close(fd);
}

int safe_slurp(struct ckpt *c, int dirfd, const char *name, size_t max_bytes,
               char **data_out, size_t *len_bytes_out)
{
    char *data = NULL;
    struct stat sb;
    int fd;
    int rc;

    fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return safe_fail(c, -errno, "open", dirfd, name);
    if (fstat(fd, &sb) < 0) {
        rc = safe_fail(c, -errno, "stat", dirfd, name);
        goto out;
    }
    if (!S_ISREG(sb.st_mode)) {
        rc = safe_fail(c, -EINVAL, "not a regular file", dirfd, name);
        goto out;
    }
    if ((uint64_t)sb.st_size > max_bytes) {
        rc = safe_fail(c, -EFBIG, "read", dirfd, name);
        goto out;
    }
    data = malloc((size_t)sb.st_size + 1);
    if (!data) {
        rc = safe_fail(c, -ENOMEM, "read", dirfd, name);
        goto out;
    }
    rc = safe_read_all(fd, data, (size_t)sb.st_size);
    if (rc) {
        safe_fail(c, rc, "read", dirfd, name);
        goto out;
    }
    data[sb.st_size] = '\0';
    *data_out = data;
    if (len_bytes_out)
        *len_bytes_out = (size_t)sb.st_size;
    data = NULL;
out:
    free(data);
    close(fd);
    return rc;
}

/* renameat() that refuses to replace, also where the kernel cannot. */
static int rename_new(int from_dirfd, const char *from, int to_dirfd,
                      const char *to)
{
    struct stat sb;

    if (!renameat2(from_dirfd, from, to_dirfd, to, RENAME_NOREPLACE))
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (!fstatat(to_dirfd, to, &sb, AT_SYMLINK_NOFOLLOW))
        return -EEXIST;
    if (errno != ENOENT)
        return -errno;
    return renameat(from_dirfd, from, to_dirfd, to) < 0 ? -errno : 0;
}

int safe_publish(struct ckpt *c, int from_dirfd, const char *from, int to_dirfd,
                 const char *to)
{
    int rc;

    rc = rename_new(from_dirfd, from, to_dirfd, to);
    if (rc)
        return safe_fail(c, rc, "publish", to_dirfd, to);
    if (fsync(to_dirfd) < 0)
        return safe_fail(c, -errno, "fsync of the folder", to_dirfd, to);
    if (from_dirfd != to_dirfd && fsync(from_dirfd) < 0)
        return safe_fail(c, -errno, "fsync of the folder", from_dirfd, from);
    return 0;
}

static int remove_tree(struct ckpt *c, int dirfd, const char *name,
                       unsigned depth)
{
    struct dirent *e;
    DIR *dir;
    int fd;
    int rc = 0;

    if (!unlinkat(dirfd, name, 0) || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return safe_fail(c, -errno, "remove", dirfd, name);
    if (depth >= TREE_DEPTH_MAX)
        return safe_fail(c, -ELOOP, "remove", dirfd, name);
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : safe_fail(c, -errno, "open", dirfd, name);
    dir = fdopendir(fd);
    if (!dir) {
        rc = safe_fail(c, -errno, "open", dirfd, name);
        close(fd);
        return rc;
    }
    while (!rc && (errno = 0, e = readdir(dir))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            rc = remove_tree(c, fd, e->d_name, depth + 1);
    }
    if (!rc && errno)
        rc = safe_fail(c, -errno, "read the folder", dirfd, name);
    closedir(dir);
    if (!rc && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        rc = safe_fail(c, -errno, "remove", dirfd, name);
    return rc;
}

int safe_remove_tree(struct ckpt *c, int dirfd, const char *name)
{
    return remove_tree(c, dirfd, name, 0);
}
