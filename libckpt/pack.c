/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Pages gather in a run while their places are adjacent; a full run is written
 * while the next one is filled:
 *
 *     caller           look at page, put | put ... | put ...
 *     worker, kernel                     | write   | write ...
 *
 * The ways, with the length of a run:
 *
 *   direct  1 MiB    copied aside while they are in the processor's cache, and
 *                    written past the page cache, three runs at a time: by the
 *                    kernel's io_uring, or where there is none by two workers
 *   cached  256 KiB  borrowed, and written by one worker (two would wait for
 *                    each other in the kernel), in short runs so that it can
 *                    begin early
 *   mapped  256 KiB  borrowed, and copied into a mapping of the file, by one
 *                    worker and whoever waits for it
 *
 * Runs end where the place behind them is a multiple of that length.
 *
 * What is less than a run is written by the caller where else a worker would:
 * no thread is started for a few pages.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "large.h"
#include "ring.h"
#include "safe_io.h"

static const struct {
    unsigned run_pages;
    unsigned nr_workers;
} ways[] = {
    [PACK_DIRECT] = {256, PACK_WORKERS},
    [PACK_CACHED] = {64, 1},
    [PACK_MAPPED] = {64, 1},
};

/* Whoever reads it next is the disk: past the caches, from where the disk's
 * reads would take it, and without fetching what was there before. */
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void copy_avx2(char *to,
                                                      const char *from)
{
    for (unsigned at = 0; at < PAGE_SIZE_BYTES; at += 64) {
        const __m256i *a = (const void *)(from + at);
        __m256i *b = (void *)(to + at);
        const __m256i low = _mm256_loadu_si256(a);
        const __m256i high = _mm256_loadu_si256(a + 1);

        _mm256_stream_si256(b, low);
        _mm256_stream_si256(b + 1, high);
    }
}

static void *copy_past_caches(char *to, const char *from)
{
    if (!__builtin_cpu_supports("avx2"))
        return memcpy(to, from, PAGE_SIZE_BYTES);
    copy_avx2(to, from);
    return to;
}

static void end_of_copies(void)
{
    _mm_sfence();
}
#else
static void *copy_past_caches(char *to, const char *from)
{
    return memcpy(to, from, PAGE_SIZE_BYTES);
}

static void end_of_copies(void)
{
}
#endif

static bool is_full(const struct pack *p, const struct pack_run *run)
{
    return (run->first + run->nr) % p->run_pages == 0;
}

static char *place_for(const struct pack_run *run)
{
    return run->copy + ((size_t)run->nr << PAGE_SHIFT_BITS);
}

int pack_init(struct pack *p, enum pack_way way, int fd, int direct_fd)
{
    const size_t run_bytes = (size_t)ways[way].run_pages << PAGE_SHIFT_BITS;

    memset(p, 0, sizeof(*p));
    p->way = way;
    p->fd = fd;
    p->direct_fd = direct_fd;
    p->run_pages = ways[way].run_pages;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    if (way == PACK_MAPPED)
        return mapped_init(&p->mapped, fd);
    if (way == PACK_CACHED)
        return 0;
    /* Else the kernel looks up each small page of each write. */
    p->room = large_alloc(PACK_RUNS * run_bytes);
    for (unsigned i = 0; p->room && i < PACK_RUNS; i++)
        p->run[i].copy = p->room + i * run_bytes;
    if (p->room)
        p->ring = ring_open(PACK_RUNS, p->room, PACK_RUNS * run_bytes);
    return p->room ? 0 : -ENOMEM;
}

/* --- writing ------------------------------------------------------------- */

static int copy_run(const struct pack *p, const struct pack_run *run)
{
    for (unsigned i = 0; i < run->nr; i++)
        mapped_copy(&p->mapped, run->to + ((size_t)i << PAGE_SHIFT_BITS),
                    run->page[i], PAGE_SIZE_BYTES);
    mapped_drain(&p->mapped);
    return 0;
}

static int write_run(const struct pack *p, const struct pack_run *run)
{
    const off_t at = (off_t)run->first << PAGE_SHIFT_BITS;
    struct iovec iov[PACK_RUN_PAGES];
    int nr = 0;

    if (p->way == PACK_MAPPED)
        return copy_run(p, run);
    for (unsigned i = 0; i < run->nr; i++)
        nr = safe_iov_add(iov, nr, run->page[i], PAGE_SIZE_BYTES);
    return safe_pwritev_all(p->way == PACK_DIRECT ? p->direct_fd : p->fd, iov,
                            nr, at);
}

/* Writes the run that waits longest.  The lock is held, but not meanwhile. */
static void write_next(struct pack *p)
{
    struct pack_run *run = &p->run[p->queue[p->queue_at]];
    int rc = p->error;

    p->queue_at = (p->queue_at + 1) % PACK_RUNS;
    p->nr_queued--;
    pthread_mutex_unlock(&p->lock);
    if (!rc)
        rc = write_run(p, run);
    pthread_mutex_lock(&p->lock);
    if (rc && !p->error)
        p->error = rc;
    run->is_busy = false;
    pthread_cond_broadcast(&p->done);
}

static void *worker_main(void *arg)
{
    struct pack *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->nr_queued && !p->is_ending)
            pthread_cond_wait(&p->work, &p->lock);
        if (!p->nr_queued)
            break;
        write_next(p);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Workers take no signals: those are the caller's.  Fewer than wanted, or
 * none, are enough. */
static void start_workers(struct pack *p)
{
    const unsigned wanted = ways[p->way].nr_workers;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->nr_workers < wanted &&
           !pthread_create(&p->worker[p->nr_workers], NULL, worker_main, p))
        p->nr_workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The first error stays.  Returns @rc. */
static int note(struct pack *p, int rc)
{
    if (!rc)
        return 0;
    pthread_mutex_lock(&p->lock);
    if (!p->error)
        p->error = rc;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* A copied run goes to the ring, or is written at once. */
static void begin_write(struct pack *p, struct pack_run *run)
{
    const unsigned bytes = run->nr << PAGE_SHIFT_BITS;

    run->is_busy = !ring_write(p->ring, p->direct_fd, run->copy, bytes,
                                    (uint64_t)run->first << PAGE_SHIFT_BITS,
                                    p->at);
    if (!run->is_busy)
        note(p, write_run(p, run));
}

/* What the ring left undone, plain writes do, or fail with a better reason. */
static int wait_for_ring(struct pack *p, const struct pack_run *run)
{
    unsigned which;
    int done, rc;

    while (run->is_busy) {
        rc = ring_wait(p->ring, &which, &done);
        if (rc)
            return note(p, rc);
        p->run[which].is_busy = false;
        if (done != (int)(p->run[which].nr << PAGE_SHIFT_BITS))
            note(p, write_run(p, &p->run[which]));
    }
    return p->error;
}

static int wait_for(struct pack *p, const struct pack_run *run)
{
    int rc;

    if (p->ring)
        return wait_for_ring(p, run);
    if (!p->nr_workers)
        return p->error;
    pthread_mutex_lock(&p->lock);
    while (run->is_busy) {
        if (p->way == PACK_MAPPED && p->nr_queued)
            write_next(p);
        else
            pthread_cond_wait(&p->done, &p->lock);
    }
    rc = p->error;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* A full run goes to a worker; what is less is written at once. */
static void hand_over(struct pack *p, struct pack_run *run)
{
    if (is_full(p, run) && run->nr > p->run_pages / 2 && !p->nr_workers)
        start_workers(p);
    if (!is_full(p, run) || !p->nr_workers) {
        note(p, write_run(p, run));
        return;
    }
    pthread_mutex_lock(&p->lock);
    run->is_busy = true;
    p->queue[(p->queue_at + p->nr_queued++) % PACK_RUNS] = p->at;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

/* Ends the run at hand and begins the next, empty one. */
static int submit(struct pack *p)
{
    struct pack_run *run = &p->run[p->at];
    int rc;

    if (!run->nr)
        return 0;
    end_of_copies();
    if (p->ring)
        begin_write(p, run);
    else
        hand_over(p, run);
    p->at = (p->at + 1) % PACK_RUNS;
    rc = wait_for(p, &p->run[p->at]);
    p->run[p->at].nr = 0;
    return rc;
}

int pack_drain(struct pack *p)
{
    int rc = submit(p);

    for (unsigned i = 0; i < PACK_RUNS; i++) {
        int r = wait_for(p, &p->run[i]);

        rc = rc ? rc : r;
    }
    return rc;
}

int pack_flush(struct pack *p)
{
    int rc;

    if (p->room)
        return 0;
    rc = pack_drain(p);
    for (unsigned i = 0; i < PACK_RUNS; i++)
        p->run[i].nr = 0;
    return rc;
}

int pack_write(struct pack *p, const void *data, size_t len_bytes,
               uint64_t offset)
{
    return p->way == PACK_MAPPED
               ? mapped_write(&p->mapped, data, len_bytes, offset)
               : safe_pwrite_all(p->fd, data, len_bytes, (off_t)offset);
}

int pack_harden(struct pack *p)
{
    if (p->way == PACK_MAPPED)
        return mapped_harden(&p->mapped);
    return fdatasync(p->fd) < 0 ? -errno : 0;
}

void pack_fini(struct pack *p)
{
    if (!p->run_pages)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->nr_workers; i++)
        pthread_join(p->worker[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    mapped_fini(&p->mapped);
    ring_close(p->ring);
    large_free(p->room, PACK_RUNS * ((size_t)p->run_pages << PAGE_SHIFT_BITS));
    memset(p, 0, sizeof(*p));
}

/* --- HOT PATH ------------------------------------------------------------ */

int pack_put(struct pack *p, const void *page, uint32_t place)
{
    struct pack_run *run = &p->run[p->at];
    int rc;

    if (run->nr && (place != run->first + run->nr || is_full(p, run))) {
        rc = submit(p);
        if (rc)
            return rc;
        run = &p->run[p->at];
    }
    if (!run->nr) {
        /* A place used before: what is on its way there goes first. */
        rc = place < p->end ? pack_drain(p) : 0;
        if (!rc && p->way == PACK_MAPPED)
            rc = note(p,
                      mapped_at(&p->mapped, (uint64_t)place << PAGE_SHIFT_BITS,
                                &run->to));
        if (rc)
            return rc;
        run->first = place;
    }
    if (place >= p->end)
        p->end = place + 1;
    if (run->copy)
        page = copy_past_caches(place_for(run), page);
    run->page[run->nr++] = page;
    return 0;
}

const void *pack_find(struct pack *p, uint32_t place)
{
    /* The latest first: a place may have been put before. */
    for (unsigned i = 0; i < PACK_RUNS; i++) {
        const struct pack_run *run =
            &p->run[(p->at + PACK_RUNS - i) % PACK_RUNS];

        if (place - run->first < run->nr)
            return run->page[place - run->first];
    }
    return NULL;
}
