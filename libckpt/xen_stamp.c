/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Whether a domain is still what an operation was made ready for: libxl's own
 * record of it, which it writes anew when a device comes or the name changes; and
 * the numbers of its devices in xenstore, for one that goes stays in the record.
 * Cheap, for a guest may be waiting.  Its size is no matter: it may change at any
 * time, and is looked at when it is cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xen_dom.h"
#include "xen_private.h"

struct xen_stamp {
    uint8_t *record; /* owned */
    int len;
    char *devices; /* owned; "vbd 51712 51728", a line for each kind */
};

static int list_devices(struct xen *x, uint32_t domid, char **text_out)
{
    unsigned int nr_kinds = 0, nr = 0;
    char path[96], **kinds, **ids;
    size_t len;
    FILE *f;

    f = open_memstream(text_out, &len);
    if (!f)
        return -ENOMEM;
    snprintf(path, sizeof(path), "/libxl/%u/device", domid);
    kinds = xs_directory(x->xsh, XBT_NULL, path, &nr_kinds);
    for (unsigned int i = 0; kinds && i < nr_kinds; i++) {
        snprintf(path, sizeof(path), "/libxl/%u/device/%.32s", domid, kinds[i]);
        ids = xs_directory(x->xsh, XBT_NULL, path, &nr);
        if (!ids || !nr) { /* a kind stays when its last device has gone */
            free(ids);
            continue;
        }
        fprintf(f, "%s", kinds[i]);
        for (unsigned int n = 0; n < nr; n++)
            fprintf(f, " %s", ids[n]);
        fprintf(f, "\n");
        free(ids);
    }
    free(kinds);
    return fclose(f) ? -ENOMEM : 0;
}

static int look(struct xen *x, const struct xen_dom *dom, struct xen_stamp *s)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(x->xch, dom->domid, &info) ||
        info.flags & XEN_DOMINF_dying)
        return fail(x->c, -ESTALE, "domain \"%s\" is gone.", dom->name);
    /* 0, or ERROR_* */
    if (libxl_userdata_retrieve(x->ctx, dom->domid, "libxl-json", &s->record,
                                &s->len))
        return fail(x->c, -ESTALE,
                    "domain \"%s\": libxl's record of it is gone.", dom->name);
    return list_devices(x, dom->domid, &s->devices)
               ? fail(x->c, -ENOMEM, "domain \"%s\"", dom->name)
               : 0;
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
    if (!rc && (now.len != s->len ||
                memcmp(now.record, s->record, (size_t)s->len) ||
                strcmp(now.devices, s->devices)))
        rc = fail(x->c, -ESTALE,
                  "domain \"%s\" was changed (its devices or its name) while "
                  "its checkpoint was made ready. Try again.",
                  dom->name);
    free(now.record);
    free(now.devices);
    return rc;
}

void xen_stamp_free(struct xen_stamp *s)
{
    if (!s)
        return;
    free(s->record);
    free(s->devices);
    free(s);
}
