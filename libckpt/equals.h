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

struct equals {
    const struct equal *table; /* a mapping of the file, or NULL */
    unsigned shift;            /* 64 - log2 of its length */
    uint64_t map_bytes;
};

/* Sums of different kinds are never equal. */
static inline uint64_t equal_sum(enum sum_kind kind, uint64_t sum)
{
    return kind == SUM_XXH64 ? sum ^ UINT64_C(0x9e3779b97f4a7c15) : sum;
}

/* It will be looked for soon. */
static inline void equals_expect(const struct equals *q, uint64_t sum)
{
    if (q->table)
        __builtin_prefetch(&q->table[sum >> q->shift]);
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
