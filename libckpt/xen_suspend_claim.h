/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_SUSPEND_CLAIM_H
#define CKPT_XEN_SUSPEND_CLAIM_H
/*
 * Who has to resume a guest that suspends, and what the guest was asked:
 * shared by the operation (xen_suspend.c) and its guard (xen_suspend_undo.c).
 *
 * Xen does not say who asked a guest to suspend, and the node of the request
 * does not either: a guest acknowledges by emptying it, and empty it was
 * before.  So whoever asks writes down before that it is he, where no guest
 * sees it, gone with the domain:
 *
 *     /libxl/DOMID/ckpt-suspend = "CLAIM"          it is about to be asked
 *                                 "CLAIM asked"    it was
 *                                 "CLAIM pending"  it was, and by another of
 *                                                  ours before, which it may
 *                                                  have acknowledged and
 *                                                  follow yet
 *
 * The claim is taken away when the guest has been resumed, or cannot suspend
 * any more.  One that is left over is of a guest that acknowledged and did not
 * suspend, or of a process that died right after it had resumed it: who claims
 * the guest after that takes it for the former.
 *
 * A guard resumes a guest only if that is claimed by its operation.  Between
 * the look and the hypercall it holds the lock, and so does who claims:
 * therefore no guard resumes the guest of another.
 *
 * Needs xen_private.h before it.
 */
#include <stdbool.h>
#include <stdint.h>

enum asked { ASKED_NOT, ASKED_ONCE, ASKED_BEFORE };

/* On a host that has no room for the file it is -1 with errno. */
int suspend_lock(void);
void suspend_unlock(int lock);

/* @asked_out: ASKED_BEFORE if an earlier request may be followed yet, else
 * ASKED_NOT.  -EBUSY: it stands suspended, and none of us asked it.  With any
 * negative errno it is claimed by whom it was before. */
int suspend_claim(xc_interface *xch, struct xs_handle *xsh, uint32_t domid,
                  const char *claim, enum asked *asked_out);
/* Of one's own claim.  If it fails, ASKED_NOT stays there: the guard waits for
 * a moment instead of minutes. */
void suspend_note(struct xs_handle *xsh, uint32_t domid, const char *claim,
                  enum asked asked);
void suspend_unclaim(struct xs_handle *xsh, uint32_t domid);
/* 1: with @asked_out; 0: nobody's, or another's; a negative errno: unknown. */
int suspend_is_mine(struct xs_handle *xsh, uint32_t domid, const char *claim,
                    enum asked *asked_out);

/* The domain as the protocol sees it. */
enum still { STILL_NO, STILL_SUSPENDED, STILL_GONE, STILL_UNKNOWN };

/* @info_out: what Xen says of it, but for one that is gone or unknown. */
enum still suspend_look(xc_interface *xch, uint32_t domid,
                        xc_domaininfo_t *info_out);

#define SUSPEND_PATH_SIZE 64
#define SUSPEND_REQUEST "suspend"
/* The node of the request, and of the claim. */
void suspend_request_path(uint32_t domid, char path[SUSPEND_PATH_SIZE]);
void suspend_claim_path(uint32_t domid, char path[SUSPEND_PATH_SIZE]);

/* Takes an unanswered request back.  1: it is gone.  0: the guest was quicker and
 * is about to suspend.  A negative errno: unknown. */
int suspend_withdraw(struct xs_handle *xsh, const char *path);

/* Resumes it in place without a word to anybody, and ends the claim. */
int suspend_resume(xc_interface *xch, struct xs_handle *xsh, uint32_t domid);

#endif
