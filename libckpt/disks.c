/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * All disks of one domain together: found from its configuration or from a
 * checkpoint, and described in one.  (Their beats: disk.c.)
 */
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "disk.h"
#include "op.h"
#include "xen_config.h"

static bool is_listed(const char *const *list, const char *vdev)
{
    for (; list && *list; list++)
        if (!strcmp(*list, vdev))
            return true;
    return false;
}

/* Excluding what is not there is a slip worth an error, not silence. */
static int check_excluded(struct op *op, const char *const *exclude,
                          const struct xen_disk *disk, size_t nr)
{
    size_t i;

    for (; exclude && *exclude; exclude++) {
        for (i = 0; i < nr && strcmp(disk[i].vdev, *exclude); i++)
            ;
        if (i == nr)
            return fail(op->c, -EINVAL,
                        "domain \"%s\" has no disk \"%s\" to exclude.",
                        op->dom.name, *exclude);
    }
    return 0;
}

static const char *reason_for_none(const struct xen_disk *disk,
                                   const char *const *exclude)
{
    if (is_listed(exclude, disk->vdev))
        return "excluded";
    if (disk->cdrom)
        return disk->target[0] ? "cdrom" : "empty";
    if (disk->readonly)
        return "read-only";
    return NULL;
}

static int open_one(struct disk *d, struct op *op, const struct xen_disk *from,
                    const char *const *exclude)
{
    d->c = op->c;
    d->g = op->g;
    d->vdev = strdup(from->vdev);
    d->target = strdup(from->target);
    d->format = strdup(from->format);
    d->domid = op->dom.domid;
    if (!d->vdev || !d->target || !d->format)
        return fail(op->c, -ENOMEM, "disk %s", from->vdev);
    d->why_none = reason_for_none(from, exclude);
    if (d->why_none)
        return 0;
    if (from->remote)
        return fail(op->c, -ENOTSUP,
                    "disk %s (%s) is served by another domain: it cannot be "
                    "snapshotted from here. --exclude-disk %s leaves it out.",
                    d->vdev, d->target, d->vdev);
    return disk_pick(d);
}

int disks_open(struct disks *d, struct op *op, const char *const *exclude)
{
    struct xen_disk *disk = NULL;
    size_t nr = 0;
    int rc;

    rc = xen_config_disks(op->x, op->config, &disk, &nr);
    if (!rc)
        rc = check_excluded(op, exclude, disk, nr);
    if (rc)
        goto out;
    d->disk = calloc(nr + 1, sizeof(*d->disk));
    if (!d->disk) {
        rc = fail(op->c, -ENOMEM, "the list of disks");
        goto out;
    }
    for (d->nr = 0; !rc && d->nr < nr; d->nr++)
        rc = open_one(&d->disk[d->nr], op, &disk[d->nr], exclude);
out:
    xen_disks_free(disk, nr);
    return rc;
}

int disks_open_info(struct disks *d, struct op *op,
                    const struct ckpt_info *info)
{
    const struct ckpt_disk *from;
    struct disk *to;
    size_t i;
    int rc;

    d->disk = calloc(info->nr_disks + 1, sizeof(*d->disk));
    if (!d->disk)
        return fail(op->c, -ENOMEM, "the list of disks");
    for (i = 0; i < info->nr_disks; i++) {
        from = &info->disks[i];
        if (!from->snapshot || !from->snapshot[0])
            continue;
        to = &d->disk[d->nr];
        to->c = op->c;
        to->g = op->g;
        to->vdev = strdup(from->vdev);
        to->target = strdup(from->target);
        to->snapshot = strdup(from->snapshot);
        to->size_bytes = from->size_bytes;
        to->domid = DISK_NO_DOMAIN;
        d->nr++;
        if (!to->vdev || !to->target || !to->snapshot)
            return fail(op->c, -ENOMEM, "disk %s", from->vdev);
        rc = disk_driver_by_name(op->c, from->driver, &to->drv);
        if (!rc)
            rc = to->drv->check(op->c, to->snapshot);
        if (rc)
            return fail_prefix(op->c, rc, "disk %s", to->vdev);
    }
    return 0;
}

void disks_close(struct disks *d)
{
    size_t i;

    for (i = 0; i < d->nr; i++)
        disk_fini(&d->disk[i]);
    free(d->disk);
    memset(d, 0, sizeof(*d));
}

static char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

int disks_describe(const struct disks *d, struct ckpt_info *info)
{
    size_t i;

    info->disks = calloc(d->nr + 1, sizeof(*info->disks));
    if (!info->disks)
        return -ENOMEM;
    for (i = 0; i < d->nr; i++) {
        const struct disk *from = &d->disk[i];
        struct ckpt_disk *to = &info->disks[i];

        to->vdev = copy(from->vdev);
        to->target = copy(from->target);
        to->driver = copy(from->drv ? from->drv->name : "none");
        to->snapshot = copy(from->snapshot);
        to->why_none = copy(from->why_none);
        to->size_bytes = from->size_bytes;
        info->nr_disks++;
        if (!to->vdev || !to->target || !to->driver)
            return -ENOMEM;
    }
    return 0;
}
