/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The patched hypervisor's capture (xen_ckpt_abi.h): its operations, and the
 * ring as this process maps it.  Hypercalls per take: a constant, and one per
 * batch of pages asked for.
 *
 * What Xen writes into the ring is trusted as Xen is; what we write there is
 * checked by Xen.
 */
#include "xen_cow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "xen_ckpt_abi.h"
#include "xen_mem.h"
#include "xen_private.h"

#include <xenevtchn.h> /* needs xenctrl.h before it */

#define POOL_SLACK (1u << 20)

struct xen_cow {
    struct xen *x; /* borrowed */
    uint32_t domid;
    struct xen_ckpt_op info; /* as attach, find or begin answered */
    bool is_taken; /* the domain has another ring now, or none */
    xenforeignmemory_resource_handle *resource;
    struct xen_ckpt_ring *ring;
    const uint64_t *desc;    /* by slot */
    const char *slots;
    xenevtchn_handle *evtchn;
    xenevtchn_port_or_error_t port; /* ours, or -1 */
    struct xen_cow_policy policy;
    uint64_t nr_read, nr_copies; /* records */
    uint64_t room_us; /* when it was last seen that nobody waits */
    uint64_t stalls_us;
};

/* -errno, with nothing said.  Longer operations are preempted inside. */
static int domctl(xc_interface *xch, uint32_t domid, struct xen_ckpt_op *op)
{
    struct xen_domctl ctl = {
        .cmd = XEN_CKPT_DOMCTL,
        .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
        .domain = (domid_t)domid,
    };

    _Static_assert(sizeof(*op) <= sizeof(ctl.u), "the domctl's argument");
    op->abi = XEN_CKPT_ABI;
    memcpy(&ctl.u, op, sizeof(*op));
    if (xc_domctl(xch, &ctl)) /* -1 with errno */
        return errno ? -errno : -EIO;
    memcpy(op, &ctl.u, sizeof(*op));
    return 0;
}

static int call(struct xen *x, uint32_t domid, struct xen_ckpt_op *op)
{
    x->nr_cow_calls++;
    return domctl(x->xch, domid, op);
}

int xen_cow_end(xc_interface *xch, uint32_t domid)
{
    struct xen_ckpt_op op = { .op = XEN_CKPT_OP_DETACH };
    int rc = domctl(xch, domid, &op);

    if (rc)
        errno = -rc;
    return rc ? -1 : 0;
}

int xen_cow_probe(struct xen *x, uint32_t domid, char *why)
{
    struct xen_ckpt_op op = { .op = XEN_CKPT_OP_QUERY };

    switch (call(x, domid, &op)) {
    case 0:
        return 0;
    case -EOPNOTSUPP:
        snprintf(why, 256,
                 "the hypervisor's copy-on-write patch is of another version");
        return -ENOTSUP;
    case -EPERM:
    case -EACCES:
        snprintf(why, 256,
                 "the hypervisor's security policy does not allow it");
        return -ENOTSUP;
    default:
        snprintf(why, 256, "the hypervisor has no copy-on-write patch");
        return -ENOTSUP;
    }
}

static int map_ring(struct xen_cow *cow)
{
    const struct xen_ckpt_op *i = &cow->info;
    void *base = NULL;

    /* Offsets come from the hypervisor; still, a wrong one must not make us
     * read somewhere else. */
    if (!i->nr_slots || i->slot_frame > i->nr_frames ||
        i->nr_slots > i->nr_frames - i->slot_frame ||
        i->nr_slots > (i->slot_frame - 1) * (PAGE_SIZE_BYTES / 8))
        return fail(cow->x->c, -EPROTO,
                    "domain %u: the hypervisor's ring makes no sense",
                    cow->domid);
    cow->resource = xenforeignmemory_map_resource(
        cow->x->fmem, (domid_t)cow->domid, XEN_CKPT_RESOURCE, 0, 0,
        i->nr_frames, &base, PROT_READ | PROT_WRITE, 0);
    if (!cow->resource)
        return fail(cow->x->c, errno ? -errno : -EIO,
                    "domain %u: mapping the hypervisor's ring of %u MiB",
                    cow->domid, i->nr_frames / 256);
    cow->ring = base;
    cow->desc = (uint64_t *)((char *)base + PAGE_SIZE_BYTES);
    cow->slots = (char *)base + (size_t)i->slot_frame * PAGE_SIZE_BYTES;
    return 0;
}

static int bind_port(struct xen_cow *cow)
{
    cow->x->nr_cow_calls++;
    cow->evtchn = xenevtchn_open(NULL, 0);
    if (cow->evtchn)
        cow->port = xenevtchn_bind_interdomain(cow->evtchn, cow->domid,
                                               cow->info.port);
    if (!cow->evtchn || cow->port < 0)
        return fail(cow->x->c, errno ? -errno : -EIO,
                    "domain %u: the event channel of its capture",
                    cow->domid);
    return 0;
}

/* The tables that first writes need come out of the domain's own pool, which
 * somebody may have made small: a table per 2 MiB, at worst. */
static int grow_pool(struct xen *x, uint32_t domid)
{
    xc_domaininfo_t info;
    uint64_t size;

    x->nr_cow_calls += 3;
    if (!xen_domain_info(x->xch, domid, &info) ||
        xc_get_paging_mempool_size(x->xch, domid, &size))
        return errno ? -errno : -EIO;
    size += info.tot_pages / 512 * XC_PAGE_SIZE + POOL_SLACK;
    size &= ~(uint64_t)(POOL_SLACK - 1);
    return xc_set_paging_mempool_size(x->xch, domid, size) ? -errno : 0;
}

static int attach(struct xen *x, uint32_t domid, struct xen_ckpt_op *op)
{
    const struct xen_ckpt_op ask = *op;
    int rc;

    rc = call(x, domid, op);
    if (rc == -EEXIST) {
        /* Of a process that died, or has another store and no lock of ours: it
         * will see that it has lost it. */
        *op = (struct xen_ckpt_op){ .op = XEN_CKPT_OP_DETACH };
        rc = call(x, domid, op);
        *op = ask;
        rc = rc ? rc : call(x, domid, op);
    }
    if (rc == -ENOSPC && !grow_pool(x, domid)) {
        *op = ask;
        rc = call(x, domid, op);
    }
    return rc;
}

static int attach_failed(struct xen *x, uint32_t domid, int rc, uint32_t slots)
{
    switch (rc) {
    case -EOPNOTSUPP:
        return fail(x->c, -ENOTSUP,
                    "the hypervisor's copy-on-write patch does not work for "
                    "a domain with passthrough, nested virtualisation, altp2m "
                    "or memory that is populated on demand");
    case -ENOMEM:
        return fail(x->c, rc,
                    "domain %u: Xen has not the %u MiB free that the ring of "
                    "its capture wants.",
                    domid, slots / 256);
    default:
        return fail(x->c, rc, "domain %u: capturing its memory", domid);
    }
}

static struct xen_cow *new_cow(struct xen *x, uint32_t domid,
                               const struct xen_cow_policy *policy)
{
    struct xen_cow *cow = calloc(1, sizeof(*cow));

    if (!cow) {
        fail(x->c, -ENOMEM, "memory capture");
        return NULL;
    }
    cow->x = x;
    cow->domid = domid;
    cow->policy = *policy;
    cow->port = -1;
    return cow;
}

/* Ended and freed if it cannot be. */
static int open_cow(struct xen_cow *cow)
{
    int rc;

    rc = map_ring(cow);
    if (!rc)
        rc = bind_port(cow);
    if (rc)
        xen_cow_detach(cow);
    return rc;
}

/* What Xen keeps to tell whose cut the last one was: an id is 16 digits. */
static uint64_t cookie_of(const char *id)
{
    return strtoull(id, NULL, 16);
}

/* And how its ring was made.  Rings of before have 0, which is no policy. */
static uint64_t cookie_of_policy(const struct xen_cow_policy *p)
{
    return (uint64_t)p->ring_mib << 32 | p->stall_ms;
}

int xen_cow_attach(struct xen *x, uint32_t domid, uint32_t nr_slots,
                   const struct xen_cow_policy *policy,
                   struct xen_cow **cow_out)
{
    struct xen_cow *cow;
    int rc;

    *cow_out = NULL;
    cow = new_cow(x, domid, policy);
    if (!cow)
        return -ENOMEM;
    cow->info = (struct xen_ckpt_op){
        .op = XEN_CKPT_OP_ATTACH,
        .nr_slots = nr_slots,
        .stall_ms = policy->stall_ms,
    };
    rc = attach(x, domid, &cow->info);
    if (rc) {
        free(cow);
        return attach_failed(x, domid, rc, nr_slots);
    }
    rc = open_cow(cow);
    if (!rc)
        *cow_out = cow;
    return rc;
}

static bool is_as_wanted(const struct xen_ckpt_op *op,
                         const struct xen_cow_policy *want)
{
    const struct xen_cow_policy is = {
        .ring_mib = want->ring_mib ? (uint32_t)(op->cookie[1] >> 32) : 0,
        .stall_ms = (uint32_t)op->cookie[1],
    };

    return cookie_of_policy(&is) == cookie_of_policy(want);
}

int xen_cow_find(struct xen *x, uint32_t domid, const char *id,
                 const struct xen_cow_policy *policy, char *why,
                 struct xen_cow **cow_out)
{
    struct xen_ckpt_op op = { .op = XEN_CKPT_OP_QUERY };
    struct xen_cow *cow;
    uint64_t nr_gfns;
    int rc;

    *cow_out = NULL;
    snprintf(why, 256, "what was written since the last checkpoint was not "
                       "noted");
    rc = call(x, domid, &op);
    if (!rc && op.nr_frames) {
        x->nr_cow_calls++;
        rc = xen_nr_gfns(x, domid, &nr_gfns);
    }
    if (rc || !op.nr_frames)
        return 0; /* what attach will say counts */
    if (op.cookie[0] != cookie_of(id) || nr_gfns > op.nr_gfns ||
        !is_as_wanted(&op, policy)) {
        if (op.cookie[0] == cookie_of(id) && nr_gfns <= op.nr_gfns)
            snprintf(why, 256, "the ring of the last checkpoint was of another "
                               "size, or for another --when-full");
        x->nr_cow_calls++;
        xen_cow_end(x->xch, domid);
        return 0;
    }
    cow = new_cow(x, domid, policy);
    if (!cow)
        return -ENOMEM;
    cow->policy.ring_mib = (uint32_t)(op.cookie[1] >> 32);
    cow->info = op;
    /* Somebody may have it still, who stands by, say: then a new one it is. */
    if (!open_cow(cow))
        *cow_out = cow;
    return 0;
}

static int taken(struct xen_cow *cow)
{
    cow->is_taken = true;
    return fail(cow->x->c, -ESTALE,
                "domain %u: another program has begun to capture its memory, "
                "so this capture is given up. Try again.",
                cow->domid);
}

/* A domain has one ring, and the domain is all that an operation names: what we
 * map may be one that another program has replaced since. */
int xen_cow_check(struct xen_cow *cow)
{
    struct xen_ckpt_op op = { .op = XEN_CKPT_OP_QUERY };
    int rc;

    rc = call(cow->x, cow->domid, &op);
    if (rc)
        return fail(cow->x->c, rc, "domain %u: its capture", cow->domid);
    if (op.nr_frames && op.epoch == cow->info.epoch &&
        op.cookie[0] == cow->info.cookie[0] && op.port == cow->info.port)
        return 0;
    return taken(cow);
}

int xen_cow_prepare(struct xen_cow *cow, uint32_t *listed_out)
{
    struct xen_ckpt_op op = { .op = XEN_CKPT_OP_PREPARE };
    int rc;

    rc = call(cow->x, cow->domid, &op);
    if (rc)
        return fail(cow->x->c, rc, "domain %u: preparing its capture",
                    cow->domid);
    *listed_out = op.nr_listed;
    return 0;
}

int xen_cow_begin(struct xen_cow *cow, const char *id, bool since_last)
{
    struct xen_ckpt_op op = {
        .op = XEN_CKPT_OP_BEGIN,
        .flags = since_last ? XEN_CKPT_INCREMENTAL : 0,
        .cookie = { cookie_of(id), cookie_of_policy(&cow->policy) },
    };
    int rc;

    rc = xen_cow_check(cow);
    if (rc)
        return rc;
    cow->room_us = now_us();
    cow->ring->paused_ns = 0;
    rc = call(cow->x, cow->domid, &op);
    if (rc == -EILSEQ || rc == -EAGAIN)
        return -EAGAIN;
    if (rc)
        return fail(cow->x->c, rc, "domain %u: the cut", cow->domid);
    cow->info.epoch = op.epoch;
    memcpy(cow->info.cookie, op.cookie, sizeof(op.cookie));
    /* No cut takes no time: Xen has written this into another ring. */
    return cow->ring->paused_ns ? 0 : taken(cow);
}

static void unmap(struct xen_cow *cow)
{
    if (cow->evtchn)
        xenevtchn_close(cow->evtchn);
    if (cow->resource)
        xenforeignmemory_unmap_resource(cow->x->fmem, cow->resource);
}

void xen_cow_release(struct xen_cow *cow)
{
    unmap(cow);
    free(cow);
}

int xen_cow_detach(struct xen_cow *cow)
{
    int rc;

    if (!cow)
        return 0;
    cow->x->nr_cow_calls++;
    rc = !cow->is_taken && xen_cow_end(cow->x->xch, cow->domid) ? -errno : 0;
    unmap(cow);
    if (rc && rc != -ESRCH) /* the domain is gone, and its ring with it */
        rc = fail(cow->x->c, rc, "domain %u: ending its capture", cow->domid);
    else
        rc = 0;
    free(cow);
    return rc;
}

static uint64_t produced(const struct xen_cow *cow)
{
    return __atomic_load_n(&cow->ring->prod, __ATOMIC_ACQUIRE);
}

/* Of the records from @seq on those of frames in [@from, @to). */
static uint64_t count_between(const struct xen_cow *cow, uint64_t seq,
                              uint64_t from, uint64_t to)
{
    const uint64_t prod = produced(cow);
    uint64_t nr = 0, gfn;

    for (; seq < prod; seq++) {
        gfn = cow->desc[seq % cow->info.nr_slots] & ~XEN_CKPT_FLAGS;
        nr += gfn >= from && gfn < to;
    }
    return nr;
}

int xen_cow_copy(struct xen_cow *cow, uint64_t *gfn, uint32_t nr_pages)
{
    struct xen_ckpt_op op = {
        .op = XEN_CKPT_OP_COPY,
        .nr_pages = nr_pages,
        .gfn = *gfn,
    };
    uint64_t seq;
    int rc;

    seq = produced(cow);
    rc = call(cow->x, cow->domid, &op);
    if (rc)
        return fail(cow->x->c, rc, "domain %u: reading its memory",
                    cow->domid);
    /* One that the guest wrote meanwhile, right here, may be among them. */
    cow->nr_read += count_between(cow, seq, *gfn, op.gfn);
    *gfn = op.gfn;
    return 0;
}

uint64_t xen_cow_nr_gfns(const struct xen_cow *cow)
{
    return cow->info.nr_gfns;
}

uint32_t xen_cow_nr_slots(const struct xen_cow *cow)
{
    return cow->info.nr_slots;
}

static int no_room(const struct xen_cow *cow, const char *domain)
{
    const unsigned ring_mib = cow->info.nr_slots / SLOTS_PER_MIB;

    if (cow->policy.give_up)
        return fail(cow->x->c, -ENOBUFS,
                    "domain \"%s\": it wrote faster than the store took it, and "
                    "the ring of %u MiB is full. The checkpoint is given up, "
                    "as --when-full=give-up asks for, and the guest runs on; a "
                    "larger --ring, a faster store or --when-full=wait helps.",
                    domain, ring_mib);
    return fail(cow->x->c, -ENOBUFS,
                "domain \"%s\": it waited %u s for room in the ring of %u MiB, "
                "and the store took nothing. The checkpoint is given up, and "
                "the guest runs on; a larger --ring or a faster store helps.",
                domain, cow->policy.stall_ms / 1000, ring_mib);
}

static int lost(const struct xen_cow *cow, const char *domain, uint32_t why)
{
    switch (why) {
    case XEN_CKPT_LOST_STALL:
        return no_room(cow, domain);
    case XEN_CKPT_LOST_FULL:
        return fail(cow->x->c, -ENOBUFS,
                    "domain \"%s\": others than the guest, who cannot be made "
                    "to wait, wrote its memory, and the ring of %u MiB is "
                    "full. The checkpoint is given up, and the guest runs on; "
                    "a larger --ring helps.",
                    domain, cow->info.nr_slots / SLOTS_PER_MIB);
    default:
        return fail(cow->x->c, -EIO,
                    "domain \"%s\": the capture was given up, because %s. The "
                    "guest runs on.",
                    domain,
                    why == XEN_CKPT_LOST_PAGE
                        ? "a page vanished, which must not happen"
                        : "of a reason of Xen's");
    }
}

int xen_cow_records(struct xen_cow *cow, const char *domain, uint64_t *seq,
                    struct page_batch *b)
{
    uint64_t prod = produced(cow);
    uint32_t why = __atomic_load_n(&cow->ring->lost, __ATOMIC_ACQUIRE);
    uint64_t slot, desc;

    b->nr = 0;
    if (why)
        return lost(cow, domain, why);
    if (cow->policy.give_up && cow->ring->stalls)
        return no_room(cow, domain);
    for (; *seq < prod && b->nr < PAGE_BATCH; ++*seq) {
        slot = *seq % cow->info.nr_slots;
        desc = cow->desc[slot];
        cow->nr_copies += !(desc & (XEN_CKPT_ABSENT | XEN_CKPT_ZERO));
        if (desc & XEN_CKPT_XEN_PAGE)
            continue;
        b->gfn[b->nr] = desc & ~XEN_CKPT_FLAGS;
        b->type[b->nr] =
            desc & XEN_CKPT_ABSENT ? PAGE_TYPE_ABSENT : PAGE_TYPE_NORMAL;
        b->data[b->nr++] = desc & (XEN_CKPT_ABSENT | XEN_CKPT_ZERO)
                               ? NULL
                               : cow->slots + slot * PAGE_SIZE_BYTES;
    }
    return 0;
}

void xen_cow_consume(struct xen_cow *cow, uint64_t seq)
{
    const uint64_t now = now_us();

    __atomic_store_n(&cow->ring->cons, seq, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&cow->ring->stalled, __ATOMIC_SEQ_CST)) {
        /* Who waits goes on by this and by nothing else. */
        cow->x->nr_cow_calls++;
        cow->stalls_us += now - cow->room_us;
        xenevtchn_notify(cow->evtchn, (evtchn_port_t)cow->port);
    }
    cow->room_us = now;
}

void xen_cow_stats(const struct xen_cow *cow, struct xen_cow_stats *stats_out)
{
    const uint64_t eager = cow->ring->eager;

    *stats_out = (struct xen_cow_stats){
        .eager = eager,
        .by_write = produced(cow) - eager - cow->nr_read,
        .by_read = cow->nr_read,
        .copies = cow->nr_copies,
        .stalls = cow->ring->stalls,
        .stalls_us = cow->stalls_us,
        .paused_us = cow->ring->paused_ns / 1000,
        .hypercalls = cow->x->nr_cow_calls,
    };
}
