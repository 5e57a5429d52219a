/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Chooses how a domain's memory is captured: the first driver that can, and
 * for the record why those before it could not.  A fallback is never silent.
 */
#include "mem.h"

#include <stdio.h>
#include <string.h>

#include "ctx.h"

const struct mem_driver *const mem_drivers[] = {
    &mem_cow,    /* HVM, PVH on a patched Xen: copy on write */
    &mem_dirty,  /* HVM, PVH: log-dirty passes */
    &mem_stream, /* PV: Xen's own save code, which knows its page tables */
    NULL,
};

int mem_pick(struct mem *m)
{
    unsigned i;
    int rc;

    m->why[0] = '\0';
    for (i = 0; mem_drivers[i]; i++) {
        char why[sizeof(m->why)] = "";

        rc = mem_drivers[i]->probe(m->x, m->dom, why);
        if (!rc) {
            m->drv = mem_drivers[i];
            say(m->c, "memory driver: %s", m->drv->name);
            return 0;
        }
        if (rc != -ENOTSUP)
            return rc;
        if (!m->why[0])
            memcpy(m->why, why, sizeof(why));
    }
    return fail(m->c, -ENOTSUP,
                "the memory of this domain cannot be captured: %s.", m->why);
}
