/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A guest's wish is looked at in this order: may it at all, is it busy, has it
 * room, is it its turn.  Each answer costs the same however often it is
 * given.  A new domain's door opens at once, except while a fork or rollback
 * is making domains: then we do not know yet whose child it is.
 */
#include "guests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit.h"
#include "ctx.h"
#include "guest.h"
#include "jobs.h"
#include "log.h"
#include "standby.h"
#include "state.h"

#define GUEST_PREFIX "guest-"

/* --- records --------------------------------------------------------------- */

/* It is here, or one of its family is. */
static bool is_needed(struct daemon *d, const char *uuid)
{
    for (uint32_t i = 0; i < d->guests->last; i++) {
        const struct guest *g = d->guests->by_domid[i];

        if (g && (!strcmp(g->dom.uuid, uuid) ||
                  (g->record && !strcmp(g->record->parent, uuid))))
            return true;
    }
    return false;
}

/* When the table is full, one that is not here and was used longest ago. */
static struct record *evict(struct daemon *d)
{
    struct record *oldest = NULL;

    for (size_t i = 0; i < d->guests->nr_records; i++) {
        struct record *r = &d->guests->record[i];

        if ((!oldest || r->tokens_us < oldest->tokens_us) &&
            !is_needed(d, r->uuid))
            oldest = r;
    }
    return oldest;
}

struct record *guests_record(struct daemon *d, const char *uuid)
{
    struct guests *g = d->guests;
    struct record *r;

    for (size_t i = 0; i < g->nr_records; i++)
        if (!strcmp(g->record[i].uuid, uuid))
            return &g->record[i];
    r = g->nr_records < RECORDS_MAX ? &g->record[g->nr_records++] : evict(d);
    if (!r)
        return NULL;
    memset(r, 0, sizeof(*r));
    snprintf(r->uuid, sizeof(r->uuid), "%s", uuid);
    return r;
}

struct record *guests_record_nth(struct daemon *d, size_t n)
{
    return n < d->guests->nr_records ? &d->guests->record[n] : NULL;
}

/* Where is counted what @g uses up: with the guest that its family began with,
 * or each child would have a measure of its own.  NULL: there are too many. */
static struct record *family(const struct guest *g)
{
    return g->record && g->record->parent[0]
               ? guests_record(g->d, g->record->parent)
               : g->record;
}

static unsigned living_children(struct daemon *d, const struct record *first)
{
    unsigned nr = 0;

    for (uint32_t i = 0; i < d->guests->last; i++) {
        const struct guest *g = d->guests->by_domid[i];

        nr += g && g->record && !strcmp(g->record->parent, first->uuid);
    }
    return nr;
}

/* --- doors ------------------------------------------------------------------ */

const struct policy *guest_policy(const struct guest *g)
{
    return conf_policy(&g->d->conf, g->dom.name);
}

/* The door may have died before it was told, and a new one must not take the
 * request for one that was cut off. */
static void answer_again(struct guest *g)
{
    struct wire m;

    wire_begin(&m, WIRE_ANSWER);
    m.u.answer.domid = g->dom.domid;
    m.u.answer.is_again = true;
    memcpy(m.u.answer.id, g->id, sizeof(m.u.answer.id));
    memcpy(m.u.answer.result, g->result, sizeof(m.u.answer.result));
    child_send(&g->d->door, &m);
}

static void open_door(struct guest *g)
{
    struct wire m;

    wire_begin(&m, WIRE_DOOR);
    g->is_held = false;
    g->requests = guest_policy(g)->guest_requests;
    m.u.door.domid = g->dom.domid;
    m.u.door.requests = g->requests;
    memcpy(m.u.door.origin, g->origin, sizeof(m.u.door.origin));
    memcpy(m.u.door.busy_id, g->id, sizeof(m.u.door.busy_id));
    child_send(&g->d->door, &m);
    if (!g->job && g->id[0])
        answer_again(g);
    standbys_settle(g->d);
}

static void release_held(struct daemon *d)
{
    for (uint32_t i = 0; i < d->guests->last; i++)
        if (d->guests->by_domid[i] && d->guests->by_domid[i]->is_held)
            open_door(d->guests->by_domid[i]);
}

__attribute__((format(printf, 4, 5))) static void
answer(struct guest *g, const char *id, bool is_busy, const char *fmt, ...)
{
    struct wire m;
    va_list ap;

    wire_begin(&m, WIRE_ANSWER);
    m.u.answer.domid = g->dom.domid;
    m.u.answer.is_busy = is_busy;
    snprintf(m.u.answer.id, sizeof(m.u.answer.id), "%s", id);
    va_start(ap, fmt);
    vsnprintf(m.u.answer.result, sizeof(m.u.answer.result), fmt, ap);
    va_end(ap);
    child_send(&g->d->door, &m);
    child_send(&g->d->front, &m); /* counts them */
}

/* --- the door's reports -------------------------------------------------------- */

static struct guest *find(struct daemon *d, uint32_t domid)
{
    return domid < GUESTS_MAX ? d->guests->by_domid[domid] : NULL;
}

static void forget(struct guest *g)
{
    ev_timer_stop(g->d->loop, &g->schedule);
    g->d->guests->by_domid[g->dom.domid] = NULL;
    standbys_end(g->d, g->dom.domid);
    free(g);
}

static struct guest *meet(struct daemon *d, const struct wire_domain *dom)
{
    struct guest *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->d = d;
    g->dom = *dom;
    schedule_init(g);
    d->guests->by_domid[dom->domid] = g;
    if (dom->domid >= d->guests->last)
        d->guests->last = dom->domid + 1;
    g->record = guests_record(d, dom->uuid);
    return g;
}

void guests_domain(struct daemon *d, const struct wire_domain *dom)
{
    struct guest *g = find(d, dom->domid);
    const char *what;

    if (dom->domid >= GUESTS_MAX || !dom->domid)
        return;
    if (g && (!dom->is_present || strcmp(g->dom.uuid, dom->uuid))) {
        forget(g);
        g = NULL;
    }
    if (!dom->is_present)
        return;
    what = !g ? "here" : "here still"; /* the door was started again */
    if (g && strcmp(g->dom.name, dom->name)) {
        what = "renamed";
        standbys_end(d, dom->domid);
    }
    if (!g)
        g = meet(d, dom);
    if (!g)
        return;
    g->dom = *dom; /* it may have a new name */
    g->is_unseen = false;
    log_msg(LOG_INFO, "domain %u \"%s\" is %s", dom->domid, dom->name, what);
    schedule_arm(g);
    if (jobs_may_bear(d))
        g->is_held = true;
    else
        open_door(g);
}

void guests_door_died(struct daemon *d)
{
    jobs_door_died(d);
    /* Who is still here is reported again by the next one; a schedule must
     * not fire twice meanwhile. */
    for (uint32_t i = 0; i < d->guests->last; i++) {
        struct guest *g = d->guests->by_domid[i];

        if (!g)
            continue;
        ev_timer_stop(d->loop, &g->schedule);
        g->is_unseen = true;
    }
}

void guests_all_told(struct daemon *d)
{
    for (uint32_t i = 0; i < d->guests->last; i++) {
        struct guest *g = d->guests->by_domid[i];

        if (!g || !g->is_unseen)
            continue;
        log_msg(LOG_INFO, "domain %u \"%s\" went while there was no door",
                g->dom.domid, g->dom.name);
        forget(g);
    }
}

void guests_reconfigure(struct daemon *d)
{
    for (uint32_t i = 0; i < d->guests->last; i++) {
        struct guest *g = d->guests->by_domid[i];

        if (!g)
            continue;
        schedule_arm(g);
        if (!g->is_held && g->requests != guest_policy(g)->guest_requests)
            open_door(g);
    }
    /* What they were made ready for may have changed. */
    standbys_end(d, 0);
}

/* As xl takes it. */
static bool is_number(const char *domain)
{
    return domain[0] && !domain[strspn(domain, "0123456789")];
}

static const struct guest *find_named(const struct daemon *d,
                                      const char *domain)
{
    const struct guests *gs = d->guests;

    if (is_number(domain)) {
        const unsigned long domid = strtoul(domain, NULL, 10);

        return domid < gs->last ? gs->by_domid[domid] : NULL;
    }
    for (uint32_t i = 0; i < gs->last; i++)
        if (gs->by_domid[i] && !strcmp(gs->by_domid[i]->dom.name, domain))
            return gs->by_domid[i];
    return NULL;
}

uint32_t guests_domid(const struct daemon *d, const char *domain)
{
    const struct guest *g = find_named(d, domain);

    return g ? g->dom.domid : 0;
}

const char *guests_name(const struct daemon *d, const char *domain)
{
    const struct guest *g = find_named(d, domain);

    return g ? g->dom.name : is_number(domain) ? NULL : domain;
}

bool guests_freeze(struct daemon *d, uint64_t job, uint32_t domid,
                   uint32_t type, uint32_t deadline_ms)
{
    struct wire m;
    struct guest *g = find(d, domid);

    wire_begin(&m, type);
    /* Who froze is thawed, also when the policy has changed meanwhile. */
    if (!g || d->door.fd < 0 ||
        (type == WIRE_FREEZE && !(g->requests & GUEST_QUIESCE)))
        return false;
    m.u.freeze.domid = domid;
    m.u.freeze.deadline_ms = deadline_ms;
    m.u.freeze.job = job;
    child_send(&d->door, &m);
    return true;
}

/* --- a guest's wish ------------------------------------------------------------ */

static void refuse(struct guest *g, const struct wire_guest *w,
                   const char *code, const char *why)
{
    const char *what = "unknown";

    for (unsigned n = 0; policy_request_name(n); n++)
        if (w->request == 1u << n)
            what = policy_request_name(n);
    answer(g, w->id, g->job != 0, "refused %s %s", code, why);
    if (log_rate_pass(&g->refusals))
        audit_guest(g->d->conf.audit_log, &g->dom, what, why);
}

/* "guest-20261121-004510-123" */
void guest_name_take(char name[TEXT_NAME], const char *prefix)
{
    struct timespec ts;
    char date[32];
    struct tm tm;

    clock_gettime(CLOCK_REALTIME, &ts);
    strftime(date, sizeof(date), "%Y%m%d-%H%M%S", gmtime_r(&ts.tv_sec, &tm));
    snprintf(name, TEXT_NAME, "%s%s-%03ld", prefix, date, ts.tv_nsec / 1000000);
}

static void describe(const struct guest *g, const struct wire_guest *w,
                     const struct policy *p, struct wire_task *task)
{
    memset(task, 0, sizeof(*task));
    task->domid = g->dom.domid;
    snprintf(task->domain, sizeof(task->domain), "%s", g->dom.name);
    snprintf(task->prefix, sizeof(task->prefix), GUEST_PREFIX);
    switch (w->request) {
    case GUEST_FORK:
        task->verb = VERB_FORK;
        task->count = w->count;
        if (!p->fork_network)
            task->flags |= TASK_NO_NETWORK;
        break;
    case GUEST_ROLLBACK:
        task->verb = VERB_ROLLBACK;
        task->flags |= TASK_OWN_LAST;
        break;
    default:
        task->verb = VERB_TAKE;
        task->keep_count = p->guest_keep;
        task->max_bytes = p->guest_bytes;
        snprintf(task->description, sizeof(task->description),
                 "asked for by the guest");
        guest_name_take(task->name, GUEST_PREFIX);
        if (p->guest_requests & GUEST_QUIESCE && p->quiesce_ms) {
            task->flags |= TASK_QUIESCE;
            task->quiesce_ms = p->quiesce_ms;
        }
    }
}

bool guests_next_take(struct daemon *d, uint32_t domid, struct wire_task *task)
{
    const struct wire_guest w = {.request = GUEST_CHECKPOINT};
    const struct guest *g = find(d, domid);
    const struct policy *p = g ? guest_policy(g) : NULL;

    if (!g || g->is_held || !(g->requests & GUEST_CHECKPOINT) ||
        !p->guest_standby)
        return false;
    describe(g, &w, p, task);
    return true;
}

static void grant(struct guest *g, const struct wire_guest *w,
                  const struct policy *p)
{
    char words[TEXT_WORDS];
    struct wire_task task;
    struct job *job;
    bool is_old;
    int rc;

    describe(g, w, p, &task);
    job = jobs_submit(g->d, ORIGIN_GUEST, 0, "", &task, &rc, &is_old, words);
    if (!job) {
        rate_give(family(g), p);
        refuse(g, w, "busy", words);
        return;
    }
    g->job = job->w.id;
    memcpy(g->id, w->id, sizeof(g->id));
    jobs_kick(g->d);
}

void guests_request(struct daemon *d, const struct wire_guest *w)
{
    struct guest *g = find(d, w->domid);
    const struct policy *p;
    struct record *first;
    char why[96];
    int64_t wait_s;

    if (!g || !g->requests)
        return;
    p = guest_policy(g);
    first = family(g);
    if (!(w->request & p->guest_requests & ~GUEST_QUIESCE)) {
        refuse(g, w, "not-allowed", "The policy does not allow it.");
    } else if (g->job) {
        refuse(g, w, "busy", "An earlier request is still under way.");
    } else if (!first) {
        refuse(g, w, "busy", "Too many guests are on record.");
    } else if (w->request == GUEST_FORK &&
               living_children(d, first) + w->count > p->fork_max) {
        snprintf(why, sizeof(why), "Only %u forks may live at a time.",
                 p->fork_max);
        refuse(g, w, "quota", why);
    } else if (!rate_take(first, p, now_unix_us(), &wait_s)) {
        if (wait_s < 0)
            snprintf(why, sizeof(why), "No requests are left.");
        else
            snprintf(why, sizeof(why), "Too often; the next one in %lld s.",
                     (long long)wait_s);
        refuse(g, w, "rate", why);
    } else {
        grant(g, w, p);
    }
}

/* --- what jobs report ------------------------------------------------------------ */

void guests_job_accepted(struct daemon *d, const struct job *job)
{
    struct guest *g = find(d, job->task.domid);

    if (g && g->job == job->w.id)
        answer(g, g->id, true, "%s", "");
}

void guests_born(struct daemon *d, const struct job *job,
                 const struct wire_child *child)
{
    const struct guest *asker = find(d, job->task.domid);
    struct guest *g = find(d, child->domid);
    struct record *r = guests_record(d, child->uuid), *first;
    struct wire_domain dom = {.domid = child->domid, .is_present = 1};

    if (job->w.verb == VERB_FORK && job->w.origin == ORIGIN_GUEST && asker &&
        r && (first = family(asker))) {
        memcpy(r->parent, first->uuid, sizeof(r->parent));
        state_save_soon(d);
    }
    if (!g && child->domid && child->domid < GUESTS_MAX) {
        /* The door may not have seen it yet. */
        memcpy(dom.uuid, child->uuid, sizeof(dom.uuid));
        memcpy(dom.name, child->name, sizeof(dom.name));
        g = meet(d, &dom);
        if (g)
            g->is_held = true;
    }
    if (!g)
        return;
    if (job->w.verb == VERB_FORK)
        snprintf(g->origin, sizeof(g->origin), "fork %u", child->index);
    else
        snprintf(g->origin, sizeof(g->origin), "rollback");
}

static void describe_end(const struct job *job, char result[TEXT_WORDS])
{
    if (job->w.state == JOB_DONE && job->w.verb == VERB_FORK)
        snprintf(result, TEXT_WORDS, "ok fork %u", job->task.count);
    else if (job->w.state == JOB_DONE)
        snprintf(result, TEXT_WORDS, "ok %s %.480s",
                 job->w.verb == VERB_TAKE ? "checkpoint" : "rollback",
                 job->w.checkpoint);
    else
        snprintf(result, TEXT_WORDS, "failed %s",
                 job->w.rc == -EDQUOT      ? "quota"
                 : job->w.rc == -ENOENT    ? "none"
                 : job->w.rc == -EPERM     ? "vetoed"
                 : job->w.rc == -ENOSPC    ? "space"
                 : job->w.rc == -ENOTSUP   ? "not-supported"
                 : job->w.rc == -ECANCELED ? "cancelled"
                                           : "error");
}

void guests_job_ended(struct daemon *d, const struct job *job)
{
    for (uint32_t i = 0; i < d->guests->last; i++) {
        struct guest *g = d->guests->by_domid[i];

        if (!g || !g->job || g->job != job->w.id)
            continue;
        g->job = 0;
        describe_end(job, g->result);
        answer(g, g->id, false, "%s", g->result);
    }
    if (!jobs_may_bear(d))
        release_held(d);
}

void guests_stat(struct daemon *d, const struct wire *stat)
{
    child_send(&d->front, stat);
}

int guests_open(struct daemon *d)
{
    d->guests = calloc(1, sizeof(*d->guests));
    return d->guests ? 0 : -ENOMEM;
}

void guests_close(struct daemon *d)
{
    if (!d->guests)
        return;
    for (uint32_t i = 0; i < d->guests->last; i++)
        if (d->guests->by_domid[i])
            forget(d->guests->by_domid[i]);
    free(d->guests);
    d->guests = NULL;
}
