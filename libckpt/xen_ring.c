/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A ring's first page begins with four counters, in all variants of the
 * protocol (xen/io/ring.h): requests produced by the guest, answers produced
 * by the backend, and for each the value at which an event is wanted.  All
 * requests have their answers when the two counts are equal.
 *
 * Which disks there are is read from the backends' nodes, which the guest
 * cannot write; where their rings are, from its own nodes, which it can.  A
 * guest that names other pages of its own there deceives us about itself
 * alone: they are mapped read-only and two numbers of them compared.
 */
#include "xen_ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "xen_dom.h"
#include "xen_private.h"

#include <xengnttab.h> /* needs xenctrl.h before it */

#define RINGS_MAX 256u
#define QUEUES_MAX 64u
#define POLL_NS 50000
#define CONNECTED "4" /* XenbusStateConnected */

struct counters {
    volatile uint32_t req_prod, req_event, rsp_prod, rsp_event;
};

struct ring {
    const struct counters *page;
    char vdev[16];
};

struct xen_rings {
    struct ckpt *c; /* borrowed */
    xengnttab_handle *gnt;
    uint32_t domid;
    unsigned nr;
    struct ring ring[RINGS_MAX];
};

void xen_rings_close(struct xen_rings *r)
{
    if (!r)
        return;
    for (unsigned i = 0; i < r->nr; i++)
        xengnttab_unmap(r->gnt, (void *)(uintptr_t)r->ring[i].page, 1);
    if (r->gnt)
        xengnttab_close(r->gnt);
    free(r);
}

/* A number below @dir; false: there is none. */
static bool read_number(struct xen *x, const char *dir, const char *key,
                        uint32_t *out)
{
    char path[192], *value;
    unsigned len;
    bool found;

    snprintf(path, sizeof(path), "%s/%s", dir, key);
    value = xs_read(x->xsh, XBT_NULL, path, &len);
    found = value && sscanf(value, "%" SCNu32, out) == 1;
    free(value);
    return found;
}

/* The ring whose reference is below @dir: of several pages the first. */
static int map_ring(struct xen *x, struct xen_rings *r, const char *dir,
                    const char *vdev)
{
    struct ring *ring = &r->ring[r->nr];
    uint32_t ref;

    if (r->nr == RINGS_MAX)
        return fail(x->c, -ENOTSUP, "more than %u rings of disks.", RINGS_MAX);
    if (!read_number(x, dir, "ring-ref", &ref) &&
        !read_number(x, dir, "ring-ref0", &ref))
        return fail(x->c, -ENOTSUP, "disk %s: its ring is not to be found.",
                    vdev);
    /* NULL with errno */
    ring->page = xengnttab_map_grant_ref(r->gnt, r->domid, ref, PROT_READ);
    if (!ring->page)
        return fail(x->c, -ENOTSUP, "disk %s: its ring cannot be mapped (%s).",
                    vdev, strerror(errno));
    snprintf(ring->vdev, sizeof(ring->vdev), "%s", vdev);
    r->nr++;
    return 0;
}

static int map_disk(struct xen *x, struct xen_rings *r, const char *devid,
                    const char *vdev)
{
    char front[96], queue[128];
    uint32_t nr_queues = 0;
    int rc = 0;

    snprintf(front, sizeof(front), "/local/domain/%u/device/vbd/%.20s",
             r->domid, devid);
    if (!read_number(x, front, "multi-queue-num-queues", &nr_queues) ||
        nr_queues < 2)
        return map_ring(x, r, front, vdev);
    if (nr_queues > QUEUES_MAX)
        return fail(x->c, -ENOTSUP, "disk %s: %u queues.", vdev, nr_queues);
    for (uint32_t i = 0; !rc && i < nr_queues; i++) {
        snprintf(queue, sizeof(queue), "%s/queue-%u", front, i);
        rc = map_ring(x, r, queue, vdev);
    }
    return rc;
}

/* One that is not connected has no ring, or none that is in use. */
static int map_backend(struct xen *x, struct xen_rings *r, const char *base,
                       const char *devid)
{
    char path[128], *state, *vdev;
    unsigned len;
    int rc = 0;

    snprintf(path, sizeof(path), "%s/%.20s/state", base, devid);
    state = xs_read(x->xsh, XBT_NULL, path, &len);
    snprintf(path, sizeof(path), "%s/%.20s/dev", base, devid);
    vdev = xs_read(x->xsh, XBT_NULL, path, &len);
    if (state && !strcmp(state, CONNECTED))
        rc = map_disk(x, r, devid, vdev ? vdev : devid);
    free(state);
    free(vdev);
    return rc;
}

int xen_rings_open(struct xen *x, const struct xen_dom *dom,
                   struct xen_rings **r_out)
{
    static const char *const kinds[] = {"vbd", "qdisk"};
    struct xen_rings *r = calloc(1, sizeof(*r));
    char base[64], **devids;
    unsigned nr = 0;
    int rc = 0;

    *r_out = NULL;
    if (!r)
        return fail(x->c, -ENOMEM, "the rings of disks");
    r->c = x->c;
    r->domid = dom->domid;
    r->gnt = xengnttab_open(&x->log.vtable, 0);
    if (!r->gnt)
        rc = fail(x->c, -ENOTSUP, "/dev/xen/gntdev cannot be opened (%s).",
                  strerror(errno));
    for (size_t k = 0; !rc && k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        snprintf(base, sizeof(base), "/local/domain/0/backend/%s/%u", kinds[k],
                 r->domid);
        devids = xs_directory(x->xsh, XBT_NULL, base, &nr);
        for (unsigned i = 0; devids && !rc && i < nr; i++)
            rc = map_backend(x, r, base, devids[i]);
        free(devids);
    }
    if (rc)
        xen_rings_close(r);
    else
        *r_out = r;
    return rc;
}

static uint32_t nr_unanswered(const struct ring *ring)
{
    return ring->page->req_prod - ring->page->rsp_prod;
}

int xen_rings_drain(struct xen_rings *r, uint64_t timeout_us)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};
    const uint64_t begin_us = now_us();

    for (unsigned i = 0; i < r->nr; i++) {
        while (nr_unanswered(&r->ring[i])) {
            if (now_us() - begin_us >= timeout_us)
                return fail(r->c, -ETIMEDOUT,
                            "disk %s: %u requests had no answer after %u ms.",
                            r->ring[i].vdev, nr_unanswered(&r->ring[i]),
                            (unsigned)(timeout_us / 1000));
            nanosleep(&pause, NULL);
        }
    }
    return 0;
}
