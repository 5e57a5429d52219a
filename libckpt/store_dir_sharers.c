/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Who else needs what is damaged.  The frames that a checkpoint has lost lead to
 * pages, or to nodes that cannot be read; every other checkpoint's tree is walked
 * for a leaf with one of these pages, or to where it cannot be read either.  No
 * page is read: a tree of 1 GiB is 2.3 MiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "radix.h"
#include "store_dir.h"

#define REFS_MAX (1u << 20)
#define UNREADABLE_MAX 4096u /* leaves that were looked for in vain */
/* Of a reference, what it leads to; its type is the frame's affair. */
#define WHERE (((store_ref)1 << REF_TYPE_SHIFT) - 1)

struct sharers {
    struct dir_store *st;
    store_ref *ref; /* owned; of what is damaged, sorted */
    size_t nr;
};

/* A checkpoint's tree, held. */
struct tree {
    int fd; /* -1: of format 1, which shares nothing */
    struct packs packs;
    struct radix_walk walk;
};

static int tree_open(struct tree *t, struct dir_store *st, const char *id)
{
    struct pack_head head;
    struct dir_name name;
    int rc;

    memset(t, 0, sizeof(*t));
    t->fd = -1;
    rc = dir_pin(st, id, &t->fd, &name, &head);
    if (rc)
        return rc;
    if (!name.number) {
        close(t->fd);
        t->fd = -1;
        return 0;
    }
    rc = packs_init(&t->packs, st);
    if (!rc)
        radix_init(&t->walk, &t->packs, head.root, head.height);
    return rc;
}

static void tree_close(struct tree *t)
{
    packs_fini(&t->packs);
    if (t->fd >= 0)
        close(t->fd);
}

static int by_value(const void *a, const void *b)
{
    const store_ref x = *(const store_ref *)a, y = *(const store_ref *)b;

    return (x > y) - (x < y);
}

/* What the lost frames lead to; those behind a damaged node lead nowhere. */
static int collect(struct sharers *s, struct tree *t,
                   const struct ckpt_frames *lost, size_t nr)
{
    unsigned unreadable = 0;

    for (size_t i = 0; i < nr; i++) {
        const uint64_t end = lost[i].gfn + lost[i].nr;

        for (uint64_t gfn = lost[i].gfn;
             gfn < end && unreadable < UNREADABLE_MAX;) {
            store_ref r;
            int rc = radix_get(&t->walk, gfn, &r);

            if (rc && rc != -EUCLEAN)
                return rc;
            if (rc) {
                gfn = (gfn | (NODE_REFS - 1)) + 1;
                unreadable++;
                continue;
            }
            if (ref_is_stored(r) && s->nr < REFS_MAX)
                s->ref[s->nr++] = r & WHERE;
            gfn++;
        }
    }
    qsort(s->ref, s->nr, sizeof(*s->ref), by_value);
    return 0;
}

static bool has_one(const struct sharers *s, const struct store_node *leaf)
{
    for (unsigned i = 0; i < NODE_REFS; i++) {
        const store_ref r = leaf->ref[i] & WHERE;

        if (ref_is_stored(leaf->ref[i]) &&
            bsearch(&r, s->ref, s->nr, sizeof(r), by_value))
            return true;
    }
    return false;
}

/* 0; 1: it is hit. */
static int is_hit(const struct sharers *s, struct tree *t)
{
    const struct store_node *leaf;
    int rc;

    for (uint64_t key = 0;; key++) {
        rc = radix_next(&t->walk, &key, &leaf, NULL);
        if (rc == -EUCLEAN)
            return 1;
        if (rc || !leaf)
            return rc;
        if (has_one(s, leaf))
            return 1;
        rc = check_cancel(s->st->base.c);
        if (rc)
            return rc;
    }
}

static int look_at(struct sharers *s, const char *id, bool *hit_out)
{
    struct tree t;
    int rc = tree_open(&t, s->st, id);

    if (!rc && t.fd >= 0)
        rc = is_hit(s, &t);
    tree_close(&t);
    *hit_out = rc == 1 || rc == -EUCLEAN;
    return rc == 1 || rc == -EUCLEAN || rc == -ENOENT ? 0 : rc;
}

int dir_sharers(struct store *base, const char *id,
                const struct ckpt_frames *lost, size_t nr, char ***ids_out)
{
    struct sharers s = {.st = dir_of(base)};
    char **ids = NULL;
    size_t kept = 0;
    struct tree t;
    bool hit;
    int rc;

    s.ref = malloc(REFS_MAX * sizeof(*s.ref));
    if (!s.ref)
        return fail(base->c, -ENOMEM, "store %s", s.st->path);
    rc = tree_open(&t, s.st, id);
    if (!rc && t.fd >= 0)
        rc = collect(&s, &t, lost, nr);
    if (!rc)
        rc = dir_list(base, STORE_MANIFEST, &ids);
    for (size_t i = 0; !rc && ids[i]; i++) {
        if (!strcmp(ids[i], id) || t.fd < 0)
            continue;
        rc = look_at(&s, ids[i], &hit);
        if (hit)
            ids[kept++] = ids[i];
    }
    tree_close(&t);
    free(s.ref);
    if (rc) {
        free(ids);
        return rc;
    }
    ids[kept] = NULL;
    *ids_out = ids;
    return 0;
}
