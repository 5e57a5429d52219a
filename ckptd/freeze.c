/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 *   NONE ── FREEZE: write "N freeze MS" ──► ASKED ── "N frozen" ──► HOLDS
 *     ▲                                        │                      │
 *     ├────── THAW, "N failed", limit ─────────┘                 limit, THAW:
 *     ├───────────────── THAW ◄──── EXPIRED ◄── write "N thaw" ───────┤
 *     └── "N thawed", THAW_S ◄───── THAWING ◄── write "N thaw" ───────┘
 *
 * The limit is ours, and the guest's agent has the same: whichever of us
 * dies, the guest thaws.  Who has it thawed may want it to suspend next, so
 * the answer waits for the guest's; and so does the next job's freeze.  Each
 * answer is for the job that asked: another may have begun meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "door.h"
#include "door_request.h"

#define THAW_S 5.0

static void ack_watch(struct doorway *w, bool on)
{
    char path[XEN_STORE_PATH], token[XEN_STORE_TOKEN];

    doorway_path(w, "ckpt/quiesce-ack", path);
    snprintf(token, sizeof(token), "q%u", w->domid);
    if (on)
        xen_store_watch(w->d->store, path, token);
    else
        xen_store_unwatch(w->d->store, path, token);
}

void freeze_tell(struct door *d, uint32_t domid, uint64_t job, int rc)
{
    struct wire m;

    wire_begin(&m, WIRE_FROZEN);
    m.u.frozen.job = job;
    m.u.frozen.domid = domid;
    m.u.frozen.rc = rc;
    door_send(d, &m);
}

static void tell(const struct doorway *w, uint64_t job, int rc)
{
    freeze_tell(w->d, w->domid, job, rc);
}

/* Who waits for the guest to have thawed waits no longer. */
static void drop_next(struct doorway *w, int rc)
{
    if (w->next_job)
        tell(w, w->next_job, rc);
    w->next_job = 0;
}

static void write_order(struct doorway *w, const char *order)
{
    doorway_put(w, "ckpt/quiesce", order);
}

static void write_thaw(struct doorway *w)
{
    char order[48];

    snprintf(order, sizeof(order), "%u thaw", w->freeze_seq);
    write_order(w, order);
}

/* Back to NONE: nothing is waited for, no word of the guest is listened to. */
static void settle(struct doorway *w)
{
    ev_timer_stop(w->d->loop, &w->freeze_limit);
    if (w->freeze == FREEZE_ASKED || w->freeze == FREEZE_THAWING)
        ack_watch(w, false);
    w->freeze = FREEZE_NONE;
}

/* The same, with the answer: 0 when it had held until it was ended. */
static void over(struct doorway *w, int rc)
{
    const uint64_t next = w->next_job;

    settle(w);
    w->next_job = 0;
    tell(w, w->freeze_job, rc);
    if (next)
        freeze_begin(w, next, w->next_ms);
}

static void on_limit(struct ev_loop *loop, ev_timer *t, int events)
{
    struct doorway *w = t->data;

    (void)loop, (void)events;
    if (w->freeze == FREEZE_THAWING) {
        over(w, 0);
        return;
    }
    write_thaw(w);
    if (w->freeze == FREEZE_ASKED) {
        log_bounded(&w->faults, LOG_WARNING,
                    "domain %u \"%s\" did not freeze in time", w->domid,
                    w->name);
        over(w, -ETIMEDOUT);
    } else {
        w->freeze = FREEZE_EXPIRED;
    }
}

void freeze_init(struct doorway *w)
{
    ev_init(&w->freeze_limit, on_limit);
    w->freeze_limit.data = w;
}

/* Whether its agent runs, by its own word. */
static bool has_agent(struct doorway *w)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    size_t len;

    doorway_path(w, "ckpt/feature-quiesce", path);
    return !xen_store_read(w->d->store, path, value, &len) &&
           !strcmp(value, "1");
}

void freeze_begin(struct doorway *w, uint64_t job, uint32_t deadline_ms)
{
    char order[48];

    if (w->freeze == FREEZE_THAWING && !w->next_job) {
        w->next_job = job;
        w->next_ms = deadline_ms;
        return;
    }
    if (w->freeze != FREEZE_NONE && w->freeze != FREEZE_EXPIRED) {
        tell(w, job, -EBUSY);
        return;
    }
    if (!(w->requests & GUEST_QUIESCE) || !deadline_ms || !has_agent(w)) {
        tell(w, job, -ENOTSUP);
        return;
    }
    w->freeze_job = job;
    w->freeze_seq++;
    w->freeze = FREEZE_ASKED;
    ack_watch(w, true);
    snprintf(order, sizeof(order), "%u freeze %u", w->freeze_seq, deadline_ms);
    write_order(w, order);
    ev_timer_set(&w->freeze_limit, deadline_ms / 1000., 0.);
    ev_timer_start(w->d->loop, &w->freeze_limit);
}

void freeze_ack(struct doorway *w)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    bool is_frozen;
    size_t len;

    if (w->freeze != FREEZE_ASKED && w->freeze != FREEZE_THAWING)
        return;
    doorway_path(w, "ckpt/quiesce-ack", path);
    if (xen_store_read(w->d->store, path, value, &len) ||
        !door_ack_parse(value, len, w->freeze_seq, &is_frozen))
        return;
    if (w->freeze == FREEZE_THAWING) {
        if (!is_frozen)
            over(w, 0);
    } else if (is_frozen) {
        ack_watch(w, false);
        w->freeze = FREEZE_HOLDS;
        tell(w, w->freeze_job, 0);
    } else {
        write_thaw(w);
        over(w, -EIO);
    }
}

/* The answer says whether the freeze had held until now. */
void freeze_end(struct doorway *w, uint64_t job)
{
    if (job == w->next_job) { /* it has not begun */
        drop_next(w, -ETIMEDOUT);
        return;
    }
    if (job != w->freeze_job) {
        tell(w, job, -ETIMEDOUT);
        return;
    }
    if (w->freeze == FREEZE_THAWING)
        return; /* an answer is under way */
    if (w->freeze == FREEZE_HOLDS) {
        w->freeze = FREEZE_THAWING;
        ack_watch(w, true);
        write_thaw(w);
        ev_timer_stop(w->d->loop, &w->freeze_limit);
        ev_timer_set(&w->freeze_limit, THAW_S, 0.);
        ev_timer_start(w->d->loop, &w->freeze_limit);
    } else {
        freeze_gone(w);
    }
}

void freeze_gone(struct doorway *w)
{
    drop_next(w, -ETIMEDOUT);
    if (w->freeze == FREEZE_ASKED || w->freeze == FREEZE_HOLDS)
        write_thaw(w);
    over(w, -ETIMEDOUT);
}

void freeze_lost(struct doorway *w)
{
    if (w->freeze == FREEZE_ASKED || w->freeze == FREEZE_THAWING)
        tell(w, w->freeze_job, -ENOENT);
    drop_next(w, -ENOENT);
    settle(w);
}

void freeze_forget(struct doorway *w)
{
    char path[XEN_STORE_PATH], value[XEN_STORE_VALUE + 1];
    unsigned seq = 0;
    size_t len;

    doorway_path(w, "ckpt/quiesce", path);
    if (!xen_store_read(w->d->store, path, value, &len))
        (void)!sscanf(value, "%u", &seq);
    if (seq > w->freeze_seq)
        w->freeze_seq = seq; /* numbers only go up */
    if (!seq || strstr(value, "freeze"))
        write_thaw(w);
}
