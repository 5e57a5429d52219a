/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LOOK_H
#define CKPT_LOOK_H
/*
 * HOT PATH: what is seen of the pages of a batch before their places are looked
 * for, some pages at a time, because memory is slow to come.  A thread of its
 * own may look at the others meanwhile.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "pack_sum.h"
#include "page.h"

#define LOOK_PAGES 16u
#define LOOK_PARTS (PAGE_BATCH / LOOK_PAGES)

struct look {
    bool is_zero; /* or has no content */
    uint64_t sum;
};

/* Zero bytes are one that look_fini() does not mind. */
struct looks {
    enum sum_kind kind;
    const struct page_batch *b; /* borrowed between _begin and _end */
    unsigned nr_parts;
    struct look look[PAGE_BATCH];
    atomic_uint part[LOOK_PARTS]; /* how far it is, see look.c */

    bool is_ready; /* what follows exists */
    bool wants_thread, has_thread;
    bool is_ending;
    unsigned round; /* of _begin; the thread sleeps until there is another */
    pthread_mutex_t lock;
    pthread_cond_t begun;
    pthread_t thread;
};

/* @is_shared: with a thread from the first batch of some length on, if there
 * can be one. */
void look_init(struct looks *l, enum sum_kind kind, bool is_shared);
void look_fini(struct looks *l);

void look_begin(struct looks *l, const struct page_batch *b);
/* Of the pages LOOK_PAGES * @part ..., as many as there are. */
const struct look *look_part(struct looks *l, unsigned part);
/* Nobody looks at the batch any more, also when not all of it was asked for. */
void look_end(struct looks *l);

#endif
