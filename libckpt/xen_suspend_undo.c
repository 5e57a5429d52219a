/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A guest that was asked to suspend, when who asked it has died or given up.
 * What can be told apart (the claim: xen_suspend_claim.h):
 *
 *   claim     request     the guest
 *   not ours  any         was not asked, runs again, or is claimed by a later
 *                         take, whose guard it is now
 *   not asked "suspend"   was asked just now: it is withdrawn
 *   not asked ""          was not asked, or has acknowledged in the instant
 *                         before the claim said so: it is waited for a moment
 *   asked     "suspend"   has not acknowledged: it is withdrawn
 *   asked     ""          has: it may suspend at any time, and is waited for
 *   pending   any         the same, after ours was withdrawn
 *   any       else        the same; it does what that word says afterwards
 *
 * At the first look "suspend" is ours.  Later it is another's (xl save), as it
 * is if the node is empty and an event of its watch says that it was not
 * meanwhile: the event is queued before the guest can answer, however quickly
 * it does.  Who it is then resumes it.  (Or does not: an xl save that has its
 * own request unanswered for a minute, and withdraws it, leaves a guest that
 * follows ours after that to xl resume.)
 */
#include "xen_undo.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "qmp.h"
#include "xen_private.h"

#include "xen_suspend_claim.h"

/* From a request, if it was made, to suspension, or to the end of the 20 s for
 * which Linux tries. */
#define MOMENT_US 30000000u

struct xen_pending {
    uint32_t domid;
    char claim[48], path[SUSPEND_PATH_SIZE];
    uint64_t until_us; /* 0: for as long as its guard has patience */
    xc_interface *xch;
    struct xs_handle *xsh;
    bool is_watched;
    bool is_paused; /* it was, at the last look */
};

/* Lets the devices go on; 0 also when there is no device model. */
static int cont_quietly(uint32_t domid)
{
    int rc = qmp_cont(NULL, domid);

    return rc == -ENOENT || rc == -ECONNREFUSED ? 0 : rc;
}

/* Each watch fires once when it is set. */
static int watch(struct xen_pending *p)
{
    char **event, claim[SUSPEND_PATH_SIZE];
    unsigned n;

    if (p->is_watched)
        return 0;
    suspend_claim_path(p->domid, claim);
    if (!xs_watch(p->xsh, p->path, "request"))
        return errno ? -errno : -EIO;
    event = xs_read_watch(p->xsh, &n);
    if (!event)
        return errno ? -errno : -EIO;
    free(event);
    if (!xs_watch(p->xsh, "@releaseDomain", "still") ||
        !xs_watch(p->xsh, claim, "claim"))
        return errno ? -errno : -EIO;
    p->is_watched = true;
    return 0;
}

/* Did one say that the request's node was written? */
static bool read_events(struct xen_pending *p)
{
    bool is_written = false;
    char **event;

    while ((event = xs_check_watch(p->xsh))) {
        is_written |= !strcmp(event[XS_WATCH_TOKEN], "request");
        free(event);
    }
    return is_written;
}

/* After suspend_is_mine(), whose answer comes behind the events of before. */
static int is_anothers(struct xen_pending *p)
{
    const bool is_written = read_events(p);
    unsigned len = 0;
    char *value = xs_read(p->xsh, XBT_NULL, p->path, &len);
    int is = value ? (len ? !strcmp(value, SUSPEND_REQUEST) : is_written)
             : errno == ENOENT ? 0
             : errno           ? -errno
                               : -EIO;

    free(value);
    return is;
}

static void see_whether_paused(struct xen_pending *p)
{
    xc_domaininfo_t info;

    p->is_paused = xen_domain_info(p->xch, p->domid, &info) &&
                   info.flags & XEN_DOMINF_paused;
}

/* Under the lock. */
static int look(struct xen_pending *p)
{
    const enum still still = suspend_look(p->xch, p->domid, NULL);
    enum asked asked;
    int rc;

    if (still == STILL_GONE)
        return 0;
    rc = suspend_is_mine(p->xsh, p->domid, p->claim, &asked);
    if (rc <= 0)
        return rc;
    rc = is_anothers(p);
    if (rc < 0)
        return rc;
    if (!rc && still == STILL_SUSPENDED)
        return suspend_resume(p->xch, p->xsh, p->domid);
    if (!rc && (!p->until_us || now_us() < p->until_us)) {
        see_whether_paused(p);
        return -EAGAIN;
    }
    suspend_unclaim(p->xsh, p->domid);
    return 0;
}

int xen_pending_look(struct xen_pending *p)
{
    /* No lock, no room in /run: it is resumed all the same. */
    const int lock = suspend_lock();
    int rc = watch(p);

    if (!rc)
        rc = look(p);
    suspend_unlock(lock);
    return rc;
}

int xen_pending_fd(const struct xen_pending *p)
{
    return xs_fileno(p->xsh);
}

bool xen_pending_is_paused(const struct xen_pending *p)
{
    return p->is_paused;
}

void xen_pending_close(struct xen_pending *p)
{
    if (!p)
        return;
    if (p->xsh)
        xs_close(p->xsh);
    if (p->xch)
        xc_interface_close(p->xch);
    free(p);
}

static int open_it(uint32_t domid, const char *claim, struct xen_pending **p_out)
{
    struct xen_pending *p = calloc(1, sizeof(*p));
    int rc = 0;

    if (!p)
        return -ENOMEM;
    p->domid = domid;
    strncpy(p->claim, claim, sizeof(p->claim) - 1);
    suspend_request_path(domid, p->path);
    p->xch = xc_interface_open(NULL, NULL, 0);
    p->xsh = xs_open(0);
    if (!p->xch || !p->xsh)
        rc = errno ? -errno : -EIO;
    if (!rc) {
        *p_out = p;
        return 0;
    }
    xen_pending_close(p);
    return rc;
}

/* The first look: a request that stands is ours, and is withdrawn. */
static int undo_first(struct xen_pending *p)
{
    enum asked asked;
    int rc = suspend_is_mine(p->xsh, p->domid, p->claim, &asked);

    if (rc <= 0)
        return rc;
    if (suspend_withdraw(p->xsh, p->path) && asked != ASKED_BEFORE)
        p->until_us = 1; /* it may have been quicker, but is not waited for */
    else if (asked == ASKED_NOT)
        p->until_us = now_us() + MOMENT_US;
    return 1;
}

int xen_undo_suspend(uint32_t domid, const char *claim,
                     struct xen_pending **pending_out)
{
    struct xen_pending *p;
    int lock, rc = open_it(domid, claim, &p);

    *pending_out = NULL;
    if (rc)
        return rc;
    lock = suspend_lock();
    rc = undo_first(p);
    suspend_unlock(lock);
    if (rc <= 0) {
        xen_pending_close(p);
        return rc;
    }
    *pending_out = p;
    return xen_pending_look(p);
}

/* Also when the vCPUs run: its devices may stand still alone. */
int xen_undo_still(uint32_t domid, const char *claim)
{
    struct xen_pending *p;
    enum asked asked;
    enum still still;
    int model, lock, rc = open_it(domid, claim, &p);

    if (rc)
        return rc;
    lock = suspend_lock();
    still = suspend_look(p->xch, domid, NULL);
    if (still != STILL_GONE)
        rc = suspend_is_mine(p->xsh, domid, claim, &asked);
    if (rc > 0 && still == STILL_SUSPENDED)
        rc = suspend_resume(p->xch, p->xsh, domid);
    else if (rc > 0)
        suspend_unclaim(p->xsh, domid);
    suspend_unlock(lock);
    model = still == STILL_GONE ? 0 : cont_quietly(domid);
    xen_pending_close(p);
    return rc < 0 ? rc : model;
}
