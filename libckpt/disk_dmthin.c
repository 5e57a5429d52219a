/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks on thin volumes of device-mapper that LVM does not own: the domain has
 * /dev/mapper/NAME, whose table is "thin POOL ID".
 *
 *   arm    "create_thin N"        an id that is free, and nobody else's now
 *   cut    suspend the origin     what is under way is finished, the rest is
 *                                 held back by device-mapper
 *   drain  "delete N"
 *          "create_snap N O"      the instant of the cut
 *          resume the origin
 *
 * A pool has no room for owners.  So ids say it: those of the upper half are
 * ours (DMTHIN_FIRST_ID), and no other volume is ever deleted.  Which of them
 * is which checkpoint's stands in its manifest and nowhere else.
 */
#include "disk_dmthin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_name.h"

#define DEV_MAPPER "/dev/mapper/"

struct dmthin {
    struct thin_hold hold;
    struct dmthin_pool pool;
    uint32_t snapshot_id;
};

/* --- what is what ---------------------------------------------------------- */

static bool is_of_lvm(const struct dm_device *dev)
{
    return !strncmp(dev->uuid, "LVM-", 4);
}

static int read_pool(struct ckpt *c, int dm_fd, dev_t dev,
                     struct dmthin_pool *pool)
{
    struct dm_device device;
    struct dm_target table;
    int rc;

    rc = dm_info(dm_fd, dev, &device);
    if (!rc)
        rc = dm_table(dm_fd, dev, &table);
    if (rc)
        return fail(c, rc, "device-mapper: the thin pool %u:%u", major(dev),
                    minor(dev));
    if (strcmp(table.type, "thin-pool"))
        return fail(c, -ENOTSUP, "%s is no thin pool.", device.name);
    if (is_of_lvm(&device))
        return fail(c, -ENOTSUP, "its thin pool %s is LVM's.", device.name);
    if (!dm_is_plain_name(device.name))
        return fail(c, -ENOTSUP, "the name of its thin pool, %s, is too odd.",
                    device.name);
    memcpy(pool->name, device.name, sizeof(pool->name));
    pool->dev = dev;
    return 0;
}

static int look_table(struct ckpt *c, int dm_fd, struct thin *t)
{
    struct dm_target table;
    int rc = dm_table(dm_fd, t->device.dev, &table);
    const char *space;

    if (rc && rc != -ENOTSUP)
        return fail(c, rc, "device-mapper: %s", t->device.name);
    if (rc || strcmp(table.type, "thin"))
        return fail(c, -ENOTSUP, "%s is no thin device.", t->device.name);
    if (!thin_parse(table.params, &t->pool, &t->id))
        return fail(c, -EIO, "device-mapper: %s: no thin device: %s.",
                    t->device.name, table.params);
    space = strchr(table.params, ' ');
    if (strchr(space + 1, ' '))
        return fail(c, -ENOTSUP,
                    "%s has an external origin, which a snapshot "
                    "of it could not have.",
                    t->device.name);
    t->size_bytes = table.size_bytes;
    return 0;
}

int dmthin_look(struct ckpt *c, int dm_fd, const char *target, struct thin *t,
                struct dmthin_pool *pool)
{
    const char *path = strncmp(target, "phy:", 4) ? target : target + 4;
    char by_dm[DM_NAME_MAX + 16];
    struct stat st;
    int rc;

    memset(t, 0, sizeof(*t));
    if (*path != '/')
        return fail(c, -ENOTSUP, "no path of a device.");
    if (stat(path, &st) < 0)
        return fail(c, -errno, "%s", path);
    rc = S_ISBLK(st.st_mode) ? dm_info(dm_fd, st.st_rdev, &t->device) : -ENXIO;
    if (rc == -ENXIO || (!rc && is_of_lvm(&t->device)))
        return fail(c, -ENOTSUP, "no device of device-mapper alone.");
    if (rc)
        return fail(c, rc, "device-mapper: %s", path);
    rc = look_table(c, dm_fd, t);
    if (!rc)
        rc = read_pool(c, dm_fd, t->pool, pool);
    if (rc)
        return rc;
    snprintf(by_dm, sizeof(by_dm), DEV_MAPPER "%s", t->device.name);
    if (strcmp(path, by_dm) || !dm_is_plain_name(t->device.name))
        return fail(c, -ENOTSUP,
                    "it is the thin device %s, but by a name that cannot be "
                    "moved to another one; call it %s.",
                    t->device.name, by_dm);
    return 0;
}

static int dmthin_probe(struct disk *d)
{
    struct dmthin_pool pool;
    struct thin t;
    int fd, rc;

    rc = dm_open(&fd);
    if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
        return fail(d->c, -ENOTSUP, "no device-mapper here.");
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    rc = dmthin_look(d->c, fd, d->target, &t, &pool);
    close(fd);
    return rc;
}

/* --- arm, cut, drain, undo ------------------------------------------------- */

static void priv_free(struct disk *d)
{
    struct dmthin *p = d->priv;

    if (!p)
        return;
    thin_hold_close(&p->hold);
    free(p);
    d->priv = NULL;
}

static int arm(struct disk *d, struct dmthin *p, const char *id)
{
    const struct thin *t = &p->hold.thin;
    char seed[64], text[DM_NAME_MAX + 48];
    int rc;

    rc = thin_hold_arm(d, &p->hold);
    if (rc)
        return rc;
    if (strlen(t->device.name) + sizeof(DMTHIN_NEW) > DM_NAME_MAX)
        return fail(d->c, -ENOTSUP, /* or it could not be rolled back */
                    "%s" DMTHIN_NEW " would be a longer name than "
                    "device-mapper can take.",
                    t->device.name);
    snprintf(seed, sizeof(seed), "%s-%s", id, d->vdev);
    rc = dmthin_make_volume(d, p->hold.dm.fd, GUARD_DISK_MADE, &p->pool, seed,
                            NULL, &p->snapshot_id);
    if (rc)
        return rc;
    d->size_bytes = t->size_bytes;
    snprintf(text, sizeof(text), "%s/%" PRIu32 "/%" PRIu64, p->pool.name,
             p->snapshot_id, t->size_bytes / 512);
    free(d->snapshot);
    d->snapshot = strdup(text);
    return d->snapshot ? 0 : fail(d->c, -ENOMEM, "%s", d->target);
}

static int dmthin_arm(struct disk *d, const char *id)
{
    struct dmthin *p;
    int rc;

    priv_free(d);
    p = d->priv = calloc(1, sizeof(*p));
    if (!p)
        return fail(d->c, -ENOMEM, "%s", d->target);
    thin_hold_init(&p->hold);
    rc = dm_open(&p->hold.dm.fd);
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    rc = dmthin_look(d->c, p->hold.dm.fd, d->target, &p->hold.thin, &p->pool);
    return rc ? rc : arm(d, p, id);
}

static int dmthin_cut(struct disk *d)
{
    struct dmthin *p = d->priv;

    return thin_hold_begin(d, &p->hold, -1);
}

static int dmthin_drain(struct disk *d)
{
    struct dmthin *p = d->priv;
    char forget[32], snap[48];
    const char *messages[] = {forget, snap, NULL};
    int rc;

    snprintf(forget, sizeof(forget), "delete %" PRIu32, p->snapshot_id);
    snprintf(snap, sizeof(snap), "create_snap %" PRIu32 " %" PRIu32,
             p->snapshot_id, p->hold.thin.id);
    rc = thin_hold_end(d, &p->hold, messages);
    if (!rc)
        priv_free(d);
    return rc;
}

static void dmthin_undo(struct disk *d)
{
    disk_deed_undo_all(d);
    priv_free(d);
}

const struct disk_driver disk_dmthin = {
    .name = "dmthin",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK | DISK_CAP_OWED,
    .probe = dmthin_probe,
    .arm = dmthin_arm,
    .cut = dmthin_cut,
    .drain = dmthin_drain,
    .undo = dmthin_undo,
    .rollback = dmthin_rollback,
    .rollback_end = disk_deed_rollback_end,
    .fork = dmthin_fork,
    .remove = dmthin_remove,
    .check = dmthin_check,
    .take_back = dmthin_take_back,
    .changed = dmthin_changed,
    .open = dmthin_open,
    .close = disk_content_close,
    .read = disk_content_read,
    .show = dmthin_show,
    .hide = dmthin_hide,
};
