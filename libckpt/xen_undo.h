/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_UNDO_H
#define CKPT_XEN_UNDO_H
/*
 * What the guard does to a domain whose operation died (guard.h).  Each opens
 * its own connections, is harmless when there is nothing to undo, and returns
 * 0 also when the domain is gone.
 */
#include <stdbool.h>
#include <stdint.h>

int xen_undo_log_dirty(uint32_t domid);
/* Ends a capture by a patched hypervisor. */
int xen_undo_cow(uint32_t domid);
int xen_undo_qemu_dirty(uint32_t domid);
/* Withdraws the suspend request of @claim (xen_suspend_claim.h), or resumes a
 * guest that followed it; 0 also where another has claimed the guest since.
 * -EAGAIN: it has acknowledged, and may suspend at any time.  *pending_out, if it
 * is set, is the caller's to close, and is to be looked at whenever its descriptor
 * is readable, until that is 0: it was resumed, is gone, or somebody else's by
 * now. */
struct xen_pending;
int xen_undo_suspend(uint32_t domid, const char *claim,
                     struct xen_pending **pending_out);
int xen_pending_fd(const struct xen_pending *p);
int xen_pending_look(struct xen_pending *p);
/* Was it paused at the last look?  It cannot suspend then. */
bool xen_pending_is_paused(const struct xen_pending *p);
void xen_pending_close(struct xen_pending *p);
/* Resumes a guest of @claim known to stand suspended, or what of it still
 * stands. */
int xen_undo_still(uint32_t domid, const char *claim);
int xen_undo_pause(uint32_t domid);
/* Pauses again what the administrator had paused. */
int xen_undo_unpaused(uint32_t domid);
int xen_undo_domain(uint32_t domid);
int xen_undo_domain_name(uint32_t domid, const char *name);

#endif
