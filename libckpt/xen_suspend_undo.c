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
 *   any       else        has, and somebody else wants something of it now: who
 *                         does (xl) resumes it as well
 *
 * Once it has acknowledged, "suspend" is another's, too (xl save); it shows as
 * an event of the watch, which is queued before the guest can answer, however
 * quickly it does.
 */
#include "xen_undo.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "qmp.h"
#include "xen_private.h"

#include "xen_suspend_claim.h"

#define MOMENT_US 10000000u /* from a request, if it was made, to suspension */

struct xen_pending {
    uint32_t domid;
    char claim[48], path[SUSPEND_PATH_SIZE];
    uint64_t until_us; /* 0: for as long as its guard has patience */
    xc_interface *xch;
    struct xs_handle *xsh;
    bool is_asked_anew; /* by somebody else */
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
    char **event;
    unsigned n;

    if (!xs_watch(p->xsh, p->path, "request"))
        return -errno;
    event = xs_read_watch(p->xsh, &n);
    if (!event)
        return errno ? -errno : -EIO;
    free(event);
    return xs_watch(p->xsh, "@releaseDomain", "still") ? 0 : -errno;
}

static bool is_empty(struct xs_handle *xsh, const char *path)
{
    unsigned len = 0;
    char *value = xs_read(xsh, XBT_NULL, path, &len);

    free(value);
    return !value || !len;
}

static void read_events(struct xen_pending *p)
{
    char **event;

    while ((event = xs_check_watch(p->xsh))) {
        if (!strcmp(event[XS_WATCH_TOKEN], "request"))
            p->is_asked_anew = true;
        free(event);
    }
}

/* Under the lock.  What is read from xenstore comes after the events that were
 * queued before. */
static int look(struct xen_pending *p)
{
    const enum still still = suspend_look(p->xch, p->domid, NULL);
    enum asked asked;

    if (still == STILL_GONE ||
        !suspend_is_mine(p->xsh, p->domid, p->claim, &asked))
        return 0;
    if (!is_empty(p->xsh, p->path))
        p->is_asked_anew = true;
    read_events(p);
    if (p->is_asked_anew) {
        suspend_unclaim(p->xsh, p->domid);
        return 0;
    }
    if (still == STILL_SUSPENDED) {
        (void)cont_quietly(p->domid); /* the vCPUs go on whatever it says */
        return suspend_resume(p->xch, p->xsh, p->domid);
    }
    if (p->until_us && now_us() >= p->until_us) {
        suspend_unclaim(p->xsh, p->domid);
        return 0;
    }
    return -EAGAIN;
}

int xen_pending_look(struct xen_pending *p)
{
    /* No lock, no room in /run: it is resumed all the same. */
    const int lock = suspend_lock();
    const int rc = look(p);

    suspend_unlock(lock);
    return rc;
}

int xen_pending_fd(const struct xen_pending *p)
{
    return xs_fileno(p->xsh);
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
    int rc;

    if (!suspend_is_mine(p->xsh, p->domid, p->claim, &asked))
        return 0;
    if (suspend_withdraw(p->xsh, p->path) && asked != ASKED_BEFORE)
        p->until_us = 1; /* it may have been quicker, but is not waited for */
    else if (asked == ASKED_NOT)
        p->until_us = now_us() + MOMENT_US;
    rc = watch(p);
    return rc ? rc : xen_pending_look(p);
}

int xen_undo_suspend(uint32_t domid, const char *claim,
                     struct xen_pending **pending_out)
{
    struct xen_pending *p;
    int rc = open_it(domid, claim, &p);

    *pending_out = NULL;
    if (rc)
        return rc;
    rc = undo_first(p);
    if (rc == -EAGAIN)
        *pending_out = p;
    else
        xen_pending_close(p);
    return rc;
}

/* Also when the vCPUs run: its devices may stand still alone. */
static int undo_still(struct xen_pending *p)
{
    const enum still still = suspend_look(p->xch, p->domid, NULL);
    enum asked asked;
    int model, rc = 0;

    if (still == STILL_GONE)
        return 0;
    model = cont_quietly(p->domid);
    if (still == STILL_SUSPENDED &&
        suspend_is_mine(p->xsh, p->domid, p->claim, &asked))
        rc = suspend_resume(p->xch, p->xsh, p->domid);
    return rc ? rc : model;
}

int xen_undo_still(uint32_t domid, const char *claim)
{
    struct xen_pending *p;
    int lock, rc = open_it(domid, claim, &p);

    if (rc)
        return rc;
    lock = suspend_lock();
    rc = undo_still(p);
    suspend_unlock(lock);
    xen_pending_close(p);
    return rc;
}
