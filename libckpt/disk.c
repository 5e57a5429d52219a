/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which driver takes a disk, the deeds that can be taken back, and the beats
 * over all disks of a guest.
 *
 *            disks_arm    disks_cut       disks_drain     disks_keep
 *   guest    runs ......  suspended ....  runs .........  runs
 *   its I/O  flows        waits           waits, flows    flows
 *   deeds    snapshot     + suspension    - suspension    none
 */
#include "disk_beats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"

const struct disk_driver *const disk_drivers[] = {
    &disk_lvmthin, &disk_dmthin, &disk_dmsnap, &disk_qcow2,
    &disk_reflink, &disk_rbd,    &disk_manual, NULL,
};

int disk_pick(struct disk *d)
{
    struct ckpt *c = d->c;
    char why[sizeof(c->error)] = "";
    size_t len = 0;
    int rc;

    for (size_t i = 0; disk_drivers[i]; i++) {
        rc = disk_drivers[i]->probe(d);
        if (rc == 0) {
            d->drv = disk_drivers[i];
            return 0;
        }
        if (rc != -ENOTSUP)
            return fail_prefix(c, rc, "disk %s", d->vdev);
        /* Each driver says what the disk lacks to be its; some the same. */
        if (strstr(why, c->error))
            continue;
        len += (size_t)snprintf(why + len, sizeof(why) - len, "%s%s",
                                len ? " " : "", c->error);
        if (len >= sizeof(why))
            len = sizeof(why) - 1;
    }
    return fail(c, -ENOTSUP,
                "disk %s (%s) cannot be snapshotted: %s --exclude-disk %s "
                "leaves it out.",
                d->vdev, d->target, why, d->vdev);
}

int disk_driver_by_name(struct ckpt *c, const char *name,
                        const struct disk_driver **drv_out)
{
    for (size_t i = 0; disk_drivers[i]; i++) {
        if (!strcmp(disk_drivers[i]->name, name)) {
            *drv_out = disk_drivers[i];
            return 0;
        }
    }
    return fail(c, -ENOTSUP, "disk driver %s: not in this version.", name);
}

/* @arg's driver, and where its words begin. */
static int split_arg(struct ckpt *c, const char *arg,
                     const struct disk_driver **drv_out, const char **words_out)
{
    const size_t len = strcspn(arg, " ");
    char name[32];

    if (!arg[len] || len >= sizeof(name))
        return fail(c, -EINVAL, "no deed of a disk driver: %s.", arg);
    memcpy(name, arg, len);
    name[len] = '\0';
    *words_out = arg + len + 1;
    return disk_driver_by_name(c, name, drv_out);
}

int disk_take_back(struct ckpt *c, const char *arg)
{
    const struct disk_driver *drv;
    const char *words;
    int rc = split_arg(c, arg, &drv, &words);

    return rc ? rc : drv->take_back(c, words);
}

int disk_remove(struct ckpt *c, const char *arg)
{
    const struct disk_driver *drv;
    const char *snapshot;
    int rc = split_arg(c, arg, &drv, &snapshot);

    return rc ? rc : drv->remove(c, snapshot);
}

int disk_no_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg)
{
    (void)fn, (void)arg;
    return fail(c, -ENOTSUP,
                "%s, %s: this driver cannot tell which blocks changed.", from,
                to);
}

/* --- deeds ----------------------------------------------------------------- */

struct disk_deed *disk_deed_new(struct disk *d)
{
    struct disk_deed *deed = calloc(1, sizeof(*deed));

    if (deed)
        deed->fd = -1;
    else
        fail(d->c, -ENOMEM, "disk %s", d->vdev);
    return deed;
}

void disk_deed_free(struct disk_deed *deed)
{
    if (deed && deed->fd >= 0)
        close(deed->fd);
    free(deed);
}

int disk_deed_add(struct disk *d, struct disk_deed *deed, enum guard_harm harm,
                  disk_undo_fn *undo, const char *arg)
{
    const size_t len = strlen(arg);
    int rc;

    if (len < sizeof(deed->arg))
        rc = guard_add(d->g, harm, 0, arg, &deed->token);
    else
        rc = fail(d->c, -ENAMETOOLONG, "%s", arg);
    if (rc) {
        disk_deed_free(deed);
        return rc;
    }
    memcpy(deed->arg, arg, len + 1);
    deed->harm = harm;
    deed->undo = undo;
    deed->before = d->deeds;
    d->deeds = deed;
    return 0;
}

int disk_deed_begin(struct disk *d, enum guard_harm harm, disk_undo_fn *undo,
                    const char *arg)
{
    struct disk_deed *deed = disk_deed_new(d);

    return deed ? disk_deed_add(d, deed, harm, undo, arg) : -ENOMEM;
}

static int words_arg(struct disk *d, const char *words, char arg[GUARD_ARG_MAX])
{
    if ((size_t)snprintf(arg, GUARD_ARG_MAX, "%s %s", d->drv->name, words) >=
        GUARD_ARG_MAX)
        return fail(d->c, -ENAMETOOLONG, "%s: a shorter path is needed",
                    d->target);
    return 0;
}

int disk_deed_words(struct disk *d, enum guard_harm harm, const char *words)
{
    char arg[GUARD_ARG_MAX];
    int rc = words_arg(d, words, arg);

    return rc ? rc : disk_deed_begin(d, harm, disk_take_back, arg);
}

int disk_deed_words_after(struct disk *d, const char *words)
{
    char arg[GUARD_ARG_MAX];
    int rc = words_arg(d, words, arg);

    return rc ? rc : disk_deed_after(d, GUARD_DISK_MOVED, disk_take_back, arg);
}

int disk_deed_strike(struct disk *d)
{
    struct disk_deed *deed = d->deeds;
    int rc;

    if (!deed)
        return 0;
    rc = guard_del(d->g, deed->token);
    d->deeds = deed->before;
    disk_deed_free(deed);
    return rc;
}

static void forget(struct disk *d)
{
    struct disk_deed *deed;

    while ((deed = d->deeds)) {
        d->deeds = deed->before;
        disk_deed_free(deed);
    }
    disk_deed_free(d->after);
    d->after = NULL;
}

int disk_deed_after(struct disk *d, enum guard_harm harm, disk_undo_fn *undo,
                    const char *arg)
{
    struct disk_deed *deed = disk_deed_new(d);

    if (!deed)
        return -ENOMEM;
    snprintf(deed->arg, sizeof(deed->arg), "%s", arg);
    deed->harm = harm;
    deed->undo = undo;
    disk_deed_free(d->after);
    d->after = deed;
    return 0;
}

int disk_deed_undo_after(struct disk *d)
{
    int rc;

    if (!d->after)
        return 0;
    rc = d->after->undo(d->c, d->after->arg);
    if (!rc)
        rc = guard_del(d->g, d->after->token);
    disk_deed_free(d->after); /* if it stands, it is the guard's */
    d->after = NULL;
    return rc;
}

/* Undoing comes after an error, whose words must stay. */
static int undo_last(struct disk *d)
{
    char words[sizeof(d->c->error)];
    int rc;

    memcpy(words, d->c->error, sizeof(words));
    rc = d->deeds->undo(d->c, d->deeds->arg);
    if (rc)
        warn(d->c, "disk %s: not taken back: %s", d->vdev, d->c->error);
    else
        disk_deed_strike(d); /* a guard that is gone knows no more of it */
    memcpy(d->c->error, words, sizeof(words));
    return rc;
}

int disk_deed_undo_all(struct disk *d)
{
    int rc = 0;

    while (d->deeds && !rc)
        rc = undo_last(d);
    forget(d);
    return rc;
}

int disk_deed_rollback_end(struct disk *d, bool keep_new)
{
    int rc;

    if (!keep_new)
        return disk_deed_undo_all(d);
    disk_keep(d);
    rc = disk_deed_undo_after(d);
    return rc ? fail_prefix(d->c, rc, "%s: the content before the rollback",
                            d->target)
              : 0;
}

/* In this order: were what is superfluous written down while the rest could
 * still be taken back, a death in between would end with neither. */
void disk_keep(struct disk *d)
{
    struct disk_deed *after = d->after;
    int rc = 0;

    while (d->deeds)
        rc = disk_deed_strike(d) ? -EPIPE : rc;
    if (after && !after->token)
        rc = guard_add(d->g, after->harm, 0, after->arg, &after->token) ? -EPIPE
                                                                        : rc;
    if (rc)
        warn(d->c, "disk %s: the guard does not answer", d->vdev);
}

void disk_fini(struct disk *d)
{
    forget(d);
    free(d->vdev);
    free(d->target);
    free(d->format);
    free(d->snapshot);
    free(d->priv);
    memset(d, 0, sizeof(*d));
}

/* --- all disks of a guest -------------------------------------------------- */

int disks_arm(struct disk *disks, size_t nr, const char *id)
{
    int rc = 0;

    for (size_t i = 0; i < nr && !rc; i++) {
        if (disks[i].why_none)
            continue;
        rc = disks[i].drv->arm(&disks[i], id);
        if (rc)
            fail_prefix(disks[i].c, rc, "disk %s", disks[i].vdev);
    }
    return rc;
}

/* The short part of undo: what a suspended guest must not wait for is left. */
static void let_io_flow(struct disk *disks, size_t nr)
{
    for (size_t i = nr; i-- > 0;)
        while (disks[i].deeds && disks[i].deeds->harm == GUARD_DM_SUSPEND)
            if (undo_last(&disks[i]))
                break;
}

void disks_unlock(struct disk *disks, size_t nr)
{
    for (size_t i = nr; i-- > 0;)
        if (disks[i].drv && disks[i].drv->unlock)
            disks[i].drv->unlock(&disks[i]);
}

/* One beat, over those that have a snapshot, until one fails. */
static int each(struct disk *disks, size_t nr, int (*beat)(struct disk *d))
{
    int rc = 0;

    for (size_t i = 0; i < nr && !rc; i++) {
        if (disks[i].why_none)
            continue;
        rc = beat(&disks[i]);
        if (rc)
            fail_prefix(disks[i].c, rc, "disk %s", disks[i].vdev);
    }
    return rc;
}

static int lock_one(struct disk *d)
{
    return d->drv->lock ? d->drv->lock(d) : 0;
}

static int cut_one(struct disk *d)
{
    return d->drv->cut(d);
}

static int drain_one(struct disk *d)
{
    return d->drv->drain(d);
}

int disks_lock(struct disk *disks, size_t nr)
{
    int rc = each(disks, nr, lock_one);

    if (rc)
        disks_unlock(disks, nr);
    return rc;
}

int disks_cut(struct disk *disks, size_t nr)
{
    int rc = each(disks, nr, cut_one);

    if (rc)
        let_io_flow(disks, nr);
    return rc;
}

int disks_drain(struct disk *disks, size_t nr)
{
    int rc = each(disks, nr, drain_one);

    if (rc)
        let_io_flow(disks, nr);
    return rc;
}

void disks_undo(struct disk *disks, size_t nr)
{
    let_io_flow(disks, nr);
    /* One for which no driver was found has nothing to undo. */
    for (size_t i = nr; i-- > 0;)
        if (disks[i].drv)
            disks[i].drv->undo(&disks[i]);
}

void disks_keep(struct disk *disks, size_t nr)
{
    for (size_t i = 0; i < nr; i++)
        disk_keep(&disks[i]);
}
