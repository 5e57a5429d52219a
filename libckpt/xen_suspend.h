/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_XEN_SUSPEND_H
#define CKPT_XEN_SUSPEND_H
/*
 * Bringing a guest to a standstill with its own help, and letting it go on.
 * Xen's suspend protocol (docs/misc/xenstore-paths, control/shutdown): the
 * guest's kernel quiesces its devices and calls SCHEDOP_shutdown(suspend).
 * Resumed in place it is told "cancelled" and goes on; brought up elsewhere
 * it is told 0 and reconnects its devices.
 */
#include <stdbool.h>
#include <stdint.h>

struct xen;
struct xen_dom;

/* How long a guest is waited for.  After patience_ms, once, impatient() gives
 * back what others need meanwhile. */
struct xen_suspend_wait {
    unsigned timeout_ms; /* from the request on */
    unsigned patience_ms;
    void (*impatient)(void *arg);
    void *arg;
};

/* One request, from the claim until it is resumed. */
struct xen_suspend {
    const char *claim;    /* borrowed: whose it is, see xen_suspend_claim.h;
                           * NULL: it is not claimed */
    bool is_held;         /* xen_suspend_hold() */
    char path[64];        /* of the request in xenstore */
    bool follows_another; /* request, which it may have acknowledged */
    bool is_acked;        /* ours was seen to be */
    uint64_t request_us;  /* the request was written */
    uint64_t still_us;    /* no vCPU runs any more */
    uint64_t nr_pages;    /* that it had then, once it was suspended */
};

/* From now on whoever guards @claim resumes @dom if it suspends, and no guard
 * of an earlier operation does: ours has to know of it already.  -EBUSY: it
 * stands suspended, by somebody else. */
int xen_suspend_claim(struct xen *x, const struct xen_dom *dom,
                      const char *claim, struct xen_suspend *s);

/* It may be asked much later, and then at once: what others do to the claim
 * meanwhile is watched for. */
int xen_suspend_hold(struct xen *x, const struct xen_dom *dom,
                     struct xen_suspend *s);
/* It was held, and is ours still; no call to xenstore. */
bool xen_suspend_is_held(struct xen *x, struct xen_suspend *s);
/* It is not asked after all.  False: it may suspend by the earlier request,
 * and stays the guard's. */
bool xen_suspend_disclaim(struct xen *x, const struct xen_dom *dom,
                          const struct xen_suspend *s);

/* Asks @dom to suspend.  It may do so at any time from now on:
 * xen_suspend_await() has to follow, or the guard. */
int xen_suspend_ask(struct xen *x, const struct xen_dom *dom,
                    struct xen_suspend *s);

/*
 * Waits until it has.
 * A guest that does not acknowledge has its request withdrawn: -ETIMEDOUT
 * and nothing has changed.  One that acknowledges but does not finish (Linux
 * gives up after 20 s if it cannot freeze its processes, and tells nobody)
 * cannot be stopped from suspending later: *pending_out is true and somebody
 * must go on waiting for it (the guard does).  -ESRCH: the guest died or shut
 * down.
 */
int xen_suspend_await(struct xen *x, const struct xen_dom *dom,
                      const struct xen_suspend_wait *wait,
                      struct xen_suspend *s, bool *pending_out);

/* Lets a suspended guest go on in place ("cancelled").  Its vCPUs do also when
 * its device model does not answer, which is the error then. */
int xen_resume(struct xen *x, const struct xen_dom *dom);

#endif
