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
 *   cut    suspend the origin     what is under way is finished, the rest is
 *                                 held back by device-mapper
 *   drain  "create_snap N O"      the pool has N again: the instant of the cut
 *          resume the origin
 *
 * No program runs, and no LVM lock is waited for, while the guest's I/O is
 * held back.  LVM does not see the exchange: neither its metadata nor the
 * pool's transaction id change.  And it removes a record whose N is missing
 * as it removes any other, so undo is lvremove at every point.
 *
 * While the origin is suspended we hold LVM's lock on the group.  An LVM
 * command that wants to snapshot a volume which is suspended already writes
 * its record but never sends its message, and the pool is at odds with its
 * metadata from then on (seen with LVM 2.03.16).  Others may still resume the
 * origin behind our back, and let writes through that are not of the instant
 * of the cut: so drain looks whether the origin is still suspended and has
 * completed no write since, and fails otherwise.
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

/* The cut waits this long for LVM's lock, and for another's suspension. */
#define FOREIGN_WAIT_US 500000u

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

/* What holds a descriptor is given back; the rest of d->priv stays. */
void lvmthin_close_fds(struct lvmthin *p)
{
    if (p->dm_fd >= 0)
        close(p->dm_fd);
    if (p->stat_fd >= 0)
        close(p->stat_fd);
    p->dm_fd = -1;
    p->stat_fd = -1;
}

void lvmthin_priv_free(struct disk *d)
{
    struct lvmthin *p = d->priv;

    if (!p)
        return;
    lvmthin_close_fds(p);
    disk_deed_free(p->suspension);
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
    p->dm_fd = -1;
    p->stat_fd = -1;
    d->priv = p;
    rc = dm_open(&p->dm_fd);
    if (rc)
        return fail(d->c, rc, "/dev/mapper/control");
    return thin_look(d->c, p->dm_fd, d->target, &p->thin);
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
    const struct thin *t = &p->thin;
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
    rc = dm_message(p->dm_fd, t->pool, message);
    return rc ? fail(d->c, rc, "the pool of %s/%s: %s", t->vg, name, message)
              : 0;
}

static int arm(struct disk *d, struct lvmthin *p, const char *name)
{
    char with_suffix[LVMTHIN_SUFFIXED_MAX];
    const struct thin *t = &p->thin;
    size_t len;
    int rc;

    snprintf(with_suffix, sizeof(with_suffix), "%s" LVMTHIN_NEW, t->lv);
    rc = lvmthin_check_name(d->c, t->vg, name);
    if (!rc) /* or it could not be rolled back */
        rc = lvmthin_check_name(d->c, t->vg, with_suffix);
    if (!rc)
        rc = thin_check_pool(d->c, p->dm_fd, t->pool, LVMTHIN_FULL_PERCENT);
    if (!rc)
        rc = thin_open_stat(d->c, t, &p->stat_fd);
    if (!rc)
        rc = lvm_lock_path(d->c, t->vg, p->lock_path);
    if (rc)
        return rc;
    p->suspension = disk_deed_new(d);
    len = strlen(t->vg) + 1 + strlen(name) + 1;
    free(d->snapshot);
    d->snapshot = malloc(len);
    if (!p->suspension || !d->snapshot)
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

/* LVM suspends a volume for moments. Suspending it "too" would do nothing. */
static int wait_foreign_suspend(struct disk *d, const struct lvmthin *p)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t begin = now_us();
    struct dm_device now;
    int rc;

    do {
        rc = dm_info(p->dm_fd, p->thin.device.dev, &now);
        if (rc)
            return fail(d->c, rc, "%s", p->thin.device.name);
        if (!now.is_suspended)
            return 0;
        nanosleep(&pause, NULL);
    } while (now_us() - begin < FOREIGN_WAIT_US);
    return fail(d->c, -EBUSY, "%s is held suspended by another program.",
                p->thin.device.name);
}

static int lvmthin_cut(struct disk *d)
{
    char arg[DM_UUID_MAX + DM_NAME_MAX];
    struct lvmthin *p = d->priv;
    struct disk_deed *deed = p->suspension;
    int rc;

    /* Writes to a full pool would keep the suspension waiting. */
    rc = thin_check_pool(d->c, p->dm_fd, p->thin.pool, 100.0);
    if (!rc)
        rc = lvm_lock(d->c, p->lock_path, FOREIGN_WAIT_US, &deed->fd);
    if (!rc)
        rc = wait_foreign_suspend(d, p);
    p->suspension = NULL;
    if (rc) {
        disk_deed_free(deed);
        return rc;
    }
    snprintf(arg, sizeof(arg), "%s %s", p->thin.device.uuid,
             p->thin.device.name);
    rc = disk_deed_add(d, deed, GUARD_DM_SUSPEND, dm_undo_suspend, arg);
    if (rc)
        return rc;
    while ((rc = dm_suspend(p->dm_fd, p->thin.device.dev)) == -EINTR) {
        rc = check_cancel(d->c);
        if (rc)
            return rc;
    }
    if (rc)
        return fail(d->c, rc, "suspending %s", p->thin.device.name);
    return thin_writes(d->c, &p->thin, p->stat_fd, &p->writes);
}

static int check_still_cut(struct disk *d, const struct lvmthin *p)
{
    struct dm_device now;
    uint64_t writes;
    int rc;

    rc = dm_info(p->dm_fd, p->thin.device.dev, &now);
    if (rc)
        return fail(d->c, rc, "%s", p->thin.device.name);
    rc = thin_writes(d->c, &p->thin, p->stat_fd, &writes);
    if (rc)
        return rc;
    if (!now.is_suspended || writes != p->writes)
        return fail(d->c, -EBUSY,
                    "%s was resumed by another program (LVM?) "
                    "while we held it, so its snapshot would not be of one "
                    "instant. Try again.",
                    p->thin.device.name);
    return 0;
}

static int lvmthin_drain(struct disk *d)
{
    struct lvmthin *p = d->priv;
    const struct thin *t = &p->thin;
    char message[48];
    int rc;

    rc = check_still_cut(d, p);
    if (rc)
        return rc;
    snprintf(message, sizeof(message), "create_snap %" PRIu32 " %" PRIu32,
             p->snapshot_id, t->id);
    rc = dm_message(p->dm_fd, t->pool, message);
    if (rc)
        return fail(d->c, rc, "the pool of %s/%s: %s", t->vg, t->lv, message);
    rc = check_still_cut(d, p);
    if (rc)
        return rc;
    rc = dm_resume(p->dm_fd, t->device.dev);
    if (rc)
        return fail(d->c, rc, "resuming %s", t->device.name);
    rc = disk_deed_strike(d);
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
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK,
    .probe = lvmthin_probe,
    .arm = lvmthin_arm,
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
};
