/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The ring itself: made and taken away, full, with nobody who empties it, and
 * left behind by a process that died.
 */
#include "cow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xen_ckpt_abi.h"
#include "xen_cow.h"

#define NEVER_MS 600000u /* no watchdog within a test */

static const struct xen_cow_policy policy = {.stall_ms = 1000};

static uint32_t smallest(const struct shot *s)
{
    return 4 * (1024 + 64 * s->dom.nr_vcpus);
}

static struct xen_cow *cut_with(struct shot *s, uint32_t nr_slots,
                                uint32_t stall_ms)
{
    struct xen_cow *cow;
    uint32_t listed;

    need(xen_cow_attach(s->x, s->dom.domid, nr_slots,
                        &(struct xen_cow_policy){.stall_ms = stall_ms}, &cow),
         "attach");
    need(xen_cow_prepare(cow, &listed), "prepare");
    need(xen_cow_begin(cow, "0", false), "begin");
    return cow;
}

int cycle(const char *domain, unsigned long nr)
{
    struct xen_cow *cow;
    static struct shot s;
    uint32_t listed;

    shot_open(&s, domain);
    while (nr--) {
        need(xen_cow_attach(s.x, s.dom.domid, 8192, &policy, &cow), "attach");
        need(xen_cow_prepare(cow, &listed), "prepare");
        if (nr % 2)
            need(xen_cow_begin(cow, "0", false), "begin");
        need(xen_cow_detach(cow), "detach");
    }
    return 0;
}

/* --- full ----------------------------------------------------------------- */

static uint64_t vcpu_time(struct shot *s, uint32_t vcpu)
{
    xc_vcpuinfo_t info;

    if (xc_vcpu_getinfo(s->x->xch, s->dom.domid, vcpu, &info))
        die("BROKEN vCPU %u", vcpu);
    return info.online ? info.cpu_time : UINT64_MAX;
}

/* Does each vCPU get on, within 10 s? */
static bool all_run(struct shot *s)
{
    uint64_t until = now_us() + 10000000, before;
    bool is_running = true;

    for (uint32_t v = 0; v < s->dom.nr_vcpus; v++) {
        before = vcpu_time(s, v);
        while (before != UINT64_MAX && vcpu_time(s, v) < before + 20000000) {
            if (now_us() > until) {
                printf("FAIL vCPU %u stands still\n", v);
                is_running = false;
                break;
            }
            usleep(20000); /* lint: sleep ok: the poll of a loop with a limit */
        }
    }
    return is_running;
}

/* Paused, cut, and the smallest ring has room but for its reserve. */
static struct xen_cow *cut_full(struct shot *s, const char *domain,
                                uint32_t stall_ms, uint64_t *gfn)
{
    struct xen_cow *cow;
    uint64_t was;

    shot_open(s, domain);
    pause_guest(s);
    hash_at_cut(s);
    cow = cut_with(s, smallest(s), stall_ms);
    hash_all(s, s->again);
    *gfn = 0;
    do { /* one call ends early when something else is to be done */
        was = *gfn;
        must(xen_cow_copy(cow, gfn, UINT32_MAX), "copy");
    } while (*gfn != was);
    if (*gfn >= xen_cow_nr_gfns(cow))
        die("BROKEN the ring took all of the domain");
    return cow;
}

/* The guest, let go, waits for room. */
static void wait_stalled(struct shot *s, struct xen_cow *cow)
{
    uint64_t until = now_us() + 60000000;
    struct xen_cow_stats stats;

    go(s);
    do {
        usleep(20000); /* lint: sleep ok: the poll of a loop with a limit */
        xen_cow_stats(cow, &stats);
    } while (!stats.stalls && now_us() < until);
    if (!stats.stalls)
        die("FAIL no vCPU waits for room, after %llu first writes:",
            (unsigned long long)stats.by_write);
}

static void put_all(struct xen_cow *cow, uint64_t *seq)
{
    static struct page_batch b;
    uint64_t was;

    do {
        was = *seq;
        must(xen_cow_records(cow, "it", seq, &b), "records");
        shot_put(&b);
        xen_cow_consume(cow, *seq);
    } while (*seq != was);
}

/* Room is made once the guest waits: it goes on, and nothing is lost. */
int full(const char *domain)
{
    uint64_t gfn, seq = 0;
    struct xen_cow *cow;
    unsigned wrong;
    static struct shot s;

    cow = cut_full(&s, domain, NEVER_MS, &gfn);
    wait_stalled(&s, cow);
    put_all(cow, &seq);
    wrong = !all_run(&s);
    while (gfn < xen_cow_nr_gfns(cow)) {
        must(xen_cow_copy(cow, &gfn, PAGE_BATCH), "copy");
        put_all(cow, &seq);
    }
    put_all(cow, &seq);
    wrong += compare(&s);
    need(xen_cow_detach(cow), "detach");
    printf("%s full\n", wrong ? "FAIL" : "OK");
    return wrong ? 1 : 0;
}

/* The end, while the guest waits: it goes on. */
int full_detach(const char *domain)
{
    struct xen_cow *cow;
    static struct shot s;
    uint64_t gfn;
    bool ok;

    cow = cut_full(&s, domain, NEVER_MS, &gfn);
    wait_stalled(&s, cow);
    need(xen_cow_detach(cow), "detach");
    ok = all_run(&s);
    printf("%s full-detach\n", ok ? "OK" : "FAIL");
    return ok ? 0 : 1;
}

/* --- increments ----------------------------------------------------------- */

static void cut_again(struct shot *s, struct xen_cow *cow, bool since_last)
{
    uint32_t listed;

    must(xen_cow_prepare(cow, &listed), "prepare");
    hash_at_cut(s);
    must(xen_cow_begin(cow, "0", since_last), "begin");
    hash_all(s, s->again);
}

static void put_rest(struct xen_cow *cow, uint64_t gfn, uint64_t *seq)
{
    while (gfn < xen_cow_nr_gfns(cow)) {
        must(xen_cow_copy(cow, &gfn, PAGE_BATCH), "copy");
        put_all(cow, seq);
    }
    put_all(cow, seq);
}

/*
 * All pages, and twice what was written since: by the guest, by who has a
 * mapping from before the first cut, and by a balloon.  Each time the pages
 * that have come so far are the guest's memory.
 */
int increment(const char *domain)
{
    struct xen_cow *cow;
    unsigned wrong = 0;
    static struct shot s;
    uint64_t seq;

    shot_open(&s, domain);
    pause_guest(&s);
    find_victims(&s, "own"); /* changed while the guest runs */
    s.rw = map_frames(&s, s.victim, 4);
    need(xen_cow_attach(s.x, s.dom.domid, 1u << 14,
                        &(struct xen_cow_policy){.stall_ms = NEVER_MS}, &cow),
         "attach");
    for (unsigned i = 0; i < 3; i++) {
        cut_again(&s, cow, i > 0);
        s.is_increment = i > 0;
        go(&s);
        seq = 0;
        put_rest(cow, 0, &seq);
        wrong += compare(&s);
        usleep(200000); /* lint: sleep ok: the guest is to write meanwhile */
        pause_guest(&s);
        memset(s.rw, 0x21 + (int)i, 4 * PAGE_SIZE_BYTES);
        if (i == 0)
            take_away(&s, 4, 12);
        if (i == 1)
            populate(&s, 4, 8);
    }
    populate(&s, 8, 12);
    unmap_frames(&s, s.rw, 4);
    give_back(&s);
    go(&s);
    need(xen_cow_detach(cow), "detach");
    printf("%s increment\n", wrong ? "FAIL" : "OK");
    return wrong ? 1 : 0;
}

/* --- a saver that takes its time ------------------------------------------ */

static volatile sig_atomic_t is_hurried;

static void hurry(int sig)
{
    (void)sig;
    is_hurried = 1;
}

/* The guest, and whoever changes its memory, have @nr_seconds for it, or until
 * SIGUSR1 comes. */
int slow(const char *domain, unsigned long nr_seconds)
{
    const unsigned nr_turns = 20 * (unsigned)nr_seconds;
    uint64_t gfn = 0, seq = 0, until;
    struct xen_cow *cow;
    static struct shot s;
    unsigned wrong;
    uint64_t n;

    shot_open(&s, domain);
    pause_guest(&s);
    hash_at_cut(&s);
    cow = cut_with(&s, 1u << 14, NEVER_MS);
    hash_all(&s, s.again);
    go(&s);
    signal(SIGUSR1, hurry);
    puts("CUT");
    fflush(stdout);
    until = now_us() + nr_seconds * 1000000;
    while (gfn < xen_cow_nr_gfns(cow)) {
        must(xen_cow_copy(cow, &gfn,
                          1 + (uint32_t)(s.dom.memory_bytes / PAGE_SIZE_BYTES /
                                         nr_turns)),
             "copy");
        put_all(cow, &seq);
        if (now_us() < until && !is_hurried)
            usleep(50000); /* lint: sleep ok: slowness is the test */
    }
    put_all(cow, &seq);
    n = changed(&s);
    wrong = compare(&s);
    need(xen_cow_detach(cow), "detach");
    if (n < MAX_VICTIMS)
        die("BROKEN only %llu pages were changed", (unsigned long long)n);
    printf("%s slow: %llu pages changed since the cut\n", wrong ? "FAIL" : "OK",
           (unsigned long long)n);
    return wrong ? 1 : 0;
}

/* --- nobody there --------------------------------------------------------- */

/* The smallest ring, and nothing is saved: Xen must give up, not the guest,
 * and only after it has made the guest wait. */
int stall(const char *domain)
{
    struct page_batch *b = calloc(1, sizeof(*b));
    struct xen_cow_stats stats;
    struct xen_cow *cow;
    uint64_t until, seq, gfn;
    static struct shot s;
    bool ok;
    int rc;

    cow = cut_full(&s, domain, 500, &gfn);
    wait_stalled(&s, cow);
    until = now_us() + 60000000;
    do {
        seq = 0;
        rc = xen_cow_records(cow, domain, &seq, b);
        usleep(50000); /* lint: sleep ok: that nobody saves is the test */
    } while (!rc && now_us() < until);
    xen_cow_stats(cow, &stats);
    ok = rc && stats.stalls && all_run(&s);
    printf("%s after %llu first writes, %llu waits: %s\n", ok ? "OK" : "FAIL",
           (unsigned long long)stats.by_write, (unsigned long long)stats.stalls,
           c.error);
    need(xen_cow_detach(cow), "detach");
    free(b);
    return ok ? 0 : 1;
}

int die_armed(const char *domain)
{
    static struct shot s;

    shot_open(&s, domain);
    cut_with(&s, 8192, 500);
    fflush(NULL);
    raise(SIGKILL);
    return 1;
}

int end(const char *domain)
{
    static struct shot s;

    shot_open(&s, domain);
    return xen_cow_end(s.x->xch, s.dom.domid) ? 1 : 0;
}
