/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that are files.  A file is known by its inode as well as by its path,
 * so that what is unlinked or exchanged back is what we made, whatever an
 * administrator moved in between.  A file of ours gets its name only when its
 * inode is written down with the guard: it is made without a name and linked.
 */
#include "disk_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_name.h"

/* --- names ----------------------------------------------------------------- */

int disk_file_find(struct ckpt *c, const char *target,
                   char path_out[DISK_FILE_MAX], struct stat *st_out)
{
    char *real;
    int rc = 0;

    if (*target != '/')
        return fail(c, -ENOTSUP, "its path is not absolute.");
    real = realpath(target, NULL);
    if (!real)
        return fail(c, -errno, "%s", target);
    if (stat(real, st_out) < 0)
        rc = fail(c, -errno, "%s", real);
    else if (!S_ISREG(st_out->st_mode))
        rc = fail(c, -ENOTSUP, "it is no regular file.");
    else if (strlen(real) + 64 > DISK_FILE_MAX)
        rc = fail(c, -ENOTSUP, "its path is longer than %d bytes.",
                  DISK_FILE_MAX - 64);
    else
        strcpy(path_out, real);
    free(real);
    return rc;
}

static int check_fits(struct ckpt *c, const char *name, int len)
{
    return (size_t)len < DISK_FILE_MAX ? 0 : fail(c, -ENAMETOOLONG, "%s", name);
}

int disk_file_name_snapshot(struct disk *d, const char *path, const char *id,
                            char out[DISK_FILE_MAX])
{
    if (!disk_name_is_plain(id) || !disk_name_is_plain(d->vdev))
        return fail(d->c, -EINVAL, "ckpt-%s-%s: no name for a file.", id,
                    d->vdev);
    return check_fits(
        d->c, out,
        snprintf(out, DISK_FILE_MAX, "%s.ckpt-%s-%s", path, id, d->vdev));
}

int disk_file_name_new(struct ckpt *c, const char *path,
                       char out[DISK_FILE_MAX])
{
    return check_fits(c, out,
                      snprintf(out, DISK_FILE_MAX, "%s" DISK_FILE_NEW, path));
}

int disk_file_name_fork(struct ckpt *c, const char *snapshot,
                        const char *domain, const char *vdev,
                        char out[DISK_FILE_MAX])
{
    const char *slash = strrchr(snapshot, '/');
    char name[128];

    disk_name_fork(domain, vdev, name, sizeof(name));
    return check_fits(c, name,
                      snprintf(out, DISK_FILE_MAX, "%.*s/%s",
                               slash ? (int)(slash - snapshot) : 0, snapshot,
                               name));
}

int disk_file_check_ours(struct ckpt *c, const char *path)
{
    const char *slash = strrchr(path, '/'), *mark = NULL, *s = slash;
    char id[64];
    size_t len;

    while (s && (s = strstr(s, ".ckpt-")))
        mark = s++;
    if (*path == '/' && mark) {
        mark += strlen(".ckpt-");
        len = strcspn(mark, "-");
        if (len < sizeof(id)) {
            memcpy(id, mark, len);
            id[len] = '\0';
            if (mark[len] == '-' && disk_name_is_plain(id) &&
                disk_name_is_plain(mark + len + 1))
                return 0;
        }
    }
    return fail(c, -EPERM,
                "%s: is not named as a snapshot of ours (…ckpt-ID-VDEV), so it "
                "is left alone.",
                path);
}

/* --- room ------------------------------------------------------------------ */

int disk_file_check_room(struct ckpt *c, const char *path, double limit_percent)
{
    struct statvfs s;
    double used;

    if (statvfs(path, &s) < 0)
        return fail(c, -errno, "%s", path);
    if (!s.f_blocks)
        return 0; /* does not say */
    used = 100.0 - 100.0 * (double)s.f_bavail / (double)s.f_blocks;
    if (used < limit_percent)
        return 0;
    return fail(c, -ENOSPC,
                "the filesystem of %s is %.1f %% full, %llu MiB are free; the "
                "limit is %.0f %%. Free some, or delete checkpoints.",
                path, used, (unsigned long long)s.f_bavail * s.f_frsize >> 20,
                limit_percent);
}

/* --- files ----------------------------------------------------------------- */

int disk_file_sync_dir(struct ckpt *c, const char *path)
{
    char dir[DISK_FILE_MAX];
    const char *slash = strrchr(path, '/');
    int fd, rc = 0;

    snprintf(dir, sizeof(dir), "%.*s",
             slash && slash != path ? (int)(slash - path) : 1, path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = fail(c, -errno, "%s: fsync", dir);
    if (fd >= 0)
        close(fd);
    return rc;
}

int disk_file_unlink(struct ckpt *c, const char *path)
{
    if (unlink(path) < 0)
        return errno == ENOENT ? 0 : fail(c, -errno, "%s: unlink", path);
    return disk_file_sync_dir(c, path);
}

int disk_file_dress(struct ckpt *c, int fd, const char *path,
                    const struct stat *st)
{
    if (fchown(fd, st->st_uid, st->st_gid) < 0 ||
        fchmod(fd, st->st_mode & 07777) < 0)
        return fail(c, -errno, "%s: owner and mode", path);
    return 0;
}

static int deed(struct disk *d, enum guard_harm harm, const char *verb,
                ino_t inode, const char *path)
{
    char words[GUARD_ARG_MAX];

    snprintf(words, sizeof(words), "%s %" PRIu64 " %s", verb, (uint64_t)inode,
             path);
    return disk_deed_words(d, harm, words);
}

/* Where files cannot be without a name.  The deed has no inode then. */
static int create_named(struct disk *d, enum guard_harm harm, const char *path,
                        mode_t mode, int *fd_out)
{
    struct stat st;
    int rc;

    if (lstat(path, &st) == 0)
        return fail(d->c, -EEXIST, "%s", path);
    rc = deed(d, harm, "unlink", 0, path);
    if (rc)
        return rc;
    *fd_out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (*fd_out >= 0)
        return 0;
    rc = fail(d->c, -errno, "%s", path);
    if (rc == -EEXIST)
        disk_deed_strike(d);
    return rc;
}

static int open_nameless(const char *path, mode_t mode)
{
    char dir[DISK_FILE_MAX];
    const char *slash = strrchr(path, '/');

    snprintf(dir, sizeof(dir), "%.*s",
             slash && slash != path ? (int)(slash - path) : 1, path);
    return open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, mode);
}

int disk_file_create(struct disk *d, enum guard_harm harm, const char *path,
                     mode_t mode, int *fd_out)
{
    char by_fd[32];
    struct stat st;
    int fd, rc;

    fd = open_nameless(path, mode);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        return create_named(d, harm, path, mode, fd_out);
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = fail(d->c, -errno, "%s", path);
        goto out;
    }
    rc = deed(d, harm, "unlink", st.st_ino, path);
    if (rc)
        goto out;
    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, by_fd, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0) {
        rc = fail(d->c, -errno, "%s", path);
        goto out;
    }
    *fd_out = fd;
    return 0;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

/* --- the exchange ---------------------------------------------------------- */

static int exchange(struct ckpt *c, const char *from, const char *path)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
        return fail(c, -errno, "%s and %s: exchange", from, path);
    return disk_file_sync_dir(c, path);
}

int disk_file_exchange(struct disk *d, const char *path)
{
    char from[DISK_FILE_MAX], words[GUARD_ARG_MAX];
    struct stat new_st, old_st;
    int rc;

    rc = disk_file_name_new(d->c, path, from);
    if (!rc && (lstat(from, &new_st) < 0 || lstat(path, &old_st) < 0))
        rc = fail(d->c, -errno, "%s", path);
    if (!rc)
        rc = deed(d, GUARD_DISK_MOVED, "exchange", new_st.st_ino, path);
    if (rc)
        return rc;
    snprintf(words, sizeof(words), "unlink %" PRIu64 " %s",
             (uint64_t)old_st.st_ino, from);
    rc = disk_deed_words_after(d, words);
    return rc ? rc : exchange(d->c, from, path);
}

/* --- taking back ----------------------------------------------------------- */

static int take_back_unlink(struct ckpt *c, uint64_t inode, const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail(c, -errno, "%s", path);
    if (inode && st.st_ino != inode)
        return 0; /* another's by now */
    return disk_file_unlink(c, path);
}

static int take_back_exchange(struct ckpt *c, uint64_t inode, const char *path)
{
    char from[DISK_FILE_MAX];
    struct stat st;
    int rc;

    rc = disk_file_name_new(c, path, from);
    if (rc)
        return rc;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail(c, -errno, "%s", path);
    if (st.st_ino != inode || lstat(from, &st) < 0)
        return 0; /* never exchanged, or exchanged back */
    return exchange(c, from, path);
}

int disk_file_take_back(struct ckpt *c, const char *words)
{
    uint64_t inode;
    char verb[16];
    int n = 0;

    if (sscanf(words, "%15s %" SCNu64 " %n", verb, &inode, &n) != 2 ||
        words[n] != '/')
        return -ENOENT;
    if (!strcmp(verb, "unlink"))
        return take_back_unlink(c, inode, words + n);
    if (!strcmp(verb, "exchange"))
        return take_back_exchange(c, inode, words + n);
    return -ENOENT;
}

void disk_file_undo(struct disk *d)
{
    disk_deed_undo_all(d);
}
