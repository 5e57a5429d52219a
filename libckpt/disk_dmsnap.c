/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that are devices of device-mapper of somebody else's, with the kernel's
 * own copy-before-write snapshots: the domain has /dev/mapper/NAME.
 *
 *   arm    NAME.ckpt-real      a second device with NAME's table, once
 *          NAME.ckpt-ID-VDEV   a sparse file, a loop device upon it, and a
 *                              snapshot of NAME.ckpt-real that keeps there what
 *                              is overwritten; loaded, not active
 *   cut    suspend NAME        what is under way is finished, the rest is
 *                              held back by device-mapper
 *   drain  the snapshot becomes active: the instant of the cut
 *          resume NAME         from the first time on as the origin of
 *                              NAME.ckpt-real, whose snapshots see its writes
 *
 * A snapshot costs nothing until a block is written for the first time; that is
 * copied then, once for every snapshot, before it is overwritten.  The kernel
 * writes down where to (its store "P"), though a restart ends it all, for only
 * such a snapshot can be merged into its origin again.
 */
#include "disk_dmsnap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "dm_hold.h"

struct dmsnap {
    struct dm_hold hold;
    struct dmsnap_origin origin;
    dev_t snapshot;
};

static void priv_free(struct disk *d)
{
    struct dmsnap *p = d->priv;

    if (!p)
        return;
    dm_hold_close(&p->hold);
    dmsnap_origin_fini(&p->origin);
    free(p);
    d->priv = NULL;
}

static int dmsnap_probe(struct disk *d)
{
    struct dmsnap_origin o = {.lines = NULL};
    int fd, rc;

    if (d->format && d->format[0] && strcmp(d->format, "raw"))
        return fail(d->c, -ENOTSUP, "its format is %s, not raw.", d->format);
    rc = dm_open(&fd);
    if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
        return fail(d->c, -ENOTSUP, "no device-mapper here.");
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    rc = dmsnap_look(d->c, fd, d->target, &o);
    dmsnap_origin_fini(&o);
    close(fd);
    return rc;
}

/* --- arm ------------------------------------------------------------------- */

/* As large as it can ever get, but not so large that this one alone could fill
 * the filesystem. */
static int size_file(struct disk *d, const char *path, uint64_t size_bytes,
                     unsigned chunk_sectors, uint64_t *bytes_out)
{
    const uint64_t chunk = chunk_sectors * UINT64_C(512);
    const uint64_t want = dmsnap_file_bytes(size_bytes, chunk_sectors);
    uint64_t room, keep;
    struct statvfs s;

    *bytes_out = want;
    if (statvfs(path, &s) < 0)
        return fail(d->c, -errno, "%s", path);
    room = (uint64_t)s.f_bavail * s.f_frsize;
    keep = (uint64_t)((double)s.f_blocks * (double)s.f_frsize *
                      (100.0 - DMSNAP_FULL_PERCENT) / 100.0);
    if (!s.f_blocks || (room > keep && room - keep >= want))
        return 0;
    *bytes_out = room > keep ? (room - keep) / chunk * chunk : 0;
    if (*bytes_out < 16 * chunk)
        return fail(d->c, -ENOSPC, "the filesystem of %s: %llu KiB are free.",
                    path, (unsigned long long)room >> 10);
    warn(d->c,
         "disk %s: its snapshot can keep %llu MiB of what the guest "
         "overwrites, of %llu MiB, and is void after that: %s has no more "
         "room.",
         d->vdev, (unsigned long long)*bytes_out >> 20,
         (unsigned long long)size_bytes >> 20, path);
    return 0;
}

static int make_snapshot(struct disk *d, struct dmsnap *p, const char *folder)
{
    struct dmsnap_table t = {.origin = p->origin.real.dev,
                             .size_bytes = p->origin.size_bytes,
                             .chunk_sectors =
                                 dmsnap_chunk_sectors(p->origin.size_bytes)};
    struct dmsnap_snapshot s;
    uint64_t bytes;
    int fd = -1, rc;

    rc = size_file(d, folder, t.size_bytes, t.chunk_sectors, &bytes);
    if (!rc)
        rc = dmsnap_split(d->c, d->snapshot, &s);
    if (!rc)
        rc = dmsnap_make_file(d, GUARD_DISK_MADE, d->snapshot, &fd);
    if (rc)
        return rc;
    if (ftruncate(fd, (off_t)bytes) < 0)
        rc = fail(d->c, -errno, "%s: %llu bytes", d->snapshot,
                  (unsigned long long)bytes);
    if (!rc)
        rc = dmsnap_make_device(d, p->hold.fd, GUARD_DISK_MADE, s.name,
                                p->origin.real.name, &p->snapshot);
    if (!rc)
        rc = dmsnap_load(d->c, p->hold.fd, p->snapshot, fd, d->snapshot, &t,
                         true);
    close(fd);
    return rc;
}

/* One that is left without snapshots goes; one that has some is theirs. */
static int check_not_replaced(struct disk *d, const struct dmsnap *p)
{
    const char *name = p->origin.device.name;
    struct dm_device left;
    int rc;

    if (!p->origin.real.name[0] || !p->origin.lines)
        return 0;
    rc = dmsnap_release(d->c, p->hold.fd, name);
    if (rc || dm_find(p->hold.fd, p->origin.real.name, &left) == -ENXIO)
        return rc;
    return fail(d->c, -EUCLEAN,
                "the table of %s was replaced by another program, and the "
                "snapshots that it has are stale: delete its checkpoints.",
                name);
}

static int arm(struct disk *d, struct dmsnap *p, const char *id)
{
    char folder[DISK_FILE_MAX], base[DISK_FILE_MAX + DM_NAME_MAX];
    char snapshot[DISK_FILE_MAX];
    int rc;

    p->hold.device = p->origin.device;
    rc = dmsnap_folder(d->c, folder);
    if (!rc)
        rc = disk_file_check_room(d->c, folder, DMSNAP_FULL_PERCENT);
    if (rc)
        return rc;
    snprintf(base, sizeof(base), "%s/%s", folder, p->origin.device.name);
    rc = disk_file_name_snapshot(d, base, id, snapshot);
    if (!rc)
        rc = check_not_replaced(d, p);
    if (rc)
        return rc;
    d->size_bytes = p->origin.size_bytes;
    free(d->snapshot);
    d->snapshot = strdup(snapshot);
    if (!d->snapshot)
        return fail(d->c, -ENOMEM, "%s", d->target);
    if (p->origin.lines)
        rc = dmsnap_make_real(d, p->hold.fd, &p->origin);
    if (!rc)
        rc = make_snapshot(d, p, folder);
    return rc ? rc : dm_hold_arm(d, &p->hold);
}

static int dmsnap_arm(struct disk *d, const char *id)
{
    struct dmsnap *p;
    int rc;

    priv_free(d);
    p = d->priv = calloc(1, sizeof(*p));
    if (!p)
        return fail(d->c, -ENOMEM, "%s", d->target);
    dm_hold_init(&p->hold);
    rc = dm_open(&p->hold.fd);
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    rc = dmsnap_look(d->c, p->hold.fd, d->target, &p->origin);
    return rc ? rc : arm(d, p, id);
}

/* --- cut, drain, undo ------------------------------------------------------ */

static int dmsnap_cut(struct disk *d)
{
    struct dmsnap *p = d->priv;

    return dm_hold_begin(d, &p->hold, -1);
}

/* What was NAME's table when we looked is it now. */
static int check_table(struct disk *d, const struct dmsnap *p)
{
    struct dm_lines *now = NULL;
    struct dmsnap_table t;
    bool is_same;
    int rc;

    if (p->origin.lines) {
        rc = dm_lines_read(p->hold.fd, p->hold.device.dev, &now);
        is_same = !rc && dm_lines_are_equal(now, p->origin.lines);
        dm_lines_free(now);
    } else {
        rc = dmsnap_read_table(p->hold.fd, p->hold.device.dev, &t);
        is_same = !rc && dmsnap_is(&t, "snapshot-origin", p->origin.real.dev);
    }
    return is_same ? 0
                   : fail(d->c, -EBUSY,
                          "the table of %s was replaced by another program. "
                          "Try again.",
                          p->hold.device.name);
}

static int become_origin(struct disk *d, const struct dmsnap *p)
{
    struct dm_target t = {.size_bytes = p->origin.size_bytes,
                          .type = "snapshot-origin"};
    int rc;

    snprintf(t.params, sizeof(t.params), "%u:%u", major(p->origin.real.dev),
             minor(p->origin.real.dev));
    rc = dm_load(p->hold.fd, p->hold.device.dev, &t, false);
    return rc ? fail(d->c, rc, "%s: a table of type %s", p->hold.device.name,
                     t.type)
              : 0;
}

static int dmsnap_drain(struct disk *d)
{
    struct dmsnap *p = d->priv;
    int rc = dm_hold_check(d, &p->hold);

    if (!rc)
        rc = check_table(d, p);
    if (!rc && p->origin.lines)
        rc = become_origin(d, p);
    if (!rc && (rc = dm_resume_hidden(p->hold.fd, p->snapshot)))
        fail(d->c, rc, "%s", d->snapshot);
    if (!rc)
        rc = dm_hold_check(d, &p->hold);
    if (!rc)
        rc = dm_hold_end(d, &p->hold);
    if (!rc)
        priv_free(d);
    return rc;
}

static void dmsnap_undo(struct disk *d)
{
    disk_deed_undo_all(d);
    priv_free(d);
}

const struct disk_driver disk_dmsnap = {
    .name = "dmsnap",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK | DISK_CAP_OWED,
    .probe = dmsnap_probe,
    .arm = dmsnap_arm,
    .cut = dmsnap_cut,
    .drain = dmsnap_drain,
    .undo = dmsnap_undo,
    .rollback = dmsnap_rollback,
    .rollback_end = disk_deed_rollback_end,
    .fork = dmsnap_fork,
    .remove = dmsnap_remove,
    .check = dmsnap_check,
    .take_back = dmsnap_take_back,
    .changed = dmsnap_changed,
    .open = dmsnap_open,
    .close = disk_content_close,
    .read = disk_content_read,
    .show = dmsnap_show,
    .hide = disk_no_hide,
};
