/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PACK_SUM_H
#define CKPT_PACK_SUM_H
/* HOT PATH: what is looked at in a page: is it zero, and its checksum. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* XXH3 is the faster where there is SIMD, and 20 times slower where that is
 * emulated; so a pack says which it has. */
enum sum_kind {
    SUM_XXH64 = 1,
    SUM_XXH3 = 2,
};

uint64_t sum_xxh64(const void *data, size_t len_bytes, uint64_t seed);
uint64_t sum_of(enum sum_kind kind, const void *data, size_t len_bytes,
                uint64_t seed);
/* The faster on this machine, tried out once. */
enum sum_kind sum_kind_here(void);

bool page_is_zero(const void *page);
#endif
