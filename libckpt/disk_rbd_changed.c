/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What changed between two snapshots of RBD images; and any extents that
 * ckpt-rbd is asked for.  It gives them in no order, and some may overlap
 * (rbd/changed.c): they are put in order here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "disk_rbd.h"

#define TIMEOUT_MS 1800000u
#define NR_MAX (1u << 24)

struct list {
    struct disk_extent *list; /* owned */
    size_t nr, room;
};

static int add(void *arg, const char *words)
{
    struct list *l = arg;
    struct disk_extent e, *more;

    if (sscanf(words, "%" SCNu64 " %" SCNu64, &e.offset_bytes, &e.len_bytes) !=
            2 ||
        e.offset_bytes + e.len_bytes < e.offset_bytes)
        return -EPROTO;
    if (l->nr == NR_MAX)
        return -E2BIG;
    if (l->nr == l->room) {
        more = reallocarray(l->list, l->room * 2 + 64, sizeof(*more));
        if (!more)
            return -ENOMEM;
        l->list = more;
        l->room = l->room * 2 + 64;
    }
    l->list[l->nr++] = e;
    return 0;
}

static int by_offset(const void *a, const void *b)
{
    const struct disk_extent *x = a, *y = b;

    return x->offset_bytes < y->offset_bytes
               ? -1
               : x->offset_bytes > y->offset_bytes;
}

/* What of each lies behind the one before. */
static int put_in_order(struct list *l, struct disk_extents *out)
{
    uint64_t end = 0, begin, len;
    int rc = 0;

    if (l->nr)
        qsort(l->list, l->nr, sizeof(*l->list), by_offset);
    for (size_t i = 0; !rc && i < l->nr; i++) {
        begin = l->list[i].offset_bytes;
        len = l->list[i].len_bytes;
        if (begin + len <= end)
            continue;
        if (begin < end) {
            len -= end - begin;
            begin = end;
        }
        rc = disk_extents_add(out, begin, len);
        end = begin + len;
    }
    return rc;
}

int rbd_ask_extents(struct ckpt *c, struct rbd_talk *t, const char *question,
                    struct disk_extents *out)
{
    struct list l = {.nr = 0};
    int rc;

    rc = rbd_talk_ask(t, TIMEOUT_MS, add, &l, "%s", question);
    if (!rc && put_in_order(&l, out))
        rc = fail(c, -ENOMEM, "a list of blocks");
    free(l.list);
    return rc;
}

static int ask(struct ckpt *c, const struct rbd_name *from,
               const struct rbd_name *to, struct disk_extents *out)
{
    char question[4 * RBD_TEXT_MAX + 16];
    struct rbd_talk *t = NULL;
    int rc;

    snprintf(question, sizeof(question), "changed %s %s %s %s", from->image,
             from->snapshot, to->image, to->snapshot);
    rc = rbd_talk_begin(c, to, &t);
    if (!rc)
        rc = rbd_ask_extents(c, t, question, out);
    rbd_talk_end(t);
    return rc;
}

int rbd_changed(struct ckpt *c, const char *from, const char *to,
                disk_extent_fn *fn, void *arg)
{
    struct disk_extents found = {.nr = 0}, none = {.nr = 0};
    struct rbd_name a, b;
    int rc;

    rc = rbd_name_read_ours(c, from, &a);
    if (!rc)
        rc = rbd_name_read_ours(c, to, &b);
    if (!rc && (strcmp(a.pool, b.pool) || strcmp(a.space, b.space)))
        rc = fail(c, -ENOTSUP, "%s and %s are not in one pool.", from, to);
    if (!rc)
        rc = ask(c, &a, &b, &found);
    if (!rc)
        rc = disk_extents_either(&found, &none, fn, arg);
    disk_extents_fini(&found);
    return rc;
}
