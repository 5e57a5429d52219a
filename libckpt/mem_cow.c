/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory of a running HVM or PVH guest on a hypervisor with our patch:
 *
 *   arm    a ring of pages shared with Xen; Xen looks for the pages that
 *          others than the guest's vCPUs may write
 *   cut    Xen copies those, and write protects the rest
 *   drain  the guest runs: Xen puts what it is about to write into the ring,
 *          and the rest as we ask for it
 *
 * The pause holds no pass over memory.  Every page comes out of the ring once,
 * as it was at the cut, and goes from there into the image.
 *
 * Afterwards Xen goes on noting which pages are written, so that the next take
 * has to look at those only.  It also keeps whose cut the last one was: if that
 * is not the domain's latest checkpoint, all is looked at.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "guard.h"
#include "mem.h"
#include "page.h"
#include "store.h"
#include "xen_cow.h"
#include "xen_dom.h"
#include "xen_machine.h"
#include "xen_mem.h"

/* Unless another size is asked for, so much of the guest's pages, within these
 * and what Xen has free: we empty the ring faster than a guest can take its
 * first writes, so it is there for the moments in which we do something else.
 * The least is what Xen asks of a ring, 1024 + 64 a vCPU, four times. */
#define SLOTS_SHARE 32u
#define SLOTS_WANTED (1u << 13)
#define SLOTS_MAX (1u << 16)
#define SLOTS_MIN(vcpus) (4u * (1024u + 64u * (vcpus)))
/* How long a guest waits for room while nothing is stored at all: when it shall
 * not wait, until Xen's timer goes off, whatever we are at. */
#define STALL_MS 2000u
#define GIVE_UP_MS 1u

struct cow {
    struct xen_cow *xen;
    unsigned token; /* guard */
    bool since_last; /* the image begins as the latest checkpoint */
    uint64_t seq;   /* records up to here are in the image */
    uint64_t nr_put;
    struct page_batch batch;
};

static int cow_probe(struct xen *x, const struct xen_dom *dom, char *why)
{
    if (dom->type == XEN_TYPE_PV) {
        snprintf(why, 256, "a PV guest's memory cannot be captured on write");
        return -ENOTSUP;
    }
    return xen_cow_probe(x, dom->domid, why);
}

static struct xen_cow_policy policy_of(const struct mem *m)
{
    return (struct xen_cow_policy){
        .ring_mib = m->ring_mib,
        .stall_ms = m->give_up ? GIVE_UP_MS : STALL_MS,
        .give_up = m->give_up,
    };
}

static int check_ring(struct mem *m)
{
    const uint32_t min = SLOTS_MIN(m->dom->nr_vcpus);

    if (!m->ring_mib || m->ring_mib * SLOTS_PER_MIB >= min)
        return 0;
    return fail(m->c, -EINVAL,
                "domain \"%s\": a ring of %u MiB is too small for %u vCPUs; "
                "at least %u.",
                m->dom->name, m->ring_mib, m->dom->nr_vcpus,
                (min + SLOTS_PER_MIB - 1) / SLOTS_PER_MIB);
}

/* A ring as large as wanted, or as large as Xen has memory for. */
static int attach(struct mem *m, uint32_t nr_slots)
{
    const struct xen_cow_policy policy = policy_of(m);
    const uint32_t asked = m->ring_mib * SLOTS_PER_MIB;
    const uint32_t least = asked ? asked : SLOTS_WANTED;
    const uint32_t most = asked > SLOTS_MAX ? asked : SLOTS_MAX;
    uint32_t min = SLOTS_MIN(m->dom->nr_vcpus);
    struct cow *w = m->priv;
    int rc;

    if (nr_slots < least)
        nr_slots = least;
    if (nr_slots > most)
        nr_slots = most;
    if (nr_slots < min)
        nr_slots = min;
    for (;;) {
        rc = xen_cow_attach(m->x, m->dom->domid, nr_slots, &policy, &w->xen);
        if (rc != -ENOMEM || nr_slots / 2 < min)
            break;
        nr_slots /= 2;
    }
    say(m->c, "ring of %u pages for what the guest writes", nr_slots);
    return rc;
}

/* What the last take left, for an image that begins as that one's. */
static int resume(struct mem *m)
{
    const struct xen_cow_policy policy = policy_of(m);
    struct cow *w = m->priv;
    char why[256];
    int rc;

    if (!m->head[0])
        return 0;
    rc = xen_cow_find(m->x, m->dom->domid, m->head, &policy, why, &w->xen);
    if (rc)
        return rc;
    if (!w->xen) {
        mem_build_on_none(m, why);
        return 0;
    }
    rc = mem_build_on(m, m->head);
    w->since_last = !rc;
    return rc == -ENOMEM || rc == -ECANCELED ? rc : 0;
}

static int cow_arm(struct mem *m)
{
    uint64_t nr_pages = m->dom->memory_bytes / PAGE_SIZE_BYTES;
    uint32_t nr_listed = 0;
    struct cow *w;
    int rc;

    rc = check_ring(m);
    if (rc)
        return rc;
    w = calloc(1, sizeof(*w));
    if (!w)
        return fail(m->c, -ENOMEM, "memory capture");
    m->priv = w;
    rc = xen_machine_head(m->x, m->dom, &m->machine);
    if (!rc)
        rc = guard_add(m->g, GUARD_COW, m->dom->domid, NULL, &w->token);
    if (!rc)
        rc = resume(m);
    if (!rc && !w->xen)
        rc = attach(m, m->ring_mib ? 0 : (uint32_t)(nr_pages / SLOTS_SHARE));
    if (!rc)
        rc = xen_cow_prepare(w->xen, &nr_listed);
    if (!rc && nr_listed > xen_cow_nr_slots(w->xen) / 2 && !w->since_last) {
        /* A device model or a backend maps much of it: they are copied at the
         * cut, and there must be room for what comes then. */
        rc = xen_cow_detach(w->xen);
        w->xen = NULL;
        if (!rc)
            rc = attach(m, 4 * nr_listed);
        if (!rc)
            rc = xen_cow_prepare(w->xen, &nr_listed);
    }
    if (rc)
        return rc;
    say(m->c, "%u pages are mapped by others", nr_listed);
    return 0;
}

/* Xen keeps what is beyond its bitmaps for nobody, and refuses the cut. */
static bool cow_is_stale(struct mem *m)
{
    struct cow *w = m->priv;
    uint64_t nr_gfns;

    return !xen_nr_gfns(m->x, m->dom->domid, &nr_gfns) &&
           nr_gfns > xen_cow_nr_gfns(w->xen);
}

static int cow_cut(struct mem *m)
{
    struct xen_cow_stats stats;
    struct cow *w = m->priv;
    uint32_t nr_listed;
    int rc;

    rc = xen_cow_begin(w->xen, m->id, w->since_last);
    if (rc == -EAGAIN) {
        /* More was mapped since than the ring holds: maybe no longer. */
        rc = xen_cow_prepare(w->xen, &nr_listed);
        if (!rc)
            rc = xen_cow_begin(w->xen, m->id, w->since_last);
        if (rc == -EAGAIN)
            rc = fail(m->c, rc,
                      "domain \"%s\": %u of its pages are mapped by others, "
                      "more than can be copied at the cut.",
                      m->dom->name, nr_listed);
    }
    if (rc)
        return rc;
    xen_cow_stats(w->xen, &stats);
    m->passes = 1;
    m->pages_in_pause = stats.eager;
    return xen_machine_tail(m->x, m->dom, &m->machine);
}

static int cow_disarm(struct mem *m)
{
    (void)m; /* nothing slows the guest down that drain could do without */
    return 0;
}

/* All records there are go into the image, and the ring is free again. */
static int put_records(struct mem *m)
{
    struct cow *w = m->priv;
    uint64_t seq;
    int rc;

    do {
        seq = w->seq;
        rc = check_cancel(m->c);
        if (!rc)
            rc = xen_cow_records(w->xen, m->dom->name, &w->seq, &w->batch);
        if (!rc && w->batch.nr)
            rc = image_put(m->img, &w->batch);
        if (rc)
            return rc;
        xen_cow_consume(w->xen, w->seq);
        w->nr_put += w->batch.nr;
        progress(m->c, "memory", w->nr_put * PAGE_SIZE_BYTES,
                 m->dom->memory_bytes);
    } while (w->seq != seq);
    return 0;
}

static void report(struct mem *m)
{
    struct ckpt_capture *r = &m->capture;
    struct xen_cow_stats stats;
    struct cow *w = m->priv;

    xen_cow_stats(w->xen, &stats);
    *r = (struct ckpt_capture){
        .ring_bytes =
            (uint64_t)xen_cow_nr_slots(w->xen) * PAGE_SIZE_BYTES,
        .hypercalls = stats.hypercalls,
        .pages_by_write = stats.by_write,
        .pages_by_read = stats.by_read,
        .copied_bytes = stats.copies * PAGE_SIZE_BYTES,
        .waits = stats.stalls,
        .waits_us = stats.stalls_us,
    };
    say(m->c,
        "%llu pages, %llu of them kept in the pause, which Xen had for %llu "
        "us; %llu kept before they were written, %llu asked for; %llu copied; "
        "%llu hypercalls; the guest waited for room %llu times, "
        "%llu us at most",
        (unsigned long long)w->nr_put, (unsigned long long)stats.eager,
        (unsigned long long)stats.paused_us,
        (unsigned long long)stats.by_write, (unsigned long long)stats.by_read,
        (unsigned long long)stats.copies,
        (unsigned long long)stats.hypercalls,
        (unsigned long long)stats.stalls, (unsigned long long)stats.stalls_us);
}

static int cow_drain(struct mem *m)
{
    struct cow *w = m->priv;
    uint64_t gfn = 0;
    int rc = 0;

    while (!rc && gfn < xen_cow_nr_gfns(w->xen)) {
        rc = xen_cow_copy(w->xen, &gfn, PAGE_BATCH);
        if (!rc)
            rc = put_records(m);
    }
    if (!rc)
        rc = put_records(m);
    /* All of that was this cut's, and not another program's. */
    if (!rc)
        rc = xen_cow_check(w->xen);
    if (rc)
        return rc;
    report(m);
    return 0;
}

static void cow_keep(struct mem *m)
{
    struct cow *w = m->priv;

    xen_cow_release(w->xen);
    w->xen = NULL;
    guard_del(m->g, w->token);
    w->token = 0;
}

static void cow_undo(struct mem *m)
{
    struct cow *w = m->priv;

    if (!w)
        return;
    if (!w->xen || !xen_cow_detach(w->xen))
        guard_del(m->g, w->token); /* else the guard does it */
    free(w);
    m->priv = NULL;
}

const struct mem_driver mem_cow = {
    .name = "cow",
    .caps = MEM_CAP_FLAT_CUT,
    .probe = cow_probe,
    .arm = cow_arm,
    .is_stale = cow_is_stale,
    .cut = cow_cut,
    .disarm = cow_disarm,
    .drain = cow_drain,
    .keep = cow_keep,
    .undo = cow_undo,
};
