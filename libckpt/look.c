/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The caller goes through the parts of a batch from the first to the last, the
 * thread from the last to the first, until they meet:
 *
 *     free --> taken, by one of them --> done
 *
 * So it does not matter which of them is the faster, or whether the thread runs
 * at all; at the end one waits for the other for the length of a part.
 */
#include "look.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FREE 0u
#define TAKEN 1u
#define DONE 2u

static void look_at(struct looks *l, unsigned part)
{
    const struct page_batch *b = l->b;
    const unsigned first = part * LOOK_PAGES;
    const unsigned end =
        b->nr - first < LOOK_PAGES ? b->nr : first + LOOK_PAGES;

    for (unsigned i = first; i < end; i++) {
        const char *page = page_type_has_data(b->type[i]) ? b->data[i] : NULL;
        struct look *look = &l->look[i];

        /* All of it, or none: a few lines keep the processor from seeing
         * that it is a stream. */
        if (i + 1 < end && b->data[i + 1]) {
            const char *next = b->data[i + 1];

            for (unsigned at = 0; at < PAGE_SIZE_BYTES; at += 64)
                __builtin_prefetch(next + at);
        }
        look->is_zero = !page || page_is_zero(page);
        if (!look->is_zero)
            look->sum = sum_of(l->kind, page, PAGE_SIZE_BYTES, 0);
    }
}

/* Is it for the one who asks? */
static bool take(struct looks *l, unsigned part)
{
    unsigned is = FREE;

    return atomic_compare_exchange_strong(&l->part[part], &is, TAKEN);
}

static void *thread_main(void *arg)
{
    struct looks *l = arg;
    unsigned round = 0;

    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (l->round == round && !l->is_ending)
            pthread_cond_wait(&l->begun, &l->lock);
        if (l->is_ending)
            break;
        round = l->round;
        /* A part is taken under the lock, so of the batch that is at hand,
         * and look_end() waits for it. */
        for (unsigned part = l->nr_parts; part-- > 0 && take(l, part);) {
            pthread_mutex_unlock(&l->lock);
            look_at(l, part);
            atomic_store(&l->part[part], DONE);
            pthread_mutex_lock(&l->lock);
            if (l->round != round)
                break;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

void look_init(struct looks *l, enum sum_kind kind, bool is_shared)
{
    l->kind = kind;
    for (unsigned i = 0; i < LOOK_PARTS; i++)
        atomic_init(&l->part[i], DONE);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->begun, NULL);
    l->is_ready = true;
    l->wants_thread = is_shared && sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

/* Once, when there is something for it to do. */
static void start_thread(struct looks *l)
{
    sigset_t all, before;

    l->wants_thread = false;
    sigfillset(&all); /* signals are the caller's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    l->has_thread = !pthread_create(&l->thread, NULL, thread_main, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void look_fini(struct looks *l)
{
    if (!l->is_ready)
        return;
    pthread_mutex_lock(&l->lock);
    l->is_ending = true;
    pthread_cond_signal(&l->begun);
    pthread_mutex_unlock(&l->lock);
    if (l->has_thread)
        pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->begun);
    pthread_mutex_destroy(&l->lock);
    memset(l, 0, sizeof(*l));
}

void look_begin(struct looks *l, const struct page_batch *b)
{
    const unsigned nr_parts = (b->nr + LOOK_PAGES - 1) / LOOK_PAGES;

    if (nr_parts > 1 && l->wants_thread)
        start_thread(l);
    pthread_mutex_lock(&l->lock);
    l->b = b;
    l->nr_parts = nr_parts;
    for (unsigned i = 0; i < nr_parts; i++)
        atomic_store(&l->part[i], FREE);
    if (nr_parts > 1) {
        l->round++;
        pthread_cond_signal(&l->begun);
    }
    pthread_mutex_unlock(&l->lock);
}

static void wait_for(struct looks *l, unsigned part)
{
    while (atomic_load(&l->part[part]) != DONE)
        sched_yield();
}

const struct look *look_part(struct looks *l, unsigned part)
{
    if (take(l, part)) {
        look_at(l, part);
        atomic_store(&l->part[part], DONE);
    } else {
        wait_for(l, part);
    }
    return &l->look[part * LOOK_PAGES];
}

void look_end(struct looks *l)
{
    for (unsigned i = 0; i < l->nr_parts; i++) {
        if (take(l, i))
            atomic_store(&l->part[i], DONE);
        else
            wait_for(l, i);
    }
}
