/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_UNDO_H
#define CKPT_XEN_UNDO_H
/*
 * What the guard does to a domain whose operation died (guard.h).  Each opens
 * its own connections, is harmless when there is nothing to undo, and returns
 * 0 also when the domain is gone.
 */
#include <stdint.h>

int xen_undo_log_dirty(uint32_t domid);
/* Ends a capture by a patched hypervisor. */
int xen_undo_cow(uint32_t domid);
int xen_undo_qemu_dirty(uint32_t domid);
/* Withdraws a suspend request of ours, or resumes a guest that followed it.
 * -EAGAIN: it has acknowledged, and may suspend at any time. */
int xen_undo_suspend(uint32_t domid);
/* Of such a guest: waits for that and resumes it; -EAGAIN: not yet.  Not for a
 * guest of which somebody else wants something by now. */
int xen_undo_suspend_wait(uint32_t domid, unsigned wait_ms);
/* Resumes a guest known to stand suspended, or what of it still stands. */
int xen_undo_still(uint32_t domid);
int xen_undo_pause(uint32_t domid);
/* Pauses again what the administrator had paused. */
int xen_undo_unpaused(uint32_t domid);
int xen_undo_domain(uint32_t domid);
int xen_undo_domain_name(uint32_t domid, const char *name);

#endif
