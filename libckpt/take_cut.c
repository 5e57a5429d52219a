/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The cut: one domain or several stand still, are cut, and go on.
 *
 *   a   freeze ──────── ask ────── still ─ cut ─────────── go on
 *   b   ─────── freeze ──── ask ── still ─────── cut ───── go on
 *
 * What is slow has been done before and what is left is done afterwards.
 * cut_once() is the only function between suspend and resume, and resumes on
 * every path.
 */
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "disk_beats.h"
#include "guard.h"
#include "mem.h"
#include "steps.h"
#include "take.h"
#include "xen_ring.h"
#include "xen_suspend.h"

#define SUSPEND_TIMEOUT_MS 30000u
#define DRAIN_US 500000u
#define LOCKED_MS 2000u /* the disks' locks are held for one that suspends */
#define ARMED_MAX 3     /* times, for a guest that changes its size meanwhile */

static unsigned timeout_ms(const struct take *t)
{
    return t->opts->suspend_timeout_ms ? t->opts->suspend_timeout_ms
                                       : SUSPEND_TIMEOUT_MS;
}

/* Requests that had no answer yet do no harm: a restored guest makes them
 * again.  But without them the disks are what the guest took them to be. */
static void drain_rings(struct take *t)
{
    const uint64_t before_us = now_us();

    t->info.io_drained = t->rings && !xen_rings_drain(t->rings, DRAIN_US);
    if (t->rings && !t->info.io_drained) {
        memcpy(t->not_drained, t->c->error, sizeof(t->not_drained));
        t->c->error[0] = '\0';
    }
    t->info.pause_disks_us = now_us() - before_us;
}

/* What is done while the guest stands still. */
static int cut_still(struct take *t)
{
    uint64_t before_us;
    int rc = 0;

    t->info.created_unix_us = now_unix_us();
    drain_rings(t);
    if (t->has_memory)
        rc = t->mem.drv->cut(&t->mem);
    if (!rc)
        rc = steps_fault(t->c, "take", "still");
    if (rc)
        return rc;
    before_us = now_us();
    rc = disks_cut(t->disks.disk, t->disks.nr);
    t->info.pause_disks_us += now_us() - before_us;
    return rc;
}

/* Disks alone need no help of the guest: it is paused where it is. */
static int ask_to_pause(struct take *t)
{
    int rc;

    rc = guard_add(t->op.g, GUARD_PAUSE, t->op.dom.domid, NULL, &t->token);
    if (rc)
        return rc;
    t->suspend.request_us = now_us();
    rc = xen_pause(t->op.x, t->op.dom.domid);
    t->suspend.still_us = now_us();
    if (rc)
        guard_del(t->op.g, t->token);
    t->is_still = !rc;
    return rc;
}

static int ask_to_suspend(struct take *t)
{
    int rc = 0;

    t->was_paused = t->op.dom.paused;
    if (t->was_paused) {
        /* It has to run for as long as it takes to suspend. */
        rc = guard_add(t->op.g, GUARD_UNPAUSED, t->op.dom.domid, NULL,
                       &t->token_unpaused);
        if (!rc)
            rc = xen_unpause(t->op.x, t->op.dom.domid);
    }
    if (!rc)
        rc = xen_suspend_ask(t->op.x, &t->op.dom, &t->suspend);
    t->pending = !rc;
    return rc;
}

static void thaw(struct take *t)
{
    if (!t->owes_thaw)
        return;
    t->owes_thaw = false;
    if (!t->opts->thaw(t->opts->freeze_arg) && t->is_frozen && !t->has_memory)
        t->info.consistency = CKPT_CONSISTENCY_FS_FROZEN;
}

static void freeze(struct take *t)
{
    const struct ckpt_take_opts *o = t->opts;

    if (!o->freeze)
        return;
    t->owes_thaw = true;
    t->is_frozen = !o->freeze(o->freeze_arg);
}

static int guard_monitor(struct take *t)
{
    char pid[16];

    if (!t->monitor || t->token_monitor)
        return 0;
    snprintf(pid, sizeof(pid), "%d", (int)t->monitor);
    return guard_add(t->op.g, GUARD_MONITOR, t->op.dom.domid, pid,
                     &t->token_monitor);
}

/* Before anybody is asked: in a group whoever is asked first would stand still
 * for as long as it takes for all others. */
int take_claim(struct take *t)
{
    int rc;

    if (!t->has_memory)
        return 0;
    rc = guard_monitor(t);
    if (!rc && !t->token)
        rc = guard_add(t->op.g, GUARD_SUSPEND, t->op.dom.domid, t->info.id,
                       &t->token);
    if (rc || xen_suspend_is_held(t->op.x, &t->suspend))
        return rc;
    rc = xen_suspend_claim(t->op.x, &t->op.dom, t->info.id, &t->suspend);
    if (rc) {
        guard_del(t->op.g, t->token);
        t->token = 0;
    }
    return rc;
}

static int ask_to_stand_still(struct take *t)
{
    return t->has_memory ? ask_to_suspend(t) : ask_to_pause(t);
}

/* Who has got a disk since is not cut.  With one that stood by it is seen while
 * the guest is on its way, for it waits: nothing of it is lost but a moment. */
static int check_same(const struct take *t, bool is_asked)
{
    return is_asked == !!t->opts->stand_by
               ? xen_stamp_check(t->op.x, &t->op.dom, t->stamp)
               : 0;
}

/* Others on its host need not wait for a guest that takes its time. */
static void unlock_disks(void *arg)
{
    struct take *t = arg;

    disks_unlock(t->disks.disk, t->disks.nr);
}

/* Suspended, and the guard knows. */
static int await_suspended(struct take *t, unsigned limit_ms)
{
    const struct xen_suspend_wait wait = {limit_ms, LOCKED_MS, unlock_disks, t};
    unsigned token = t->token;
    int rc;

    t->token = 0;
    rc = xen_suspend_await(t->op.x, &t->op.dom, &wait, &t->suspend,
                           &t->pending);
    if (t->pending) {
        guard_undo(t->op.g, token); /* what else is undone takes its time */
        return rc;
    }
    t->is_still = !rc;
    if (rc)
        t->suspend.claim = NULL;
    guard_hold(t->op.g);
    guard_del(t->op.g, token);
    if (!rc)
        rc = guard_add(t->op.g, GUARD_STILL, t->op.dom.domid, t->info.id,
                       &t->token);
    rc = guard_flush(t->op.g) ?: rc;
    if (!t->is_still && t->was_paused) {
        xen_pause(t->op.x, t->op.dom.domid);
        guard_del(t->op.g, t->token_unpaused);
    }
    return rc;
}

/* Lets it run, or leaves it paused if that is asked for; a guest that shall be
 * paused then holds a pause before it is resumed. */
static int go_on(struct take *t, bool is_done)
{
    bool pause =
        t->was_paused || (is_done && t->opts->flags & CKPT_TAKE_LEAVE_PAUSED);
    int rc = 0, r = 0;

    if (!t->is_still)
        return 0;
    t->is_still = false;
    if (!t->has_memory) {
        if (!is_done || !(t->opts->flags & CKPT_TAKE_LEAVE_PAUSED))
            r = xen_unpause(t->op.x, t->op.dom.domid);
        t->info.consistency = t->info.io_drained ? CKPT_CONSISTENCY_IO_DRAINED
                                                 : CKPT_CONSISTENCY_CRASH;
    } else {
        if (pause)
            rc = xen_pause(t->op.x, t->op.dom.domid);
        r = xen_resume(t->op.x, &t->op.dom);
        t->suspend.claim = NULL;
        t->info.consistency = CKPT_CONSISTENCY_GUEST_SUSPENDED;
    }
    if (!r)
        guard_del(t->op.g, t->token);
    t->token = 0;
    t->info.pause_us = now_us() - t->suspend.request_us;
    t->info.still_us = now_us() - t->suspend.still_us;
    guard_del(t->op.g, t->token_unpaused);
    t->token_unpaused = 0;
    return rc ? rc : r;
}

/* Who was asked to suspend and is not waited for yet may stand still by now, and
 * would for as long as the others take to be undone. */
void take_call_off(struct take *t)
{
    char error[sizeof(t->c->error)];

    if (!t->has_memory || !t->suspend.claim || t->is_still)
        return;
    if (t->pending && t->token) {
        memcpy(error, t->c->error, sizeof(error));
        (void)await_suspended(t, 0);
        memcpy(t->c->error, error, sizeof(error));
    } else if (!t->pending) {
        if (xen_suspend_disclaim(t->op.x, &t->op.dom, &t->suspend)) {
            guard_del(t->op.g, t->token);
        } else {
            t->pending = true;
            guard_undo(t->op.g, t->token);
        }
        t->token = 0;
    }
    t->suspend.claim = NULL;
}

/* If it fails, take_cut_all() makes it ready again. */
static int check_size(struct take *t)
{
    t->is_stale = t->has_memory && t->mem.drv->is_stale &&
                  t->mem.drv->is_stale(&t->mem);
    return t->is_stale ? fail(t->c, -ESTALE,
                              "domain \"%s\" changes its memory's size all the "
                              "time: %u times while its checkpoint was made "
                              "ready. Try again when it does not.",
                              t->op.dom.name, ARMED_MAX)
                       : 0;
}

static int cut_once(struct take *const *t, size_t nr)
{
    bool is_left = false;
    int rc, r;
    size_t i;

    /* That takes as long as the guests want: nobody stands still for it. */
    for (i = 0; i < nr; i++)
        freeze(t[i]);
    /* Before it suspends, Linux stops all processes, which it cannot do with
     * one that waits for a frozen filesystem (until 6.16).  By now hooks have
     * run and all is written; the rest is in the memory that is kept. */
    for (i = 0; i < nr; i++)
        if (t[i]->has_memory)
            thaw(t[i]);
    rc = check_cancel(t[0]->c); /* a freeze that was cut short ends the take */
    for (i = 0; !rc && i < nr; i++)
        rc = check_same(t[i], false);
    for (i = 0; !rc && i < nr; i++)
        rc = check_size(t[i]);
    for (i = 0; !rc && i < nr; i++)
        rc = take_claim(t[i]);
    for (i = 0; !rc && i < nr; i++)
        rc = disks_lock(t[i]->disks.disk, t[i]->disks.nr);
    for (i = 0; !rc && i < nr; i++)
        rc = ask_to_stand_still(t[i]);
    for (i = 0; !rc && i < nr; i++)
        rc = check_same(t[i], true);
    for (i = 0; !rc && i < nr; i++)
        if (t[i]->has_memory)
            rc = await_suspended(t[i], timeout_ms(t[i]));
    for (i = 0; !rc && i < nr; i++)
        rc = check_size(t[i]);
    for (i = 0; !rc && i < nr; i++)
        rc = cut_still(t[i]);
    r = rc;
    for (i = 0; i < nr; i++) {
        int e;

        if (rc) {
            unlock_disks(t[i]);
            take_call_off(t[i]);
        }
        e = go_on(t[i], !rc);
        thaw(t[i]);
        r = r ? r : e;
        is_left |= !!e;
    }
    for (i = 0; is_left && i < nr; i++)
        t[i]->is_stale = false; /* enough is wrong */
    return r;
}

static int arm_again(struct take *t)
{
    say(t->c, "domain \"%s\" changed its memory's size: all is made ready again",
        t->op.dom.name);
    t->is_stale = false;
    t->c->error[0] = '\0';
    take_mem_undo(t);
    machine_fini(&t->mem.machine);
    take_room_undo(t);
    return take_room(t) ?: take_mem_arm(t);
}

int take_cut_all(struct take *const *t, size_t nr)
{
    bool again = true;
    int rc = 0;

    for (unsigned armed = 1; again; armed++) {
        again = false;
        rc = cut_once(t, nr);
        if (armed == ARMED_MAX)
            break;
        for (size_t i = 0; i < nr; i++) {
            if (!t[i]->is_stale)
                continue;
            again = true;
            rc = arm_again(t[i]);
            if (rc)
                return rc;
        }
    }
    return rc;
}
