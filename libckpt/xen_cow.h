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

/*
 * A ring of @nr_slots pages for the domain, mapped.  A writer that finds no
 * room for @stall_ms, while nothing is consumed, ends the capture and goes on.
 * -ENOTSUP: not for this domain; -ENOMEM: Xen has not that much memory free;
 * -EBUSY: hardware logs its writes (a migration under way).
 */
int xen_cow_attach(struct xen *x, uint32_t domid, uint32_t nr_slots,
                   uint32_t stall_ms, struct xen_cow **cow_out);
/* The ring that was released with checkpoint @id as the last cut; *cow_out is
 * NULL when there is none, and what was there has been ended. */
int xen_cow_find(struct xen *x, uint32_t domid, const char *id,
                 struct xen_cow **cow_out);
/* While the guest runs, shortly before begin; *listed_out is how many pages
 * begin will have to copy at most. */
int xen_cow_prepare(struct xen_cow *cow, uint32_t *listed_out);
/* The cut, of checkpoint @id.  @since_last: only of what was written since the
 * last one.  -EAGAIN: prepare again. */
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
 * domain that is built from the image gets others.  -EIO when the capture was
 * lost, with the reason.
 */
int xen_cow_records(struct xen_cow *cow, uint64_t *seq, struct page_batch *b);
/* The records before @seq are done with; lets waiting vCPUs go on. */
void xen_cow_consume(struct xen_cow *cow, uint64_t seq);

struct xen_cow_stats {
    uint64_t eager;     /* pages copied at the cut */
    uint64_t written;   /* first writes since */
    uint64_t stalls;    /* times that a vCPU waited for room */
    uint64_t paused_us; /* by Xen, at the cut */
};
void xen_cow_stats(struct xen_cow *cow, struct xen_cow_stats *stats_out);

#endif
