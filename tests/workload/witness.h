/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_H
#define WITNESS_H
/*
 * The parts of the witness program.  One struct witness, filled by main before
 * any thread starts and read-only from then on but for its atomics; the arena
 * it points to is the testimony itself.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "words.h"

struct options {
    uint64_t writers;  /* 0: one per CPU */
    uint64_t mb;       /* all regions together */
    uint64_t rate_pps; /* pages a second and writer, 0: as fast as it goes */
    uint64_t beat_us;
    uint64_t secs; /* 0: for ever */
    uint64_t log_ms, load_ms, tick_ms;
    uint64_t fork;
    const char *disk, *load, *backing;
};

struct arena {
    unsigned char *base;
    uint64_t nr_pages;
    int pagemap_fd; /* -1: frames are file positions */
    uint64_t *entries;
};

struct witness {
    struct options opt;
    struct arena arena;
    struct fmt_control *control;
    struct fmt_log *log;
    uint64_t *secrets;
    uint64_t *root;
    pthread_t threads[FMT_MAX_WRITERS + 3];
    unsigned nr_threads;
    _Atomic bool is_stopping;
    _Atomic uint64_t told_at_s, told; /* the limit on console lines */
};

struct writer {
    struct witness *w;
    uint64_t id;
    uint64_t *sums; /* outside the arena: a second memory of each page */
};

/* witness.c */

/* Counts and, within a limit, prints a broken invariant.  Any thread. */
void witness_violation(struct witness *w, const char *what, uint64_t page,
                       uint64_t expected, uint64_t found);
/* Prints one line with one write.  Any thread. */
void witness_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Sleeps by the clock that a pause does not hurry. */
void witness_sleep_us(uint64_t us);
/* Starts a thread that lives as long as the program. */
int witness_thread(struct witness *w, void *(*run)(void *), void *arg);

/* arena.c */

/* Takes the memory, locks it, fills the fixed parts and publishes frames. */
int arena_open(struct witness *w);
/* Publishes the frames again if any has moved: how many, or -errno. */
int64_t arena_publish(struct witness *w);
void arena_close(struct witness *w);
static inline void *arena_page(const struct witness *w, uint64_t index)
{
    return w->arena.base + index * FMT_PAGE;
}
static inline struct fmt_status *arena_status(const struct witness *w,
                                              uint64_t writer)
{
    return arena_page(w, ARENA_STATUS + writer);
}

/* writer.c, disklog.c, load.c: started once each, before READY. */
int writer_start(struct witness *w, uint64_t id);
int disklog_start(struct witness *w);
int load_start_disk(struct witness *w);
/* Before arena_open(): the child shares none of the arena. */
int load_start_fork(void);

#endif
