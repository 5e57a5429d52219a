/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_BITMAP_H
#define CKPT_BITMAP_H
/*
 * Sets of frames as Xen hands them out: a bit per frame number, in words of
 * 64, lowest bit first.
 */
#include <stdbool.h>
#include <stdint.h>

#include "page.h"

#define BITMAP_WORD_BITS 64u

static inline uint64_t bitmap_words(uint64_t nr_bits)
{
    return (nr_bits + BITMAP_WORD_BITS - 1) / BITMAP_WORD_BITS;
}

static inline bool bitmap_test(const uint64_t *map, uint64_t bit)
{
    return map[bit / BITMAP_WORD_BITS] >> (bit % BITMAP_WORD_BITS) & 1;
}

static inline void bitmap_set(uint64_t *map, uint64_t bit)
{
    map[bit / BITMAP_WORD_BITS] |= UINT64_C(1) << (bit % BITMAP_WORD_BITS);
}

/* Bits below @nr_bits that are set. */
uint64_t bitmap_count(const uint64_t *map, uint64_t nr_bits);
/* The next up to PAGE_BATCH set bits from *cursor on, into b->gfn; *cursor is
 * moved behind the last.  b->nr 0: no more. */
void bitmap_next(const uint64_t *map, uint64_t nr_bits, uint64_t *cursor,
                 struct page_batch *b);

#endif
