/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_COW_H
#define CKPT_XEN_COW_H
/*
 * Copy-on-write capture by a patched hypervisor.  From begin on Xen puts every
 * page into a ring just before it is first written; those that nobody writes
 * go there when we ask.  So each page comes once, as it was at the cut, and no
 * page of the guest is mapped.
 */
#include <stdbool.h>
#include <stdint.h>

#include "page.h"

struct xen;
struct xen_cow;

/* 0: this hypervisor can.  -ENOTSUP: it has no patch, or one of another
 * version; @why (256 bytes) says which. */
int xen_cow_probe(struct xen *x, uint32_t domid, char *why);

#define SLOTS_PER_MIB ((1u << 20) / PAGE_SIZE_BYTES)

/* How a ring is to be; what was attached is kept for xen_cow_find(). */
struct xen_cow_policy {
    uint32_t ring_mib; /* as it was asked for; 0: of any size */
    uint32_t stall_ms; /* a vCPU that finds no room ends the capture and goes
                        * on when nothing was consumed for so long */
    bool give_up;      /* the first that finds no room ends it */
};

/*
 * A ring of @nr_slots pages for the domain, mapped.
 * -ENOTSUP: not for this domain; -ENOMEM: Xen has not that much memory free;
 * -EBUSY: hardware logs its writes (a migration under way).
 */
int xen_cow_attach(struct xen *x, uint32_t domid, uint32_t nr_slots,
                   const struct xen_cow_policy *policy,
                   struct xen_cow **cow_out);
/* The ring that was released with checkpoint @id as the last cut, is as
 * @policy wants it, and nobody else's.  *cow_out is NULL when there is none: then
 * what was there has been ended, and @why (256 bytes) says why. */
int xen_cow_find(struct xen *x, uint32_t domid, const char *id,
                 const struct xen_cow_policy *policy, char *why,
                 struct xen_cow **cow_out);
/* While the guest runs, shortly before begin; *listed_out is how many pages
 * begin will have to copy at most. */
int xen_cow_prepare(struct xen_cow *cow, uint32_t *listed_out);
/* The ring is the domain's still, and was cut by us last; -ESTALE: another
 * program has attached one of its own. */
int xen_cow_check(struct xen_cow *cow);
/* The cut, of checkpoint @id.  @since_last: only of what was written since the
 * last one.  -EAGAIN: prepare again; -ESTALE as for xen_cow_check(). */
int xen_cow_begin(struct xen_cow *cow, const char *id, bool since_last);
/* Ends it, at any time, and frees @cow (NULL is fine). */
int xen_cow_detach(struct xen_cow *cow);
/* Frees @cow, while Xen goes on noting what is written: xen_cow_find(). */
void xen_cow_release(struct xen_cow *cow);

/* Asks for up to @nr_pages more that nobody has written, as room permits, from
 * *gfn on, which is moved; it is xen_cow_nr_gfns() when none is left. */
int xen_cow_copy(struct xen_cow *cow, uint64_t *gfn, uint32_t nr_pages);
/* One more than the highest frame number in question. */
uint64_t xen_cow_nr_gfns(const struct xen_cow *cow);
uint32_t xen_cow_nr_slots(const struct xen_cow *cow);

/*
 * The records from *seq on, at most PAGE_BATCH, *seq being moved behind them.
 * b->data are pages of the ring, valid until xen_cow_consume(), or NULL for a
 * page of zeros; b->type is PAGE_TYPE_ABSENT where an increment has to forget
 * a page.  Pages that are Xen's (shared info, grant table) are left out: a
 * domain that is built from the image gets others.  -ENOBUFS when the capture
 * was lost since there was no room; -EIO when it was for another reason.
 * @domain is for the words.
 */
int xen_cow_records(struct xen_cow *cow, const char *domain, uint64_t *seq,
                    struct page_batch *b);
/* The records before @seq are done with; lets waiting vCPUs go on. */
void xen_cow_consume(struct xen_cow *cow, uint64_t seq);

/* Of this cut.  Pages kept: eager + by_write + by_read. */
struct xen_cow_stats {
    uint64_t eager;     /* pages copied at the cut */
    uint64_t by_write;  /* kept since, as they were about to be written */
    uint64_t by_read;   /* kept since, as we asked for them */
    uint64_t copies;    /* of those whose records were read, by Xen: a page of
                         * zeros is not copied */
    uint64_t stalls;    /* times that a vCPU waited for room */
    uint64_t stalls_us; /* in which one waited, at most: begun when it was last
                         * seen that none did */
    uint64_t paused_us; /* by Xen, at the cut */
    uint64_t hypercalls; /* made here for @x, from the probe on; without those
                          * by which dom0's kernel maps the ring */
};
void xen_cow_stats(const struct xen_cow *cow, struct xen_cow_stats *stats_out);

#endif
