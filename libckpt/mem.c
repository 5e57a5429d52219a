/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Chooses how a domain's memory is captured: the first driver that can, and
 * for the record why those before it could not.  A fallback is never silent.
 */
#include "mem.h"

#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "store.h"

const struct mem_driver *const mem_drivers[] = {
    &mem_cow,    /* HVM, PVH on a patched Xen: copy on write */
    &mem_dirty,  /* HVM, PVH: log-dirty passes */
    &mem_stream, /* PV: Xen's own save code, which knows its page tables */
    NULL,
};

/* Armed, or as it was before. */
static int try_driver(struct mem *m, const struct mem_driver *drv, char *why)
{
    int rc = drv->probe(m->x, m->dom, why);

    if (!rc && m->flat_only && !(drv->caps & MEM_CAP_FLAT_CUT)) {
        snprintf(why, sizeof(m->why),
                 "the cut of driver %s does not wait for what was written",
                 drv->name);
        rc = -ENOTSUP;
    }
    if (rc)
        return rc;
    m->drv = drv;
    say(m->c, "memory driver: %s", drv->name);
    rc = drv->arm(m);
    if (rc == -ENOTSUP) {
        snprintf(why, sizeof(m->why), "%.255s", m->c->error);
        m->c->error[0] = '\0';
        drv->undo(m);
        machine_fini(&m->machine);
        m->drv = NULL;
    }
    return rc;
}

int mem_arm(struct mem *m)
{
    unsigned i;
    int rc;

    m->why[0] = '\0';
    for (i = 0; mem_drivers[i]; i++) {
        char why[sizeof(m->why)] = "";

        rc = try_driver(m, mem_drivers[i], why);
        if (rc != -ENOTSUP)
            return rc;
        if (!m->why[0])
            memcpy(m->why, why, sizeof(why));
    }
    return fail(m->c, -ENOTSUP,
                "the memory of this domain cannot be captured: %s.", m->why);
}

void mem_build_on_none(struct mem *m, const char *why)
{
    m->base[0] = '\0';
    snprintf(m->base_why, sizeof(m->base_why), "%.255s", why);
    say(m->c, "all of memory is looked at: %s", why);
}

int mem_build_on(struct mem *m, const char *id)
{
    int rc;

    rc = image_base(m->img, id);
    if (rc) {
        mem_build_on_none(m, m->c->error);
        m->c->error[0] = '\0';
        return rc;
    }
    snprintf(m->base, sizeof(m->base), "%s", id);
    m->base_why[0] = '\0';
    say(m->c, "only what changed since %s is looked at", id);
    return 0;
}
