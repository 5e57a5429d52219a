/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made out of the snapshots of devices of device-mapper.
 *
 *   rollback   NAME is suspended for a moment:
 *              a copy of the snapshot's file   which shares its blocks where
 *                                              the filesystem can do that
 *              NAME.ckpt-new                   a snapshot with that: what the
 *                                              checkpoint has, and writable
 *              NAME -> NAME.ckpt-old           under the guest that has it open
 *              NAME.ckpt-new -> NAME
 *   its end    NAME.ckpt-old goes, and the kernel merges what NAME shows into
 *              the blocks beneath it (disk_dmsnap_deed.c); or all of it
 *              backwards.  The checkpoint's own file stays as it was
 *   fork       fork-NAME-VDEV                  a snapshot of the snapshot, with
 *                                              a file that has no name
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_dmsnap.h"
#include "disk_name.h"
#include "dm_hold.h"
#include "dmsetup.h"
#include "loop.h"

static int open_dm(struct ckpt *c, int *fd_out)
{
    int rc = dm_open(fd_out);

    return rc ? fail(c, rc, "/dev/mapper/control") : 0;
}

static int check_free(struct ckpt *c, int dm_fd, const char *name,
                      const char *hint)
{
    struct dm_device device;
    int rc = dm_find(dm_fd, name, &device);

    if (rc == -ENXIO)
        return 0;
    return rc ? fail(c, rc, "device-mapper: %s", name)
              : fail(c, -EEXIST, "the device %s is there already: %s.", name,
                     hint);
}

/* --- rollback -------------------------------------------------------------- */

struct rollback {
    struct dm_hold hold;
    struct dmsnap_origin origin;
    struct dmsnap_snapshot from;
    char base[DISK_FILE_MAX];     /* FOLDER/NAME */
    char new_path[DISK_FILE_MAX]; /* of the copy */
    int from_fd, new_fd;
    dev_t new_dev;
};

static int copy_data(int from, int to, uint64_t size_bytes)
{
    off_t begin = 0, end = 0, at;
    ssize_t n;

    while ((uint64_t)end < size_bytes) {
        begin = lseek(from, end, SEEK_DATA);
        if (begin < 0)
            return errno == ENXIO ? 0 : -errno; /* a hole up to the end */
        end = lseek(from, begin, SEEK_HOLE);
        if (end <= begin)
            return end < 0 ? -errno : -EIO;
        for (at = begin; at < end;) {
            n = copy_file_range(from, &begin, to, &at, (size_t)(end - at), 0);
            if (n <= 0)
                return n < 0 ? -errno : -EIO;
        }
    }
    return 0;
}

/* Nobody writes to it meanwhile: the origin is held. */
static int copy_file(struct disk *d, const struct rollback *r)
{
    struct stat st;
    int rc = 0;

    if (fstat(r->from_fd, &st) < 0 ||
        ftruncate(r->new_fd,
                  (off_t)dmsnap_file_bytes(r->from.table.size_bytes,
                                           r->from.table.chunk_sectors)) < 0)
        return fail(d->c, -errno, "%s", r->new_path);
    if (ioctl(r->new_fd, FICLONERANGE,
              &(struct file_clone_range){.src_fd = r->from_fd}) < 0)
        rc = copy_data(r->from_fd, r->new_fd, (uint64_t)st.st_size);
    return rc ? fail(d->c, rc, "%s", r->new_path) : 0;
}

/* As long as it takes the guest's I/O waits. */
static int while_held(struct disk *d, struct rollback *r)
{
    struct dmsnap_table t = r->from.table;
    int rc = copy_file(d, r);

    if (!rc)
        rc = dmsnap_load(d->c, r->hold.fd, r->new_dev, r->new_fd, r->new_path,
                         &t, false);
    if (!rc && (rc = dm_resume_hidden(r->hold.fd, r->new_dev)))
        fail(d->c, rc, "%s: its device", r->new_path);
    return rc ? rc : dm_hold_check(d, &r->hold);
}

static int make_copy(struct disk *d, struct rollback *r, const char *snapshot)
{
    char new_name[DM_NAME_MAX];
    int rc;

    r->from_fd = open(snapshot, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (r->from_fd < 0)
        return fail(d->c, -errno, "%s", snapshot);
    rc = dmsnap_make_file(d, GUARD_DISK_MOVED, r->new_path, &r->new_fd);
    if (!rc)
        rc = dmsnap_join(d->c, r->origin.device.name, DMSNAP_NEW, new_name);
    if (!rc)
        rc = dmsnap_make_device(d, r->hold.fd, GUARD_DISK_MOVED, new_name,
                                r->origin.real.name, &r->new_dev);
    if (!rc)
        rc = dm_hold_arm(d, &r->hold);
    if (!rc)
        rc = dm_hold_begin(d, &r->hold, -1);
    if (rc)
        return rc;
    rc = while_held(d, r);
    if (rc)
        return rc; /* undo resumes it */
    return dm_hold_end(d, &r->hold);
}

static int check_room(struct disk *d, struct rollback *r, const char *snapshot)
{
    const char *name = r->origin.device.name;
    char other[DM_NAME_MAX];
    int rc;

    r->hold.device = r->origin.device;
    snprintf(r->base, sizeof(r->base), "%.*s",
             (int)(strrchr(snapshot, '/') - snapshot + 1 + (int)strlen(name)),
             snapshot);
    rc = disk_file_check_room(d->c, snapshot, DMSNAP_FULL_PERCENT);
    if (!rc)
        rc = disk_file_name_new(d->c, r->base, r->new_path);
    if (!rc && !access(r->new_path, F_OK))
        rc = fail(d->c, -EEXIST,
                  "%s is left from a rollback that was interrupted when the "
                  "host went down; remove it.",
                  r->new_path);
    if (!rc)
        rc = dmsnap_join(d->c, name, DMSNAP_OLD, other);
    return rc ? rc
              : check_free(d->c, r->hold.fd, other,
                           "it is what the disk was before a rollback that "
                           "was interrupted");
}

static int rollback(struct disk *d, struct rollback *r, const char *snapshot)
{
    int rc = dmsnap_look(d->c, r->hold.fd, d->target, &r->origin);

    if (!rc)
        rc = dmsnap_find_whole(d->c, r->hold.fd, snapshot, &r->from);
    if (!rc && strcmp(r->from.origin_name, r->origin.device.name))
        rc = fail(d->c, -ENOTSUP, "%s: its snapshot %s is of another device.",
                  d->target, snapshot);
    if (!rc)
        rc = check_room(d, r, snapshot);
    if (!rc)
        rc = make_copy(d, r, snapshot);
    if (!rc)
        rc = dmsnap_exchange(d, &r->origin);
    return rc ? rc : dmsnap_settle_after(d, &r->origin, r->base);
}

int dmsnap_rollback(struct disk *d, const char *snapshot)
{
    struct rollback r = {.from_fd = -1, .new_fd = -1};
    int rc;

    dm_hold_init(&r.hold);
    rc = open_dm(d->c, &r.hold.fd);
    if (!rc)
        rc = rollback(d, &r, snapshot);
    dm_hold_close(&r.hold);
    dmsnap_origin_fini(&r.origin);
    if (r.from_fd >= 0)
        close(r.from_fd);
    if (r.new_fd >= 0)
        close(r.new_fd);
    return rc;
}

/* --- fork ------------------------------------------------------------------ */

/* Its room goes with the device, or with us. */
static int open_room(struct ckpt *c, const char *snapshot, uint64_t bytes,
                     int *fd_out)
{
    char folder[DISK_FILE_MAX];

    snprintf(folder, sizeof(folder), "%.*s",
             (int)(strrchr(snapshot, '/') - snapshot), snapshot);
    *fd_out =
        open(folder[0] ? folder : "/", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (*fd_out < 0)
        return fail(c, -errno, "%s: a file without a name", folder);
    if (ftruncate(*fd_out, (off_t)bytes) == 0)
        return 0;
    close(*fd_out);
    return fail(c, -errno, "%s: a file of %llu bytes", folder,
                (unsigned long long)bytes);
}

/* It does not outlive the host's run, so nothing is written about it. */
static int make_fork(struct disk *d, const struct dmsnap_snapshot *s,
                     const char *snapshot, const char *name)
{
    const struct dmsnap_table *from = &s->table;
    struct dm_target t = {.size_bytes = from->size_bytes, .type = "snapshot"};
    int fd, loop_fd, rc;
    dev_t loop;

    rc = open_room(d->c, snapshot,
                   dmsnap_file_bytes(from->size_bytes, from->chunk_sectors),
                   &fd);
    if (rc)
        return rc;
    rc = loop_attach(d->c, fd, name, &loop_fd, &loop);
    close(fd);
    if (rc)
        return rc;
    snprintf(t.params, sizeof(t.params), "%u:%u %u:%u N %u",
             major(s->device.dev), minor(s->device.dev), major(loop),
             minor(loop), from->chunk_sectors);
    rc = dmsnap_deed_device(d, GUARD_DISK_MOVED, name, s->name);
    if (!rc)
        rc = dmsetup_create(d->c, name, &t, false);
    close(loop_fd);
    return rc;
}

int dmsnap_fork(struct disk *d, const char *snapshot, const char *name,
                char **target_out)
{
    char device[DM_NAME_MAX], target[DM_NAME_MAX + 16];
    struct dmsnap_snapshot s;
    int dm_fd, rc;

    disk_name_fork(name, d->vdev, device, sizeof(device));
    rc = open_dm(d->c, &dm_fd);
    if (rc)
        return rc;
    rc = dmsnap_find_whole(d->c, dm_fd, snapshot, &s);
    if (!rc)
        rc = check_free(d->c, dm_fd, device,
                        "another fork's disk; remove it (dmsetup remove), or "
                        "choose another name");
    if (!rc)
        rc = disk_file_check_room(d->c, snapshot, DMSNAP_FULL_PERCENT);
    if (!rc)
        rc = make_fork(d, &s, snapshot, device);
    close(dm_fd);
    if (rc)
        return rc;
    snprintf(target, sizeof(target), "/dev/mapper/%s", device);
    *target_out = strdup(target);
    return *target_out ? 0 : fail(d->c, -ENOMEM, "%s", target);
}

/* --- remove, check, open --------------------------------------------------- */

static int remove_device(struct ckpt *c, int dm_fd,
                         const struct dmsnap_snapshot *s)
{
    struct dmsnap_table t;
    struct dm_device dev;
    unsigned nr = 0;
    int rc = dm_find(dm_fd, s->name, &dev);

    if (rc == -ENXIO)
        return 0; /* gone already, or the host was restarted */
    if (!rc)
        rc = dmsnap_read_table(dm_fd, dev.dev, &t);
    if (rc)
        return fail(c, rc, "device-mapper: %s", s->name);
    if (!t.is_empty && strcmp(t.type, "snapshot"))
        return fail(c, -EPERM,
                    "the device %s is no snapshot, so it is left alone.",
                    s->name);
    rc = dmsnap_holders(c, dev.dev, 0, &nr);
    if (!rc && nr)
        rc = fail(c, -EBUSY, "%s: the disks of %u forks are made of it.",
                  s->name, nr);
    return rc ? rc : dmsetup_remove(c, s->name);
}

int dmsnap_remove(struct ckpt *c, const char *snapshot)
{
    struct dmsnap_snapshot s;
    int dm_fd, rc;

    rc = dmsnap_split(c, snapshot, &s);
    if (!rc)
        rc = open_dm(c, &dm_fd);
    if (rc)
        return rc;
    rc = remove_device(c, dm_fd, &s);
    if (!rc)
        rc = disk_file_unlink(c, snapshot);
    if (!rc)
        rc = dmsnap_release(c, dm_fd, s.origin_name);
    close(dm_fd);
    return rc;
}

static int find_whole(struct ckpt *c, const char *snapshot,
                      struct dmsnap_snapshot *s)
{
    int dm_fd, rc;

    rc = open_dm(c, &dm_fd);
    if (rc)
        return rc;
    rc = dmsnap_find_whole(c, dm_fd, snapshot, s);
    close(dm_fd);
    return rc;
}

int dmsnap_check(struct ckpt *c, const char *snapshot)
{
    struct dmsnap_snapshot s;

    return find_whole(c, snapshot, &s);
}

/* By the kernel's own name for the device: udev has no link for it. */
static int find_device(struct ckpt *c, const char *snapshot, char path[32])
{
    struct dmsnap_snapshot s = {.name = ""};
    int rc = find_whole(c, snapshot, &s);

    snprintf(path, 32, "/dev/dm-%u", minor(s.device.dev));
    return rc;
}

int dmsnap_open(struct ckpt *c, const char *snapshot, struct disk_content *out)
{
    char path[32];
    int rc = find_device(c, snapshot, path), fd;

    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fail(c, -errno, "%s", path)
                  : disk_content_of_file(c, fd, snapshot, out);
}

int dmsnap_show(struct ckpt *c, const char *snapshot, const char *tag,
                struct disk_shown *out)
{
    char path[32];
    int rc = find_device(c, snapshot, path);

    (void)tag;
    return rc ? rc : disk_show_file(c, path, "raw", out);
}
