/* SPDX-License-Identifier: LGPL-2.1-only */
/* Walks a set of frames in batches. */
#include "bitmap.h"

uint64_t bitmap_count(const uint64_t *map, uint64_t nr_bits)
{
    uint64_t i, full = nr_bits / BITMAP_WORD_BITS, count = 0;

    for (i = 0; i < full; i++)
        count += (uint64_t)__builtin_popcountll(map[i]);
    for (i = full * BITMAP_WORD_BITS; i < nr_bits; i++)
        count += bitmap_test(map, i);
    return count;
}

void bitmap_next(const uint64_t *map, uint64_t nr_bits, uint64_t *cursor,
                 struct page_batch *b)
{
    uint64_t gfn = *cursor, word;

    b->nr = 0;
    while (gfn < nr_bits && b->nr < PAGE_BATCH) {
        word = map[gfn / BITMAP_WORD_BITS] >> (gfn % BITMAP_WORD_BITS);
        if (!word) {
            gfn = (gfn / BITMAP_WORD_BITS + 1) * BITMAP_WORD_BITS;
            continue;
        }
        gfn += (uint64_t)__builtin_ctzll(word);
        if (gfn >= nr_bits)
            break;
        b->gfn[b->nr++] = gfn++;
    }
    *cursor = gfn;
}
