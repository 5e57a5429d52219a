/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Write protects a guest in one of two ways and leaves it so, for measurements
 * in the guest:
 *
 *   xen_arm_tool cow DOMAIN SLOTS   a patched hypervisor's capture: the cut
 *   xen_arm_tool save DOMAIN        all that is pending is saved; goes on noting
 *   xen_arm_tool written DOMAIN     first writes since the cut; fails when lost
 *   xen_arm_tool log DOMAIN         stock log-dirty, alone
 *   xen_arm_tool none DOMAIN        ends either
 *
 * Nobody saves between `cow' and `save', so SLOTS must do for what the guest
 * writes, and Xen's reserve.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "xen_cow.h"
#include "xen_dom.h"
#include "xen_mem.h"
#include "xen_private.h"

#define ID "1"

static const struct xen_cow_policy policy = {.stall_ms = 60000};

static struct ckpt c;

static void need(int rc, const char *what)
{
    if (!rc)
        return;
    printf("FAIL %s: %s: %s\n", what, strerror(-rc), c.error);
    exit(1);
}

static void arm(struct xen *x, uint32_t domid, uint32_t nr_slots)
{
    struct xen_cow *cow;
    uint32_t listed;

    need(xen_cow_attach(x, domid, nr_slots, &policy, &cow), "attach");
    need(xen_cow_prepare(cow, &listed), "prepare");
    need(xen_cow_begin(cow, ID, false), "begin");
    xen_cow_release(cow);
}

static struct xen_cow *armed(struct xen *x, uint32_t domid)
{
    struct xen_cow *cow;
    char why[256];

    need(xen_cow_find(x, domid, ID, &policy, why, &cow), "find");
    if (!cow)
        need(-ENOENT, "find");
    return cow;
}

static void save(struct xen *x, uint32_t domid)
{
    static struct page_batch b;
    struct xen_cow *cow = armed(x, domid);
    uint64_t gfn = 0, seq = 0, nr = 0;

    do {
        need(xen_cow_copy(cow, &gfn, PAGE_BATCH), "copy");
        do {
            need(xen_cow_records(cow, "it", &seq, &b), "records");
            xen_cow_consume(cow, seq);
            nr += b.nr;
        } while (b.nr);
    } while (gfn < xen_cow_nr_gfns(cow));
    printf("%llu pages saved\n", (unsigned long long)nr);
    xen_cow_release(cow);
}

static void written(struct xen *x, uint32_t domid)
{
    static struct page_batch b;
    struct xen_cow *cow = armed(x, domid);
    struct xen_cow_stats stats;
    uint64_t seq = 0;

    need(xen_cow_records(cow, "it", &seq, &b), "records");
    xen_cow_stats(cow, &stats);
    printf("%llu first writes, %llu pages at the cut, %llu waits\n",
           (unsigned long long)stats.by_write, (unsigned long long)stats.eager,
           (unsigned long long)stats.stalls);
    if (stats.stalls)
        need(-EAGAIN, "the guest had to wait");
    xen_cow_release(cow);
}

static void log_dirty(struct xen *x, uint32_t domid, bool on)
{
    struct xen_dirty *d;
    uint64_t nr_gfns;

    need(xen_nr_gfns(x, domid, &nr_gfns), "frames");
    need(xen_dirty_new(x, domid, nr_gfns, &d), "log-dirty");
    need(on ? xen_dirty_on(d) : xen_dirty_off(d), "log-dirty");
    xen_dirty_free(d);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 2 ? argv[1] : "";
    struct xen_dom dom;
    struct xen *x;

    if (argc != (!strcmp(verb, "cow") ? 4 : 3)) {
        fprintf(stderr, "usage: xen_arm_tool "
                        "cow DOMAIN SLOTS|{save|written|log|none} DOMAIN\n");
        return 2;
    }
    need(xen_open(&c, &x), "xen");
    need(xen_dom_find(x, argv[2], &dom), argv[2]);
    if (!strcmp(verb, "cow")) {
        arm(x, dom.domid, (uint32_t)strtoul(argv[3], NULL, 10));
    } else if (!strcmp(verb, "save")) {
        save(x, dom.domid);
    } else if (!strcmp(verb, "written")) {
        written(x, dom.domid);
    } else if (!strcmp(verb, "log")) {
        log_dirty(x, dom.domid, true);
    } else if (!strcmp(verb, "none")) {
        /* A stock hypervisor has none to end. */
        xen_cow_end(x->xch, dom.domid);
        log_dirty(x, dom.domid, false);
    } else {
        need(-EINVAL, verb);
    }
    return 0;
}
