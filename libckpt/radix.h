/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RADIX_H
#define CKPT_RADIX_H
/*
 * The persistent radix tree from frame to page: looked up and walked here,
 * made anew from another and some changes in radix_build.c.
 *
 *     gfn  35..32 31..28 ... 7..4 3..0      four bits a level, the leaf's last
 *           root   node  ...  leaf  entry   a leaf's key is gfn >> 4
 */
#include "packs.h"

struct radix_walk {
    struct packs *ps; /* borrowed */
    store_ref root;
    unsigned height;
    /* The way down to where the last call ended; level 1 is the leaf. */
    struct {
        bool is_valid;
        uint64_t key; /* gfn >> (4 * level) */
        struct store_node node;
    } at[NODE_HEIGHT_MAX + 1];
};

void radix_init(struct radix_walk *w, struct packs *ps, store_ref root,
                unsigned height);
/*
 * The first leaf with a key not below @*key, which becomes its key; NULL when
 * there is none.  -EUCLEAN when a node on the way is damaged: then @*key is
 * one past what it hides, and *hidden_out, if not NULL, how many leaves.
 */
int radix_next(struct radix_walk *w, uint64_t *key,
               const struct store_node **leaf_out, uint64_t *hidden_out);
/* The entry of one frame; 0: there is none. */
int radix_get(struct radix_walk *w, uint64_t gfn, store_ref *ref_out);

/* --- building ------------------------------------------------------------ */

struct gfn_table;
struct pack;

struct radix_build {
    struct ckpt *c;          /* borrowed, as all here */
    struct gfn_table *table; /* sorted: the changed frames */
    struct packs *ps;        /* where the tree that it begins with lies */
    uint32_t number;         /* of the pack that gets the nodes */
    struct pack *pack;       /* and how */
    struct pack_head *head;  /* nodes_block and sum_kind are set; in: the tree
                              * to begin with; out: the new one and nr_nodes */
    /* The last node made at each level is the rightmost of them. */
    struct {
        store_ref ref;
        struct store_node node;
    } last[NODE_HEIGHT_MAX + 1];
    struct node_block *blocks; /* owned */
    unsigned nr_blocks;        /* full ones in `blocks`, not written yet */
    uint64_t written_blocks;
};

/* Writes what is new.  0 or -errno, without words for a failed write. */
int radix_build(struct radix_build *b);

#endif
