/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that are raw files on a filesystem whose files can share blocks (XFS,
 * btrfs), served by a loop device or by QEMU.
 *
 *   arm    PATH.ckpt-ID-VDEV made, empty; what PATH has in the page cache is
 *          written, so that the cut finds little to write
 *   cut    FICLONE: the snapshot shares all blocks of PATH.  The guest stands
 *          still and its requests are done, so nothing writes to PATH
 *   drain  the snapshot made durable
 *
 *   rollback   PATH.ckpt-new shares the blocks of the snapshot and changes
 *              places with PATH, which the old domain has open
 *   fork       DIR/fork-NAME-VDEV shares the blocks of the snapshot
 *
 * Blocks belong to the files that share them alike: any file may be deleted
 * at any time, and no chain grows.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_extents.h"
#include "disk_file.h"

#define FULL_PERCENT 95.0
#define TRY_BYTES 65536u

struct reflink {
    int from; /* PATH */
    int to;   /* its snapshot */
};

static void priv_free(struct disk *d)
{
    struct reflink *p = d->priv;

    if (!p)
        return;
    if (p->from >= 0)
        close(p->from);
    if (p->to >= 0)
        close(p->to);
    free(p);
    d->priv = NULL;
}

/* --- probe ----------------------------------------------------------------- */

/* The only sure answer is the filesystem's own. */
static int try_clone(struct ckpt *c, const char *path, uint64_t size_bytes)
{
    struct file_clone_range range = {
        .src_length = size_bytes >= TRY_BYTES ? TRY_BYTES : 0};
    char dir[DISK_FILE_MAX];
    int from, to, rc = 0;

    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    from = open(path, O_RDONLY | O_CLOEXEC);
    to = open(dir[0] ? dir : "/", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    range.src_fd = from;
    if (from < 0)
        rc = fail(c, -errno, "%s", path);
    else if (to < 0 && errno != EOPNOTSUPP && errno != EISDIR)
        rc = fail(c, -errno, "%s", dir);
    else if (to < 0 || ioctl(to, FICLONERANGE, &range) < 0)
        rc = fail(c, -ENOTSUP,
                  "its filesystem cannot share blocks between files (XFS and "
                  "btrfs can).");
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

static int reflink_probe(struct disk *d)
{
    char path[DISK_FILE_MAX];
    struct stat st;
    int rc;

    if (d->format && d->format[0] && strcmp(d->format, "raw"))
        return fail(d->c, -ENOTSUP, "its format is %s, not raw.", d->format);
    rc = disk_file_find(d->c, d->target, path, &st);
    return rc ? rc : try_clone(d->c, path, (uint64_t)st.st_size);
}

/* --- arm, cut, drain, undo ------------------------------------------------- */

static int reflink_arm(struct disk *d, const char *id)
{
    char path[DISK_FILE_MAX], snapshot[DISK_FILE_MAX];
    struct reflink *p;
    struct stat st;
    int rc;

    priv_free(d);
    rc = disk_file_find(d->c, d->target, path, &st);
    if (!rc)
        rc = disk_file_name_snapshot(d, path, id, snapshot);
    if (!rc)
        rc = disk_file_check_room(d->c, path, FULL_PERCENT);
    if (rc)
        return rc;
    p = malloc(sizeof(*p));
    free(d->snapshot);
    d->snapshot = strdup(snapshot);
    if (!p || !d->snapshot) {
        free(p);
        return fail(d->c, -ENOMEM, "%s", d->target);
    }
    p->to = -1;
    p->from = open(path, O_RDONLY | O_CLOEXEC);
    d->priv = p;
    if (p->from < 0)
        return fail(d->c, -errno, "%s", path);
    d->size_bytes = (uint64_t)st.st_size;
    rc = disk_file_create(d, GUARD_DISK_MADE, snapshot, 0400, &p->to);
    if (!rc && fdatasync(p->from) < 0)
        rc = fail(d->c, -errno, "%s: fdatasync", path);
    return rc;
}

static int reflink_cut(struct disk *d)
{
    const struct reflink *p = d->priv;

    if (ioctl(p->to, FICLONE, p->from) < 0)
        return fail(d->c, -errno, "%s: FICLONE", d->snapshot);
    return 0;
}

static int reflink_drain(struct disk *d)
{
    struct reflink *p = d->priv;
    int rc = 0;

    if (fsync(p->to) < 0)
        rc = fail(d->c, -errno, "%s: fsync", d->snapshot);
    if (!rc)
        rc = disk_file_sync_dir(d->c, d->snapshot);
    priv_free(d);
    return rc;
}

static void reflink_undo(struct disk *d)
{
    priv_free(d);
    disk_file_undo(d);
}

/* --- rollback, fork, remove, check ----------------------------------------- */

/* A new file at @path that shares @snapshot's blocks; as @st, if any. */
static int clone_to(struct disk *d, enum guard_harm harm, const char *snapshot,
                    const char *path, const struct stat *as)
{
    struct stat st;
    int from, to = -1, rc;

    from = open(snapshot, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0) {
        rc = fail(d->c, -errno, "%s", snapshot);
        goto out;
    }
    rc = disk_file_create(d, harm, path, 0600, &to);
    if (rc)
        goto out;
    if (ioctl(to, FICLONE, from) < 0) {
        rc = fail(d->c, -errno, "%s: FICLONE", path);
        goto out;
    }
    if (as)
        rc = disk_file_dress(d->c, to, path, as);
    if (!rc && fsync(to) < 0)
        rc = fail(d->c, -errno, "%s: fsync", path);
    if (!rc)
        rc = disk_file_sync_dir(d->c, path);
out:
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

static int reflink_rollback(struct disk *d, const char *snapshot)
{
    char path[DISK_FILE_MAX], new_path[DISK_FILE_MAX];
    struct stat st;
    int rc;

    rc = disk_file_find(d->c, d->target, path, &st);
    if (!rc)
        rc = disk_file_name_new(d->c, path, new_path);
    if (!rc)
        rc = clone_to(d, GUARD_DISK_MOVED, snapshot, new_path, &st);
    return rc ? rc : disk_file_exchange(d, path);
}

static int reflink_fork(struct disk *d, const char *snapshot, const char *name,
                        char **target_out)
{
    char path[DISK_FILE_MAX], original[DISK_FILE_MAX];
    struct stat st;
    bool has_original;
    int rc;

    rc = disk_file_name_fork(d->c, snapshot, name, d->vdev, path);
    if (rc)
        return rc;
    has_original = !disk_file_find(d->c, d->target, original, &st);
    rc = clone_to(d, GUARD_DISK_MOVED, snapshot, path,
                  has_original ? &st : NULL);
    if (rc == -EEXIST)
        return fail(d->c, rc,
                    "%s is another fork's disk; remove it, or choose another "
                    "name.",
                    path);
    if (rc)
        return rc;
    *target_out = strdup(path);
    return *target_out ? 0 : fail(d->c, -ENOMEM, "%s", path);
}

static int reflink_remove(struct ckpt *c, const char *snapshot)
{
    int rc = disk_file_check_ours(c, snapshot);

    return rc ? rc : disk_file_unlink(c, snapshot);
}

static int reflink_check(struct ckpt *c, const char *snapshot)
{
    struct stat st;

    if (lstat(snapshot, &st) < 0)
        return fail(c, errno == ENOENT ? -EUCLEAN : -errno, "the snapshot %s",
                    snapshot);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return fail(c, -EUCLEAN, "%s is no snapshot of a disk.", snapshot);
    return 0;
}

static int reflink_open(struct ckpt *c, const char *snapshot,
                        struct disk_content *out)
{
    int rc = reflink_check(c, snapshot), fd;

    if (rc)
        return rc;
    fd = open(snapshot, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? fail(c, -errno, "%s", snapshot)
                  : disk_content_of_file(c, fd, snapshot, out);
}

static int reflink_show(struct ckpt *c, const char *snapshot, const char *tag,
                        struct disk_shown *out)
{
    int rc = reflink_check(c, snapshot);

    (void)tag;
    return rc ? rc : disk_show_file(c, snapshot, "raw", out);
}

static int reflink_take_back(struct ckpt *c, const char *words)
{
    int rc = disk_file_take_back(c, words);

    return rc == -ENOENT ? fail(c, -EINVAL, "reflink: no deed: %s.", words)
                         : rc;
}

const struct disk_driver disk_reflink = {
    .name = "reflink",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK,
    .probe = reflink_probe,
    .arm = reflink_arm,
    .cut = reflink_cut,
    .drain = reflink_drain,
    .undo = reflink_undo,
    .rollback = reflink_rollback,
    .rollback_end = disk_deed_rollback_end,
    .fork = reflink_fork,
    .remove = reflink_remove,
    .check = reflink_check,
    .take_back = reflink_take_back,
    .changed = disk_extents_changed_files,
    .open = reflink_open,
    .close = disk_content_close,
    .read = disk_content_read,
    .show = reflink_show,
    .hide = disk_no_hide,
};
