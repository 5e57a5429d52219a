/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Leaves of 16 neighbouring frames, kept in chunks of 4096 leaves that never
 * move, found through an open-addressed hash of leaf numbers:
 *
 *     gfn >> 4 --hash--> n --chunks[n >> 12][n & 4095]--> leaf
 *     leaf --gfn & 15--> slot
 *
 * Frames come in rising runs, so 15 of 16 calls end at the leaf of the call
 * before.  One allocation serves 65536 frames (256 MiB of guest memory).
 */
#include "gfn_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "pack_sum.h"

#define CHUNK_SHIFT 12
#define CHUNK_LEAVES (1u << CHUNK_SHIFT)
#define HASH_MIN 65536u
#define LEAVES_MAX (1u << 30)
/* Of the hash, in a line of the processor's cache: neighbours have one, for they
 * are asked for one after the other. */
#define LINE_ENTRIES 16u

void gfn_table_fini(struct gfn_table *t)
{
    for (size_t i = 0; i < t->nr_chunks; i++)
        free(t->chunks[i]);
    free(t->chunks);
    free(t->hash);
    free(t->order);
    memset(t, 0, sizeof(*t));
}

static struct gfn_leaf *leaf_at(const struct gfn_table *t, uint32_t n)
{
    return &t->chunks[n >> CHUNK_SHIFT][n & (CHUNK_LEAVES - 1)];
}

/* Where @key is, or the free place where it belongs. */
static uint32_t *probe(const struct gfn_table *t, uint64_t key)
{
    const uint64_t line = key / LINE_ENTRIES;
    const uint64_t home = sum_xxh64(&line, sizeof(line), t->seed);
    uint32_t at = (uint32_t)home / LINE_ENTRIES * LINE_ENTRIES +
                  (uint32_t)((key ^ home >> 32) % LINE_ENTRIES);

    for (;; at++) {
        uint32_t *place = &t->hash[at & t->hash_mask];

        if (!*place || leaf_at(t, *place - 1)->key == key)
            return place;
    }
}

/* Keeps the hash at most half full. */
static int grow_hash(struct gfn_table *t)
{
    uint32_t nr = t->hash ? (t->hash_mask + 1) * 2 : HASH_MIN;
    uint32_t *old = t->hash;

    if (!old && getrandom(&t->seed, sizeof(t->seed), 0) < 0)
        return -errno;
    t->hash = calloc(nr, sizeof(*t->hash));
    if (!t->hash) {
        t->hash = old;
        return -ENOMEM;
    }
    free(old);
    t->hash_mask = nr - 1;
    for (uint32_t i = 0; i < t->nr_leaves; i++)
        *probe(t, leaf_at(t, i)->key) = i + 1;
    return 0;
}

static int grow_chunks(struct gfn_table *t)
{
    struct gfn_leaf **chunks;

    chunks = realloc(t->chunks, (t->nr_chunks + 1) * sizeof(*chunks));
    if (!chunks)
        return -ENOMEM;
    t->chunks = chunks;
    chunks[t->nr_chunks] = calloc(CHUNK_LEAVES, sizeof(struct gfn_leaf));
    if (!chunks[t->nr_chunks])
        return -ENOMEM;
    t->nr_chunks++;
    return 0;
}

static struct gfn_leaf *leaf_for(struct gfn_table *t, uint64_t key)
{
    struct gfn_leaf *leaf;
    uint32_t *place;

    if (!t->hash || t->nr_leaves > t->hash_mask / 2) {
        if (t->nr_leaves >= LEAVES_MAX || grow_hash(t))
            return NULL;
    }
    place = probe(t, key);
    if (*place)
        return leaf_at(t, *place - 1);
    if (t->nr_leaves == t->nr_chunks << CHUNK_SHIFT && grow_chunks(t))
        return NULL;
    leaf = leaf_at(t, t->nr_leaves);
    leaf->key = key;
    *place = ++t->nr_leaves;
    return leaf;
}

struct gfn_slot *gfn_table_at(struct gfn_table *t, uint64_t gfn)
{
    uint64_t key = gfn >> GFN_LEAF_SHIFT;

    if (!t->last || t->last->key != key) {
        t->last = leaf_for(t, key);
        if (!t->last)
            return NULL;
    }
    return &t->last->slots[gfn & (GFN_LEAF_SLOTS - 1)];
}

static int by_key(const void *a, const void *b, void *arg)
{
    const struct gfn_table *t = arg;
    uint64_t x = leaf_at(t, *(const uint32_t *)a)->key;
    uint64_t y = leaf_at(t, *(const uint32_t *)b)->key;

    return (x > y) - (x < y);
}

int gfn_table_sort(struct gfn_table *t)
{
    uint32_t *order;
    int is_sorted = 1;

    order = malloc((t->nr_leaves + (size_t)1) * sizeof(*order));
    if (!order)
        return -ENOMEM;
    free(t->order);
    t->order = order;
    for (uint32_t i = 0; i < t->nr_leaves; i++) {
        order[i] = i;
        if (i && leaf_at(t, i - 1)->key > leaf_at(t, i)->key)
            is_sorted = 0;
    }
    if (!is_sorted)
        qsort_r(order, t->nr_leaves, sizeof(*order), by_key, t);
    return 0;
}

struct gfn_leaf *gfn_table_leaf(const struct gfn_table *t, uint32_t n)
{
    return leaf_at(t, t->order[n]);
}
