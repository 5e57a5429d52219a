/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PLACES_H
#define CKPT_PLACES_H
/*
 * The places of the pack being written: which are used, how often, with what
 * checksum; and which have one, to find equal pages.  32 to 48 bytes a page.
 */
#include <stddef.h>
#include <stdint.h>

struct place {
    uint64_t sum;
    uint32_t uses; /* frames; 0: free */
};

/* Zero bytes are an empty one.  Place 0 is never given out. */
struct places {
    struct place *place;
    uint32_t nr;   /* one past the highest ever given out */
    uint32_t room; /* of `place` */
    uint32_t nr_used;
    uint64_t *hash; /* by sum: its low half, and the place; 0 is free */
    uint32_t hash_mask;
    uint32_t nr_hashed; /* also those that are stale by now */
    uint64_t hint;
    uint32_t *freed;    /* a ring: the first freed is the first used again */
    uint32_t freed_mask, freed_at, nr_freed;
};

void places_fini(struct places *p);
/* Before any is taken: there may be as many as @nr, so that what grows begins
 * with a size that suits them, up to 4 MiB.  Advice. */
void places_hint(struct places *p, uint64_t nr);
/* A place with one use, found by @sum from now on; 0: no memory, or too many
 * (2^32 pages). */
uint32_t places_take(struct places *p, uint64_t sum);
void places_use(struct places *p, uint32_t place);
/* One use less. 0 or -ENOMEM. */
int places_release(struct places *p, uint32_t place);
/* It will be looked for soon. */
__attribute__((always_inline)) static inline void
places_expect(const struct places *p, uint64_t sum)
{
    if (p->hash)
        __builtin_prefetch(&p->hash[(uint32_t)(sum >> 32) & p->hash_mask]);
}
/* The next place in use with that sum; @*cursor is 0 at first; 0: no more. */
uint32_t places_find(const struct places *p, uint64_t sum, uint32_t *cursor);

#endif
