/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints that are due.  Each guest has its plan, in its record, so that a
 * restart neither forgets nor hurries; one at a time, and what was missed is
 * missed.  When it is time for one of a group it is for all, and they are in step
 * from then on.
 */
#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "guest.h"
#include "jobs.h"
#include "log.h"

#define SCHEDULE_PREFIX "auto-"
#define MEET_S 2. /* after a restart, until the others of a group are met */

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
    if (wait <= 0)
        wait = guest_policy(g)->group[0] ? MEET_S : 0.;
    ev_timer_set(&g->schedule, wait, 0.);
    ev_timer_start(g->d->loop, &g->schedule);
}

/* Whether @o is @g, or is taken together with it. */
static bool is_with(const struct guest *g, const struct guest *o)
{
    const char *group = guest_policy(g)->group;

    return o == g || (group[0] && !strcmp(guest_policy(o)->group, group));
}

/* The next one from @*at on; NULL: that was the last. */
static struct guest *next_with(const struct guest *g, uint32_t *at)
{
    const struct guests *gs = g->d->guests;

    while (*at < gs->last) {
        struct guest *o = gs->by_domid[(*at)++];

        if (o && is_with(g, o))
            return o;
    }
    return NULL;
}

static bool add_members(const struct guest *g, struct wire_task *task)
{
    unsigned nr = 0;
    struct guest *o;

    for (uint32_t at = 0; (o = next_with(g, &at));)
        if (nr++ == CKPT_GROUP_MAX ||
            !word_add(task->domains, sizeof(task->domains), DOMAIN_END,
                      o->dom.name))
            return false;
    return true;
}

/* Of a group the job looks up what each one's policy says. */
static bool describe(const struct guest *g, const struct policy *p,
                     struct wire_task *task)
{
    *task = (struct wire_task){.verb = VERB_TAKE};
    snprintf(task->prefix, sizeof(task->prefix), SCHEDULE_PREFIX);
    snprintf(task->description, sizeof(task->description), "scheduled");
    guest_name_take(task->name, SCHEDULE_PREFIX);
    if (p->group[0]) {
        task->flags = TASK_BY_POLICY;
        snprintf(task->group, sizeof(task->group), "%s", p->group);
        return add_members(g, task);
    }
    task->domid = g->dom.domid;
    task->keep_count = p->keep_count;
    task->keep_age_s = p->keep_age_s;
    if (p->schedule_quiesce && p->guest_requests & GUEST_QUIESCE) {
        task->flags |= TASK_QUIESCE;
        task->quiesce_ms = p->quiesce_ms;
    }
    snprintf(task->domain, sizeof(task->domain), "%s", g->dom.name);
    return true;
}

static void take_scheduled(struct guest *g, const struct policy *p)
{
    char words[TEXT_WORDS] = "its group has more than 32 domains, or their names "
                             "have more than 1 KiB";
    struct wire_task task;
    struct job *job = NULL;
    struct guest *o;
    bool is_old;
    int rc;

    if (describe(g, p, &task))
        job = jobs_submit(g->d, ORIGIN_SCHEDULE, 0, "", &task, &rc, &is_old,
                          words);
    if (!job) {
        log_msg(LOG_WARNING, "%s: no scheduled checkpoint: %s", g->dom.name,
                words);
        return;
    }
    for (uint32_t at = 0; (o = next_with(g, &at));)
        o->schedule_job = job->w.id;
    jobs_kick(g->d);
}

static bool is_under_way(const struct guest *g)
{
    const struct guest *o;
    const struct job *last;

    for (uint32_t at = 0; (o = next_with(g, &at));) {
        last = jobs_find(g->d, o->schedule_job);
        if (last && last->w.state < JOB_DONE)
            return true;
    }
    return false;
}

static void on_schedule(struct ev_loop *loop, ev_timer *w, int events)
{
    struct guest *g = w->data, *o;
    const struct policy *p = guest_policy(g);
    const int64_t interval_us = (int64_t)p->schedule_s * 1000000;
    const int64_t now = now_unix_us();

    (void)loop, (void)events;
    if (!g->record || !interval_us)
        return;
    /* In step with the plan; what was missed is missed. */
    g->record->schedule_us += interval_us;
    if (g->record->schedule_us + interval_us < now ||
        g->record->schedule_us > now)
        g->record->schedule_us = now;
    if (is_under_way(g))
        log_msg(LOG_WARNING,
                "%s: no scheduled checkpoint: the last one is still under way",
                g->dom.name);
    else
        take_scheduled(g, p);
    for (uint32_t at = 0; (o = next_with(g, &at));) {
        if (o->record)
            o->record->schedule_us = g->record->schedule_us;
        schedule_arm(o);
    }
}

void schedule_init(struct guest *g)
{
    ev_init(&g->schedule, on_schedule);
    g->schedule.data = g;
}
