/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_WORDS_H
#define WITNESS_WORDS_H
/*
 * The words of the witness's pages and the sums over them, for those who write
 * them and those who check.  Cheap on purpose: under an emulator every word of
 * the buffer goes through here twice a round.  Not against forgery.
 */
#include "format.h"

/* Words of a region page; PW_FILL up to PW_SUM is the payload. */
enum {
    PW_MAGIC,
    PW_INSTANCE,
    PW_IDENT,
    PW_GEN,
    PW_SEQ,
    PW_PEER,
    PW_BEAT
};
enum {
    PW_FILL = PW_BEAT + 1,
    PW_SUM = FMT_WORDS - 1
};

static inline uint64_t fmt_mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static inline uint64_t fmt_sum(const uint64_t *words, size_t nr)
{
    uint64_t h = FMT_PAGE_MAGIC;

    for (size_t k = 0; k < nr; k++)
        h = fmt_mix(h, words[k]);
    return h;
}

/* What a page's payload grows from. */
static inline uint64_t fmt_seed(uint64_t instance, uint64_t ident, uint64_t gen)
{
    return fmt_mix(fmt_mix(fmt_mix(instance, ident), gen), FMT_PAGE_MAGIC);
}

static inline uint64_t fmt_fill(uint64_t seed, size_t k)
{
    uint64_t v = seed + k * UINT64_C(0xd1342543de82ef95);

    return v ^ v >> 32;
}

static inline uint64_t fmt_ident(uint64_t writer, uint64_t index)
{
    return writer << 32 | index;
}

/* Whose `done` page @index of @writer carries: each of the others in turn. */
static inline uint64_t fmt_peer(uint64_t writer, uint64_t index, uint64_t nr)
{
    return nr < 2 ? writer : (writer + 1 + index % (nr - 1)) % nr;
}

static inline uint64_t fmt_static_sum(const struct fmt_control *c)
{
    return fmt_sum(&c->instance, (offsetof(struct fmt_control, static_sum) -
                                  offsetof(struct fmt_control, instance)) /
                                     8);
}

static inline uint64_t fmt_record_sum(const struct fmt_record *r)
{
    return fmt_sum((const uint64_t *)r, FMT_WORDS - 1);
}

#endif
