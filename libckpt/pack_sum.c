/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checksums find damage and likely equals; they prove nothing.  XXH3 is taken
 * in the variant for the processor at hand where the library has one.
 */
#include "pack_sum.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include "page.h"

/* Enough to see a difference of 20 times, little enough not to matter; the best
 * of some, because another's turn on the processor may fall into any. */
#define TRIAL_PAGES 2u
#define TRIALS 8u

typedef uint64_t vec __attribute__((vector_size(32)));

uint64_t sum_xxh64(const void *data, size_t len_bytes, uint64_t seed)
{
    return XXH64(data, len_bytes, seed);
}

uint64_t sum_of(enum sum_kind kind, const void *data, size_t len_bytes,
                uint64_t seed)
{
    return kind == SUM_XXH3 ? XXH3_64bits_withSeed(data, len_bytes, seed)
                            : XXH64(data, len_bytes, seed);
}

static uint64_t trial_ns(enum sum_kind kind)
{
    static const uint8_t page[PAGE_SIZE_BYTES];
    uint64_t best_ns = UINT64_MAX;
    struct timespec begin, end;
    volatile uint64_t sink;

    sink = sum_of(kind, page, sizeof(page), 0); /* warm */
    for (unsigned t = 0; t < TRIALS; t++) {
        uint64_t ns;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (unsigned i = 0; i < TRIAL_PAGES; i++)
            sink = sum_of(kind, page, sizeof(page), i);
        clock_gettime(CLOCK_MONOTONIC, &end);
        ns = (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000u +
             (uint64_t)end.tv_nsec - (uint64_t)begin.tv_nsec;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    (void)sink;
    return best_ns;
}

/* XXH64 only where it is much the faster: the machine may be busy elsewhere,
 * and packs with one kind of sums share more. */
enum sum_kind sum_kind_here(void)
{
    static atomic_int known;
    int kind = atomic_load(&known);

    if (kind)
        return (enum sum_kind)kind;
    kind = trial_ns(SUM_XXH3) > 3 * trial_ns(SUM_XXH64) ? SUM_XXH64 : SUM_XXH3;
    atomic_store(&known, kind);
    return (enum sum_kind)kind;
}

/* Most pages that are not zero end it in the first step. */
#define IS_ZERO_BODY(step)                                                     \
    for (unsigned off = 0; off < PAGE_SIZE_BYTES; off += (step)) {             \
        vec a[(step) / sizeof(vec)], any = {0};                                \
                                                                               \
        memcpy(a, p + off, sizeof(a));                                         \
        for (unsigned i = 0; i < (step) / sizeof(vec); i++)                    \
            any |= a[i];                                                       \
        if (any[0] | any[1] | any[2] | any[3])                                 \
            return false;                                                      \
    }                                                                          \
    return true

static bool is_zero_plain(const char *p)
{
    IS_ZERO_BODY(128u);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static bool is_zero_avx2(const char *p)
{
    IS_ZERO_BODY(256u);
}

bool page_is_zero(const void *page)
{
    return __builtin_cpu_supports("avx2") ? is_zero_avx2(page)
                                          : is_zero_plain(page);
}
#else
bool page_is_zero(const void *page)
{
    return is_zero_plain(page);
}
#endif
