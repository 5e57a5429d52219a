/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Makes a tree from another one and some changed frames.  What has no change
 * below it is shared with the other; what comes out as it was is, too:
 *
 *          root'                 root
 *         /  |  \               / |  \
 *       [ ]  |   [new]        [ ] |  [old]
 *         \__|____________________|
 *            shared
 *
 * New nodes go to the end of the pack being written, 31 to a block, written
 * 64 blocks at a time.  From left to right, so that the last node made at a
 * level is the rightmost new one: that finds the highest frame without
 * reading anything back.
 */
#include "radix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gfn_table.h"
#include "pack.h"

#define BUF_BLOCKS 64u

static int flush(struct radix_build *b)
{
    struct pack_head *h = b->head;
    const uint64_t first = b->written_blocks;
    int rc;

    for (unsigned i = 0; i < b->nr_blocks; i++)
        node_block_seal(h, &b->blocks[i], first + i);
    rc = pack_write(b->pack, b->blocks, (size_t)b->nr_blocks * PAGE_SIZE_BYTES,
                    (h->nodes_block + first) * PAGE_SIZE_BYTES);
    b->written_blocks += b->nr_blocks;
    b->nr_blocks = 0;
    return rc;
}

/* A new node at @level; *ref_out is 0 when nothing is in it. */
static int add(struct radix_build *b, unsigned level,
               const struct store_node *node, store_ref *ref_out)
{
    static const struct store_node none;
    const unsigned at = b->head->nr_nodes % BLOCK_NODES;
    struct node_block *block;
    int rc;

    *ref_out = 0;
    if (!memcmp(node, &none, sizeof(none)))
        return 0;
    if (b->head->nr_nodes == UINT32_MAX)
        return -EFBIG;
    if (at == 0) {
        rc = b->nr_blocks == BUF_BLOCKS ? flush(b) : 0;
        if (rc)
            return rc;
        memset(&b->blocks[b->nr_blocks++], 0, sizeof(*block));
    }
    block = &b->blocks[b->nr_blocks - 1];
    block->node[at] = *node;
    block->level[at] = (uint8_t)level;
    block->nr = at + 1;
    *ref_out = ref_make(b->number, (uint32_t)b->head->nr_nodes++);
    b->last[level].node = *node;
    b->last[level].ref = *ref_out;
    return 0;
}

/* --- merging ------------------------------------------------------------- */

static void count(struct pack_head *h, store_ref ref, uint64_t by)
{
    if (!(ref & REF_PRESENT))
        return;
    if (ref & REF_ZERO)
        h->nr_zero += by;
    else
        h->nr_stored += by;
}

/* The leaf of the @n-th changed run of frames over the old one. */
static void merge_leaf(struct radix_build *b, uint32_t n,
                       struct store_node *node)
{
    const struct gfn_leaf *leaf = gfn_table_leaf(b->table, n);

    for (unsigned i = 0; i < NODE_REFS; i++) {
        const store_ref ref = leaf->slots[i].ref;

        if (!ref)
            continue;
        count(b->head, node->ref[i], -UINT64_C(1));
        node->ref[i] = ref & REF_PRESENT ? ref : 0;
        count(b->head, node->ref[i], 1);
    }
}

/* How many of the changed leaves [n, end) lie below child @at of a node of
 * @level; they are in order. */
static uint32_t run_below(const struct radix_build *b, unsigned level,
                          uint32_t n, uint32_t end, unsigned *at_out)
{
    const unsigned shift = (level - 2) * NODE_SHIFT;
    const uint64_t child = gfn_table_leaf(b->table, n)->key >> shift;
    uint32_t i = n + 1;

    *at_out = (unsigned)child & (NODE_REFS - 1);
    while (i < end && gfn_table_leaf(b->table, i)->key >> shift == child)
        i++;
    return i;
}

/* A node that was just made, or one of the tree begun with. */
static int node_of(struct radix_build *b, store_ref ref, unsigned level,
                   const struct store_node **node_out)
{
    *node_out = &b->last[level].node;
    return b->last[level].ref == ref ? 0
                                     : packs_node(b->ps, ref, level, node_out);
}

/* The subtree at @level over @old with the changed leaves [n, end). */
static int merge(struct radix_build *b, unsigned level, store_ref old,
                 uint32_t n, uint32_t end, store_ref *new_out)
{
    const struct store_node *was;
    struct store_node node = {.ref = {0}}, before;
    int rc = 0;

    if (old) {
        rc = node_of(b, old, level, &was);
        if (rc)
            return rc;
        node = *was;
    }
    before = node;
    if (level == 1) {
        merge_leaf(b, n, &node);
    } else {
        while (!rc && n < end) {
            unsigned at;
            uint32_t next = run_below(b, level, n, end, &at);

            rc = merge(b, level - 1, node.ref[at], n, next, &node.ref[at]);
            n = next;
        }
    }
    if (rc)
        return rc;
    if (old && !memcmp(&node, &before, sizeof(node))) {
        *new_out = old;
        return 0;
    }
    return add(b, level, &node, new_out);
}

/* Levels on top of @root until it is @height high. */
static int raise(struct radix_build *b, unsigned height)
{
    struct pack_head *h = b->head;
    int rc = 0;

    for (; !rc && h->height < height; h->height++) {
        struct store_node node = {.ref = {h->root}};

        if (h->root)
            rc = add(b, h->height + 1, &node, &h->root);
    }
    return rc;
}

/* --- the end of it ------------------------------------------------------- */

static unsigned last_used(const struct store_node *node)
{
    unsigned i = NODE_REFS;

    while (i > 0 && !node->ref[i - 1])
        i--;
    return i ? i - 1 : 0;
}

/* One more than the highest frame. */
static int find_end(struct radix_build *b, uint64_t *end_out)
{
    const struct pack_head *h = b->head;
    store_ref ref = h->root;
    uint64_t gfn = 0;
    int rc;

    *end_out = 0;
    for (unsigned level = h->height; ref && level; level--) {
        const struct store_node *node;

        rc = node_of(b, ref, level, &node);
        if (rc)
            return rc;
        gfn = gfn << NODE_SHIFT | last_used(node);
        ref = node->ref[last_used(node)];
        if (level == 1)
            *end_out = gfn + 1;
    }
    return 0;
}

static unsigned height_for(uint64_t key)
{
    unsigned height = 1;

    for (; key; key >>= NODE_SHIFT)
        height++;
    return height;
}

int radix_build(struct radix_build *b)
{
    const uint32_t nr = b->table->nr_leaves;
    struct pack_head *h = b->head;
    int rc;

    h->nr_nodes = 0;
    b->nr_blocks = 0;
    b->written_blocks = 0;
    memset(b->last, 0, sizeof(b->last));
    rc = gfn_table_sort(b->table);
    if (rc)
        return rc;
    b->blocks = malloc(BUF_BLOCKS * sizeof(*b->blocks));
    if (!b->blocks)
        return -ENOMEM;
    if (nr)
        rc = raise(b, height_for(gfn_table_leaf(b->table, nr - 1)->key));
    if (!rc && nr)
        rc = merge(b, h->height, h->root, 0, nr, &h->root);
    if (!h->root)
        h->height = 0;
    if (!rc)
        rc = flush(b);
    if (!rc)
        rc = find_end(b, &h->nr_gfns);
    free(b->blocks);
    b->blocks = NULL;
    return rc;
}
