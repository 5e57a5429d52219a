/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Deletes a checkpoint.  It leaves the store first, in one rename; its disk
 * snapshots follow, owed (owed.h) from before that on until they are gone, so
 * that a death in between leaves neither a checkpoint without disks nor disks
 * without one: the guard, or a later deletion or prune, removes them.
 * One that is needed beneath the disks of running guests stays owed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "guard.h"
#include "mount.h"
#include "op.h"
#include "owed.h"
#include "steps.h"
#include "store_driver.h"

/* 0 also when it is owed. */
static int remove_snapshot(struct ckpt *c, const struct ckpt_info *info,
                           size_t n, const struct disk_driver *drv)
{
    const struct ckpt_disk *d = &info->disks[n];
    int rc = drv->remove(c, d->snapshot);

    if (!rc)
        return owed_strike(c, info, n);
    if (rc == -EBUSY && drv->caps & DISK_CAP_OWED) {
        warn(c, "disk %s: %s stays for now (xl checkpoint-prune): %s", d->vdev,
             d->snapshot, c->error);
        c->error[0] = '\0';
        rc = 0;
    }
    return rc;
}

static int remove_snapshots(struct ckpt *c, const struct ckpt_info *info,
                            const unsigned *tokens, struct guard *g)
{
    const struct disk_driver *drv;
    size_t i;
    int rc = 0, r;

    for (i = 0; i < info->nr_disks; i++) {
        const struct ckpt_disk *d = &info->disks[i];

        if (!d->snapshot || !d->snapshot[0])
            continue;
        r = disk_driver_by_name(c, d->driver, &drv);
        if (!r)
            r = remove_snapshot(c, info, i, drv);
        if (!r)
            guard_del(g, tokens[i]);
        rc = rc ? rc : r;
    }
    return rc;
}

static int note_snapshot(struct guard *g, struct ckpt *c,
                         const struct ckpt_info *info, size_t n,
                         unsigned *token_out)
{
    const struct ckpt_disk *d = &info->disks[n];
    char arg[GUARD_ARG_MAX];
    int rc;

    if (!d->snapshot || !d->snapshot[0])
        return 0;
    if ((size_t)snprintf(arg, sizeof(arg), "%s %s", d->driver, d->snapshot) >=
        sizeof(arg))
        return fail(c, -ENAMETOOLONG, "disk %s: %s", d->vdev, d->snapshot);
    rc = owed_add(c, info, n);
    return rc ? rc : guard_add(g, GUARD_DISK_REMOVE, 0, arg, token_out);
}

/* The domain is locked. */
static int remove_locked(struct ckpt *c, const struct ckpt_info *info,
                         struct guard *g)
{
    unsigned *tokens = calloc(info->nr_disks + 1, sizeof(*tokens));
    size_t i;
    int rc;

    if (!tokens)
        return fail(c, -ENOMEM, "the list of disks");
    rc = mount_check_none(c, info);
    guard_hold(g);
    for (i = 0; !rc && i < info->nr_disks; i++)
        rc = note_snapshot(g, c, info, i, &tokens[i]);
    if (!rc)
        rc = steps_fault(c, "delete", "begun");
    if (!rc)
        rc = checkpoint_remove(c, info);
    if (!rc)
        rc = guard_flush(g);
    if (!rc)
        rc = steps_fault(c, "delete", "removed");
    if (!rc)
        rc = remove_snapshots(c, info, tokens, g);
    free(tokens);
    return rc;
}

int remove_inner(struct ckpt *c, const struct ckpt_info *info,
                 may_go_fn *may_go)
{
    struct ckpt_info now = {.name = NULL};
    struct op op;
    int rc;

    rc = op_open_store(&op, c, info->domain_uuid);
    if (!rc && may_go) {
        rc = checkpoint_find(c, info->domain_uuid, info->id, &now);
        if (!rc)
            rc = may_go(c, &now);
        info = &now;
    }
    if (!rc)
        rc = remove_locked(c, info, op.g);
    ckpt_info_fini(&now);
    op_close(&op);
    /* What waited for this one may go now. */
    return rc ? rc : owed_collect(c, NULL);
}

/* One whose manifest cannot be read: nobody knows its disks. */
static int delete_damaged(struct ckpt *c, const char *id)
{
    int rc = store_drop(c->store, id, NULL);

    if (!rc)
        warn(c, "checkpoint %s was damaged; snapshots of disks that it may "
                "have had are not removed", id);
    return rc;
}

int ckpt_delete(ckpt *c, const char *checkpoint)
{
    struct ckpt_info info = { 0 };
    int rc;

    ctx_begin(c);
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (rc == -EUCLEAN && store_is_id(checkpoint))
        return delete_damaged(c, checkpoint);
    if (!rc)
        rc = remove_inner(c, &info, checkpoint_may_go);
    ckpt_info_fini(&info);
    return rc;
}
