/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A writer: goes round its region for ever, one page after the other.
 *
 *          generation g          g or g-1        generation g-1
 *   | page 0 | page 1 | ... | page done % n | ... | ... | page n-1 |
 *                             ^ being written, upwards, word by word
 *
 * Before it writes a page it proves that the page still is, word for word,
 * what it wrote there one round ago, and that its own counter is where it left
 * it.  The sum of each page is also kept on the heap: memory that is not part
 * of the testimony, so the two must come from one instant as well.
 *
 * The stores go through a volatile pointer, so the compiler keeps them in
 * order; x86 does the rest.  Nothing here blocks but the sleep of a rate.
 */
#include "witness.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t *region_page(const struct writer *wr, uint64_t index)
{
    const struct fmt_control *c = wr->w->control;

    return arena_page(wr->w,
                      c->first_region + wr->id * c->region_pages + index);
}

/* Names the words of a page that are not what the last round left there. */
static void tell_page(struct writer *wr, const uint64_t *page, uint64_t index,
                      uint64_t gen, uint64_t seq)
{
    uint64_t instance = wr->w->control->instance;
    uint64_t ident = fmt_ident(wr->id, index);
    uint64_t seed = fmt_seed(instance, ident, gen);
    uint64_t head[] = {FMT_PAGE_MAGIC, instance, ident, gen, seq};
    uint64_t sum = fmt_sum(page, PW_SUM);

    for (size_t k = 0; k < PW_PEER; k++) {
        if (page[k] != head[k]) {
            witness_violation(wr->w, "page-head", ident, head[k], page[k]);
            return;
        }
    }
    for (size_t k = PW_FILL; k < PW_SUM; k++) {
        if (page[k] != fmt_fill(seed, k)) {
            witness_violation(wr->w, "page-fill", ident, fmt_fill(seed, k),
                              page[k]);
            return;
        }
    }
    if (page[PW_SUM] != sum)
        witness_violation(wr->w, "page-sum", ident, sum, page[PW_SUM]);
    else
        witness_violation(wr->w, "page-other", ident, wr->sums[index], sum);
}

static void verify_page(struct writer *wr, const uint64_t *page, uint64_t index,
                        uint64_t gen, uint64_t seq)
{
    uint64_t sum = fmt_sum(page, PW_SUM);

    if (page[PW_GEN] != gen || page[PW_SEQ] != seq || page[PW_SUM] != sum ||
        wr->sums[index] != sum)
        tell_page(wr, page, index, gen, seq);
}

static uint64_t write_page(const struct writer *wr, volatile uint64_t *page,
                           uint64_t index, uint64_t gen, uint64_t seq)
{
    const struct fmt_control *c = wr->w->control;
    uint64_t peer = fmt_peer(wr->id, index, c->nr_writers);
    uint64_t ident = fmt_ident(wr->id, index);
    uint64_t seed = fmt_seed(c->instance, ident, gen);
    uint64_t head[] = {FMT_PAGE_MAGIC,
                       c->instance,
                       ident,
                       gen,
                       seq,
                       atomic_load(&arena_status(wr->w, peer)->done),
                       atomic_load(&c->beat)};
    uint64_t sum = fmt_sum(NULL, 0);

    for (size_t k = 0; k < PW_FILL; k++) {
        sum = fmt_mix(sum, head[k]);
        page[k] = head[k];
    }
    for (size_t k = PW_FILL; k < PW_SUM; k++) {
        uint64_t word = fmt_fill(seed, k);

        sum = fmt_mix(sum, word);
        page[k] = word;
    }
    page[PW_SUM] = sum;
    return sum;
}

static void keep_rate(const struct options *o, uint64_t seq)
{
    uint64_t batch = o->rate_pps / 10 + 1; /* sleep 100 ms at most */

    if (o->rate_pps && seq % batch == 0)
        witness_sleep_us(batch * 1000000 / o->rate_pps);
}

static void *writer_run(void *arg)
{
    struct writer *wr = arg;
    struct fmt_status *status = arena_status(wr->w, wr->id);
    uint64_t n = wr->w->control->region_pages;

    for (uint64_t seq = 1; !atomic_load(&wr->w->is_stopping); seq++) {
        uint64_t index = (seq - 1) % n;
        uint64_t gen = (seq - 1) / n;
        uint64_t *page = region_page(wr, index);
        uint64_t done = atomic_load(&status->done);

        if (done != seq - 1)
            witness_violation(wr->w, "writer-done", wr->id, seq - 1, done);
        if (gen)
            verify_page(wr, page, index, gen - 1, seq - n);
        wr->sums[index] = write_page(wr, page, index, gen, seq);
        atomic_store(&status->done, seq);
        if (gen)
            keep_rate(&wr->w->opt, seq);
    }
    free(wr->sums);
    free(wr);
    return NULL;
}

int writer_start(struct witness *w, uint64_t id)
{
    long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct writer *wr = NULL;
    cpu_set_t cpus;
    int rc;

    wr = calloc(1, sizeof(*wr));
    if (!wr) {
        rc = -ENOMEM;
        goto out;
    }
    wr->w = w;
    wr->id = id;
    wr->sums = calloc(w->control->region_pages, 8);
    if (!wr->sums) {
        rc = -ENOMEM;
        goto out;
    }
    rc = witness_thread(w, writer_run, wr);
    if (rc)
        goto out;
    if (!w->opt.backing && nr_cpus > 0) {
        CPU_ZERO(&cpus);
        CPU_SET(id % (uint64_t)nr_cpus, &cpus);
        /* spread over the vCPUs if we may; testimony is as good without */
        pthread_setaffinity_np(w->threads[w->nr_threads - 1], sizeof(cpus),
                               &cpus);
    }
    wr = NULL;
out:
    if (wr)
        free(wr->sums);
    free(wr);
    return rc;
}
