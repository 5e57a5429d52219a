/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Walking the tree.  Frames are asked for in rising runs, so the way down is
 * kept: 15 of 16 calls end in the leaf at hand, and most others one level up.
 * Levels fall by one on every step, so that no tree leads round in a circle,
 * whatever it holds.
 */
#include "radix.h"

#include <errno.h>
#include <string.h>

void radix_init(struct radix_walk *w, struct packs *ps, store_ref root,
                unsigned height)
{
    w->ps = ps;
    w->root = root;
    w->height = height;
    for (unsigned i = 0; i <= NODE_HEIGHT_MAX; i++)
        w->at[i].is_valid = false;
}

/* The bits of a leaf's key that choose in a node of @level >= 2. */
static unsigned index_of(uint64_t key, unsigned level)
{
    return (unsigned)(key >> ((level - 2) * NODE_SHIFT)) & (NODE_REFS - 1);
}

/* One more than the last leaf below the node of @level that @key is in. */
static uint64_t past(uint64_t key, unsigned level)
{
    const unsigned shift = (level - 1) * NODE_SHIFT;

    return ((key >> shift) + 1) << shift;
}

/* Loads the node of @level on the way to leaf @key from @ref. */
static int load(struct radix_walk *w, unsigned level, uint64_t key,
                store_ref ref)
{
    const uint64_t prefix = key >> ((level - 1) * NODE_SHIFT);
    const struct store_node *node;
    int rc;

    if (w->at[level].is_valid && w->at[level].key == prefix)
        return 0;
    for (unsigned i = 1; i <= level; i++)
        w->at[i].is_valid = false;
    rc = packs_node(w->ps, ref, level, &node);
    if (rc)
        return rc;
    w->at[level].node = *node;
    w->at[level].key = prefix;
    w->at[level].is_valid = true;
    return 0;
}

int radix_next(struct radix_walk *w, uint64_t *key,
               const struct store_node **leaf_out, uint64_t *hidden_out)
{
    const uint64_t end = w->height ? past(0, w->height) : 0;
    unsigned level = w->height;
    store_ref ref = w->root;
    uint64_t next;
    int rc;

    *leaf_out = NULL;
    while (*key < end) {
        rc = load(w, level, *key, ref);
        if (rc) {
            next = past(*key, level);
            if (hidden_out)
                *hidden_out = next - *key;
            *key = next;
            return rc;
        }
        if (level == 1) {
            *leaf_out = &w->at[1].node;
            return 0;
        }
        ref = w->at[level].node.ref[index_of(*key, level)];
        if (ref) {
            level--;
            continue;
        }
        /* Nothing below: on to the next, from the top. */
        *key = past(*key, level - 1);
        level = w->height;
        ref = w->root;
    }
    return 0;
}

int radix_get(struct radix_walk *w, uint64_t gfn, store_ref *ref_out)
{
    const uint64_t wanted = gfn >> NODE_SHIFT;
    const struct store_node *leaf;
    uint64_t key = wanted;
    int rc;

    *ref_out = 0;
    rc = radix_next(w, &key, &leaf, NULL);
    if (!rc && leaf && key == wanted)
        *ref_out = leaf->ref[gfn & (NODE_REFS - 1)];
    return rc;
}
