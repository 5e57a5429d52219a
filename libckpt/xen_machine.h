/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_MACHINE_H
#define CKPT_XEN_MACHINE_H
/*
 * Reads the machine state of an HVM or PVH domain from Xen, as libxc stream
 * records.  (A PV domain's comes out of Xen's own save code: mem_stream.c.)
 */
struct xen;
struct xen_dom;
struct machine;

/* Headers and what does not change: CPUID and MSR policy.  Guest runs. */
int xen_machine_head(struct xen *x, const struct xen_dom *dom,
                     struct machine *m);
/* vCPUs, interrupt controllers, timers, parameters, TSC, device model.
 * Guest suspended. */
int xen_machine_tail(struct xen *x, const struct xen_dom *dom,
                     struct machine *m);

#endif
