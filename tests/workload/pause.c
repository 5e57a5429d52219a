/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * witness-pause: how long a guest stood still, by dom0's own clock.
 *
 *   witness-pause DOMID [--gfn G] [--seconds S] [--until-file F] [--every US]
 *   witness-pause DOMID --dump FILE       a flat image of all its memory
 *   witness-pause --file BACKING ...      a witness of this machine
 *
 * Maps the witness's control page and looks at the heartbeat again and again,
 * until SIGTERM, S seconds, the appearance of F, or the end of the domain, and
 * then prints one line of JSON.  "watching" on standard error: it has begun.
 *
 *   beats      5   5   5   6   6                       7   7   8
 *   looks      |   |   |   |   |   |                   |   |   |
 *                          <------------ gap ---------->
 *
 * A gap is the time between the first looks at two beats, so it is off by one
 * look and contains one ordinary beat.  max_look_us is the longest time between
 * two looks: a gap that is not longer may be ours.  open_gap_us is a gap that
 * the end cut off.
 *
 * The frame behind a guest's page may be exchanged under us, by a rollback or
 * a save that came back: after a second without a beat it is mapped again.  The
 * page is let go at the end, and as soon as the domain is dying.
 */
#include "domain.h"
#include "words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_GAPS = 1000,
    LONG_GAP_US = 10000,
    STALL_US = 1000000,
    FILE_CHECK_US = 20000,
    EXIT_WORLD = 99,
};

struct gap {
    uint64_t at_us, us;
};

struct pause {
    const char *domid, *file, *until_file, *dump;
    uint64_t gfn; /* 0: look for it */
    uint64_t seconds, every_us;

    struct domain *domain;
    unsigned char *base; /* of the mapped file */
    size_t base_len;
    const struct fmt_control *control;
    int dump_fd;

    struct gap gaps[MAX_GAPS];
    uint64_t nr_gaps, nr_samples, nr_beats, nr_back, nr_remaps;
    uint64_t max_gap_us, max_look_us, open_gap_us;
    const char *ended;
};

static volatile sig_atomic_t has_signal;

static void on_signal(int sig)
{
    (void)sig;
    has_signal = 1;
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void sleep_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000),
                         .tv_nsec = (long)(us % 1000000) * 1000};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Ends the walk at a control page that beats; else remembers the last one. */
static int see_control(void *arg, uint64_t gfn, const void *page)
{
    const struct fmt_control *c = page;
    struct pause *p = arg;
    uint64_t beat, until;

    if (memcmp(c->magic, FMT_MAGIC, sizeof(c->magic)) || c->gfn != gfn ||
        c->static_sum != fmt_static_sum(c))
        return 0;
    p->gfn = gfn;
    beat = atomic_load(&c->beat);
    for (until = now_us() + STALL_US; now_us() < until; sleep_us(1000)) {
        if (atomic_load(&c->beat) != beat)
            return 1;
    }
    return 0;
}

static int dump_page(void *arg, uint64_t gfn, const void *page)
{
    static const unsigned char zeros[FMT_PAGE];
    struct pause *p = arg;
    ssize_t done;

    if (!memcmp(page, zeros, FMT_PAGE))
        return ftruncate(p->dump_fd, (off_t)((gfn + 1) * FMT_PAGE)) ? -errno
                                                                    : 0;
    done = pwrite(p->dump_fd, page, FMT_PAGE, (off_t)(gfn * FMT_PAGE));
    if (done < 0)
        return -errno;
    return done == FMT_PAGE ? 0 : -EIO;
}

static int dump(struct pause *p)
{
    int rc;

    p->dump_fd = open(p->dump, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (p->dump_fd < 0)
        return -errno;
    rc = domain_walk(p->domain, dump_page, p);
    if (close(p->dump_fd) < 0 && !rc)
        rc = -errno;
    return rc;
}

static int open_file(struct pause *p)
{
    struct stat st;
    void *map;
    int fd;
    int rc;

    fd = open(p->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        rc = -errno;
        goto out;
    }
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        rc = -errno;
        goto out;
    }
    p->base = map;
    p->base_len = (size_t)st.st_size;
    rc = 0;
    for (uint64_t g = 0; !rc && g < p->base_len / FMT_PAGE; g++)
        rc = see_control(p, g, p->base + g * FMT_PAGE);
    rc = 0;
    p->control = (const void *)(p->base + p->gfn * FMT_PAGE);
out:
    close(fd);
    return rc;
}

static int open_witness(struct pause *p)
{
    const void *page;
    int rc = 0;

    if (p->file)
        rc = open_file(p);
    else if (!p->gfn)
        rc = domain_walk(p->domain, see_control, p);
    if (rc < 0)
        return rc;
    if (!p->gfn)
        return -ENOENT;
    if (p->file)
        return 0;
    rc = domain_map(p->domain, p->gfn, &page);
    if (rc)
        return rc;
    p->control = page;
    return memcmp(p->control->magic, FMT_MAGIC, 16) ? -ENOENT : 0;
}

/* After a second without a beat: is it the domain, or only our mapping? */
static void look_again(struct pause *p)
{
    const void *page;

    if (p->file)
        return;
    if (!domain_is_there(p->domain)) {
        p->ended = "domain gone";
        return;
    }
    if (domain_map(p->domain, p->gfn, &page))
        return; /* perhaps the next time */
    domain_unmap(p->domain, p->control);
    p->control = page;
    p->nr_remaps++;
}

static void take_gap(struct pause *p, uint64_t at_us, uint64_t us)
{
    if (us > p->max_gap_us)
        p->max_gap_us = us;
    if (us <= LONG_GAP_US)
        return;
    if (p->nr_gaps < MAX_GAPS)
        p->gaps[p->nr_gaps] = (struct gap){at_us, us};
    p->nr_gaps++;
}

/* One look; returns when the beat it saw was first seen. */
static uint64_t look(struct pause *p, uint64_t *beat, uint64_t beat_us)
{
    uint64_t seen = atomic_load(&p->control->beat);
    uint64_t now = now_us();

    p->nr_samples++;
    if (seen == *beat)
        return beat_us;
    if (seen < *beat) /* put back to an earlier instant */
        p->nr_back++;
    else
        p->nr_beats += seen - *beat;
    take_gap(p, beat_us, now - beat_us);
    *beat = seen;
    return now;
}

static void watch(struct pause *p)
{
    uint64_t start = now_us(), last = start, beat_us = start;
    uint64_t stall_us = start, file_us = start;
    uint64_t beat = atomic_load(&p->control->beat);

    while (!p->ended) {
        uint64_t now;

        sleep_us(p->every_us);
        now = now_us();
        if (now - last > p->max_look_us)
            p->max_look_us = now - last;
        last = now;
        beat_us = look(p, &beat, beat_us);
        if (now - beat_us < STALL_US || beat_us > now) {
            stall_us = now;
        } else if (now - stall_us > STALL_US) {
            look_again(p);
            stall_us = now;
        }
        if (has_signal)
            p->ended = "signal";
        else if (p->seconds && now - start >= p->seconds * 1000000)
            p->ended = "time";
        if (p->until_file && now - file_us > FILE_CHECK_US) {
            file_us = now;
            if (!access(p->until_file, F_OK))
                p->ended = "file";
        }
    }
    p->open_gap_us = last > beat_us ? last - beat_us : 0;
}

static void print_json(const struct pause *p)
{
    uint64_t shown = p->nr_gaps < MAX_GAPS ? p->nr_gaps : MAX_GAPS;

    printf("{\"max_gap_us\":%" PRIu64 ",\"gaps_over_10ms\":[", p->max_gap_us);
    for (uint64_t i = 0; i < shown; i++)
        printf("%s{\"at_us\":%" PRIu64 ",\"us\":%" PRIu64 "}", i ? "," : "",
               p->gaps[i].at_us, p->gaps[i].us);
    printf("],\"nr_gaps_over_10ms\":%" PRIu64 ",\"samples\":%" PRIu64
           ",\"beats\":%" PRIu64 ",\"backward\":%" PRIu64 ",\"remaps\":%" PRIu64
           ",\"max_look_us\":%" PRIu64 ",\"open_gap_us\":%" PRIu64
           ",\"gfn\":%" PRIu64 ",\"ended\":\"%s\"}\n",
           p->nr_gaps, p->nr_samples, p->nr_beats, p->nr_back, p->nr_remaps,
           p->max_look_us, p->open_gap_us, p->gfn, p->ended);
}

static int usage(void)
{
    fputs("usage: witness-pause DOMID|--file BACKING [--gfn G] [--seconds S]\n"
          "                     [--until-file F] [--every US]\n"
          "       witness-pause DOMID --dump FILE\n",
          stderr);
    return -EINVAL;
}

static int parse(struct pause *p, int argc, char **argv)
{
    /* clang-format off */
    const struct { const char *key; uint64_t *nr; const char **word; } rows[] = {
        { "--gfn",        &p->gfn,      NULL           },
        { "--seconds",    &p->seconds,  NULL           },
        { "--every",      &p->every_us, NULL           },
        { "--until-file", NULL,         &p->until_file },
        { "--file",       NULL,         &p->file       },
        { "--dump",       NULL,         &p->dump       },
    };
    /* clang-format on */
    const size_t nr_rows = sizeof(rows) / sizeof(rows[0]);

    p->every_us = 100;
    for (int i = 1; i < argc; i++) {
        size_t r = 0;

        while (r < nr_rows && strcmp(rows[r].key, argv[i]))
            r++;
        if (r < nr_rows && i + 1 < argc) {
            i++;
            if (rows[r].nr)
                *rows[r].nr = strtoull(argv[i], NULL, 0);
            else
                *rows[r].word = argv[i];
        } else if (!p->domid && argv[i][0] >= '0' && argv[i][0] <= '9') {
            p->domid = argv[i];
        } else {
            return usage();
        }
    }
    return !p->domid == !p->file || (p->dump && p->file) ? usage() : 0;
}

/* Looks must not wait behind other work of dom0, if it lets us say so. */
static void be_first(void)
{
    struct sched_param first = {.sched_priority = 20};

    prctl(PR_SET_TIMERSLACK, 1);
    sched_setscheduler(0, SCHED_FIFO, &first);
}

static int run(struct pause *p)
{
    int rc;

    rc = p->file
             ? 0
             : domain_open((uint32_t)strtoul(p->domid, NULL, 0), &p->domain);
    if (rc)
        return rc;
    if (p->dump)
        return dump(p);
    rc = open_witness(p);
    if (rc)
        return rc;
    be_first();
    fprintf(stderr, "witness-pause: watching gfn=0x%" PRIx64 "\n", p->gfn);
    watch(p);
    print_json(p);
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_handler = on_signal};
    static struct pause p;
    int rc;

    if (parse(&p, argc, argv))
        return EXIT_WORLD;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    rc = run(&p);
    if (rc)
        fprintf(stderr, "witness-pause: %s: %s\n", p.file ? p.file : p.domid,
                rc == -ENOENT ? "no witness there" : strerror(-rc));
    if (p.domain)
        domain_unmap(p.domain, p.control);
    if (p.base)
        munmap(p.base, p.base_len);
    domain_close(p.domain);
    return rc ? EXIT_WORLD : 0;
}
