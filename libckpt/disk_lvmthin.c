/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks on LVM thin volumes.
 *
 * A thin snapshot is two things: a record in LVM's metadata, which only LVM's
 * commands can make and which takes long, and a device id in the pool, which
 * one message to the kernel makes in milliseconds.  So the record is made
 * ahead and the content put into it at the cut:
 *
 *   arm    lvcreate -s            LVM knows vg/ckpt-ID-VDEV, device id N
 *          "delete N"             the pool forgets N, the record stays
 *   lock   LVM's, on the group    other takes and admins make their volumes
 *                                 before us or after us
 *   cut    suspend the origin     what is under way is finished, the rest is
 *                                 held back by device-mapper
 *   drain  "create_snap N O"      the pool has N again: the instant of the cut
 *          resume the origin
 *
 * No program runs, and no LVM lock is waited for, while the guest's I/O is
 * held back (but by a guest that takes long to suspend, for whom LVM does not
 * wait).  LVM does not see the exchange: neither its metadata nor the
 * pool's transaction id change.  And it removes a record whose N is missing
 * as it removes any other, so undo is lvremove at every point.
 *
 * While the origin is suspended we hold LVM's lock on the group.  An LVM
 * command that wants to snapshot a volume which is suspended already writes
 * its record but never sends its message, and the pool is at odds with its
 * metadata from then on (seen with LVM 2.03.16).
 */
#include "disk_lvmthin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_name.h"
#include "dm.h"

/* Commands of LVM take less than a second; a dozen of guests may be at it. */
#define LOCK_WAIT_US 60000000u

/* --- the driver's own ------------------------------------------------------ */

static int lvmthin_probe(struct disk *d)
{
    struct ckpt *c = d->c;
    struct thin t;
    int fd, rc;

    rc = dm_open(&fd);
    if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
        return fail(c, -ENOTSUP, "no device-mapper here, so no LVM.");
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = thin_look(c, fd, d->target, &t);
    close(fd);
    return rc;
}

static void lvmthin_unlock(struct disk *d)
{
    struct lvmthin *p = d->priv;

    if (p && p->lock_fd >= 0) {
        close(p->lock_fd);
        p->lock_fd = -1;
    }
}

void lvmthin_priv_free(struct disk *d)
{
    struct lvmthin *p = d->priv;

    if (!p)
        return;
    lvmthin_unlock(d);
    thin_hold_close(&p->hold);
    free(p);
    d->priv = NULL;
}

int lvmthin_priv_new(struct disk *d)
{
    struct lvmthin *p;
    int rc;

    lvmthin_priv_free(d);
    p = calloc(1, sizeof(*p));
    if (!p)
        return fail(d->c, -ENOMEM, "%s", d->target);
    thin_hold_init(&p->hold);
    p->lock_fd = -1;
    d->priv = p;
    rc = dm_open(&p->hold.dm.fd);
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    return thin_look(d->c, p->hold.dm.fd, d->target, &p->hold.thin);
}

/* Room in LVM and device-mapper for a name of ours. */
int lvmthin_check_name(struct ckpt *c, const char *vg, const char *lv)
{
    char name[DM_NAME_MAX];

    if (strlen(vg) + 1 + strlen(lv) >= DM_NAME_MAX ||
        !dm_join_name(vg, lv, name))
        return fail(c, -ENOTSUP,
                    "%s/%s would be a longer name than LVM can "
                    "take; give the volume a shorter one (lvrename).",
                    vg, lv);
    return 0;
}

int lvmthin_deed_remove(struct disk *d, const char *vg, const char *lv)
{
    char arg[GUARD_ARG_MAX];

    snprintf(arg, sizeof(arg), "%s/%s", vg, lv);
    return disk_deed_begin(d, GUARD_LV_REMOVE, lvm_undo_remove, arg);
}

/* --- arm, cut, drain, undo ------------------------------------------------- */

/* The record in LVM's metadata, and the id it has in the pool. */
static int make_record(struct disk *d, struct lvmthin *p, const char *name)
{
    const char *names[] = {name, NULL};
    const struct thin *t = &p->hold.thin;
    const struct lvm_volume *v;
    struct lvm_list l;
    char message[32];
    int rc;

    rc = lvm_snapshot(d->c, t->vg, t->lv, name, NULL, LVM_SNAP_HIDDEN);
    if (!rc)
        rc = lvm_list(d->c, t->vg, names, &l);
    if (rc)
        return rc;
    v = lvm_in(&l, name);
    p->snapshot_id = v ? v->thin_id : 0;
    lvm_list_fini(&l);
    if (!p->snapshot_id || p->snapshot_id == t->id)
        return fail(d->c, -EIO, "%s/%s: lvcreate made no thin snapshot.", t->vg,
                    name);
    snprintf(message, sizeof(message), "delete %" PRIu32, p->snapshot_id);
    rc = dm_message(p->hold.dm.fd, t->pool, message);
    return rc ? fail(d->c, rc, "the pool of %s/%s: %s", t->vg, name, message)
              : 0;
}

static int arm(struct disk *d, struct lvmthin *p, const char *name)
{
    char with_suffix[LVMTHIN_SUFFIXED_MAX];
    const struct thin *t = &p->hold.thin;
    size_t len;
    int rc;

    snprintf(with_suffix, sizeof(with_suffix), "%s" LVMTHIN_NEW, t->lv);
    rc = lvmthin_check_name(d->c, t->vg, name);
    if (!rc) /* or it could not be rolled back */
        rc = lvmthin_check_name(d->c, t->vg, with_suffix);
    if (!rc)
        rc = thin_hold_arm(d, &p->hold);
    if (!rc)
        rc = lvm_lock_path(d->c, t->vg, p->lock_path);
    if (rc)
        return rc;
    len = strlen(t->vg) + 1 + strlen(name) + 1;
    free(d->snapshot);
    d->snapshot = malloc(len);
    if (!d->snapshot)
        return fail(d->c, -ENOMEM, "%s", d->target);
    snprintf(d->snapshot, len, "%s/%s", t->vg, name);
    d->size_bytes = t->size_bytes;
    rc = lvmthin_deed_remove(d, t->vg, name);
    return rc ? rc : make_record(d, p, name);
}

static int lvmthin_arm(struct disk *d, const char *id)
{
    char name[DM_NAME_MAX];
    int rc;

    if (!disk_name_is_plain(id) || !disk_name_is_plain(d->vdev) ||
        (size_t)snprintf(name, sizeof(name), "ckpt-%s-%s", id, d->vdev) >=
            sizeof(name))
        return fail(d->c, -EINVAL, "ckpt-%s-%s: no name for a volume.", id,
                    d->vdev);
    rc = lvmthin_priv_new(d);
    return rc ? rc : arm(d, d->priv, name);
}

static int lock(struct disk *d, uint64_t wait_us)
{
    struct lvmthin *p = d->priv;

    return p->lock_fd < 0 ? lvm_lock(d->c, p->lock_path, wait_us, &p->lock_fd)
                          : 0;
}

static int lvmthin_lock(struct disk *d)
{
    return lock(d, LOCK_WAIT_US);
}

static int lvmthin_cut(struct disk *d)
{
    struct lvmthin *p = d->priv;
    int lock_fd, rc;

    rc = lock(d, DM_HOLD_FOREIGN_WAIT_US);
    lock_fd = p->lock_fd;
    p->lock_fd = -1; /* the suspension's from here on */
    return rc ? rc : thin_hold_begin(d, &p->hold, lock_fd);
}

static int lvmthin_drain(struct disk *d)
{
    struct lvmthin *p = d->priv;
    char message[48];
    const char *messages[] = {message, NULL};
    int rc;

    snprintf(message, sizeof(message), "create_snap %" PRIu32 " %" PRIu32,
             p->snapshot_id, p->hold.thin.id);
    rc = thin_hold_end(d, &p->hold, messages);
    if (!rc)
        lvmthin_priv_free(d);
    return rc;
}

static void lvmthin_undo(struct disk *d)
{
    disk_deed_undo_all(d);
    lvmthin_priv_free(d);
}

/* Its deeds have harms of their own. */
static int lvmthin_take_back(struct ckpt *c, const char *words)
{
    return fail(c, -EINVAL, "lvmthin: no deed: %s.", words);
}

const struct disk_driver disk_lvmthin = {
    .name = "lvmthin",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK | DISK_CAP_OWED,
    .probe = lvmthin_probe,
    .arm = lvmthin_arm,
    .lock = lvmthin_lock,
    .unlock = lvmthin_unlock,
    .cut = lvmthin_cut,
    .drain = lvmthin_drain,
    .undo = lvmthin_undo,
    .rollback = lvmthin_rollback,
    .rollback_end = lvmthin_rollback_end,
    .fork = lvmthin_fork,
    .remove = lvmthin_remove,
    .check = lvmthin_check,
    .take_back = lvmthin_take_back,
    .changed = lvmthin_changed,
    .open = lvmthin_open,
    .close = lvmthin_close,
    .read = disk_content_read,
    .show = lvmthin_show,
    .hide = lvmthin_hide,
};
