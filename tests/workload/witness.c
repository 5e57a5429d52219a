/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * witness: a program that runs in a guest and testifies about its memory and
 * disk.  format.h has the invariants; here are the options, the threads and
 * the words on the console.
 *
 *   writer 0..W-1   pages in order, each checked before it is rewritten
 *   beat            a counter dom0 can watch, and stamps of all writers
 *   log             records on the disk that memory knows about
 *   load            writes without testimony
 *   main            once a second: secrets, frames, and a line
 *
 * Usage: witness [KEY=VALUE ...]
 *
 *   writers=0      how many, 0 is one per CPU       mb=16    all regions, MiB
 *   rate=full      or idle, or pages a second and writer
 *   disk=PATH      the log, a file or a bare device logms=10 between records
 *   load=PATH      random writes to this file       loadms=5 between writes
 *   fork=0         1: a child forks and execs       beat=500 microseconds
 *   secs=0         end after so long, 0 never       backing=FILE see arena.c
 *   tickms=1000    between two ticks
 *
 * Says READY once all invariants hold, TICK again and again, VIOLATION with both
 * values when something is not what this program left there.  A violation ends
 * nothing: the count goes on in the control page.  Exit: 0 no violation, 1 some,
 * 99 could not start.
 */
#include "witness.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINES_PER_SECOND = 10,
    PUBLISH_EVERY = 5,
    RATE_IDLE = 20
};

static volatile sig_atomic_t has_signal;

static void on_signal(int sig)
{
    (void)sig;
    has_signal = 1;
}

void witness_say(const char *fmt, ...)
{
    char line[256];
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (len >= (int)sizeof(line))
        len = (int)sizeof(line) - 1;
    if (len > 0 && write(STDOUT_FILENO, line, (size_t)len) < 0)
        return; /* a console that is gone takes nothing from the testimony */
}

void witness_sleep_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000),
                         .tv_nsec = (long)(us % 1000000) * 1000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static uint64_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec;
}

void witness_violation(struct witness *w, const char *what, uint64_t page,
                       uint64_t expected, uint64_t found)
{
    uint64_t nr = atomic_fetch_add(&w->control->violations, 1) + 1;
    uint64_t s = now_s();

    if (atomic_exchange(&w->told_at_s, s) != s)
        atomic_store(&w->told, 0);
    if (atomic_fetch_add(&w->told, 1) >= LINES_PER_SECOND)
        return;
    witness_say("WITNESS VIOLATION what=%s page=0x%" PRIx64
                " expected=0x%" PRIx64 " found=0x%" PRIx64 " nr=%" PRIu64 "\n",
                what, page, expected, found, nr);
}

int witness_thread(struct witness *w, void *(*run)(void *), void *arg)
{
    int rc;

    rc = pthread_create(&w->threads[w->nr_threads], NULL, run, arg);
    if (!rc)
        w->nr_threads++;
    return -rc;
}

static void *beat_run(void *arg)
{
    struct sched_param first = {.sched_priority = 10};
    struct witness *w = arg;
    struct fmt_control *c = w->control;

    /* refused natively; then the beat is as even as the scheduler is */
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
    while (!atomic_load(&w->is_stopping)) {
        for (uint64_t i = 0; i < c->nr_writers; i++)
            atomic_store(&c->seen[i], atomic_load(&arena_status(w, i)->done));
        atomic_store(&c->seen_log, atomic_load(&w->log->done));
        atomic_fetch_add(&c->beat, 1);
        witness_sleep_us(w->opt.beat_us);
    }
    return NULL;
}

static int parse_rate(const char *value, uint64_t *rate_out)
{
    char *end;

    if (!strcmp(value, "full")) {
        *rate_out = 0;
        return 0;
    }
    if (!strcmp(value, "idle")) {
        *rate_out = RATE_IDLE;
        return 0;
    }
    errno = 0;
    *rate_out = strtoull(value, &end, 10);
    return errno || end == value || *end || !*rate_out ? -EINVAL : 0;
}

static int parse_number(const char *value, uint64_t min, uint64_t max,
                        uint64_t *number_out)
{
    char *end;

    errno = 0;
    *number_out = strtoull(value, &end, 10);
    if (errno || end == value || *end || *number_out < min || *number_out > max)
        return -EINVAL;
    return 0;
}

static int parse_word(struct options *o, const char *word)
{
    /* clang-format off */
    const struct { const char *key; uint64_t *to; uint64_t min, max; } nrs[] = {
        { "writers", &o->writers, 0, FMT_MAX_WRITERS },
        { "mb",      &o->mb,      1, 1000            },
        { "beat",    &o->beat_us, 50, 1000000        },
        { "secs",    &o->secs,    0, UINT64_MAX      },
        { "logms",   &o->log_ms,  0, 60000           },
        { "loadms",  &o->load_ms, 0, 60000           },
        { "tickms",  &o->tick_ms, 1, 60000           },
        { "fork",    &o->fork,    0, 1               },
    };
    const struct { const char *key; const char **to; } paths[] = {
        { "disk",    &o->disk    },
        { "load",    &o->load    },
        { "backing", &o->backing },
    };
    /* clang-format on */
    const char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : 0;

    if (!value)
        return -EINVAL;
    value++;
    if (len == 4 && !strncmp(word, "rate", len))
        return parse_rate(value, &o->rate_pps);
    for (size_t i = 0; i < sizeof(nrs) / sizeof(nrs[0]); i++) {
        if (strlen(nrs[i].key) == len && !strncmp(word, nrs[i].key, len))
            return parse_number(value, nrs[i].min, nrs[i].max, nrs[i].to);
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strlen(paths[i].key) == len && !strncmp(word, paths[i].key, len)) {
            *paths[i].to = *value ? value : NULL;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_options(struct options *o, int argc, char **argv)
{
    *o = (struct options){.mb = 16,
                          .beat_us = 500,
                          .log_ms = 10,
                          .load_ms = 5,
                          .tick_ms = 1000};
    for (int i = 1; i < argc; i++) {
        if (parse_word(o, argv[i])) {
            witness_say("WITNESS FAILED option=%s\n", argv[i]);
            return -EINVAL;
        }
    }
    if (!o->writers) {
        long nr = sysconf(_SC_NPROCESSORS_ONLN);

        o->writers = nr < 1 ? 1 : (uint64_t)nr;
    }
    if (o->writers > FMT_MAX_WRITERS)
        o->writers = FMT_MAX_WRITERS;
    return 0;
}

static int start(struct witness *w)
{
    const char *step = "fork";
    int rc;

    rc = w->opt.fork ? load_start_fork() : 0;
    if (!rc) {
        step = "arena";
        rc = arena_open(w);
    }
    if (!rc) {
        step = "beat";
        rc = witness_thread(w, beat_run, w);
    }
    for (uint64_t i = 0; !rc && i < w->opt.writers; i++) {
        step = "writer";
        rc = writer_start(w, i);
    }
    if (!rc && w->opt.disk) {
        step = "disk";
        rc = disklog_start(w);
    }
    if (!rc && w->opt.load) {
        step = "load";
        rc = load_start_disk(w);
    }
    if (rc)
        witness_say("WITNESS FAILED step=%s error=%s\n", step, strerror(-rc));
    return rc;
}

/* The generation that all writers have completed, plus one; 0 at first. */
static uint64_t lowest_gen(const struct witness *w)
{
    uint64_t gen = UINT64_MAX;

    for (uint64_t i = 0; i < w->opt.writers; i++) {
        uint64_t done = atomic_load(&arena_status(w, i)->done);

        if (done / w->control->region_pages < gen)
            gen = done / w->control->region_pages;
    }
    return gen;
}

static void tick(struct witness *w, uint64_t n)
{
    struct fmt_control *c = w->control;
    uint64_t sum = fmt_sum(w->secrets, FMT_WORDS);
    int64_t moved = 0;

    if (sum != c->secrets_sum)
        witness_violation(w, "secrets", ARENA_SECRETS, c->secrets_sum, sum);
    if (fmt_static_sum(c) != c->static_sum)
        witness_violation(w, "control", ARENA_CONTROL, c->static_sum,
                          fmt_static_sum(c));
    if (n % PUBLISH_EVERY == 0)
        moved = arena_publish(w);
    if (moved) {
        atomic_fetch_add(&c->moves, 1);
        witness_say("WITNESS NOTE moved=%" PRId64 " gfn=0x%" PRIx64 "\n", moved,
                    c->gfn);
    }
    witness_say("WITNESS TICK n=%" PRIu64 " gen=%" PRIu64 " beat=%" PRIu64
                " log=%" PRIu64 " violations=%" PRIu64 "\n",
                n, lowest_gen(w), atomic_load(&c->beat),
                atomic_load(&w->log->done), atomic_load(&c->violations));
}

static void testify(struct witness *w)
{
    struct fmt_control *c = w->control;
    uint64_t start_s = now_s();

    while (!has_signal && !lowest_gen(w))
        witness_sleep_us(20000);
    atomic_store(&c->ready, 1);
    witness_say("WITNESS READY gfn=0x%" PRIx64 " writers=%" PRIu64
                " mb=%" PRIu64 " instance=0x%" PRIx64 " secrets=0x%" PRIx64
                "\n",
                c->gfn, c->nr_writers, w->opt.mb, c->instance, c->secrets_sum);
    for (uint64_t n = 1; !has_signal; n++) {
        if (w->opt.secs && now_s() - start_s >= w->opt.secs)
            return;
        witness_sleep_us(w->opt.tick_ms * 1000);
        tick(w, n);
    }
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    static struct witness w;
    uint64_t violations;

    if (parse_options(&w.opt, argc, argv))
        return 99;
    w.arena.pagemap_fd = -1;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (start(&w))
        return 99;
    testify(&w);
    atomic_store(&w.is_stopping, true);
    for (unsigned i = 0; i < w.nr_threads; i++)
        pthread_join(w.threads[i], NULL);
    violations = atomic_load(&w.control->violations);
    witness_say("WITNESS END violations=%" PRIu64 "\n", violations);
    arena_close(&w);
    return violations ? 1 : 0;
}
