/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The store in a directory, on any local filesystem (docs/specs/store.md):
 *
 *     format                  "xen-ckpt store 2"
 *     checkpoints/ID.NUMBER   a pack that is a checkpoint
 *     dropped/ID.NUMBER       was one; what it alone needed is not yet freed
 *     packs/ID.NUMBER         was one; checkpoints use pages or nodes of it
 *     manifests/ID            a manifest that was changed since the take
 *     tmp/                    what is being written
 *     locks/KEY               flock, with the holder's pid as text
 *     values/KEY              small texts
 *     equals refs/            tables that can be made anew from the packs
 *
 * What appears in checkpoints/ and in values/ does so by one rename from tmp/,
 * and leaves by one rename or unlink.  A writer holds a flock on its file in
 * tmp/: one that nobody holds was left by the dead, and whoever opens the
 * store next removes it.
 */
#include "store_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store_format.h"

/* Not a key, so no lock of a domain is ever named so. */
#define TMP_LOCK ".tmp"

/* --- opening ------------------------------------------------------------- */

static void dir_close(struct store *base)
{
    struct dir_store *st = dir_of(base);
    const int fds[] = {st->fd, st->tmp_fd, st->locks_fd, st->values_fd,
                       st->manifests_fd};

    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    for (unsigned i = 0; i < DIR_NR_PLACES; i++) {
        if (st->place_fds[i] >= 0)
            close(st->place_fds[i]);
    }
    free(st->names);
    free(st->path);
    free(st->base.root);
    free(st);
}

/* Only an empty folder becomes a store, or one we died making. */
static int check_is_new(struct dir_store *st)
{
    static const char *const ours[] = {
        ".",      "..",          "lost+found", "tmp",   "locks",
        "values", "checkpoints", "dropped",    "packs", "manifests"};
    struct ckpt *c = st->base.c;
    struct dirent *e;
    int rc = 0;
    DIR *dir;
    int fd;

    fd = openat(st->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        rc = fail(c, -errno, "store %s", st->path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (!rc && (errno = 0, e = readdir(dir))) {
        bool is_ours = false;

        for (unsigned i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            is_ours |= !strcmp(e->d_name, ours[i]);
        if (!is_ours)
            rc = fail(c, -EINVAL,
                      "%s is not a store and not empty (it has \"%s\"): name "
                      "another folder.",
                      st->path, e->d_name);
    }
    if (!rc && errno)
        rc = fail(c, -errno, "store %s", st->path);
    closedir(dir);
    return rc;
}

/* st->format is 0 for what is to become a store. */
static int check_format(struct dir_store *st)
{
    struct ckpt *c = st->base.c;
    char *text = NULL;
    int rc;

    if (faccessat(st->fd, "format", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return safe_fail(c, -errno, "read", st->fd, "format");
        return check_is_new(st);
    }
    rc = safe_slurp(c, st->fd, "format", 256, &text, NULL);
    if (rc)
        return rc;
    if (!strcmp(text, STORE_FORMAT_TEXT))
        st->format = 2;
    else if (!strcmp(text, STORE_FORMAT_1_TEXT))
        st->format = 1;
    else if (!strncmp(text, "xen-ckpt store ", strlen("xen-ckpt store ")))
        rc =
            fail(c, -ENOTSUP, "Store %s: format %.*s needs a newer xen-ckpt.",
                 st->path, (int)strcspn(text + strlen("xen-ckpt store "), "\n"),
                 text + strlen("xen-ckpt store "));
    else
        rc = fail(c, -EUCLEAN, "%s/format is damaged.", st->path);
    free(text);
    return rc;
}

/* A folder that is there or can be made.  On a read-only file system what is
 * there is enough. */
static int folder_at(int at_fd, const char *name, int flags, int *fd_out)
{
    int made = mkdirat(at_fd, name, 0700) < 0 ? errno : 0;

    if (made && made != EEXIST && made != EROFS)
        return -made;
    *fd_out = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (*fd_out >= 0)
        return 0;
    return errno == ENOENT && made ? -made : -errno;
}

/* To read only, one that is not there is as if it was empty. */
static int open_folder(struct dir_store *st, const char *name, int *fd_out)
{
    int rc;

    if (!st->is_read_only) {
        rc = folder_at(st->fd, name, O_NOFOLLOW, fd_out);
        return rc ? safe_fail(st->base.c, rc, "open", st->fd, name) : 0;
    }
    *fd_out =
        openat(st->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd_out < 0 && errno != ENOENT)
        return safe_fail(st->base.c, -errno, "open", st->fd, name);
    return 0;
}

static int open_new_folders(struct dir_store *st)
{
    int rc;

    rc = open_folder(st, "dropped", &st->place_fds[DIR_DROPPED]);
    if (!rc)
        rc = open_folder(st, "packs", &st->place_fds[DIR_PACKS]);
    if (!rc)
        rc = open_folder(st, "manifests", &st->manifests_fd);
    return rc;
}

static int open_folders(struct dir_store *st)
{
    int rc;

    rc = open_folder(st, "checkpoints", &st->place_fds[DIR_LIVE]);
    if (!rc)
        rc = open_folder(st, "tmp", &st->tmp_fd);
    if (!rc)
        rc = open_folder(st, "locks", &st->locks_fd);
    if (!rc)
        rc = open_folder(st, "values", &st->values_fd);
    return !rc && st->format != 1 ? open_new_folders(st) : rc;
}

static int write_format(struct dir_store *st)
{
    int rc;

    rc = safe_replace_via(st->base.c, st->tmp_fd, st->fd, "format",
                          STORE_FORMAT_TEXT, strlen(STORE_FORMAT_TEXT));
    if (!rc)
        st->format = 2;
    return rc;
}

/* What an older version left stays as it is, and is read. */
int dir_upgrade(struct dir_store *st)
{
    int rc;

    if (st->is_read_only)
        return fail(st->base.c, -EROFS, "Store %s is open to read only.",
                    st->path);
    if (st->format == 2)
        return 0;
    rc = open_new_folders(st);
    return rc ? rc : write_format(st);
}

/* What others may write to is no place for a guest's memory; an empty folder
 * is made fit, any other is the admin's to judge. */
static int check_mode(struct dir_store *st, mode_t mode)
{
    if (st->format && mode & (S_IWGRP | S_IWOTH))
        return fail(st->base.c, -EPERM,
                    "Store %s: others may write to it: chmod 0700 it, and do "
                    "not trust what is there.",
                    st->path);
    if (!st->format && !st->is_read_only && fchmod(st->fd, 0700) < 0)
        return fail(st->base.c, -errno, "store %s: chmod 0700", st->path);
    return 0;
}

/* To read, a store that could be made here is an empty one. */
static int check_parent(struct dir_store *st)
{
    char *copy = strdup(st->path);
    int rc = 0;

    if (!copy)
        return fail(st->base.c, -ENOMEM, "store %s", st->path);
    if (access(dirname(copy), F_OK) < 0)
        rc = fail(st->base.c, -ENOENT,
                  "Store %s: the folder above it does not exist.", st->path);
    free(copy);
    return rc;
}

/* The folder itself, and those in it. */
static int open_top(struct dir_store *st)
{
    struct ckpt *c = st->base.c;
    struct stat sb;
    int rc;

    if (st->is_read_only) {
        st->fd = open(st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = st->fd < 0 ? -errno : 0;
        if (rc == -ENOENT)
            return check_parent(st);
    } else {
        rc = folder_at(AT_FDCWD, st->path, 0, &st->fd);
    }
    if (rc == -ENOENT)
        return fail(c, rc, "Store %s: the folder above it does not exist.",
                    st->path);
    if (!rc && fstat(st->fd, &sb) < 0)
        rc = -errno;
    if (rc)
        return fail(c, rc, "store %s", st->path);
    rc = check_format(st);
    if (!rc)
        rc = check_mode(st, sb.st_mode);
    if (!rc)
        rc = open_folders(st);
    return rc || st->format || st->is_read_only ? rc : write_format(st);
}

/* --- the waste of the dead ----------------------------------------------- */

int dir_lock_file(struct dir_store *st, const char *name, int how, int *fd_out)
{
    int fd;

    fd = openat(st->locks_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
                0600);
    if (fd < 0)
        return safe_fail(st->base.c, -errno, "open", st->locks_fd, name);
    while (flock(fd, how) < 0) {
        int err = errno;

        if (err == EINTR)
            continue;
        close(fd);
        return safe_fail(st->base.c, -err, "lock", st->locks_fd, name);
    }
    *fd_out = fd;
    return 0;
}

int dir_tmp_lock(struct dir_store *st, bool wait, int *fd_out)
{
    return dir_lock_file(st, TMP_LOCK, LOCK_EX | (wait ? 0 : LOCK_NB), fd_out);
}

/* A folder: what a version with format 1 was writing, or removing. */
static void sweep_folder(struct dir_store *st, const char *name)
{
    char pages[NAME_MAX + sizeof("/pages")];
    int fd;

    snprintf(pages, sizeof(pages), "%s/pages", name);
    fd = openat(st->tmp_fd, pages, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    /* Not on any other error: with no descriptor left, all look dead. */
    if (fd < 0 ? errno == ENOENT || errno == ENOTDIR
               : !flock(fd, LOCK_EX | LOCK_NB)) {
        if (safe_remove_tree(st->base.c, st->tmp_fd, name))
            warn(st->base.c, "%s", st->base.c->error);
    }
    if (fd >= 0)
        close(fd);
}

void dir_sweep(struct dir_store *st, const char *name)
{
    struct dir_name n;
    int fd;

    if (safe_is_temp(name)) {
        safe_sweep_temp(st->tmp_fd, name);
        return;
    }
    if (!dir_name_parse(name, &n) || !n.number) {
        sweep_folder(st, name);
        return;
    }
    fd = openat(st->tmp_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        unlinkat(st->tmp_fd, name, 0); /* again by the next, if it fails */
    close(fd);
}

static void sweep_all(struct dir_store *st)
{
    struct dirent *e;
    int lock_fd;
    DIR *dir;
    int fd;

    /* Someone else is at it, or the store is read-only: also fine. */
    if (dir_tmp_lock(st, false, &lock_fd)) {
        st->base.c->error[0] = '\0';
        return;
    }
    fd = openat(st->tmp_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    while (dir && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            dir_sweep(st, e->d_name);
    }
    if (dir)
        closedir(dir);
    close(lock_fd);
    st->base.c->error[0] = '\0';
}

static int open_as(const struct store_driver *drv, struct ckpt *c,
                   const char *path, unsigned flags, struct store **st_out)
{
    struct dir_store *st;
    int rc;

    st = calloc(1, sizeof(*st));
    if (!st)
        return fail(c, -ENOMEM, "store %s", path);
    st->base = (struct store){.drv = drv, .c = c};
    st->is_mapped = drv == &store_pmem;
    st->is_read_only = flags & STORE_READ_ONLY;
    st->fd = st->tmp_fd = st->locks_fd = st->values_fd = -1;
    st->manifests_fd = -1;
    for (unsigned i = 0; i < DIR_NR_PLACES; i++)
        st->place_fds[i] = -1;
    st->path = strdup(path);
    if (!st->path) {
        rc = fail(c, -ENOMEM, "store %s", path);
        goto out;
    }
    rc = open_top(st);
    if (rc)
        goto out;
    st->base.root = st->fd < 0 ? strdup(path) : realpath(path, NULL);
    if (!st->base.root) {
        rc = fail(c, -errno, "store %s", path);
        goto out;
    }
    if (!st->is_read_only)
        sweep_all(st);
    *st_out = &st->base;
out:
    if (rc)
        dir_close(&st->base);
    return rc;
}

static int dir_open(struct ckpt *c, const char *path, unsigned flags,
                    struct store **st_out)
{
    return open_as(&store_dir, c, path, flags, st_out);
}

static int pmem_open(struct ckpt *c, const char *path, unsigned flags,
                     struct store **st_out)
{
    return open_as(&store_pmem, c, path, flags, st_out);
}

static int dir_free_bytes(struct store *base, uint64_t *bytes_out)
{
    struct dir_store *st = dir_of(base);
    struct statvfs sv;

    if (fstatvfs(st->fd, &sv) < 0)
        return fail(base->c, -errno, "store %s: free space", st->path);
    *bytes_out = (uint64_t)sv.f_bavail * sv.f_frsize;
    return 0;
}

/* --- locks --------------------------------------------------------------- */

/* Whoever holds the lock wrote its pid into the file. */
static int fail_busy(struct dir_store *st, int fd, const char *key)
{
    char text[32] = "", path[64], comm[32] = "";
    long pid;
    int comm_fd;
    ssize_t n;

    n = pread(fd, text, sizeof(text) - 1, 0);
    pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0)
        return fail(st->base.c, -EBUSY,
                    "Another operation holds %s/locks/%s: wait for it.",
                    st->path, key);
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    comm_fd = open(path, O_RDONLY | O_CLOEXEC);
    n = comm_fd < 0 ? -1 : read(comm_fd, comm, sizeof(comm) - 1);
    if (comm_fd >= 0)
        close(comm_fd);
    if (n <= 0)
        return fail(st->base.c, -EBUSY,
                    "Process %ld died in an operation on %s and is being "
                    "cleaned up after: try again in a moment.",
                    pid, key);
    comm[strcspn(comm, "\n")] = '\0';
    return fail(st->base.c, -EBUSY,
                "Process %ld (%s) has an operation on %s under way: wait for "
                "it, or stop it.",
                pid, comm, key);
}

static int dir_lock(struct store *base, const char *key, int *fd_out)
{
    struct dir_store *st = dir_of(base);
    char text[32];
    int fd = -1;
    int rc;

    if (st->is_read_only)
        return fail(base->c, -EROFS, "Store %s is open to read only.",
                    st->path);

    fd = openat(st->locks_fd, key, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                0600);
    if (fd < 0)
        return safe_fail(base->c, -errno, "open", st->locks_fd, key);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            rc = fail_busy(st, fd, key);
        else
            rc = safe_fail(base->c, -errno, "lock", st->locks_fd, key);
        goto out;
    }
    /* Fixed width, so no length of an earlier pid shines through. */
    snprintf(text, sizeof(text), "%10ld\n", (long)getpid());
    rc = safe_pwrite_all(fd, text, strlen(text), 0);
    if (rc) {
        safe_fail(base->c, rc, "write", st->locks_fd, key);
        goto out;
    }
    *fd_out = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

/* In persistent memory all is the same, but that packs are written through
 * mappings of them (mapped.c). */
#define VERBS                                                                  \
    .close = dir_close, .free_bytes = dir_free_bytes, .lock = dir_lock,        \
    .list = dir_list, .drop = dir_drop, .prune = dir_prune,                    \
    .compress = dir_compress, .dump = dir_dump, .sharers = dir_sharers,        \
    .space = dir_space, .text_get = dir_text_get, .text_set = dir_text_set,    \
    .create = dir_create, .image = dir_image

const struct store_driver store_dir = {
    .scheme = "dir", .open = dir_open, VERBS};
const struct store_driver store_pmem = {
    .scheme = "pmem", .open = pmem_open, VERBS};
