/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Seals and checks what lies in a pack.  Nothing here opens or allocates by a
 * number it read: the checks come first, and what they let through cannot
 * lead a reader outside its file or its memory.
 */
#include "store_format.h"

#include <string.h>

#include "pack_sum.h"
#include "store_group.h"

#define SUM_BYTES sizeof(uint64_t)

static bool is_zero(const uint8_t *p, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (p[i])
            return false;
    }
    return true;
}

static uint64_t blocks_for(uint64_t nr, unsigned in_a_block)
{
    return nr / in_a_block + (nr % in_a_block != 0);
}

/* --- head ---------------------------------------------------------------- */

static const char *blob_check(const struct pack_head *h,
                              const struct pack_blob *blob, bool is_named)
{
    const uint64_t file_bytes = h->file_blocks * PAGE_SIZE_BYTES;
    const size_t len = strnlen(blob->name, sizeof(blob->name));

    for (size_t i = 0; i < len; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz.-", blob->name[i]))
            return "table of blobs";
    }
    if (is_named != (len > 0) ||
        !is_zero((const uint8_t *)blob->name + len, sizeof(blob->name) - len))
        return "table of blobs";
    if (blob->offset > file_bytes ||
        blob->len_bytes > file_bytes - blob->offset)
        return "table of blobs";
    return NULL;
}

static const char *blobs_check(const struct pack_head *h)
{
    static const struct pack_blob none;
    const char *wrong = blob_check(h, &h->manifest, false);

    if (h->nr_blobs > STORE_BLOBS_MAX)
        return "table of blobs";
    for (unsigned i = 0; !wrong && i < STORE_BLOBS_MAX; i++) {
        if (i < h->nr_blobs)
            wrong = blob_check(h, &h->blobs[i], true);
        else if (memcmp(&h->blobs[i], &none, sizeof(none)))
            wrong = "table of blobs";
    }
    return wrong;
}

/* Does [first, first + nr) lie within the file, behind the head? */
static bool is_inside(const struct pack_head *h, uint64_t first, uint64_t nr)
{
    return !nr || (first >= 1 && first <= h->file_blocks &&
                   nr <= h->file_blocks - first);
}

static const char *places_check(const struct pack_head *h)
{
    if (h->nr_pages > UINT32_MAX || h->nr_nodes > UINT32_MAX)
        return "counts";
    if (!is_inside(h, 1, h->nr_pages) ||
        !is_inside(h, h->nodes_block, blocks_for(h->nr_nodes, BLOCK_NODES)) ||
        !is_inside(h, h->sums_block, blocks_for(h->nr_pages, BLOCK_SUMS)))
        return "counts";
    if (!(h->mandatory & PACK_COMPRESSED))
        return h->groups_block || h->codec ? "head" : NULL;
    if (h->codec != PACK_CODEC_ZSTD)
        return "written by a newer xen-ckpt";
    if (!is_inside(h, h->groups_block, pack_nr_group_blocks(h)))
        return "counts";
    return NULL;
}

static const char *tree_check(const struct pack_head *h)
{
    if (h->height > NODE_HEIGHT_MAX || !ref_node_is_sound(h->root) ||
        (h->height != 0) != (h->root != 0))
        return "root";
    if (h->nr_gfns > UINT64_C(1) << (h->height * NODE_SHIFT) ||
        (h->height == 0 && h->nr_gfns))
        return "root";
    if (h->nr_stored > h->nr_gfns || h->nr_zero > h->nr_gfns - h->nr_stored)
        return "counts";
    return NULL;
}

const char *pack_head_check(const struct pack_head *h, uint64_t file_bytes)
{
    const char *wrong;

    if (memcmp(h->magic, PACK_MAGIC, sizeof(h->magic)))
        return "not a pack";
    if (h->sum != sum_xxh64(h, offsetof(struct pack_head, sum), 0))
        return "checksum of the head";
    if (h->version != PACK_VERSION || h->mandatory & ~PACK_MANDATORY_KNOWN ||
        (h->sum_kind != SUM_XXH64 && h->sum_kind != SUM_XXH3))
        return "written by a newer xen-ckpt";
    if (h->number == 0 || h->number > PACK_NUMBER_MAX ||
        !is_zero(h->zero, sizeof(h->zero)))
        return "head";
    for (unsigned i = 0; i < CKPT_ID_LEN; i++) {
        if (!h->id[i] || !strchr("0123456789abcdef", h->id[i]))
            return "id";
    }
    if (file_bytes % PAGE_SIZE_BYTES ||
        file_bytes / PAGE_SIZE_BYTES != h->file_blocks || !h->file_blocks)
        return "length of the file";
    wrong = places_check(h);
    if (!wrong)
        wrong = tree_check(h);
    return wrong ? wrong : blobs_check(h);
}

void pack_head_seal(struct pack_head *h)
{
    h->sum = sum_xxh64(h, offsetof(struct pack_head, sum), 0);
}

/* --- blocks -------------------------------------------------------------- */

static uint64_t block_sum(const struct pack_head *h, const void *block,
                          uint64_t n)
{
    return sum_of((enum sum_kind)h->sum_kind,
                  (const uint8_t *)block + SUM_BYTES,
                  PAGE_SIZE_BYTES - SUM_BYTES, n);
}

const char *node_block_check(const struct pack_head *h,
                             const struct node_block *b, uint64_t n)
{
    const uint64_t left = h->nr_nodes - n * BLOCK_NODES;

    if (b->sum != block_sum(h, b, n))
        return "checksum";
    if (b->number != h->number ||
        b->nr != (left < BLOCK_NODES ? left : BLOCK_NODES))
        return "number of nodes";
    for (unsigned i = 0; i < b->nr; i++) {
        if (b->level[i] == 0 || b->level[i] > NODE_HEIGHT_MAX)
            return "level of a node";
        for (unsigned j = 0; j < NODE_REFS; j++) {
            if (b->level[i] == 1 ? !ref_page_is_sound(b->node[i].ref[j])
                                 : !ref_node_is_sound(b->node[i].ref[j]))
                return "a reference";
        }
    }
    return NULL;
}

void node_block_seal(const struct pack_head *h, struct node_block *b,
                     uint64_t n)
{
    b->number = h->number;
    b->sum = block_sum(h, b, n);
}

const char *sums_block_check(const struct pack_head *h,
                             const struct sums_block *b, uint64_t n)
{
    if (b->sum != block_sum(h, b, n))
        return "checksum";
    return b->number == h->number ? NULL : "of another pack";
}

void sums_block_seal(const struct pack_head *h, struct sums_block *b,
                     uint64_t n)
{
    b->number = h->number;
    b->sum = block_sum(h, b, n);
}

/* A group that does not get shorter by a block stays as it is. */
const char *groups_block_check(const struct pack_head *h,
                               const struct groups_block *b, uint64_t n)
{
    if (b->sum != block_sum(h, b, n))
        return "checksum";
    if (b->number != h->number)
        return "of another pack";
    for (unsigned i = 0; i < BLOCK_GROUPS; i++) {
        const uint64_t group = n * BLOCK_GROUPS + i;
        const uint64_t max =
            group < pack_nr_groups(h)
                ? (pack_group_pages(h, group) - 1) * PAGE_SIZE_BYTES : 0;

        if (b->bytes[i] > max)
            return "length of a group";
    }
    return NULL;
}

void groups_block_seal(const struct pack_head *h, struct groups_block *b,
                       uint64_t n)
{
    b->number = h->number;
    b->sum = block_sum(h, b, n);
}
