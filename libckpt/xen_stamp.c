/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whether a domain is still what an operation was made ready for: libxl's own
 * record of it, which it writes anew when a device comes or goes or the name
 * changes, and its size.  Cheap, for a guest may be waiting.
 */
#include <stdlib.h>
#include <string.h>

#include "xen_dom.h"
#include "xen_private.h"

struct xen_stamp {
    unsigned long max_kib;
    uint8_t *record; /* owned */
    int len;
};

static int look(struct xen *x, const struct xen_dom *dom, struct xen_stamp *s)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(x->xch, dom->domid, &info) ||
        info.flags & XEN_DOMINF_dying)
        return fail(x->c, -ESTALE, "domain \"%s\" is gone.", dom->name);
    s->max_kib = (unsigned long)info.max_pages * 4;
    /* 0, or ERROR_* */
    if (libxl_userdata_retrieve(x->ctx, dom->domid, "libxl-json", &s->record,
                                &s->len))
        return fail(x->c, -ESTALE,
                    "domain \"%s\": libxl's record of it is gone.", dom->name);
    return 0;
}

int xen_stamp_take(struct xen *x, const struct xen_dom *dom,
                   struct xen_stamp **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? look(x, dom, *out)
                : fail(x->c, -ENOMEM, "domain \"%s\"", dom->name);
}

int xen_stamp_check(struct xen *x, const struct xen_dom *dom,
                    const struct xen_stamp *s)
{
    struct xen_stamp now = {.record = NULL};
    int rc;

    rc = look(x, dom, &now);
    if (!rc && (now.max_kib != s->max_kib || now.len != s->len ||
                memcmp(now.record, s->record, (size_t)s->len)))
        rc = fail(x->c, -ESTALE,
                  "domain \"%s\" was changed (its devices, its size or its "
                  "name) while its checkpoint was made ready. Try again.",
                  dom->name);
    free(now.record);
    return rc;
}

void xen_stamp_free(struct xen_stamp *s)
{
    if (s)
        free(s->record);
    free(s);
}
