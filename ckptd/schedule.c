/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints that are due.  Each guest has its plan, in its record, so that a
 * restart neither forgets nor hurries; one at a time, and what was missed is
 * missed.
 */
#include <stdio.h>

#include "ctx.h"
#include "guest.h"
#include "jobs.h"
#include "log.h"

#define SCHEDULE_PREFIX "auto-"

void schedule_arm(struct guest *g)
{
    const double interval = (double)guest_policy(g)->schedule_s;
    double wait;

    ev_timer_stop(g->d->loop, &g->schedule);
    if (interval <= 0 || !g->record)
        return;
    if (!g->record->schedule_us)
        g->record->schedule_us = now_unix_us();
    wait =
        interval - (double)(now_unix_us() - g->record->schedule_us) / 1000000.;
    if (wait > interval) /* the clock was set back */
        wait = interval;
    ev_timer_set(&g->schedule, wait > 0 ? wait : 0., 0.);
    ev_timer_start(g->d->loop, &g->schedule);
}

static void take_scheduled(struct guest *g, const struct policy *p)
{
    struct wire_task task = {.verb = VERB_TAKE,
                             .domid = g->dom.domid,
                             .keep_count = p->keep_count,
                             .keep_age_s = p->keep_age_s};
    char words[TEXT_WORDS];
    struct job *job;
    bool is_old;
    int rc;

    if (p->schedule_quiesce && p->guest_requests & GUEST_QUIESCE) {
        task.flags |= TASK_QUIESCE;
        task.quiesce_ms = p->quiesce_ms;
    }
    snprintf(task.prefix, sizeof(task.prefix), SCHEDULE_PREFIX);
    snprintf(task.domain, sizeof(task.domain), "%s", g->dom.name);
    snprintf(task.description, sizeof(task.description), "scheduled");
    guest_name_take(task.name, SCHEDULE_PREFIX);
    job = jobs_submit(g->d, ORIGIN_SCHEDULE, 0, "", &task, &rc, &is_old, words);
    if (!job) {
        log_msg(LOG_WARNING, "%s: no scheduled checkpoint: %s", g->dom.name,
                words);
        return;
    }
    g->schedule_job = job->w.id;
    jobs_kick(g->d);
}

static void on_schedule(struct ev_loop *loop, ev_timer *w, int events)
{
    struct guest *g = w->data;
    const struct policy *p = guest_policy(g);
    const int64_t interval_us = (int64_t)p->schedule_s * 1000000;
    const int64_t now = now_unix_us();
    const struct job *last;

    (void)loop, (void)events;
    if (!g->record || !interval_us)
        return;
    /* In step with the plan; what was missed is missed. */
    g->record->schedule_us += interval_us;
    if (g->record->schedule_us + interval_us < now ||
        g->record->schedule_us > now)
        g->record->schedule_us = now;
    last = jobs_find(g->d, g->schedule_job);
    if (last && last->w.state < JOB_DONE)
        log_msg(LOG_WARNING,
                "%s: no scheduled checkpoint: the last one is still under way",
                g->dom.name);
    else
        take_scheduled(g, p);
    schedule_arm(g);
}

void schedule_init(struct guest *g)
{
    ev_init(&g->schedule, on_schedule);
    g->schedule.data = g;
}
