/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_MEM_H
#define CKPT_XEN_MEM_H
/*
 * A domain's memory: which frames there are, what they hold, which were
 * written.  Per batch of up to PAGE_BATCH frames, never per page.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct xen;

/* One more than the highest frame the domain may use. */
int xen_nr_gfns(struct xen *x, uint32_t domid, uint64_t *nr_out);
/* How many frames the domain has memory in just now, as xen_map_batch() counts
 * them (to Xen's getpageframeinfo3 its own frames, such as the grant table, are
 * holes); and below which one those are that a toolstack gives it, up to its
 * maxmem. */
int xen_ram(struct xen *x, uint32_t domid, uint64_t *nr_pages_out,
            uint64_t *end_out);

/* Whether its memory has changed in size since; not so when it is gone.  *out is
 * owned, also after a failure; NULL is fine for _free. */
struct xen_size;
int xen_size_watch(struct xen *x, uint32_t domid, struct xen_size **out);
bool xen_size_changed(struct xen_size *s);
void xen_size_free(struct xen_size *s);

/* A mapping of a batch: read-only, to be dropped with xen_unmap(). */
struct xen_map {
    void *base;
    size_t nr_pages;
};

/*
 * Asks Xen for the types of b->gfn[0 .. b->nr) and maps those that have
 * content; fills b->type and b->data.  A frame without memory becomes
 * PAGE_TYPE_ABSENT, also when it lost it a moment ago.
 */
int xen_map_batch(struct xen *x, uint32_t domid, struct page_batch *b,
                  struct xen_map *m);
void xen_unmap(struct xen *x, struct xen_map *m);

/*
 * Log-dirty: Xen write-protects the domain and notes which frames are
 * written.  The bitmap's room is taken in _new, none while it is used.
 * _on is -EBUSY when somebody else (xl save, xl migrate) has it on.
 */
struct xen_dirty;
int xen_dirty_new(struct xen *x, uint32_t domid, uint64_t nr_gfns,
                  struct xen_dirty **d_out);
int xen_dirty_on(struct xen_dirty *d);
int xen_dirty_off(struct xen_dirty *d);
/* The frames written since the last call, and starts afresh.  @still: the
 * domain does not run, so there will be no next time. */
int xen_dirty_fetch(struct xen_dirty *d, bool still, uint64_t *count_out);
/* Fills b->gfn from *cursor on with frames of the last fetch; b->nr is 0 at
 * the end. */
void xen_dirty_next(const struct xen_dirty *d, uint64_t *cursor,
                    struct page_batch *b);
void xen_dirty_free(struct xen_dirty *d); /* NULL is fine */

#endif
