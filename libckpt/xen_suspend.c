/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The suspend protocol, waited for by xenstore watches:
 *
 *   we: control/shutdown = "suspend"      guest: clears it (acknowledged)
 *   guest: SCHEDOP_shutdown(suspend)      Xen: @releaseDomain fires
 *   we: xc_domain_resume(fast)            guest: sees "cancelled"
 *
 * libxl has the same inside libxl_domain_suspend_only(), but with fixed limits
 * of twice 60 s and no way to cancel in time, so it is done here.  A domain
 * without PV drivers (no callback vector) knows nothing of the protocol and
 * needs it not: it is shut down and resumed by Xen alone, as libxl does.
 */
#include "xen_suspend.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "qmp.h"
#include "xen_dom.h"
#include "xen_private.h"

#include "xen_suspend_claim.h"
#include <xen/hvm/params.h> /* needs xenctrl.h before it */

#define CANCEL_MS 100 /* after which a cancel is seen */

_Static_assert(sizeof(((struct xen_suspend *)NULL)->path) == SUSPEND_PATH_SIZE,
               "the header does not know Xen's");

static int watch(struct xen *x, const char *path)
{
    if (!xs_watch(x->xsh, "@releaseDomain", "still") ||
        !xs_watch(x->xsh, path, "ack"))
        return fail(x->c, -errno, "xenstore: watching %s", path);
    return 0;
}

/* Did one of them say that the request's node has changed? */
static bool read_events(struct xen *x)
{
    bool has_changed = false;
    char **event;

    while ((event = xs_check_watch(x->xsh))) {
        has_changed |= !strcmp(event[XS_WATCH_TOKEN], "ack");
        free(event);
    }
    return has_changed;
}

static void unwatch(struct xen *x, const char *path)
{
    xs_unwatch(x->xsh, "@releaseDomain", "still");
    xs_unwatch(x->xsh, path, "ack");
    read_events(x);
}

/* While it is about to suspend, which does not wait for that. */
static void see_whether_acked(struct xen *x, struct xen_suspend *s)
{
    unsigned len;
    char *value = xs_read(x->xsh, XBT_NULL, s->path, &len);

    s->is_acked = value ? !len : errno == ENOENT;
    free(value);
}

/* Waits for a watch event, a moment or the deadline: who cancels from another
 * thread does not wake us, and others may stand still meanwhile. */
static int wait_event(struct xen *x, uint64_t deadline_us,
                      struct xen_suspend *s)
{
    struct pollfd pfd = { .fd = xs_fileno(x->xsh), .events = POLLIN };
    uint64_t now = now_us(), wait_ms;
    int rc;

    rc = check_cancel(x->c);
    if (rc)
        return rc;
    if (now >= deadline_us)
        return -ETIMEDOUT;
    wait_ms = (deadline_us - now + 999) / 1000;
    if (poll(&pfd, 1, wait_ms < CANCEL_MS ? (int)wait_ms : CANCEL_MS) < 0 &&
        errno != EINTR)
        return fail(x->c, -errno, "waiting for xenstore");
    if (read_events(x) && !s->is_acked)
        see_whether_acked(x, s);
    return 0;
}

static int wait_still(struct xen *x, const struct xen_dom *dom,
                      uint64_t deadline_us, struct xen_suspend *s)
{
    xc_domaininfo_t info;
    int rc;

    for (;;) {
        switch (suspend_look(x->xch, dom->domid, &info)) {
        case STILL_SUSPENDED:
            s->nr_pages = info.tot_pages;
            return 0;
        case STILL_GONE:
            return fail(x->c, -ESRCH,
                        "domain \"%s\" went down while it was asked to "
                        "suspend.",
                        dom->name);
        case STILL_NO:
        case STILL_UNKNOWN:
        default:
            break;
        }
        rc = wait_event(x, deadline_us, s);
        if (rc)
            return rc;
    }
}

/* Of a guest without PV drivers nobody has to be asked; a PV guest has no such
 * parameter. */
static bool needs_no_asking(xc_interface *xch, uint32_t domid)
{
    uint64_t irq = 0;

    return !xc_hvm_param_get(xch, domid, HVM_PARAM_CALLBACK_IRQ, &irq) && !irq;
}

static int gave_up(struct xen *x, const struct xen_dom *dom,
                   const struct xen_suspend *s, int rc, unsigned timeout_ms,
                   bool *pending_out)
{
    const bool was_withdrawn = suspend_withdraw(x->xsh, s->path) > 0;

    *pending_out = !was_withdrawn || s->follows_another;
    if (!*pending_out)
        suspend_unclaim(x->xsh, dom->domid);
    if (rc != -ETIMEDOUT)
        return rc;
    if (!was_withdrawn)
        return fail(x->c, -ETIMEDOUT,
                    "domain \"%s\" began to suspend but did not finish within "
                    "%u s. Should it yet, it is resumed at once. Does one of "
                    "its processes wait for a disk or a server that does not "
                    "answer?",
                    dom->name, timeout_ms / 1000);
    return fail(x->c, -ETIMEDOUT,
                "domain \"%s\" did not answer the request to suspend within "
                "%u s; the request was withdrawn. Has the guest a Xen-aware "
                "kernel, and is it responsive?",
                dom->name, timeout_ms / 1000);
}

int xen_suspend_claim(struct xen *x, const struct xen_dom *dom,
                      const char *claim, struct xen_suspend *s)
{
    enum asked asked;
    int rc;

    memset(s, 0, sizeof(*s));
    suspend_request_path(dom->domid, s->path);
    rc = suspend_claim(x->xch, x->xsh, dom->domid, claim, &asked);
    if (rc == -EBUSY)
        return fail(x->c, rc,
                    "domain \"%s\" stands suspended already: is it being saved "
                    "or migrated? Try again when it runs.",
                    dom->name);
    if (rc)
        return fail(x->c, rc,
                    "domain \"%s\": cannot note that it is about to be asked "
                    "to suspend (in xenstore, under a lock in /var/run/xen)",
                    dom->name);
    s->claim = claim;
    s->follows_another = asked == ASKED_BEFORE;
    return 0;
}

int xen_suspend_hold(struct xen *x, const struct xen_dom *dom,
                     struct xen_suspend *s)
{
    char path[SUSPEND_PATH_SIZE];

    suspend_claim_path(dom->domid, path);
    if (!xen_watch_first(x->xsh, path, "claim"))
        return fail(x->c, errno ? -errno : -EIO, "xenstore: watching %s", path);
    s->is_held = true;
    return 0;
}

/* Nobody else reads this connection's events between the two. */
bool xen_suspend_is_held(struct xen *x, struct xen_suspend *s)
{
    char **event;

    while (s->is_held && (event = xs_check_watch(x->xsh))) {
        s->is_held = false;
        free(event);
    }
    return s->claim && s->is_held;
}

bool xen_suspend_disclaim(struct xen *x, const struct xen_dom *dom,
                          const struct xen_suspend *s)
{
    if (!s->follows_another)
        suspend_unclaim(x->xsh, dom->domid);
    return !s->follows_another;
}

int xen_suspend_ask(struct xen *x, const struct xen_dom *dom,
                    struct xen_suspend *s)
{
    s->request_us = now_us();
    if (needs_no_asking(x->xch, dom->domid)) {
        s->is_acked = true;
        if (xc_domain_shutdown(x->xch, dom->domid, SHUTDOWN_suspend))
            return fail(x->c, -errno, "domain \"%s\": cannot suspend it",
                        dom->name);
        return 0;
    }
    if (!xs_write(x->xsh, XBT_NULL, s->path, SUSPEND_REQUEST,
                  strlen(SUSPEND_REQUEST)))
        return fail(x->c, -errno, "xenstore: writing %s", s->path);
    return 0;
}

int xen_suspend_await(struct xen *x, const struct xen_dom *dom,
                      const struct xen_suspend_wait *wait,
                      struct xen_suspend *s, bool *pending_out)
{
    const uint64_t patience_us = s->request_us + wait->patience_ms * 1000ull;
    const uint64_t deadline_us = s->request_us + wait->timeout_ms * 1000ull;
    int rc;

    *pending_out = false;
    /* While the guest is at it, which so does not wait for it. */
    if (!s->follows_another)
        suspend_note(x->xsh, dom->domid, s->claim, ASKED_ONCE);
    rc = watch(x, s->path);
    if (!rc && patience_us < deadline_us) {
        rc = wait_still(x, dom, patience_us, s);
        if (rc == -ETIMEDOUT) {
            wait->impatient(wait->arg);
            rc = 0;
        }
    }
    if (!rc)
        rc = wait_still(x, dom, deadline_us, s);
    s->still_us = now_us();
    if (rc)
        rc = gave_up(x, dom, s, rc, wait->timeout_ms, pending_out);
    else if (!s->is_acked) /* it has followed another's, perhaps, and would
                            * follow ours once it runs again */
        suspend_withdraw(x->xsh, s->path);
    unwatch(x, s->path);
    return rc;
}

/* A device model that does not answer keeps no vCPU: what is undone after this
 * may take an hour.  Its devices are for the guard then, see xen_undo_still(). */
int xen_resume(struct xen *x, const struct xen_dom *dom)
{
    int model = dom->type == XEN_TYPE_HVM ? qmp_cont(x->c, dom->domid) : 0;
    int rc = suspend_resume(x->xch, x->xsh, dom->domid);

    if (rc)
        return fail(x->c, rc,
                    "domain \"%s\": cannot resume it (%s); restart it: xl "
                    "destroy %u, xl create",
                    dom->name, xen_words(x), dom->domid);
    return model;
}
