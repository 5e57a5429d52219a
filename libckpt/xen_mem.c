/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Types, mappings and log-dirty of a domain's frames (libxenctrl,
 * libxenforeignmemory).  Mappings are made anew for every batch: a mapping
 * kept over time goes on showing the old page after the guest ballooned the
 * frame out and in again.
 */
#include "xen_mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bitmap.h"
#include "xen_private.h"

int xen_nr_gfns(struct xen *x, uint32_t domid, uint64_t *nr_out)
{
    xen_pfn_t nr;

    if (xc_domain_nr_gpfns(x->xch, domid, &nr) < 0) /* -1 with errno */
        return fail(x->c, -errno, "domain %u: asking for its highest frame",
                    domid);
    *nr_out = nr;
    return 0;
}

/* It gives memory from frame 0 on.  A hole for devices begins at 2 GiB at the
 * earliest (hvmloader/pci.c), unless mmio_hole= says otherwise. */
#define LOW_FRAMES (0x80000000u / PAGE_SIZE_BYTES)

int xen_ram(struct xen *x, uint32_t domid, uint64_t *nr_pages_out,
            uint64_t *end_out)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(x->xch, domid, &info))
        return fail(x->c, errno ? -errno : -EIO,
                    "domain %u: asking for its memory", domid);
    *nr_pages_out = info.tot_pages;
    *end_out = info.max_pages < LOW_FRAMES ? info.max_pages : UINT64_MAX;
    return 0;
}

/* Fills b->type; *nr_out: how many have content. */
static int read_types(struct xen *x, uint32_t domid, struct page_batch *b,
                      unsigned *nr_out)
{
    xen_pfn_t types[PAGE_BATCH];
    unsigned i, nr = 0;

    for (i = 0; i < b->nr; i++)
        types[i] = b->gfn[i];
    if (xc_get_pfn_type_batch(x->xch, domid, b->nr, types))
        return fail(x->c, -errno, "domain %u: asking for page types", domid);
    for (i = 0; i < b->nr; i++) {
        b->type[i] = (uint8_t)((types[i] & XEN_DOMCTL_PFINFO_LTAB_MASK) >> 28);
        b->data[i] = NULL;
        nr += (unsigned)!!page_type_has_data(b->type[i]);
    }
    *nr_out = nr;
    return 0;
}

int xen_map_batch(struct xen *x, uint32_t domid, struct page_batch *b,
                  struct xen_map *m)
{
    xen_pfn_t gfns[PAGE_BATCH];
    unsigned index[PAGE_BATCH];
    int err[PAGE_BATCH];
    unsigned i, nr = 0, n = 0;
    int rc;

    m->base = NULL;
    m->nr_pages = 0;
    rc = read_types(x, domid, b, &nr);
    if (rc || !nr)
        return rc;
    for (i = 0; i < b->nr; i++) {
        if (!page_type_has_data(b->type[i]))
            continue;
        index[n] = i;
        gfns[n++] = b->gfn[i];
    }
    /* NULL with errno when nothing at all could be mapped; err[] holds an
     * errno per page, its sign not to be relied on. */
    m->base = xenforeignmemory_map(x->fmem, domid, PROT_READ, n, gfns, err);
    if (!m->base)
        return fail(x->c, errno ? -errno : -EIO,
                    "domain %u: mapping %u pages from frame %#llx", domid, n,
                    (unsigned long long)gfns[0]);
    m->nr_pages = n;
    for (i = 0; i < n; i++) {
        if (err[i])
            b->type[index[i]] = PAGE_TYPE_ABSENT;
        else
            b->data[index[i]] = (char *)m->base + (size_t)i * PAGE_SIZE_BYTES;
    }
    return 0;
}

void xen_unmap(struct xen *x, struct xen_map *m)
{
    if (m->base)
        xenforeignmemory_unmap(x->fmem, m->base, m->nr_pages);
    m->base = NULL;
    m->nr_pages = 0;
}

struct xen_dirty {
    struct xen *x; /* borrowed */
    uint32_t domid;
    uint64_t nr_gfns;
    size_t nr_words;
    uint64_t *words; /* in the hypercall buffer */
    xc_hypercall_buffer_t hbuf;
};

static size_t bitmap_pages(const struct xen_dirty *d)
{
    return (d->nr_words * sizeof(uint64_t) + XC_PAGE_SIZE - 1) / XC_PAGE_SIZE;
}

int xen_dirty_new(struct xen *x, uint32_t domid, uint64_t nr_gfns,
                  struct xen_dirty **d_out)
{
    struct xen_dirty *d;

    *d_out = NULL;
    d = calloc(1, sizeof(*d));
    if (!d)
        return fail(x->c, -ENOMEM, "log-dirty");
    d->x = x;
    d->domid = domid;
    d->nr_gfns = nr_gfns;
    d->nr_words = bitmap_words(nr_gfns);
    {
        DECLARE_HYPERCALL_BUFFER_SHADOW(uint64_t, words, &d->hbuf);

        words = xc_hypercall_buffer_alloc_pages(x->xch, words,
                                                bitmap_pages(d));
        d->words = words;
    }
    if (!d->words) {
        free(d);
        return fail(x->c, -ENOMEM, "room for the bitmap of %llu frames",
                    (unsigned long long)nr_gfns);
    }
    *d_out = d;
    return 0;
}

int xen_dirty_on(struct xen_dirty *d)
{
    struct ckpt *c = d->x->c;

    if (!xc_shadow_control(d->x->xch, d->domid,
                           XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0))
        return 0;
    if (errno == EINVAL)
        return fail(c, -EBUSY,
                    "domain %u: its memory is being tracked already: a save "
                    "or migration is under way.",
                    d->domid);
    return fail(c, -errno, "domain %u: cannot track its memory (%s)", d->domid,
                xen_words(d->x));
}

int xen_dirty_off(struct xen_dirty *d)
{
    if (xc_shadow_control(d->x->xch, d->domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL,
                          0) &&
        errno != EINVAL && errno != ESRCH) /* off already; gone */
        return fail(d->x->c, -errno,
                    "domain %u: cannot end the tracking of its memory",
                    d->domid);
    return 0;
}

int xen_dirty_fetch(struct xen_dirty *d, bool still, uint64_t *count_out)
{
    DECLARE_HYPERCALL_BUFFER_SHADOW(uint64_t, words, &d->hbuf);
    xc_shadow_op_stats_t stats = { 0, 0 };
    long long done;

    (void)words; /* the macro goes by its name only */
    /* The number of frames covered, or -1 with errno. */
    done = xc_logdirty_control(
        d->x->xch, d->domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
        HYPERCALL_BUFFER(words), d->nr_gfns,
        still ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0, &stats);
    if (done < 0 || (uint64_t)done != d->nr_gfns)
        return fail(d->x->c, done < 0 ? -errno : -EIO,
                    "domain %u: reading the dirty bitmap", d->domid);
    *count_out = bitmap_count(d->words, d->nr_gfns);
    return 0;
}

void xen_dirty_next(const struct xen_dirty *d, uint64_t *cursor,
                    struct page_batch *b)
{
    bitmap_next(d->words, d->nr_gfns, cursor, b);
}

void xen_dirty_free(struct xen_dirty *d)
{
    if (!d)
        return;
    {
        DECLARE_HYPERCALL_BUFFER_SHADOW(uint64_t, words, &d->hbuf);

        (void)words; /* the macro goes by its name only */
        xc_hypercall_buffer_free_pages(d->x->xch, words, bitmap_pages(d));
    }
    free(d);
}
