/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What is made out of the snapshots of LVM thin volumes; LVM's commands do
 * it, and what LVM knows is asked all at once, for each question takes long.
 *
 *   rollback   lvcreate -s SNAPSHOT       LV.ckpt-new
 *              lvrename LV LV.ckpt-old    under the guest that has it open
 *              lvrename LV.ckpt-new LV
 *   its end    lvremove LV.ckpt-old       or all of it backwards
 *   fork       lvcreate -s SNAPSHOT       fork-NAME-VDEV
 *
 * The new volume has the tags and the activation of the one it replaces.
 */
#include "disk_lvmthin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_name.h"

/* -EEXIST with @hint when it is taken. */
static int check_free(struct ckpt *c, const struct lvm_list *l, const char *vg,
                      const char *lv, const char *hint)
{
    if (!lvm_in(l, lv))
        return 0;
    return fail(c, -EEXIST, "%s/%s is there already: %s.", vg, lv, hint);
}

/* The snapshot is there and its pool works. */
static int check_listed(struct ckpt *c, const struct lvm_list *l,
                        const char *vg, const char *lv)
{
    const struct lvm_volume *v = lvm_in(l, lv), *pool;

    if (!v)
        return fail(c, -EUCLEAN, "the snapshot %s/%s is gone.", vg, lv);
    if (v->attr[0] != 'V' || !v->pool[0])
        return fail(c, -EUCLEAN, "%s/%s is no thin volume.", vg, lv);
    pool = lvm_in(l, v->pool);
    /* 'c', 'C': needs a check; 'F', 'M', 'p': failed, read-only, partial */
    if (!pool || strchr("cC", pool->attr[4]) || strchr("FMp", pool->attr[8]))
        return fail(c, -EUCLEAN,
                    "thin pool %s/%s of %s has failed (%s): repair it "
                    "(lvconvert --repair).",
                    vg, v->pool, lv, pool ? pool->attr : "gone");
    return 0;
}

/* --- rollback -------------------------------------------------------------- */

/* Under the name @to, and back when it is not to stay. */
static int rename_volume(struct disk *d, const char *vg, const char *from,
                         const char *to, const char *uuid)
{
    char arg[GUARD_ARG_MAX];
    int rc;

    if ((size_t)snprintf(arg, sizeof(arg), "%s/%s %s/%s %s", vg, to, vg, from,
                         uuid) >= sizeof(arg))
        return fail(d->c, -ENAMETOOLONG, "%s/%s", vg, to);
    rc = disk_deed_begin(d, GUARD_LV_RENAME, lvm_undo_rename, arg);
    return rc ? rc : lvm_rename(d->c, vg, from, to);
}

/* The uuid of a volume that was just made and is active. */
static int read_uuid(struct disk *d, const struct lvmthin *p, const char *lv,
                     char uuid[LVM_UUID_LEN + 1])
{
    char path[LVM_PATH_MAX + 32];
    struct dm_device device;
    struct stat st;
    int rc;

    snprintf(path, sizeof(path), "/dev/%s/%s", p->hold.thin.vg, lv);
    rc = stat(path, &st) < 0 ? -errno
                             : dm_info(p->hold.dm.fd, st.st_rdev, &device);
    if (rc)
        return fail(d->c, rc, "%s", path);
    lvm_uuid(device.uuid, uuid);
    return 0;
}

/* A snapshot of the snapshot comes to stand where the volume stood. */
static int exchange(struct disk *d, struct lvmthin *p, const char *snapshot,
                    const struct lvm_volume *volume)
{
    char old_name[LVMTHIN_SUFFIXED_MAX], new_name[LVMTHIN_SUFFIXED_MAX];
    char new_uuid[LVM_UUID_LEN + 1], old[GUARD_ARG_MAX];
    const struct thin *t = &p->hold.thin;
    int rc;

    snprintf(old_name, sizeof(old_name), "%s" LVMTHIN_OLD, t->lv);
    snprintf(new_name, sizeof(new_name), "%s" LVMTHIN_NEW, t->lv);
    /* A fork's disk; on another it is left from a rollback that died. */
    p->keeps_tag = lvm_has_tag(volume, LVM_TAG) &&
                   !strncmp(t->lv, LVMTHIN_FORK, strlen(LVMTHIN_FORK));

    rc = lvmthin_deed_remove(d, t->vg, new_name);
    if (!rc)
        rc = lvm_snapshot(d->c, t->vg, snapshot, new_name, volume->tags,
                          volume->attr[9] == 'k' ? LVM_SNAP_SKIPPED : 0);
    if (!rc)
        rc = read_uuid(d, p, new_name, new_uuid);
    if (!rc)
        rc = rename_volume(d, t->vg, t->lv, old_name, volume->uuid);
    if (!rc)
        rc = rename_volume(d, t->vg, new_name, t->lv, new_uuid);
    if (rc)
        return rc;
    snprintf(old, sizeof(old), "%s/%s %s", t->vg, old_name, volume->uuid);
    return disk_deed_after(d, GUARD_LV_REMOVE, lvm_undo_remove, old);
}

/* All that LVM has to say is asked at once. */
static int rollback(struct disk *d, struct lvmthin *p, const char *snapshot)
{
    char old_name[LVMTHIN_SUFFIXED_MAX], new_name[LVMTHIN_SUFFIXED_MAX];
    const struct thin *t = &p->hold.thin;
    const char *names[] = {snapshot, t->lv, old_name, new_name, NULL};
    struct lvm_list l;
    int rc;

    rc = thin_check_pool(d->c, p->hold.dm.fd, t->pool, THIN_FULL_PERCENT);
    if (rc)
        return rc;
    snprintf(old_name, sizeof(old_name), "%s" LVMTHIN_OLD, t->lv);
    snprintf(new_name, sizeof(new_name), "%s" LVMTHIN_NEW, t->lv);
    rc = lvm_list(d->c, t->vg, names, &l);
    if (rc)
        return rc;
    rc = check_listed(d->c, &l, t->vg, snapshot);
    if (!rc)
        rc = check_free(d->c, &l, t->vg, old_name,
                        "it holds what the disk was before a rollback that was "
                        "interrupted; remove it (lvremove) when it is not "
                        "needed");
    if (!rc)
        rc = check_free(d->c, &l, t->vg, new_name,
                        "left by a rollback that was interrupted; remove it "
                        "(lvremove)");
    if (!rc && !lvm_in(&l, t->lv))
        rc = fail(d->c, -EIO, "%s/%s: LVM does not know it.", t->vg, t->lv);
    if (!rc)
        rc = exchange(d, p, snapshot, lvm_in(&l, t->lv));
    lvm_list_fini(&l);
    return rc;
}

int lvmthin_rollback(struct disk *d, const char *snapshot)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    struct lvmthin *p;
    int rc;

    rc = lvm_split(d->c, snapshot, vg, lv);
    if (!rc)
        rc = lvmthin_priv_new(d);
    if (rc)
        return rc;
    p = d->priv;
    if (strcmp(vg, p->hold.thin.vg))
        return fail(d->c, -ENOTSUP,
                    "%s: its snapshot %s is in another volume "
                    "group.",
                    d->target, snapshot);
    rc = rollback(d, p, lv);
    thin_hold_close(&p->hold); /* what follows is LVM's, and may last */
    return rc;
}

/* The new one is the guest's, the old one is nobody's. */
static int keep_new(struct disk *d, const struct lvmthin *p)
{
    const struct thin *t = &p->hold.thin;
    int rc = 0;

    disk_keep(d);
    if (!p->keeps_tag)
        rc = lvm_remove_tag(d->c, t->vg, t->lv, LVM_TAG);
    if (rc)
        return rc;
    rc = disk_deed_undo_after(d);
    if (rc) /* still open? the guard will try again */
        return fail_prefix(d->c, rc, "%s: the content before the rollback",
                           d->target);
    return 0;
}

int lvmthin_rollback_end(struct disk *d, bool is_new_kept)
{
    struct lvmthin *p = d->priv;
    int rc;

    if (!p)
        return 0;
    rc = is_new_kept ? keep_new(d, p) : disk_deed_undo_all(d);
    lvmthin_priv_free(d);
    return rc;
}

/* --- fork, remove, check --------------------------------------------------- */

/* "fork-NAME-VDEV", as LVM allows it. */
static int name_fork(struct ckpt *c, const char *vg, const char *domain,
                     const char *vdev, char out[DM_NAME_MAX])
{
    disk_name_fork(domain, vdev, out, DM_NAME_MAX);
    return lvmthin_check_name(c, vg, out);
}

/* Before anything is made: is what is needed there, and the name free? */
static int check_fork(struct ckpt *c, const char *vg, const char *snapshot,
                      const char *name)
{
    const char *names[] = {snapshot, name, NULL};
    struct lvm_list l;
    int rc;

    rc = lvm_list(c, vg, names, &l);
    if (rc)
        return rc;
    rc = check_listed(c, &l, vg, snapshot);
    if (!rc)
        rc = check_free(c, &l, vg, name,
                        "another fork's disk; remove it (lvremove), or choose "
                        "another name");
    lvm_list_fini(&l);
    return rc;
}

int lvmthin_fork(struct disk *d, const char *snapshot, const char *name,
                 char **target_out)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], fork_name[DM_NAME_MAX];
    const size_t room = LVM_PATH_MAX + 8;
    char *target = NULL;
    int rc;

    rc = lvm_split(d->c, snapshot, vg, lv);
    if (!rc)
        rc = name_fork(d->c, vg, name, d->vdev, fork_name);
    if (!rc)
        rc = check_fork(d->c, vg, lv, fork_name);
    if (rc)
        return rc;
    target = malloc(room);
    if (!target)
        return fail(d->c, -ENOMEM, "%s", d->vdev);
    snprintf(target, room, "/dev/%s/%s", vg, fork_name);
    rc = lvmthin_deed_remove(d, vg, fork_name);
    if (!rc)
        rc = lvm_snapshot(d->c, vg, lv, fork_name, NULL, 0);
    if (rc) {
        free(target);
        return rc;
    }
    *target_out = target;
    return 0;
}

/* -EBUSY: it is read by somebody, an export or a mount.  LVM waits a little
 * for whoever opens a volume for a moment, so it is asked first. */
static int remove_volume(struct ckpt *c, const char *vg,
                         const struct lvm_volume *v)
{
    const char *names[] = {v->name, NULL};
    char words[sizeof(c->error)];
    const struct lvm_volume *now;
    struct lvm_list l;
    int rc = lvm_remove(c, vg, v->name, v->uuid);

    if (!rc)
        return 0;
    memcpy(words, c->error, sizeof(words));
    if (!lvm_list(c, vg, names, &l)) {
        now = lvm_in(&l, v->name);
        if (now && now->attr[5] == 'o')
            rc = -EBUSY;
        lvm_list_fini(&l);
    }
    memcpy(c->error, words, sizeof(words));
    return rc;
}

int lvmthin_remove(struct ckpt *c, const char *snapshot)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    const char *names[] = {lv, NULL};
    const struct lvm_volume *v;
    struct lvm_list l;
    int rc;

    rc = lvm_split(c, snapshot, vg, lv);
    if (!rc)
        rc = lvm_list(c, vg, names, &l);
    if (rc)
        return rc;
    v = lvm_in(&l, lv);
    if (!v)
        say(c, "%s: is gone already", snapshot);
    else if (lvm_has_tag(v, LVM_TAG))
        rc = remove_volume(c, vg, v);
    else
        rc = fail(c, -EPERM,
                  "%s: has not our tag (" LVM_TAG ") any more, so "
                  "it is left alone. Remove it by hand (lvremove).",
                  snapshot);
    lvm_list_fini(&l);
    return rc;
}

int lvmthin_check(struct ckpt *c, const char *snapshot)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    const char *names[] = {lv, NULL};
    struct lvm_list l;
    int rc;

    rc = lvm_split(c, snapshot, vg, lv);
    if (!rc)
        rc = lvm_list(c, vg, names, &l);
    if (rc)
        return rc;
    rc = check_listed(c, &l, vg, lv);
    lvm_list_fini(&l);
    return rc;
}

/* --- what changed ---------------------------------------------------------- */

int lvmthin_pool(struct ckpt *c, const char *vg, const char *pool,
                 int *dm_fd_out, dev_t *dev_out)
{
    char path[DM_NAME_MAX + 32], name[DM_NAME_MAX];
    struct stat st;
    int rc;

    if (!dm_join_name(vg, pool, name))
        return fail(c, -ENAMETOOLONG, "%s/%s", vg, pool);
    snprintf(path, sizeof(path), "/dev/mapper/%s-tpool", name);
    if (stat(path, &st) < 0)
        return fail(c, -errno, "%s", path);
    *dev_out = st.st_rdev;
    rc = dm_open(dm_fd_out);
    return rc ? fail(c, rc, "/dev/mapper/control") : 0;
}

static int changed(struct ckpt *c, const char *vg, const struct lvm_volume *a,
                   const struct lvm_volume *b, disk_extent_fn *fn, void *arg)
{
    dev_t pool;
    int fd, rc;

    rc = lvmthin_pool(c, vg, a->pool, &fd, &pool);
    if (rc)
        return rc;
    rc = thin_changed(c, fd, pool, a->thin_id, b->thin_id, fn, arg);
    close(fd);
    return rc;
}

int lvmthin_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg)
{
    char from_vg[DM_NAME_MAX], from_lv[DM_NAME_MAX];
    char to_vg[DM_NAME_MAX], to_lv[DM_NAME_MAX];
    const char *names[] = {from_lv, to_lv, NULL};
    const struct lvm_volume *a, *b;
    struct lvm_list l;
    int rc;

    rc = lvm_split(c, from, from_vg, from_lv);
    if (!rc)
        rc = lvm_split(c, to, to_vg, to_lv);
    if (!rc)
        rc = lvm_list(c, from_vg, names, &l);
    if (rc)
        return rc;
    a = lvm_in(&l, from_lv);
    b = lvm_in(&l, to_lv);
    if (!a || !b || strcmp(from_vg, to_vg) || !a->pool[0] ||
        strcmp(a->pool, b->pool))
        rc = fail(c, -EUCLEAN, "%s and %s are not in one thin pool.", from, to);
    else
        rc = changed(c, from_vg, a, b, fn, arg);
    lvm_list_fini(&l);
    return rc;
}
