/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Foreign mappings of a domain, read only: one page to watch, or all of them
 * in batches to search or copy.  Every mapping is undone, because a page that
 * stays mapped keeps a dead domain's memory from being freed.
 *
 * A PVH guest has a few pages just below 4 GiB and nothing in between, and to
 * learn that a frame is not there costs as much as to map one.  So after an
 * empty batch only some frames of the next are tried; islands smaller than
 * PROBE_STEP in the void are passed over.
 *
 * libxenctrl and libxenforeignmemory say -1 or NULL and errno; per page, err[]
 * is a positive or negative errno by version, so only compared with 0.
 */
#include "domain.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xenctrl.h>
#include <xenforeignmemory.h>

enum {
    BATCH = 1024,
    PROBE_STEP = 128,
    PAGE_BYTES = 4096
};

struct domain {
    uint32_t domid;
    xc_interface *xch;
    xenforeignmemory_handle *fmem;
    xen_pfn_t gfns[BATCH];
    int errs[BATCH];
};

int domain_open(uint32_t domid, struct domain **d_out)
{
    struct domain *d;
    int rc;

    d = calloc(1, sizeof(*d));
    if (!d)
        return -ENOMEM;
    d->domid = domid;
    d->xch = xc_interface_open(NULL, NULL, 0);
    if (!d->xch) {
        rc = -errno;
        goto out;
    }
    d->fmem = xenforeignmemory_open(NULL, 0);
    if (!d->fmem) {
        rc = -errno;
        goto out;
    }
    if (!domain_is_there(d)) {
        rc = -ESRCH;
        goto out;
    }
    *d_out = d;
    d = NULL;
    rc = 0;
out:
    domain_close(d);
    return rc;
}

void domain_close(struct domain *d)
{
    if (!d)
        return;
    if (d->fmem)
        xenforeignmemory_close(d->fmem);
    if (d->xch)
        xc_interface_close(d->xch);
    free(d);
}

bool domain_is_there(struct domain *d)
{
    xc_dominfo_t info;

    /* gives the first domain with at least this number */
    return xc_domain_getinfo(d->xch, d->domid, 1, &info) == 1 &&
           info.domid == d->domid && !info.dying;
}

int domain_map(struct domain *d, uint64_t gfn, const void **page_out)
{
    xen_pfn_t one = gfn;
    void *map;

    map = xenforeignmemory_map(d->fmem, d->domid, PROT_READ, 1, &one, NULL);
    if (!map)
        return -errno;
    *page_out = map;
    return 0;
}

void domain_unmap(struct domain *d, const void *page)
{
    if (page)
        xenforeignmemory_unmap(d->fmem, (void *)(uintptr_t)page, 1);
}

/* Maps @nr frames from @first, @step apart; errs[] says which are there. */
static char *map_some(struct domain *d, uint64_t first, size_t nr, size_t step)
{
    for (size_t i = 0; i < nr; i++)
        d->gfns[i] = first + i * step;
    return xenforeignmemory_map(d->fmem, d->domid, PROT_READ, nr, d->gfns,
                                d->errs);
}

/* 1: something is there, 0: nothing found, or -errno. */
static int probe(struct domain *d, uint64_t first, size_t nr)
{
    size_t nr_probes = (nr + PROBE_STEP - 1) / PROBE_STEP;
    size_t nr_empty = 0;
    char *map;

    map = map_some(d, first, nr_probes, PROBE_STEP);
    if (!map)
        return -errno;
    for (size_t i = 0; i < nr_probes; i++)
        nr_empty += !!d->errs[i];
    if (xenforeignmemory_unmap(d->fmem, map, nr_probes) < 0)
        return -errno;
    return nr_empty < nr_probes;
}

int domain_walk(struct domain *d,
                int (*see)(void *arg, uint64_t gfn, const void *page),
                void *arg)
{
    bool was_empty = false;
    xen_pfn_t max;
    int rc = 0;

    if (xc_domain_maximum_gpfn(d->xch, d->domid, &max) < 0)
        return -errno;
    for (uint64_t first = 0; !rc && first <= max; first += BATCH) {
        size_t nr = max - first < BATCH ? max - first + 1 : BATCH;
        char *map;

        rc = was_empty ? probe(d, first, nr) : 1;
        if (rc <= 0)
            continue;
        rc = 0;
        was_empty = true;
        map = map_some(d, first, nr, 1);
        if (!map)
            return -errno;
        for (size_t i = 0; !rc && i < nr; i++) {
            if (d->errs[i])
                continue;
            was_empty = false;
            rc = see(arg, first + i, map + i * PAGE_BYTES);
        }
        if (xenforeignmemory_unmap(d->fmem, map, nr) < 0 && !rc)
            rc = -errno;
    }
    return rc;
}
