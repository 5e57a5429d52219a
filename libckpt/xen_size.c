/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whether a domain has got or given memory.  Xen's log-dirty tells of no page
 * that comes (p2m_add_page() marks none), nor of what is written to it before
 * all is write-protected the next time.  A balloon that has gone down and up
 * leaves the number as it was, but it does so because its target was set.
 */
#include <stdio.h>
#include <stdlib.h>

#include "xen_mem.h"
#include "xen_private.h"

struct xen_size {
    struct xen *x;         /* borrowed */
    struct xs_handle *xsh; /* by itself: others' events are theirs */
    uint64_t nr_pages;
    uint32_t domid;
};

static bool watch_target(struct xen_size *s)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%u/memory/target", s->domid);
    s->xsh = xs_open(0);
    return s->xsh && xen_watch_first(s->xsh, path, "size");
}

int xen_size_watch(struct xen *x, uint32_t domid, struct xen_size **out)
{
    xc_domaininfo_t info;
    struct xen_size *s;

    *out = s = calloc(1, sizeof(*s));
    if (!s)
        return fail(x->c, -ENOMEM, "domain %u: its size", domid);
    s->x = x;
    s->domid = domid;
    if (!watch_target(s))
        return fail(x->c, errno ? -errno : -EIO,
                    "xenstore: watching the size of domain %u", domid);
    if (!xen_domain_info(x->xch, domid, &info))
        return fail(x->c, errno ? -errno : -EIO,
                    "domain %u: asking for its memory", domid);
    s->nr_pages = info.tot_pages;
    return 0;
}

bool xen_size_changed(struct xen_size *s)
{
    char **event = xs_check_watch(s->xsh);
    const bool is_told = event;
    xc_domaininfo_t info;

    free(event);
    return is_told || (xen_domain_info(s->x->xch, s->domid, &info) &&
                       info.tot_pages != s->nr_pages);
}

void xen_size_free(struct xen_size *s)
{
    if (s && s->xsh)
        xs_close(s->xsh);
    free(s);
}
