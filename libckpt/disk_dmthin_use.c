/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made out of the snapshots of thin volumes without LVM.
 *
 *   rollback   "create_snap N S"      a volume with the snapshot's content
 *              NAME.ckpt-new          its device
 *              NAME -> NAME.ckpt-old  under the guest that has it open
 *              NAME.ckpt-new -> NAME
 *   its end    NAME.ckpt-old goes, and NAME's content gets the id that it had
 *              (disk_dmthin_deed.c); or all of it backwards
 *   fork       "create_snap F S"      and its device fork-NAME-VDEV
 *
 * Devices of device-mapper do not outlive a reboot; ids do.
 */
#include "disk_dmthin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_name.h"

static int open_dm(struct ckpt *c, int *fd_out)
{
    int rc = dm_open(fd_out);

    return rc ? fail(c, rc, "/dev/mapper/control") : 0;
}

int dmthin_find_whole(struct ckpt *c, int dm_fd, const char *snapshot,
                      struct dmthin_snapshot *s)
{
    int rc = dmthin_find(c, dm_fd, snapshot, s);

    if (rc)
        return rc;
    rc = dmthin_exists(dm_fd, &s->pool, s->id);
    if (rc == -ENODATA)
        return fail(c, -EUCLEAN, "the snapshot %s is gone.", snapshot);
    return rc ? fail(c, rc, "the snapshot %s", snapshot) : 0;
}

int dmthin_check_free(struct ckpt *c, int dm_fd, const char *name,
                      const char *hint)
{
    struct dm_device device;
    int rc;

    if (strlen(name) >= DM_NAME_MAX)
        return fail(c, -ENAMETOOLONG, "%s", name);
    rc = dm_find(dm_fd, name, &device);
    if (rc == -ENXIO)
        return 0;
    return rc ? fail(c, rc, "device-mapper: %s", name)
              : fail(c, -EEXIST, "the device %s is there already: %s.", name,
                     hint);
}

/* --- rollback -------------------------------------------------------------- */

static int exchange(struct disk *d, int dm_fd, const struct thin *t,
                    const struct dmthin_snapshot *s)
{
    char old_name[DM_NAME_MAX + sizeof(DMTHIN_OLD)];
    char new_name[DM_NAME_MAX + sizeof(DMTHIN_NEW)];
    uint32_t new_id = 0;
    int rc;

    snprintf(old_name, sizeof(old_name), "%s" DMTHIN_OLD, t->device.name);
    snprintf(new_name, sizeof(new_name), "%s" DMTHIN_NEW, t->device.name);
    rc = dmthin_check_free(
        d->c, dm_fd, old_name,
        "it shows what the disk was before a rollback that was "
        "interrupted; remove it (dmsetup remove), and its volume "
        "from the pool, when it is not needed");
    if (!rc)
        rc = dmthin_check_free(
            d->c, dm_fd, new_name,
            "left by a rollback that was interrupted; remove it "
            "(dmsetup remove)");
    if (!rc)
        rc = dmthin_make_volume(d, dm_fd, GUARD_DISK_MOVED, &s->pool, new_name,
                                &s->id, &new_id);
    if (!rc)
        rc = dmthin_make_device(d, GUARD_DISK_MOVED, &s->pool, new_id,
                                s->size_bytes, new_name);
    if (!rc)
        rc = dmthin_rename(d, &s->pool, t->id, t->device.name, old_name);
    if (!rc)
        rc = dmthin_rename(d, &s->pool, new_id, new_name, t->device.name);
    return rc ? rc : dmthin_settle_after(d, &s->pool, t, new_id, s->size_bytes);
}

int dmthin_rollback(struct disk *d, const char *snapshot)
{
    struct dmthin_snapshot s;
    struct dmthin_pool pool;
    struct thin t;
    int dm_fd, rc;

    rc = open_dm(d->c, &dm_fd);
    if (rc)
        return rc;
    rc = dmthin_look(d->c, dm_fd, d->target, &t, &pool);
    if (!rc)
        rc = dmthin_find_whole(d->c, dm_fd, snapshot, &s);
    if (!rc && s.pool.dev != pool.dev)
        rc = fail(d->c, -ENOTSUP, "%s: its snapshot %s is in another pool.",
                  d->target, snapshot);
    if (!rc)
        rc = thin_check_pool(d->c, dm_fd, pool.dev, THIN_FULL_PERCENT);
    if (!rc)
        rc = exchange(d, dm_fd, &t, &s);
    close(dm_fd);
    return rc;
}

/* --- fork, remove, check, changed ------------------------------------------ */

int dmthin_fork(struct disk *d, const char *snapshot, const char *name,
                char **target_out)
{
    char device[DM_NAME_MAX], target[DM_NAME_MAX + 16];
    struct dmthin_snapshot s;
    uint32_t id = 0;
    int dm_fd, rc;

    disk_name_fork(name, d->vdev, device, sizeof(device));
    rc = open_dm(d->c, &dm_fd);
    if (rc)
        return rc;
    rc = dmthin_find_whole(d->c, dm_fd, snapshot, &s);
    if (!rc)
        rc = dmthin_check_free(
            d->c, dm_fd, device,
            "another fork's disk; remove it (dmsetup remove), or "
            "choose another name");
    if (!rc)
        rc = thin_check_pool(d->c, dm_fd, s.pool.dev, THIN_FULL_PERCENT);
    if (!rc)
        rc = dmthin_make_volume(d, dm_fd, GUARD_DISK_MOVED, &s.pool, device,
                                &s.id, &id);
    if (!rc)
        rc = dmthin_make_device(d, GUARD_DISK_MOVED, &s.pool, id, s.size_bytes,
                                device);
    close(dm_fd);
    if (rc)
        return rc;
    snprintf(target, sizeof(target), "/dev/mapper/%s", device);
    *target_out = strdup(target);
    return *target_out ? 0 : fail(d->c, -ENOMEM, "%s", target);
}

/* The kernel refuses one that a device shows: -EBUSY. */
int dmthin_remove(struct ckpt *c, const char *snapshot)
{
    struct dmthin_snapshot s;
    char message[32];
    int dm_fd, rc;

    rc = open_dm(c, &dm_fd);
    if (rc)
        return rc;
    rc = dmthin_find(c, dm_fd, snapshot, &s);
    if (!rc) {
        snprintf(message, sizeof(message), "delete %" PRIu32, s.id);
        rc = dm_message(dm_fd, s.pool.dev, message);
        if (rc == -ENODATA)
            rc = 0; /* gone already */
        else if (rc)
            fail(c, rc, "%s: its pool does not delete it", snapshot);
    }
    close(dm_fd);
    return rc;
}

int dmthin_check(struct ckpt *c, const char *snapshot)
{
    struct dmthin_snapshot s;
    int dm_fd, rc;

    rc = open_dm(c, &dm_fd);
    if (rc)
        return rc;
    rc = dmthin_find_whole(c, dm_fd, snapshot, &s);
    close(dm_fd);
    return rc;
}

int dmthin_changed(struct ckpt *c, const char *from, const char *to,
                   disk_extent_fn *fn, void *arg)
{
    struct dmthin_snapshot a, b;
    int dm_fd, rc;

    rc = open_dm(c, &dm_fd);
    if (rc)
        return rc;
    rc = dmthin_find_whole(c, dm_fd, from, &a);
    if (!rc)
        rc = dmthin_find_whole(c, dm_fd, to, &b);
    if (!rc && a.pool.dev != b.pool.dev)
        rc = fail(c, -EUCLEAN, "%s and %s are not in one thin pool.", from, to);
    if (!rc)
        rc = thin_changed(c, dm_fd, a.pool.dev, a.id, b.id, fn, arg);
    close(dm_fd);
    return rc;
}
