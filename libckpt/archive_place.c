/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A table of the kinds of place.  What is made is written down with the guard
 * beforehand, so that it is gone again when the import fails or dies.
 *
 *            make                         finish
 *   raw      the file, sparse             fsync
 *   qcow2    a raw file without a name    the file, filled by qemu-img
 *   thin     lvcreate -V                  fsync
 *   dmthin   create_thin, its device      fsync
 *   rbd      an image by another name     flush; its name
 *   all                                   arm, cut, drain of the driver
 */
#include "archive_place.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_dmthin.h"
#include "disk_file.h"
#include "disk_lvmthin.h"
#include "disk_qcow2.h"
#include "disk_rbd.h"
#include "safe_io.h"

struct place_kind {
    const char *prefix;
    const char *format;
    const char *backend; /* NULL: xl finds out */
    const struct disk_driver *drv;
    /* p->where is a place; fills p->disk.target. */
    int (*look)(struct place *p);
    int (*make)(struct place *p, uint64_t data_bytes);
    int (*write)(struct place *p, const void *data, size_t len_bytes,
                 uint64_t offset_bytes);
    int (*finish)(struct place *p); /* d->target has the content now */
    void (*keep)(struct place *p);
};

/* --- files ----------------------------------------------------------------- */

static int check_room(struct place *p, uint64_t data_bytes)
{
    const char *slash = strrchr(p->where, '/');
    char dir[DISK_FILE_MAX];
    struct statvfs s;
    uint64_t free_bytes;

    snprintf(dir, sizeof(dir), "%.*s",
             slash == p->where ? 1 : (int)(slash - p->where), p->where);
    if (statvfs(dir, &s) < 0)
        return fail(p->disk.c, -errno, "%s", dir);
    free_bytes = (uint64_t)s.f_bavail * s.f_frsize;
    if (free_bytes >= data_bytes)
        return 0;
    return fail(p->disk.c, -ENOSPC,
                "%s has %llu MiB free, and up to %llu MiB are needed.", dir,
                (unsigned long long)free_bytes >> 20,
                (unsigned long long)data_bytes >> 20);
}

static int check_free(struct place *p)
{
    struct stat st;

    return lstat(p->where, &st) < 0 ? 0
                                    : fail(p->disk.c, -EEXIST, "%s", p->where);
}

static int file_look(struct place *p)
{
    struct ckpt *c = p->disk.c;

    if (p->where[0] != '/' || p->where[strlen(p->where) - 1] == '/')
        return fail(c, -EINVAL,
                    "disk %s: %s is not the absolute path of a new file.",
                    p->disk.vdev, p->where);
    if (strlen(p->where) + 64 > DISK_FILE_MAX)
        return fail(c, -ENAMETOOLONG, "disk %s: %s", p->disk.vdev, p->where);
    p->disk.target = strdup(p->where);
    return p->disk.target ? check_free(p)
                          : fail(c, -ENOMEM, "disk %s", p->disk.vdev);
}

static int fd_write(struct place *p, const void *data, size_t len_bytes,
                    uint64_t offset_bytes)
{
    int rc = safe_pwrite_all(p->fd, data, len_bytes, (off_t)offset_bytes);

    return rc ? fail(p->disk.c, rc, "writing") : 0;
}

static int fd_finish(struct place *p)
{
    int rc = fsync(p->fd) < 0 ? fail(p->disk.c, -errno, "fsync") : 0;

    if (close(p->fd) < 0 && !rc)
        rc = fail(p->disk.c, -errno, "close");
    p->fd = -1;
    return rc;
}

static int raw_make(struct place *p, uint64_t data_bytes)
{
    int rc;

    rc = check_room(p, data_bytes);
    if (!rc)
        rc =
            disk_file_create(&p->disk, GUARD_DISK_MADE, p->where, 0600, &p->fd);
    if (!rc && ftruncate(p->fd, (off_t)p->size_bytes) < 0)
        rc = fail(p->disk.c, -errno, "%s", p->where);
    return rc ? rc : p->kind->drv->probe(&p->disk);
}

static int qcow2_make(struct place *p, uint64_t data_bytes)
{
    int rc;

    rc = check_free(p);
    if (!rc) /* the raw file, and then the other */
        rc = check_room(p, data_bytes > UINT64_MAX / 2 ? UINT64_MAX
                                                       : 2 * data_bytes);
    return rc ? rc : qcow2_nameless(p->disk.c, p->where, p->size_bytes, &p->fd);
}

static int qcow2_finish(struct place *p)
{
    int fd = -1, rc;

    rc = disk_file_create(&p->disk, GUARD_DISK_MADE, p->where, 0600, &fd);
    if (!rc)
        rc = qcow2_from_raw(p->disk.c, p->fd, p->where);
    if (!rc && fsync(fd) < 0)
        rc = fail(p->disk.c, -errno, "%s: fsync", p->where);
    if (fd >= 0)
        close(fd);
    close(p->fd); /* with which the raw one goes */
    p->fd = -1;
    return rc;
}

/* --- thin volumes ---------------------------------------------------------- */

struct thin_words {
    char vg[DM_NAME_MAX], pool[DM_NAME_MAX], name[DM_NAME_MAX];
};

static int split_thin(struct place *p, struct thin_words *w)
{
    char at[3][DM_NAME_MAX];
    const char *s = p->where;
    unsigned n;

    for (n = 0; n < 3 && s; n++) {
        const size_t len = strcspn(s, "/");

        if (!len || len >= DM_NAME_MAX)
            break;
        memcpy(at[n], s, len);
        at[n][len] = '\0';
        s = s[len] ? s + len + 1 : NULL;
    }
    if (n != 3 || s)
        return fail(p->disk.c, -EINVAL,
                    "disk %s: a thin volume is thin:VG/POOL/NAME, not "
                    "thin:%s.",
                    p->disk.vdev, p->where);
    memcpy(w->vg, at[0], sizeof(w->vg));
    memcpy(w->pool, at[1], sizeof(w->pool));
    memcpy(w->name, at[2], sizeof(w->name));
    return 0;
}

static int thin_look_at(struct place *p)
{
    struct thin_words w;
    int rc = split_thin(p, &w);

    if (!rc && asprintf(&p->disk.target, "/dev/%s/%s", w.vg, w.name) < 0) {
        p->disk.target = NULL;
        rc = fail(p->disk.c, -ENOMEM, "disk %s", p->disk.vdev);
    }
    return rc;
}

static int open_device(struct place *p)
{
    struct stat st;
    int rc;

    p->fd = open(p->disk.target, O_RDWR | O_CLOEXEC | O_EXCL);
    if (p->fd < 0 || ioctl(p->fd, BLKGETSIZE64, &p->device_bytes) < 0 ||
        fstat(p->fd, &st) < 0)
        return fail(p->disk.c, -errno, "%s", p->disk.target);
    if (p->device_bytes < p->size_bytes)
        return fail(p->disk.c, -EIO, "%s: it was made too small.",
                    p->disk.target);
    rc = thin_stale_bytes(p->disk.c, st.st_rdev, &p->block_bytes);
    return rc ? rc : p->kind->drv->probe(&p->disk);
}

static int zero(struct place *p, uint64_t from, uint64_t to)
{
    static const uint8_t zeros[65536];
    int rc = 0;

    while (!rc && from < to) {
        const size_t n =
            to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);

        rc = fd_write(p, zeros, n, from);
        from += n;
    }
    return rc;
}

/* Writes rise, so what is zeroed behind one is written by the next. */
static int thin_write(struct place *p, const void *data, size_t len_bytes,
                      uint64_t offset_bytes)
{
    const uint64_t block = p->block_bytes, end = offset_bytes + len_bytes;
    uint64_t first, last;
    int rc;

    if (!block)
        return fd_write(p, data, len_bytes, offset_bytes);
    first = offset_bytes - offset_bytes % block;
    last = end + (block - end % block) % block;
    if (last > p->device_bytes)
        last = p->device_bytes;
    if (first < p->clean_bytes)
        first = p->clean_bytes;
    rc = zero(p, first, offset_bytes);
    if (!rc)
        rc = fd_write(p, data, len_bytes, offset_bytes);
    if (!rc)
        rc = zero(p, end > p->clean_bytes ? end : p->clean_bytes, last);
    p->clean_bytes = last;
    return rc;
}

/* A pool may grow by itself, so data_bytes says nothing; drv->probe() looks at
 * it. */
static int thin_make(struct place *p, uint64_t data_bytes)
{
    struct thin_words w;
    int rc;

    (void)data_bytes;
    rc = split_thin(p, &w);
    if (!rc)
        rc = lvmthin_create(&p->disk, w.vg, w.pool, w.name, p->size_bytes);
    return rc ? rc : open_device(p);
}

static void thin_keep(struct place *p)
{
    struct thin_words w;

    if (split_thin(p, &w) || lvm_remove_tag(p->disk.c, w.vg, w.name, LVM_TAG))
        warn(p->disk.c, "%s keeps the tag " LVM_TAG ": %s", p->disk.target,
             p->disk.c->error);
}

static int dmthin_look_at(struct place *p)
{
    const char *slash = strchr(p->where, '/');

    if (!slash || slash == p->where || !dm_is_plain_name(slash + 1))
        return fail(p->disk.c, -EINVAL,
                    "disk %s: a thin volume without LVM is dmthin:POOL/NAME, "
                    "not dmthin:%s.",
                    p->disk.vdev, p->where);
    if (asprintf(&p->disk.target, "/dev/mapper/%s", slash + 1) >= 0)
        return 0;
    p->disk.target = NULL;
    return fail(p->disk.c, -ENOMEM, "disk %s", p->disk.vdev);
}

static int dmthin_make(struct place *p, uint64_t data_bytes)
{
    const char *slash = strchr(p->where, '/');
    char pool[DM_NAME_MAX];
    int rc;

    (void)data_bytes;
    if ((size_t)(slash - p->where) >= sizeof(pool))
        return fail(p->disk.c, -ENAMETOOLONG, "%s", p->where);
    snprintf(pool, sizeof(pool), "%.*s", (int)(slash - p->where), p->where);
    rc = dmthin_create(&p->disk, pool, slash + 1, p->size_bytes);
    return rc ? rc : open_device(p);
}

/* --- Ceph ------------------------------------------------------------------ */

static int rbd_look_at(struct place *p)
{
    struct rbd_name n;
    int rc = rbd_name_read(p->disk.c, p->where, &n);

    if (!rc && n.snapshot[0])
        rc = fail(p->disk.c, -EINVAL, "%s is a snapshot.", p->where);
    if (rc)
        return fail_prefix(p->disk.c, rc, "disk %s", p->disk.vdev);
    if (asprintf(&p->disk.target, RBD_URL "%s", p->where) >= 0)
        return 0;
    p->disk.target = NULL;
    return fail(p->disk.c, -ENOMEM, "disk %s", p->disk.vdev);
}

static int image_make(struct place *p, uint64_t data_bytes)
{
    (void)data_bytes; /* a cluster that is full says so */
    return rbd_make(&p->disk, p->size_bytes);
}

static int image_write(struct place *p, const void *data, size_t len_bytes,
                       uint64_t offset_bytes)
{
    return rbd_make_write(&p->disk, data, len_bytes, offset_bytes);
}

static int image_finish(struct place *p)
{
    return rbd_make_finish(&p->disk);
}

/* --- the table ------------------------------------------------------------- */

static void keep_nothing(struct place *p)
{
    (void)p;
}

static const struct place_kind kinds[] = {
    {.prefix = "qcow2:",
     .format = "qcow2",
     .drv = &disk_qcow2,
     .look = file_look,
     .make = qcow2_make,
     .write = fd_write,
     .finish = qcow2_finish,
     .keep = keep_nothing},
    {.prefix = "thin:",
     .format = "raw",
     .drv = &disk_lvmthin,
     .look = thin_look_at,
     .make = thin_make,
     .write = thin_write,
     .finish = fd_finish,
     .keep = thin_keep},
    {.prefix = "dmthin:",
     .format = "raw",
     .drv = &disk_dmthin,
     .look = dmthin_look_at,
     .make = dmthin_make,
     .write = thin_write,
     .finish = fd_finish,
     .keep = keep_nothing},
    {.prefix = RBD_URL,
     .format = "raw",
     .backend = "qdisk",
     .drv = &disk_rbd,
     .look = rbd_look_at,
     .make = image_make,
     .write = image_write,
     .finish = image_finish,
     .keep = keep_nothing},
    {.prefix = "", /* the last: everything begins so */
     .format = "raw",
     .drv = &disk_reflink,
     .look = file_look,
     .make = raw_make,
     .write = fd_write,
     .finish = fd_finish,
     .keep = keep_nothing},
};

int place_open(struct place *p, struct ckpt *c, const char *vdev,
               const char *text)
{
    const struct place_kind *k = kinds;

    memset(p, 0, sizeof(*p));
    p->fd = -1;
    p->disk.c = c;
    p->disk.domid = DISK_NO_DOMAIN;
    p->disk.vdev = strdup(vdev);
    if (!p->disk.vdev)
        return fail(c, -ENOMEM, "disk %s", vdev);
    if (!strcmp(text, "none"))
        return 0;
    while (strncmp(text, k->prefix, strlen(k->prefix)))
        k++;
    p->kind = k;
    p->disk.drv = k->drv;
    p->disk.format = strdup(k->format);
    p->where = strdup(text + strlen(k->prefix));
    if (!p->disk.format || !p->where)
        return fail(c, -ENOMEM, "disk %s", vdev);
    return k->look(p);
}

const char *place_backend(const struct place *p)
{
    return p->kind->backend;
}

const char *place_format(const struct place *p)
{
    return p->kind->format;
}

/* --- content --------------------------------------------------------------- */

int place_make(struct place *p, struct guard *g, uint64_t size_bytes,
               uint64_t data_bytes)
{
    p->disk.g = g;
    p->size_bytes = size_bytes;
    return p->kind->make(p, data_bytes);
}

int place_write(struct place *p, uint64_t offset, const void *data,
                size_t len_bytes)
{
    int rc = p->kind->write(p, data, len_bytes, offset);

    return rc ? fail_prefix(p->disk.c, rc, "%s", p->disk.target) : 0;
}

/* No guest uses it, so there is nothing to wait for between the beats. */
static int snapshot(struct disk *d, const char *id)
{
    int rc = d->drv->probe(d);

    if (!rc)
        rc = d->drv->arm(d, id);
    if (!rc)
        rc = d->drv->cut(d);
    return rc ? rc : d->drv->drain(d);
}

int place_finish(struct place *p, const char *id)
{
    int rc = p->kind->finish(p);

    if (rc)
        return fail_prefix(p->disk.c, rc, "%s", p->disk.target);
    return snapshot(&p->disk, id);
}

void place_keep(struct place *p)
{
    disk_keep(&p->disk);
    p->kind->keep(p);
}

void place_undo(struct place *p)
{
    if (p->fd >= 0)
        close(p->fd); /* what was written to it goes with it */
    p->fd = -1;
    if (p->kind)
        p->kind->drv->undo(&p->disk);
}

void place_fini(struct place *p)
{
    free(p->where);
    disk_fini(&p->disk);
    memset(p, 0, sizeof(*p));
    p->fd = -1;
}
