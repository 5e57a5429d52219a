/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_EQUALS_H
#define CKPT_EQUALS_H
/*
 * Where a page like this one may be stored already: a table in the file
 * `equals` of a store, by checksum.  It proves nothing and promises nothing:
 * whoever follows it compares the pages.  It may be deleted at any time.
 */
#include "pack_sum.h"
#include "store_ref.h"

struct dir_store;

struct equal {
    uint64_t sum; /* mixed with its kind, see equal_sum() */
    store_ref ref;
};

#define EQUALS_YOUNG_SHIFT (64u - 15u)

struct equals {
    const struct equal *young; /* in a mapping of the file, or NULL */
    bool has_young;            /* there was one when it was opened */
    const struct equal *table; /* the old ones, behind it */
    unsigned shift;            /* 64 - log2 of their number */
    uint64_t map_bytes;
};

/* Sums of different kinds are never equal. */
static inline uint64_t equal_sum(enum sum_kind kind, uint64_t sum)
{
    return kind == SUM_XXH64 ? sum ^ UINT64_C(0x9e3779b97f4a7c15) : sum;
}

/* It will be looked for soon.  (A call to a function that does no more than that
 * is dropped by gcc, if it has not become part of the caller by then.) */
__attribute__((always_inline)) static inline void
equals_expect(const struct equals *q, uint64_t sum)
{
    if (q->table)
        __builtin_prefetch(&q->table[sum >> q->shift]);
    if (q->has_young)
        __builtin_prefetch(&q->young[sum >> EQUALS_YOUNG_SHIFT]);
}

/* What is not there, or cannot be used, is an empty table. */
void equals_open(struct equals *q, struct dir_store *st);
void equals_close(struct equals *q); /* harmless on zero bytes */
/* At most @max references to pages with this sum, into @refs; how many. */
unsigned equals_find(const struct equals *q, uint64_t sum, store_ref *refs,
                     unsigned max);

/* Adds to the file, which grows as needed.  Loses some, or all, where there is
 * no room: said with -v only. */
void equals_add(struct dir_store *st, const struct equal *add, size_t nr);

#endif
