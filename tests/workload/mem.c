/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whether the memory in an image is one instant.
 *
 * A writer's `done` says, for each of its pages, which generation and which
 * sequence number an instant must show there; see format.h.  The page being
 * written is checked too: new words, then old words.  What cannot be foretold,
 * the stamps, must be no newer than what they are stamps of, and must not go
 * down when the pages are read in the order they were written in.
 *
 *   index:   0 ... cur-1      cur     cur+1 ... n-1
 *   gen:         g          g | g-1        g-1
 *   order:   n-cur ... n-1            1 ... n-cur-1
 */
#include "check.h"

#include <errno.h>
#include <string.h>

/* One writer's region as it is gone through. */
struct region {
    struct check *c;
    uint64_t writer;
    uint64_t done, cur, gen;
    uint64_t last_peer[FMT_MAX_WRITERS]; /* the newest stamps met so far */
    uint64_t last_beat;
};

static uint64_t arena_index(const struct region *r, uint64_t index)
{
    const struct fmt_control *control = check_control(r->c);

    return control->first_region + r->writer * control->region_pages + index;
}

/* What a page is bound to hold, but for its stamps and its sum. */
struct expected {
    uint64_t head[PW_PEER];
    uint64_t seed;
};

static void expect(const struct region *r, uint64_t index, uint64_t gen,
                   struct expected *e)
{
    const struct fmt_control *control = check_control(r->c);
    uint64_t ident = fmt_ident(r->writer, index);

    e->head[PW_MAGIC] = FMT_PAGE_MAGIC;
    e->head[PW_INSTANCE] = control->instance;
    e->head[PW_IDENT] = ident;
    e->head[PW_GEN] = gen;
    e->head[PW_SEQ] = gen * control->region_pages + index + 1;
    e->seed = fmt_seed(control->instance, ident, gen);
}

/* The first word from @k on that is not as expected; PW_SUM if none. */
static size_t first_other(const struct expected *e, const uint64_t *page,
                          size_t k)
{
    for (; k < PW_PEER; k++) {
        if (page[k] != e->head[k])
            return k;
    }
    for (k = k < PW_FILL ? PW_FILL : k; k < PW_SUM; k++) {
        if (page[k] != fmt_fill(e->seed, k))
            return k;
    }
    return PW_SUM;
}

static void check_stamps(struct region *r, const uint64_t *page, uint64_t index)
{
    const struct fmt_control *control = check_control(r->c);
    uint64_t peer = fmt_peer(r->writer, index, control->nr_writers);
    uint64_t at = arena_index(r, index);
    uint64_t stamp = page[PW_PEER];
    uint64_t beat = page[PW_BEAT];

    if (stamp > r->c->done[peer])
        check_violation(r->c, "peer-ahead", at, r->c->done[peer], stamp);
    if (stamp < r->last_peer[peer])
        check_violation(r->c, "peer-order", at, r->last_peer[peer], stamp);
    if (beat > control->beat)
        check_violation(r->c, "beat-ahead", at, control->beat, beat);
    if (beat < r->last_beat)
        check_violation(r->c, "beat-order", at, r->last_beat, beat);
    r->last_peer[peer] = stamp;
    r->last_beat = beat;
}

static void tell_word(struct region *r, const uint64_t *page, uint64_t index,
                      const struct expected *e, size_t k)
{
    uint64_t word = k < PW_PEER ? e->head[k] : fmt_fill(e->seed, k);
    const char *what = "page-fill";

    if (k < PW_GEN)
        what = "page-ident";
    else if (k == PW_GEN)
        what = "page-gen";
    else if (k == PW_SEQ)
        what = "page-seq";
    check_violation(r->c, what, arena_index(r, index), word, page[k]);
}

/* A page that is wholly of generation @gen. */
static void check_whole(struct region *r, const uint64_t *page, uint64_t index,
                        uint64_t gen)
{
    uint64_t sum = fmt_sum(page, PW_SUM);
    struct expected e;
    size_t k;

    expect(r, index, gen, &e);
    k = first_other(&e, page, 0);
    if (k < PW_SUM)
        tell_word(r, page, index, &e, k);
    else if (page[PW_SUM] != sum)
        check_violation(r->c, "page-sum", arena_index(r, index), sum,
                        page[PW_SUM]);
    else
        check_stamps(r, page, index);
}

/* The page at the step: new up to some word, old from there on. */
static void check_step(struct region *r, const uint64_t *page)
{
    struct expected now, old;
    size_t step, k;

    expect(r, r->cur, r->gen, &now);
    step = first_other(&now, page, 0);
    if (step == PW_GEN) { /* not begun; its stamps are a round older */
        memset(r->last_peer, 0, sizeof(r->last_peer));
        r->last_beat = 0;
        check_whole(r, page, r->cur, r->gen - 1);
        return;
    }
    if (step == PW_SUM) { /* the sum comes last and may not be there yet */
        r->c->in_flight += page[PW_SUM] != fmt_sum(page, PW_SUM);
        check_stamps(r, page, r->cur);
        return;
    }
    r->c->in_flight++;
    expect(r, r->cur, r->gen - 1, &old);
    k = first_other(&old, page, step);
    if (k < PW_SUM)
        tell_word(r, page, r->cur, &old, k);
}

static int check_page(struct region *r, uint64_t index)
{
    uint64_t page[FMT_WORDS];
    int rc;

    rc = check_read(r->c, arena_index(r, index), page);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    if (index == r->cur)
        check_step(r, page);
    else
        check_whole(r, page, index, index < r->cur ? r->gen : r->gen - 1);
    return 0;
}

static int check_region(struct check *c, uint64_t writer)
{
    const struct fmt_control *control = check_control(c);
    uint64_t n = control->region_pages;
    struct region r = {.c = c, .writer = writer, .done = c->done[writer]};
    int rc = 0;

    r.cur = r.done % n;
    r.gen = r.done / n;
    if (!r.gen) { /* ready, so every page was written once */
        check_violation(c, "writer-done", ARENA_STATUS + writer, n, r.done);
        return 0;
    }
    for (uint64_t i = r.cur + 1; !rc && i < n; i++)
        rc = check_page(&r, i);
    for (uint64_t i = 0; !rc && i < r.cur; i++)
        rc = check_page(&r, i);
    if (!rc)
        rc = check_page(&r, r.cur);
    return rc;
}

/* Reads all `done`s first: every stamp is compared with one of them. */
static int read_status(struct check *c)
{
    const struct fmt_control *control = check_control(c);
    _Alignas(64) unsigned char page[FMT_PAGE];
    const struct fmt_status *s = (const void *)page;

    for (uint64_t i = 0; i < control->nr_writers; i++) {
        int rc = check_read(c, ARENA_STATUS + i, page);

        if (rc && rc != -ENOENT)
            return rc;
        if (rc)
            continue;
        if (s->magic != FMT_STATUS_MAGIC)
            check_violation(c, "status", ARENA_STATUS + i, FMT_STATUS_MAGIC,
                            s->magic);
        else if (s->instance != control->instance)
            check_violation(c, "status", ARENA_STATUS + i, control->instance,
                            s->instance);
        else if (s->writer != i)
            check_violation(c, "status", ARENA_STATUS + i, i, s->writer);
        c->done[i] = s->done;
        if (control->seen[i] > s->done)
            check_violation(c, "seen-ahead", ARENA_STATUS + i, s->done,
                            control->seen[i]);
    }
    return 0;
}

static int check_log_page(struct check *c)
{
    const struct fmt_control *control = check_control(c);
    const struct fmt_log *log = check_log(c);
    int rc;

    rc = check_read(c, ARENA_LOG, c->log_page);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    if (log->instance != control->instance)
        check_violation(c, "log-page", ARENA_LOG, control->instance,
                        log->instance);
    if (log->nr_slots > FMT_MAX_SLOTS)
        return -EPROTO;
    if (control->seen_log > log->done)
        check_violation(c, "log-ahead", ARENA_LOG, log->done,
                        control->seen_log);
    if (log->intent != log->done && log->intent != log->done + 1)
        check_violation(c, "log-intent", ARENA_LOG, log->done + 1, log->intent);
    for (uint64_t i = 0; i < control->nr_writers; i++) {
        if (log->stamp[i] > c->done[i])
            check_violation(c, "log-stamp", ARENA_STATUS + i, c->done[i],
                            log->stamp[i]);
    }
    return 0;
}

int mem_check(struct check *c)
{
    const struct fmt_control *control = check_control(c);
    uint64_t secrets[FMT_WORDS];
    uint64_t sum;
    int rc;

    if (control->violations)
        check_violation(c, "in-guest", ARENA_CONTROL, 0, control->violations);
    rc = check_read(c, ARENA_SECRETS, secrets);
    if (rc && rc != -ENOENT)
        return rc;
    sum = rc ? 0 : fmt_sum(secrets, FMT_WORDS);
    if (sum != control->secrets_sum)
        check_violation(c, "secrets", ARENA_SECRETS, control->secrets_sum, sum);
    rc = read_status(c);
    if (!rc)
        rc = check_log_page(c);
    for (uint64_t i = 0; !rc && i < control->nr_writers; i++)
        rc = check_region(c, i);
    return rc;
}
