/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that are images of Ceph RBD: served by QEMU (rbd:POOL/IMAGE) or mapped
 * by the kernel (/dev/rbd/POOL/IMAGE).  A snapshot is one of RBD's own,
 * POOL/ID@ckpt-CHECKPOINT-VDEV, ID being the image's id: its name changes with
 * a rollback.
 *
 *   arm    ckpt-rbd is started, is connected and has the image open
 *   cut    the image's lock is taken from its writer, the snapshot begun
 *   drain  it is there; the lock goes back, and the writes that waited for it
 *
 * The cut is one line to ckpt-rbd and one back; rbd/cut.c has the how and why.
 * If that process dies with the lock, the writer waits until the cluster has
 * given it up for lost (30 s), takes the lock by force and goes on.
 */
#include "disk_rbd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_name.h"

#define CUT_TIMEOUT_MS 2000u

/* --- whose is it ----------------------------------------------------------- */

/* "ID BYTES" */
static int read_look(struct disk *d, struct rbd *r, const char *kernel_id)
{
    if (sscanf(rbd_talk_answer(r->talk), "%255s %" SCNu64, r->id,
               &r->size_bytes) != 2 ||
        !disk_name_is_plain(r->id))
        return fail(d->c, -EPROTO, "%s: ckpt-rbd", d->target);
    if (kernel_id && strcmp(kernel_id, r->id))
        return fail(d->c, -ESTALE,
                    "%s: the image it leads to has another name by now: map it "
                    "anew (rbd device unmap, map).",
                    d->target);
    return 0;
}

int rbd_find(struct disk *d, struct rbd *r)
{
    struct rbd_kernel kernel = {.id = ""};
    int rc;

    memset(r, 0, sizeof(*r));
    r->is_kernel = strncmp(d->target, RBD_URL, strlen(RBD_URL)) != 0;
    if (r->is_kernel)
        rc = rbd_kernel_find(d->c, d->target, &r->name, &kernel);
    else
        rc = rbd_name_read(d->c, d->target + strlen(RBD_URL), &r->name);
    if (!rc && r->name.snapshot[0])
        rc = fail(d->c, -EINVAL, "%s is a snapshot, which nobody can write to.",
                  d->target);
    if (!rc)
        rc = rbd_talk_begin(d->c, &r->name, &r->talk);
    if (!rc && kernel.fsid[0] && strcmp(kernel.fsid, rbd_talk_fsid(r->talk)))
        rc = fail(d->c, -EINVAL,
                  "%s is an image of another cluster than that of "
                  "/etc/ceph/ceph.conf.",
                  d->target);
    if (!rc)
        rc = rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL, "look %s",
                          r->name.image);
    return rc ? rc : read_look(d, r, r->is_kernel ? kernel.id : NULL);
}

void rbd_end(struct rbd *r)
{
    rbd_talk_end(r->talk);
    r->talk = NULL;
}

static int rbd_probe(struct disk *d)
{
    struct rbd r;
    int rc = rbd_find(d, &r);

    rbd_end(&r);
    return rc;
}

/* --- arm, cut, drain, undo ------------------------------------------------- */

void rbd_priv_free(struct disk *d)
{
    struct rbd *r = d->priv;

    if (r)
        rbd_end(r);
    free(r);
    d->priv = NULL;
}

static int name_snapshot(struct disk *d, const struct rbd *r, const char *id,
                         struct rbd_name *n)
{
    char text[RBD_TEXT_MAX];
    int rc;

    *n = r->name;
    memcpy(n->image, r->id, sizeof(n->image));
    if (!disk_name_is_plain(id) || !disk_name_is_plain(d->vdev) ||
        snprintf(n->snapshot, 64, "ckpt-%s-%s", id, d->vdev) >= 64)
        return fail(d->c, -EINVAL, "ckpt-%s-%s: no name for a snapshot.", id,
                    d->vdev);
    rc = rbd_name_write(d->c, n, text);
    if (rc)
        return rc;
    free(d->snapshot);
    d->snapshot = strdup(text);
    return d->snapshot ? 0 : fail(d->c, -ENOMEM, "%s", d->target);
}

static int rbd_arm(struct disk *d, const char *id)
{
    char words[GUARD_ARG_MAX];
    struct rbd_name n;
    struct rbd *r;
    int rc;

    rbd_priv_free(d);
    r = d->priv = calloc(1, sizeof(*r));
    if (!r)
        return fail(d->c, -ENOMEM, "%s", d->target);
    rc = rbd_find(d, r);
    if (!rc)
        rc = name_snapshot(d, r, id, &n);
    if (rc)
        return rc;
    d->size_bytes = r->size_bytes;
    snprintf(words, sizeof(words), "snapshot %s", d->snapshot);
    rc = disk_deed_words(d, GUARD_DISK_MADE, words);
    return rc ? rc
              : rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL, "arm %s %s",
                             n.image, n.snapshot);
}

static int rbd_cut(struct disk *d)
{
    struct rbd *r = d->priv;

    return rbd_talk_ask(r->talk, CUT_TIMEOUT_MS, NULL, NULL, "cut");
}

static int rbd_drain(struct disk *d)
{
    struct rbd *r = d->priv;
    int rc = rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL, "drain");

    if (!rc)
        rbd_priv_free(d);
    return rc;
}

/* Who holds the lock goes first: the guest may be waiting for it. */
static void rbd_undo(struct disk *d)
{
    rbd_priv_free(d);
    disk_deed_undo_all(d);
}

const struct disk_driver disk_rbd = {
    .name = "rbd",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK,
    .probe = rbd_probe,
    .arm = rbd_arm,
    .cut = rbd_cut,
    .drain = rbd_drain,
    .undo = rbd_undo,
    .rollback = rbd_rollback,
    .rollback_end = rbd_rollback_end,
    .fork = rbd_fork,
    .remove = rbd_remove,
    .check = rbd_check,
    .take_back = rbd_take_back,
    .changed = rbd_changed,
    .open = rbd_content_open,
    .close = rbd_content_close,
    .read = rbd_content_read,
    .show = rbd_show,
    .hide = disk_no_hide,
};
