/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which blocks of the disks changed between two checkpoints, as the storage
 * itself tells it: nothing of the disks is read.
 */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "disk.h"

struct collect {
    struct ckpt_disk_diff *diff;
    size_t room;
};

static int collect(void *arg, const struct disk_extent *e)
{
    struct collect *to = arg;
    struct ckpt_disk_diff *d = to->diff;
    struct ckpt_extent *more;

    if (d->nr_extents == to->room) {
        more = reallocarray(d->extents, to->room * 2 + 64, sizeof(*more));
        if (!more)
            return -ENOMEM;
        d->extents = more;
        to->room = to->room * 2 + 64;
    }
    d->extents[d->nr_extents++] =
        (struct ckpt_extent){e->offset_bytes, e->len_bytes};
    d->changed_bytes += e->len_bytes;
    return 0;
}

static const struct ckpt_disk *find_disk(const struct ckpt_info *info,
                                         const char *vdev)
{
    for (size_t i = 0; i < info->nr_disks; i++)
        if (!strcmp(info->disks[i].vdev, vdev) && info->disks[i].snapshot &&
            info->disks[i].snapshot[0])
            return &info->disks[i];
    return NULL;
}

static int diff_disk(struct ckpt *c, const struct ckpt_disk *from,
                     const struct ckpt_disk *to, struct ckpt_disk_diff *out)
{
    struct collect arg = {.diff = out};
    const struct disk_driver *drv;
    int rc;

    out->vdev = strdup(to->vdev);
    out->driver = strdup(to->driver);
    out->size_bytes = to->size_bytes;
    if (!out->vdev || !out->driver)
        return fail(c, -ENOMEM, "disk %s", to->vdev);
    if (strcmp(from->driver, to->driver))
        return fail(c, -ENOTSUP,
                    "disk %s: its snapshots are of two kinds, %s and %s.",
                    to->vdev, from->driver, to->driver);
    rc = disk_driver_by_name(c, to->driver, &drv);
    if (!rc)
        rc = drv->changed(c, from->snapshot, to->snapshot, collect, &arg);
    return rc ? fail_prefix(c, rc, "disk %s", to->vdev) : 0;
}

static int diff(struct ckpt *c, const struct ckpt_info *from,
                const struct ckpt_info *to, struct ckpt_disk_diff *list,
                size_t *nr)
{
    const struct ckpt_disk *old;
    int rc = 0;

    if (strcmp(from->domain_uuid, to->domain_uuid))
        return fail(c, -EINVAL,
                    "checkpoints %s and %s are of two domains, %s and %s.",
                    from->id, to->id, from->domain_name, to->domain_name);
    for (size_t i = 0; !rc && i < to->nr_disks; i++) {
        old = find_disk(from, to->disks[i].vdev);
        if (!old || !find_disk(to, to->disks[i].vdev))
            continue;
        rc = diff_disk(c, old, &to->disks[i], &list[(*nr)++]);
    }
    return rc;
}

int ckpt_diff(ckpt *c, const char *from, const char *to,
              struct ckpt_disk_diff **diffs_out, size_t *nr_out)
{
    struct ckpt_info a = {.parent = ""}, b = {.parent = ""};
    struct ckpt_disk_diff *list = NULL;
    size_t nr = 0;
    int rc;

    ctx_begin(c);
    *diffs_out = NULL;
    *nr_out = 0;
    rc = checkpoint_find(c, NULL, from, &a);
    if (!rc)
        rc = checkpoint_find(c, NULL, to, &b);
    if (!rc) {
        list = calloc(b.nr_disks + 1, sizeof(*list));
        rc = list ? diff(c, &a, &b, list, &nr)
                  : fail(c, -ENOMEM, "the list of disks");
    }
    ckpt_info_fini(&a);
    ckpt_info_fini(&b);
    if (rc) {
        ckpt_diff_free(list, nr);
        return rc;
    }
    *diffs_out = list;
    *nr_out = nr;
    return 0;
}

void ckpt_diff_free(struct ckpt_disk_diff *diffs, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        free(diffs[i].vdev);
        free(diffs[i].driver);
        free(diffs[i].extents);
    }
    free(diffs);
}
