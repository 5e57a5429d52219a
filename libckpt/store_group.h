/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_GROUP_H
#define CKPT_STORE_GROUP_H
/* The groups of a compressed pack, as docs/specs/store.md draws them. */
#include "page.h"
#include "store_format.h"

/* Places 1..16 are group 0, and so on. */
#define GROUP_PAGES 16u
#define GROUP_BYTES (GROUP_PAGES * PAGE_SIZE_BYTES)
#define BLOCK_GROUPS 1020u
struct groups_block {
    uint64_t sum;    /* of what follows, with the block's number as seed */
    uint64_t number; /* of the pack */
    uint32_t bytes[BLOCK_GROUPS]; /* compressed; 0: the pages as they are */
};
_Static_assert(sizeof(struct groups_block) == 4096, "groups_block");

static inline uint64_t pack_nr_groups(const struct pack_head *h)
{
    return h->nr_pages / GROUP_PAGES + (h->nr_pages % GROUP_PAGES != 0);
}

static inline uint64_t pack_nr_group_blocks(const struct pack_head *h)
{
    return (pack_nr_groups(h) + BLOCK_GROUPS - 1) / BLOCK_GROUPS;
}

/* How many pages the @n-th group has: 16, but for the last. */
static inline unsigned pack_group_pages(const struct pack_head *h, uint64_t n)
{
    const uint64_t left = h->nr_pages - n * GROUP_PAGES;

    return left < GROUP_PAGES ? (unsigned)left : GROUP_PAGES;
}

/* As their like in store_format.h. */
const char *groups_block_check(const struct pack_head *h,
                               const struct groups_block *b, uint64_t n);
void groups_block_seal(const struct pack_head *h, struct groups_block *b,
                       uint64_t n);

#endif
