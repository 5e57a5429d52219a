/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Content of snapshots of RBD images, read through ckpt-rbd, a MiB at a time;
 * and new images for content from elsewhere:
 *
 *   make     IMAGE.ckpt-made-...   by that name it is known as ours
 *   write
 *   finish   IMAGE
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "disk_rbd.h"

/* --- read ------------------------------------------------------------------ */

static int open_it(struct ckpt *c, const struct rbd_name *n,
                   struct disk_content *out)
{
    char question[2 * RBD_TEXT_MAX + 16];
    char *end;
    int rc;

    snprintf(question, sizeof(question), "open %s %s", n->image, n->snapshot);
    rc = rbd_ask_extents(c, out->talk, question, &out->data);
    if (rc)
        return rc;
    out->size_bytes = strtoull(rbd_talk_answer(out->talk), &end, 10);
    if (*end || !out->size_bytes)
        return fail(c, -EPROTO, "ckpt-rbd: a size");
    if (out->data.nr) {
        const struct disk_extent *last = &out->data.list[out->data.nr - 1];

        if (last->offset_bytes + last->len_bytes > out->size_bytes)
            return fail(c, -EPROTO, "ckpt-rbd: what lies beyond the end");
    }
    return 0;
}

int rbd_content_open(struct ckpt *c, const char *snapshot,
                     struct disk_content *out)
{
    struct rbd_name n;
    int rc;

    out->fd = -1;
    rc = rbd_name_read_ours(c, snapshot, &n);
    if (!rc)
        rc = rbd_talk_begin(c, &n, &out->talk);
    if (!rc)
        rc = open_it(c, &n, out);
    if (!rc)
        return 0;
    rbd_content_close(c, out);
    return fail_prefix(c, rc, "the snapshot %s", snapshot);
}

int rbd_content_read(struct ckpt *c, struct disk_content *content, void *out,
                     size_t len_bytes, uint64_t offset_bytes)
{
    (void)c;
    return rbd_talk_read(content->talk, RBD_TIMEOUT_MS, out, len_bytes,
                         offset_bytes);
}

void rbd_content_close(struct ckpt *c, struct disk_content *content)
{
    rbd_talk_end(content->talk);
    content->talk = NULL;
    disk_content_close(c, content);
}

/* QEMU finds an image by its name. */
int rbd_show(struct ckpt *c, const char *snapshot, const char *tag,
             struct disk_shown *out)
{
    char text[RBD_TEXT_MAX];
    struct rbd_talk *t = NULL;
    struct rbd_name n;
    int rc;

    (void)tag;
    rc = rbd_name_read_ours(c, snapshot, &n);
    if (!rc)
        rc = rbd_talk_begin(c, &n, &t);
    if (!rc)
        rc = rbd_talk_ask(t, RBD_TIMEOUT_MS, NULL, NULL, "name %s", n.image);
    if (!rc)
        snprintf(n.image, sizeof(n.image), "%s", rbd_talk_answer(t));
    if (!rc)
        rc = rbd_name_write(c, &n, text);
    rbd_talk_end(t);
    if (rc)
        return fail_prefix(c, rc, "the snapshot %s", snapshot);
    out->format = "raw";
    snprintf(out->image, sizeof(out->image), RBD_URL "%s", text);
    return 0;
}

/* --- fill ------------------------------------------------------------------ */

static int make(struct disk *d, struct rbd *r, uint64_t size_bytes)
{
    int rc;

    rc = rbd_talk_begin(d->c, &r->name, &r->talk);
    if (!rc)
        rc = rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL, "look %s",
                          r->name.image);
    if (!rc)
        return fail(d->c, -EEXIST, "%s", d->target);
    if (rc != -ENOENT)
        return rc;
    rc = rbd_name_made(d, &r->name, &r->made);
    if (!rc)
        rc = rbd_deed(d, GUARD_DISK_MADE, "made", &r->made, "", "");
    if (!rc)
        rc = rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL,
                          "make %s %" PRIu64, r->made.image, size_bytes);
    if (!rc && sscanf(rbd_talk_answer(r->talk), "%255s", r->id) != 1)
        rc = fail(d->c, -EPROTO, "%s: ckpt-rbd", d->target);
    return rc;
}

int rbd_make(struct disk *d, uint64_t size_bytes)
{
    struct rbd *r = calloc(1, sizeof(*r));
    int rc;

    rbd_priv_free(d);
    d->priv = r;
    if (!r)
        return fail(d->c, -ENOMEM, "%s", d->target);
    rc = rbd_name_read(d->c, d->target + strlen(RBD_URL), &r->name);
    return rc ? rc : make(d, r, size_bytes);
}

int rbd_make_write(struct disk *d, const void *data, size_t len_bytes,
                   uint64_t offset_bytes)
{
    const struct rbd *r = d->priv;

    return rbd_talk_write(r->talk, RBD_TIMEOUT_MS, data, len_bytes,
                          offset_bytes);
}

int rbd_make_finish(struct disk *d)
{
    struct rbd *r = d->priv;
    int rc;

    rc = rbd_talk_ask(r->talk, RBD_TIMEOUT_MS, NULL, NULL, "made");
    if (!rc)
        rc = rbd_move(d, GUARD_DISK_MADE, r->talk, r->id, &r->made, &r->name);
    rbd_priv_free(d);
    return rc;
}
