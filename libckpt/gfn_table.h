/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_GFN_TABLE_H
#define CKPT_GFN_TABLE_H
/*
 * A map from guest frame to where its page is, built while an image is
 * written.  A guest chooses which frames it uses, so the memory taken must
 * depend on how many there are, not on where: 9 bytes a frame where they are
 * dense, at most GFN_LEAF_BYTES where each stands alone.
 */
#include <stddef.h>
#include <stdint.h>

#define GFN_LEAF_SHIFT 4
#define GFN_LEAF_SLOTS (1u << GFN_LEAF_SHIFT)

struct gfn_slot {
    uint64_t ref; /* 0: nothing was ever put here */
};

struct gfn_leaf {
    uint64_t key; /* gfn >> GFN_LEAF_SHIFT */
    uint64_t pad;
    struct gfn_slot slots[GFN_LEAF_SLOTS];
};
#define GFN_LEAF_BYTES sizeof(struct gfn_leaf)

/* Zero bytes are an empty table. */
struct gfn_table {
    struct gfn_leaf **chunks; /* of GFN_CHUNK_LEAVES each */
    size_t nr_chunks;
    uint32_t nr_leaves;
    uint32_t *hash; /* leaf number + 1; 0 is free */
    uint32_t hash_mask;
    uint64_t seed; /* of the hash: a guest must not know which frames collide */
    struct gfn_leaf *last; /* where the previous call ended */
    uint32_t *order;       /* after gfn_table_sort(): leaves by key */
};

void gfn_table_fini(struct gfn_table *t);
/* The slot of @gfn, made if it is not there, valid until _fini; NULL when
 * there is no memory. */
struct gfn_slot *gfn_table_at(struct gfn_table *t, uint64_t gfn);
/* Puts the leaves in order, for gfn_table_leaf(). 0 or -ENOMEM. */
int gfn_table_sort(struct gfn_table *t);
/* The @n-th in rising order, n < t->nr_leaves. */
struct gfn_leaf *gfn_table_leaf(const struct gfn_table *t, uint32_t n);

#endif
