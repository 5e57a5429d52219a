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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmp.h"
#include "xen_dom.h"
#include "xen_private.h"
#include "xen_undo.h"

#include <xen/hvm/params.h> /* needs xenctrl.h before it */

#define CANCEL_MS 100 /* after which a cancel is seen */

/* That a request was made and is ours, where no guest sees it; gone with the
 * domain.  Written while the guest is at it, which so does not wait for it. */
static void mark_path(uint32_t domid, char *path, size_t size)
{
    snprintf(path, size, "/libxl/%u/ckpt-suspend", domid);
}

static void mark(struct xs_handle *xsh, uint32_t domid)
{
    char path[64];

    mark_path(domid, path, sizeof(path));
    xs_write(xsh, XBT_NULL, path, "", 0); /* without it: see is_marked() */
}

static void unmark(struct xs_handle *xsh, uint32_t domid)
{
    char path[64];

    mark_path(domid, path, sizeof(path));
    xs_rm(xsh, XBT_NULL, path); /* harmless if it stays: see is_marked() */
}

enum still { STILL_NO, STILL_SUSPENDED, STILL_GONE };

static void control_path(uint32_t domid, char *path, size_t size)
{
    snprintf(path, size, "/local/domain/%u/control/shutdown", domid);
}

/* @nr_pages_out: of a domain that stands still; or NULL. */
static enum still read_still(xc_interface *xch, uint32_t domid,
                             uint64_t *nr_pages_out)
{
    xc_domaininfo_t info;

    if (!xen_domain_info(xch, domid, &info) || info.flags & XEN_DOMINF_dying)
        return STILL_GONE;
    if (!(info.flags & XEN_DOMINF_shutdown))
        return STILL_NO;
    if (((info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask) !=
        SHUTDOWN_suspend)
        return STILL_GONE;
    if (nr_pages_out)
        *nr_pages_out = info.tot_pages;
    return STILL_SUSPENDED;
}

/* Has the guest taken the request out of its node? */
static bool is_acked(struct xs_handle *xsh, xs_transaction_t t,
                     const char *path)
{
    unsigned len;
    char *value;
    bool acked;

    value = xs_read(xsh, t, path, &len);
    acked = value && strcmp(value, "suspend");
    free(value);
    return acked;
}

/* Takes an unanswered request back.  True: it is gone.  False: the guest was
 * quicker and is about to suspend. */
static bool withdraw(struct xs_handle *xsh, const char *path)
{
    xs_transaction_t t;

    for (;;) {
        t = xs_transaction_start(xsh);
        if (t == XBT_NULL)
            return true; /* no xenstore: nobody can read it either */
        if (is_acked(xsh, t, path)) {
            xs_transaction_end(xsh, t, true);
            return false;
        }
        xs_write(xsh, t, path, "", 0);
        if (xs_transaction_end(xsh, t, false))
            return true;
        if (errno != EAGAIN)
            return true;
    }
}

static int watch(struct xen *x, const char *path)
{
    if (!xs_watch(x->xsh, "@releaseDomain", "still") ||
        !xs_watch(x->xsh, path, "ack"))
        return fail(x->c, -errno, "xenstore: watching %s", path);
    return 0;
}

static void unwatch(struct xen *x, const char *path)
{
    char **event;

    xs_unwatch(x->xsh, "@releaseDomain", "still");
    xs_unwatch(x->xsh, path, "ack");
    while ((event = xs_check_watch(x->xsh)))
        free(event);
}

/* Waits for a watch event, a moment or the deadline: who cancels from another
 * thread does not wake us, and others may stand still meanwhile. */
static int wait_event(struct xen *x, uint64_t deadline_us)
{
    struct pollfd pfd = { .fd = xs_fileno(x->xsh), .events = POLLIN };
    uint64_t now = now_us(), wait_ms;
    char **event;
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
    while ((event = xs_check_watch(x->xsh)))
        free(event);
    return 0;
}

static int wait_still(struct xen *x, const struct xen_dom *dom,
                      uint64_t deadline_us, uint64_t *nr_pages_out)
{
    int rc;

    for (;;) {
        switch (read_still(x->xch, dom->domid, nr_pages_out)) {
        case STILL_SUSPENDED:
            return 0;
        case STILL_GONE:
            return fail(x->c, -ESRCH,
                        "domain \"%s\" went down while it was asked to "
                        "suspend.",
                        dom->name);
        case STILL_NO:
        default:
            break;
        }
        rc = wait_event(x, deadline_us);
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

static int gave_up(struct xen *x, const struct xen_dom *dom, const char *path,
                   int rc, unsigned timeout_ms, bool *pending_out)
{
    *pending_out = !withdraw(x->xsh, path);
    if (!*pending_out)
        unmark(x->xsh, dom->domid);
    if (rc != -ETIMEDOUT)
        return rc;
    if (*pending_out)
        return fail(x->c, -ETIMEDOUT,
                    "domain \"%s\" began to suspend but did not finish within "
                    "%u s; it is resumed as soon as it does.",
                    dom->name, timeout_ms / 1000);
    return fail(x->c, -ETIMEDOUT,
                "domain \"%s\" did not answer the request to suspend within "
                "%u s; the request was withdrawn. Has the guest a Xen-aware "
                "kernel, and is it responsive?",
                dom->name, timeout_ms / 1000);
}

int xen_suspend_ask(struct xen *x, const struct xen_dom *dom,
                    struct xen_suspend_times *times_out)
{
    char path[64];

    control_path(dom->domid, path, sizeof(path));
    times_out->request_us = now_us();
    if (needs_no_asking(x->xch, dom->domid)) {
        if (xc_domain_shutdown(x->xch, dom->domid, SHUTDOWN_suspend))
            return fail(x->c, -errno, "domain \"%s\": cannot suspend it",
                        dom->name);
        return 0;
    }
    if (!xs_write(x->xsh, XBT_NULL, path, "suspend", strlen("suspend")))
        return fail(x->c, -errno, "xenstore: writing %s", path);
    return 0;
}

int xen_suspend_await(struct xen *x, const struct xen_dom *dom,
                      const struct xen_suspend_wait *wait,
                      struct xen_suspend_times *times, bool *pending_out)
{
    const uint64_t patience_us = times->request_us + wait->patience_ms * 1000ull;
    const uint64_t deadline_us = times->request_us + wait->timeout_ms * 1000ull;
    char path[64];
    int rc;

    *pending_out = false;
    control_path(dom->domid, path, sizeof(path));
    mark(x->xsh, dom->domid);
    rc = watch(x, path);
    if (!rc && patience_us < deadline_us) {
        rc = wait_still(x, dom, patience_us, &times->nr_pages);
        if (rc == -ETIMEDOUT) {
            wait->impatient(wait->arg);
            rc = 0;
        }
    }
    if (!rc)
        rc = wait_still(x, dom, deadline_us, &times->nr_pages);
    times->still_us = now_us();
    if (rc)
        rc = gave_up(x, dom, path, rc, wait->timeout_ms, pending_out);
    unwatch(x, path);
    return rc;
}

/* Resume without a word to anybody, also for the guard. */
static int resume_quietly(xc_interface *xch, struct xs_handle *xsh,
                          uint32_t domid)
{
    int rc;

    if (xc_domain_resume(xch, domid, 1 /* in place */)) /* -1 with errno */
        return errno ? -errno : -EIO;
    /* Tells xenstored to forget it announced the shutdown; an old xenstored
     * does not know it, and needs it only for the next @releaseDomain. */
    rc = xs_resume_domain(xsh, domid) ? 0 : -errno;
    unmark(xsh, domid);
    return rc;
}

/* A device model that does not answer keeps no vCPU: what is undone after this
 * may take an hour.  Its devices are for the guard then, see xen_undo_still(). */
int xen_resume(struct xen *x, const struct xen_dom *dom)
{
    int model = dom->type == XEN_TYPE_HVM ? qmp_cont(x->c, dom->domid) : 0;
    int rc = resume_quietly(x->xch, x->xsh, dom->domid);

    if (rc)
        return fail(x->c, rc,
                    "domain \"%s\": cannot resume it (%s); try: xl resume %u",
                    dom->name, xen_words(x), dom->domid);
    return model;
}

/* --- the guard's side ---------------------------------------------------- */

/* Lets the devices go on; 0 also when there is no device model. */
static int cont_quietly(uint32_t domid)
{
    int rc = qmp_cont(NULL, domid);

    return rc == -ENOENT || rc == -ECONNREFUSED ? 0 : rc;
}

/*
 * What can be told apart when an operation has died.  The node alone does not
 * do: a guest acknowledges by emptying it, and empty it was before.
 *
 *     mark  node        the guest
 *     no    "suspend"   was asked just now: as with the mark
 *     no    else        was not asked yet, or has acknowledged in the instant
 *                       before the mark: it is waited for a moment
 *     yes   "suspend"   has not acknowledged: the request can be withdrawn
 *     yes   ""          has: it may suspend at any time, and is waited for
 *     yes   else        has, and somebody else wants something of it now: who
 *                       does (xl) resumes it as well
 *
 * Once it has acknowledged, "suspend" there is another's, too (xl save), and
 * so withdrawn only at the first look.  A suspended one is taken for
 * ours: Xen does not say who asked.  A mark that is left over, of a process that
 * died right after it resumed the guest, at worst makes the guard wait.
 */
static bool is_marked(struct xs_handle *xsh, uint32_t domid)
{
    char path[64], *value;
    unsigned len;

    mark_path(domid, path, sizeof(path));
    value = xs_read(xsh, XBT_NULL, path, &len);
    free(value);
    return value != NULL;
}

static bool is_empty(struct xs_handle *xsh, const char *path)
{
    unsigned len = 0;
    char *value = xs_read(xsh, XBT_NULL, path, &len);

    free(value);
    return !value || !len;
}

static int resume_all(xc_interface *xch, struct xs_handle *xsh, uint32_t domid)
{
    qmp_cont(NULL, domid); /* no device model: no socket, no harm */
    return resume_quietly(xch, xsh, domid);
}

/* Until it is suspended, gone or another's; else -EAGAIN. */
static int undo_wait(xc_interface *xch, struct xs_handle *xsh, uint32_t domid,
                     unsigned wait_ms)
{
    struct pollfd pfd = { .fd = xs_fileno(xsh), .events = POLLIN };
    const uint64_t deadline_us = now_us() + wait_ms * 1000ull;
    enum still still;
    char **event, path[64];
    uint64_t now;

    control_path(domid, path, sizeof(path));
    if (!xs_watch(xsh, "@releaseDomain", "still") ||
        !xs_watch(xsh, path, "ack"))
        return -errno;
    for (;;) {
        still = read_still(xch, domid, NULL);
        if (still == STILL_GONE)
            return 0;
        if (!is_empty(xsh, path)) {
            unmark(xsh, domid);
            return 0;
        }
        if (still == STILL_SUSPENDED)
            return resume_all(xch, xsh, domid);
        now = now_us();
        if (now >= deadline_us)
            return -EAGAIN;
        now = (deadline_us - now + 999) / 1000;
        if (poll(&pfd, 1, now < 1000 ? (int)now : 1000) < 0 && errno != EINTR)
            return -errno;
        while ((event = xs_check_watch(xsh)))
            free(event);
    }
}

#define MOMENT_MS 10000 /* from a request, if it was made, to the suspension */

static int undo_first(xc_interface *xch, struct xs_handle *xsh, uint32_t domid,
                      unsigned wait_ms)
{
    const bool was_asked = is_marked(xsh, domid);
    enum still still = read_still(xch, domid, NULL);
    char path[64];
    int rc;

    (void)wait_ms;
    if (still == STILL_GONE)
        return 0;
    if (still == STILL_SUSPENDED)
        return resume_all(xch, xsh, domid);
    control_path(domid, path, sizeof(path));
    if (!withdraw(xsh, path)) {
        rc = undo_wait(xch, xsh, domid, was_asked ? 0 : MOMENT_MS);
        return rc == -EAGAIN && !was_asked ? 0 : rc;
    }
    unmark(xsh, domid);
    /* It may have been quicker. */
    return read_still(xch, domid, NULL) == STILL_SUSPENDED
               ? resume_all(xch, xsh, domid)
               : 0;
}

static int connected(int (*fn)(xc_interface *, struct xs_handle *, uint32_t,
                               unsigned),
                     uint32_t domid, unsigned wait_ms)
{
    xc_interface *xch = xc_interface_open(NULL, NULL, 0);
    struct xs_handle *xsh = xs_open(0);
    int rc;

    if (xch && xsh)
        rc = fn(xch, xsh, domid, wait_ms);
    else
        rc = errno ? -errno : -EIO;
    if (xsh)
        xs_close(xsh);
    if (xch)
        xc_interface_close(xch);
    return rc;
}

/* Also when the vCPUs run: its devices may stand still alone. */
static int undo_still(xc_interface *xch, struct xs_handle *xsh, uint32_t domid,
                      unsigned wait_ms)
{
    const enum still still = read_still(xch, domid, NULL);
    int model, rc = 0;

    (void)wait_ms;
    if (still == STILL_GONE)
        return 0;
    model = cont_quietly(domid);
    if (still == STILL_SUSPENDED)
        rc = resume_quietly(xch, xsh, domid);
    return rc ? rc : model;
}

int xen_undo_still(uint32_t domid)
{
    return connected(undo_still, domid, 0);
}

int xen_undo_suspend(uint32_t domid)
{
    return connected(undo_first, domid, 0);
}

int xen_undo_suspend_wait(uint32_t domid, unsigned wait_ms)
{
    return connected(undo_wait, domid, wait_ms);
}
