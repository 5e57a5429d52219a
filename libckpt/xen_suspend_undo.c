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
 * follows ours after that suspended.)
 */
#include "xen_undo.h"

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
    unsigned nr_watched;
    bool is_written; /* the request's node was, since it was looked at */
    bool is_paused;  /* it was, at the last look */
};

/* Lets the devices go on; 0 also when there is no device model. */
static int cont_quietly(uint32_t domid)
{
    int rc = qmp_cont(NULL, domid);

    return rc == -ENOENT || rc == -ECONNREFUSED ? 0 : rc;
}

static int watch_one(struct xen_pending *p, const char *path, const char *token)
{
    if (!xs_watch(p->xsh, path, token))
        return errno ? -errno : -EIO;
    p->nr_watched++;
    return 0;
}

/* What comes with the first would be taken for a request. */
static int watch(struct xen_pending *p)
{
    char claim[SUSPEND_PATH_SIZE];
    int rc = 0;

    suspend_claim_path(p->domid, claim);
    if (p->nr_watched == 0) {
        if (!xen_watch_first(p->xsh, p->path, "request"))
            return errno ? -errno : -EIO;
        p->nr_watched++;
    }
    if (!rc && p->nr_watched == 1)
        rc = watch_one(p, "@releaseDomain", "still");
    if (!rc && p->nr_watched == 2)
        rc = watch_one(p, claim, "claim");
    return rc;
}

static void read_events(struct xen_pending *p)
{
    char **event;

    while ((event = xs_check_watch(p->xsh))) {
        p->is_written |= !strcmp(event[XS_WATCH_TOKEN], "request");
        free(event);
    }
}

/* After suspend_is_mine(), whose answer comes behind the events of before. */
static int is_anothers(struct xen_pending *p)
{
    unsigned len = 0;
    char *value;
    int is;

    read_events(p);
    value = xs_read(p->xsh, XBT_NULL, p->path, &len);
    if (value && len) {
        is = !strcmp(value, SUSPEND_REQUEST);
        p->is_written = false; /* by whoever wants that of it */
    } else if (value || errno == ENOENT) {
        is = p->is_written;
    } else {
        is = errno ? -errno : -EIO;
    }
    free(value);
    return is;
}

/* 1: it is ours to resume, with @still_out; 0: it is not, or is gone. */
static int is_ours(struct xen_pending *p, enum still *still_out)
{
    xc_domaininfo_t info;
    enum asked asked;

    *still_out = suspend_look(p->xch, p->domid, &info);
    if (*still_out == STILL_GONE)
        return 0;
    if (*still_out == STILL_UNKNOWN)
        return -EIO;
    p->is_paused = info.flags & XEN_DOMINF_paused;
    return suspend_is_mine(p->xsh, p->domid, p->claim, &asked);
}

/* Under the lock. */
static int look(struct xen_pending *p)
{
    enum still still;
    int rc;

    rc = is_ours(p, &still);
    if (rc <= 0)
        return rc;
    rc = is_anothers(p);
    if (rc < 0)
        return rc;
    if (!rc && still == STILL_SUSPENDED)
        return suspend_resume(p->xch, p->xsh, p->domid);
    /* It cannot suspend while it is paused: its moment begins afterwards. */
    if (p->is_paused && p->until_us > 1)
        p->until_us = now_us() + MOMENT_US;
    if (!rc && (!p->until_us || now_us() < p->until_us))
        return -EAGAIN;
    suspend_unclaim(p->xsh, p->domid);
    return 0;
}

int xen_pending_look(struct xen_pending *p)
{
    /* No lock, no room in /run: it is resumed all the same. */
    const int lock = suspend_lock();
    int rc = watch(p);

    read_events(p);
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
    rc = suspend_withdraw(p->xsh, p->path);
    if (rc < 0)
        return rc;
    if (rc && asked != ASKED_BEFORE)
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

/* 0 also where somebody else has resumed it. */
static int resume_ours(struct xen_pending *p)
{
    enum still still;
    int rc = is_ours(p, &still);

    if (rc <= 0)
        return rc;
    if (still == STILL_SUSPENDED)
        return suspend_resume(p->xch, p->xsh, p->domid);
    suspend_unclaim(p->xsh, p->domid);
    return 0;
}

/* The devices first: without their model the guest would lose what it asks of
 * them.  They may also stand still alone.  Nobody else claims the guest
 * meanwhile, for the operation's lock is held. */
int xen_undo_still(uint32_t domid, const char *claim)
{
    struct xen_pending *p;
    xc_domaininfo_t info;
    int model = 0, lock, rc = open_it(domid, claim, &p);

    if (rc)
        return rc;
    if (suspend_look(p->xch, domid, &info) != STILL_GONE)
        model = cont_quietly(domid);
    lock = suspend_lock();
    rc = resume_ours(p);
    suspend_unlock(lock);
    xen_pending_close(p);
    return rc ? rc : model;
}
