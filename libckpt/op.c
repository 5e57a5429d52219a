/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The frame of an operation: connections, lock, guard.  The lock is per
 * domain and held by the guard as well, so that after a kill nobody begins
 * before it has undone what stood.
 */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "guard.h"
#include "store.h"
#include "xen_config.h"

static int lock(struct op *op, const char *uuid)
{
    op->lock_fd = -1;
    return store_lock(op->c->store, uuid, &op->lock, &op->lock_fd);
}

int op_open(struct op *op, struct ckpt *c, const char *domain,
            struct xen_stamp **stamp_out)
{
    int rc;

    memset(op, 0, sizeof(*op));
    op->c = c;
    op->lock_fd = -1;
    rc = xen_open(c, &op->x);
    if (!rc)
        rc = xen_dom_find(op->x, domain, &op->dom);
    if (!rc)
        rc = lock(op, op->dom.uuid);
    if (!rc && stamp_out)
        rc = xen_stamp_take(op->x, &op->dom, stamp_out);
    if (!rc)
        rc = xen_config_read(op->x, op->dom.domid, &op->config);
    if (!rc)
        rc = xen_config_check(op->x, op->dom.name, op->config);
    if (!rc)
        rc = guard_start(c, op->lock_fd, &op->g);
    return rc;
}

int op_find(struct ckpt *c, const char *domain, struct xen_dom *dom_out)
{
    struct xen *x;
    int rc;

    memset(dom_out, 0, sizeof(*dom_out));
    rc = xen_open(c, &x);
    if (!rc)
        rc = xen_dom_find(x, domain, dom_out);
    xen_close(x);
    return rc;
}

int ckpt_domain_find(ckpt *c, const char *domain, struct ckpt_domain *dom_out)
{
    struct xen_dom dom;
    int rc;

    ctx_begin(c);
    memset(dom_out, 0, sizeof(*dom_out));
    rc = op_find(c, domain, &dom);
    if (!rc) {
        dom_out->name = dom.name;
        dom_out->domid = dom.domid;
        memcpy(dom_out->uuid, dom.uuid, sizeof(dom.uuid));
        dom.name = NULL;
    }
    xen_dom_fini(&dom);
    return rc;
}

int op_open_store(struct op *op, struct ckpt *c, const char *domain_uuid)
{
    int rc;

    memset(op, 0, sizeof(*op));
    op->c = c;
    rc = lock(op, domain_uuid);
    if (!rc)
        rc = guard_start(c, op->lock_fd, &op->g);
    return rc;
}

int op_open_uuid(struct op *op, struct ckpt *c, const char *domain_uuid)
{
    int rc;

    rc = op_open_store(op, c, domain_uuid);
    return rc ? rc : xen_open(c, &op->x);
}

void op_close(struct op *op)
{
    guard_stop(op->g);
    store_unlock(op->lock);
    free(op->config);
    xen_dom_fini(&op->dom);
    xen_close(op->x);
    memset(op, 0, sizeof(*op));
    op->lock_fd = -1;
}

int op_verify(struct ckpt *c, const struct ckpt_info *info)
{
    struct page_batch *b;
    struct image *img = NULL;
    uint64_t cursor = 0, done = 0;
    int rc;

    b = malloc(sizeof(*b));
    if (!b)
        return fail(c, -ENOMEM, "verifying");
    rc = image_open(c->store, info->id, &img);
    while (!rc) {
        rc = check_cancel(c);
        if (!rc)
            rc = image_next(img, &cursor, b);
        if (rc || !b->nr)
            break;
        done += b->nr * (uint64_t)PAGE_SIZE_BYTES;
        progress(c, "checkpoint verified", done, info->memory_bytes);
    }
    image_close(img);
    free(b);
    return rc;
}
