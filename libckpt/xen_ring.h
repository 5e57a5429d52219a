/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_RING_H
#define CKPT_XEN_RING_H
/*
 * The rings in which a guest hands requests to the backends of its disks,
 * looked at from outside: once the guest stands still, they are drained when
 * each request has its answer, and then nothing is in flight between its
 * memory and its disks.
 */
#include <stdint.h>

struct xen;
struct xen_dom;
struct xen_rings;

/* Maps the rings of all connected disks, to be read.  -ENOTSUP with words:
 * not all can be looked at. */
int xen_rings_open(struct xen *x, const struct xen_dom *dom,
                   struct xen_rings **r_out);
/* Waits; neither allocates nor calls Xen.  -ETIMEDOUT with words. */
int xen_rings_drain(struct xen_rings *r, uint64_t timeout_us);
void xen_rings_close(struct xen_rings *r); /* NULL is fine */

#endif
