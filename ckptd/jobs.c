/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 *            submit          pre hooks         process         post hooks
 *   QUEUED ─────────► PRE ─────────► RUNNING ────────► POST ────────► DONE
 *      └── cancel ──────┴── veto ──────┴── fails, dies ──┴──► FAILED, CANCELLED
 *
 * Every change goes through set_state(), which tells the front, the audit log
 * and the state file.
 */
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "ctx.h"
#include "guests.h"
#include "hooks.h"
#include "job_run.h"
#include "log.h"
#include "standby.h"
#include "state.h"

#define LATE_S 0.005
#define RESULT_KEPT (16u * 1024u)

struct jobs {
    struct job *table[JOBS_MAX]; /* in order of their ids */
    size_t nr;
    uint64_t last_id;
    struct spare spare;
    ev_timer late;
};

static bool has_ended(const struct job *job)
{
    return job->w.state >= JOB_DONE;
}

static void job_free(struct job *job)
{
    hooks_stop(job->hooks);
    free(job->result);
    free(job);
}

/* That it was accepted, or has ended: who is told of his job must find it again by
 * its key. */
static void record(struct job *job, const char *event, enum job_state state)
{
    struct wire_job w = job->w;

    if (verb_is_short(job->w.verb))
        return;
    w.state = state;
    audit_job(job->d->conf.audit_log, event, &w, &job->task);
    if (job->w.key[0])
        state_save(job->d);
    else
        state_save_soon(job->d);
}

static void record_accepted(struct job *job)
{
    struct wire_job w = job->w;

    if (job->is_recorded)
        return;
    job->is_recorded = true;
    record(job, "accepted", JOB_QUEUED);
    w.state = JOB_QUEUED;
    parent_tell_job(job->d, &w);
    if (job->w.state != JOB_QUEUED && !has_ended(job))
        parent_tell_job(job->d, &job->w);
    if (job->w.origin == ORIGIN_GUEST)
        guests_job_accepted(job->d, job);
}

/* While a guest is on its way to its cut everything else costs it time.  Should
 * we die before it is recorded, its process ends with us, and undoes it. */
static void on_late(struct ev_loop *loop, ev_timer *t, int events)
{
    struct jobs *j = t->data;

    (void)loop, (void)events;
    for (size_t i = 0; i < j->nr; i++)
        record_accepted(j->table[i]);
}

void job_set_state(struct job *job, enum job_state state)
{
    job->w.state = state;
    if (state == JOB_QUEUED) {
        if (job->w.origin != ORIGIN_GUEST) /* these are when they have begun */
            record_accepted(job);
        return;
    }
    if (state == JOB_RUNNING)
        job->w.started_us = now_unix_us();
    if (has_ended(job)) {
        record_accepted(job);
        job->w.ended_us = now_unix_us();
        record(job, "ended", state);
    }
    if (job->is_recorded)
        parent_tell_job(job->d, &job->w);
}

void job_finish(struct job *job, int rc, const char *words)
{
    job->w.rc = rc;
    if (words)
        snprintf(job->w.words, sizeof(job->w.words), "%s", words);
    /* A job that was stopped says so however far it came. */
    job_set_state(job, !rc                ? JOB_DONE
                       : rc == -ECANCELED ? JOB_CANCELLED
                                          : JOB_FAILED);
    guests_job_ended(job->d, job);
    if (!verb_is_short(job->w.verb))
        standbys_settle(job->d);
    jobs_kick(job->d);
}

/* --- the queue --------------------------------------------------------------- */

static void after_pre(void *arg, size_t n, const char *why)
{
    struct job *job = arg;
    char domain[TEXT_NAME], words[TEXT_WORDS];

    job->hooks = NULL;
    if (why && job->w.group[0] &&
        word_nth(job->w.domains, DOMAIN_END, n, domain, sizeof(domain))) {
        snprintf(words, sizeof(words), "\"%s\": %.360s", domain, why);
        why = words;
    }
    if (job->is_cancelling)
        job_finish(job, -ECANCELED, "Stopped on request.");
    else if (why)
        job_finish(job, -EPERM, why);
    else
        job_run(job, &job->d->jobs->spare);
}

static void begin(struct job *job)
{
    if (verb_is_short(job->w.verb)) {
        job_run(job, &job->d->jobs->spare);
        return;
    }
    job_set_state(job, JOB_PRE);
    job->hooks =
        hooks_run(job->d, "pre", &job->w, &job->task, after_pre, job);
}

static bool is_active(const struct job *job)
{
    return job->w.state > JOB_QUEUED && !has_ended(job);
}

/* Queries, and what only makes the store smaller, run beside the others: no take
 * waits for one of them. */
enum class { CLASS_WORK, CLASS_SHORT, CLASS_BACKGROUND };
static enum class class_of(const struct job *job)
{
    if (verb_is_short(job->w.verb))
        return CLASS_SHORT;
    return job->w.verb == VERB_PRUNE && job->task.flags & TASK_COMPRESS
               ? CLASS_BACKGROUND : CLASS_WORK;
}

/* A number is as good as the name, of a domain that is here. */
static void hash_names(struct job *job)
{
    char name[TEXT_NAME];
    const char *known;

    while (job->nr_names < CKPT_GROUP_MAX &&
           word_nth(job->w.domains, DOMAIN_END, job->nr_names, name,
                    sizeof(name))) {
        uint32_t hash = 2166136261u; /* FNV-1a */

        known = guests_name(job->d, name);
        for (const char *c = known ? known : name; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 16777619u;
        job->names[job->nr_names++] = hash;
    }
}

/* Or have two names of one hash: then one waits for nothing. */
static bool share_a_domain(const struct job *a, const struct job *b)
{
    for (uint32_t i = 0; i < a->nr_names; i++)
        for (uint32_t k = 0; k < b->nr_names; k++)
            if (a->names[i] == b->names[k])
                return true;
    return false;
}

/* Whether @job has to wait: for a domain of its, or for its turn.  Of one domain the
 * jobs come in order, also where an earlier one waits for another domain still. */
static bool must_wait(const struct jobs *j, const struct job *job,
                      unsigned jobs_max)
{
    const enum class class = class_of(job);
    const unsigned max[] = {[CLASS_WORK] = jobs_max,
                            [CLASS_SHORT] = JOBS_SHORT_MAX,
                            [CLASS_BACKGROUND] = 1};
    unsigned active = 0;

    for (size_t i = 0; i < j->nr; i++) {
        const struct job *o = j->table[i];
        const bool is_before =
            o->w.state == JOB_QUEUED && o->w.id < job->w.id;

        if ((!is_active(o) && !is_before) || class_of(o) != class)
            continue;
        active += !is_before;
        if (class == CLASS_WORK && share_a_domain(o, job))
            return true;
    }
    return active >= max[class];
}

static void start_late(struct daemon *d, struct jobs *j)
{
    if (ev_is_active(&j->late))
        return;
    ev_timer_set(&j->late, LATE_S, 0.);
    ev_timer_start(d->loop, &j->late);
}

void jobs_kick(struct daemon *d)
{
    struct jobs *j = d->jobs;

    for (size_t i = 0; i < j->nr && !d->is_stopping; i++)
        if (j->table[i]->w.state == JOB_QUEUED &&
            !must_wait(j, j->table[i], d->conf.jobs_max) &&
            !standbys_in_way(d, j->table[i]))
            begin(j->table[i]);
    for (size_t i = 0; i < j->nr; i++) {
        if (!j->table[i]->is_standby)
            record_accepted(j->table[i]);
        else if (!j->table[i]->is_recorded)
            start_late(d, j);
    }
}

static void forget_old(struct jobs *j)
{
    struct jobs_seen seen = {.asked = 0};

    for (size_t i = j->nr; i-- > 0;) {
        if (!job_is_old(&j->table[i]->w, &seen))
            continue;
        job_free(j->table[i]);
        j->nr--;
        memmove(&j->table[i], &j->table[i + 1],
                (j->nr - i) * sizeof(j->table[0]));
    }
}

void jobs_drop_results(struct daemon *d)
{
    uint64_t kept[2] = {0}; /* those of queries by themselves */

    for (size_t i = d->jobs->nr; i-- > 0;) {
        struct job *job = d->jobs->table[i];
        uint64_t *sum = &kept[verb_is_short(job->w.verb)];

        if (!has_ended(job))
            continue;
        if (job->w.result_bytes > RESULT_KEPT ||
            *sum + job->w.result_bytes > RESULTS_KEPT) {
            free(job->result);
            job->result = NULL;
            job->w.result_bytes = 0;
        }
        *sum += job->w.result_bytes;
    }
}

static struct job *find_key(struct jobs *j, uint32_t uid, const char *key)
{
    for (size_t i = j->nr; key[0] && i-- > 0;)
        if (j->table[i]->w.uid == uid && !strcmp(j->table[i]->w.key, key))
            return j->table[i];
    return NULL;
}

static struct job *add(struct daemon *d, const struct wire_job *w,
                       const struct wire_task *task)
{
    struct jobs *j = d->jobs;
    struct job *job;

    forget_old(j);
    job = j->nr < JOBS_MAX ? calloc(1, sizeof(*job)) : NULL;
    if (!job)
        return NULL;
    job->d = d;
    job->fd = -1;
    job->task = *task;
    job->w = *w;
    job->w.id = ++j->last_id;
    job->w.verb = task->verb;
    snprintf(job->w.domain, sizeof(job->w.domain), "%s", task->domain);
    memcpy(job->w.group, task->group, sizeof(job->w.group));
    memcpy(job->w.domains, task->domains, sizeof(job->w.domains));
    if (!task->group[0])
        snprintf(job->w.domains, sizeof(job->w.domains), "%s", task->domain);
    hash_names(job);
    if (!job->w.checkpoint[0])
        snprintf(job->w.checkpoint, sizeof(job->w.checkpoint), "%s",
                 task->checkpoint);
    j->table[j->nr++] = job;
    return job;
}

/* Whether @task asks for just that; the checkpoint may be named by what it was
 * found to be. */
static bool is_same(const struct job *job, const struct wire_task *task)
{
    const char *asked = task->checkpoint;

    return job->w.verb == task->verb && !strcmp(job->w.group, task->group) &&
           !strcmp(job->w.domains,
                   task->group[0] ? task->domains : task->domain) &&
           (!asked[0] || !strcmp(asked, job->task.checkpoint) ||
            !strcmp(asked, job->w.checkpoint));
}

static void say_other(const struct job *job, char words[TEXT_WORDS])
{
    snprintf(words, TEXT_WORDS,
             "The key \"%s\" was used for another request (%s %.250s): each "
             "needs a key of its own.",
             job->w.key, verb_name(job->w.verb),
             job->w.group[0]    ? job->w.group
             : job->w.domain[0] ? job->w.domain
                                : job->task.checkpoint);
}

/* A job of the same key that never came to its end, nor to ours: again. */
static bool is_worth_repeating(const struct job *job)
{
    return job->w.state == JOB_FAILED && job->w.rc == -ECONNABORTED;
}

/* Each kind by itself: who only looks keeps nobody from work. */
static int may_wait(const struct daemon *d, bool is_query,
                    char words[TEXT_WORDS])
{
    size_t waiting = 0;

    for (size_t i = 0; i < d->jobs->nr; i++)
        waiting += !has_ended(d->jobs->table[i]) &&
                   verb_is_short(d->jobs->table[i]->w.verb) == is_query;
    if (d->is_stopping)
        snprintf(words, TEXT_WORDS, "ckptd is being stopped.");
    else if (waiting >= (is_query ? JOBS_QUERIES_MAX : JOBS_QUEUE_MAX))
        snprintf(words, TEXT_WORDS, "Too many %s are waiting.",
                 is_query ? "queries" : "jobs");
    else
        return 0;
    return -EBUSY;
}

struct job *jobs_submit(struct daemon *d, enum origin origin, uint32_t uid,
                        const char *key, const struct wire_task *task,
                        int *rc_out, bool *is_old_out, char words[TEXT_WORDS])
{
    struct wire_job w = {.origin = origin, .uid = uid, .domid = task->domid};
    struct wire_task again = *task;
    struct jobs *j = d->jobs;
    struct job *job;

    *is_old_out = false;
    job = find_key(j, uid, key);
    if (job && !is_same(job, task)) {
        *rc_out = -EINVAL;
        say_other(job, words);
        return NULL;
    }
    if (job && !is_worth_repeating(job)) {
        *is_old_out = true;
        return job;
    }
    *rc_out = may_wait(d, verb_is_short(task->verb), words);
    if (*rc_out)
        return NULL;
    if (job) { /* as it is asked for now: of the first little is known */
        again.flags |= TASK_EXISTING_OK;
        job->w.key[0] = '\0';
    }
    snprintf(w.key, sizeof(w.key), "%s", key);
    w.queued_us = now_unix_us();
    job = add(d, &w, &again);
    if (!job) {
        *rc_out = -ENOMEM;
        snprintf(words, TEXT_WORDS, "Not enough memory.");
        return NULL;
    }
    *rc_out = 0;
    job_set_state(job, JOB_QUEUED);
    return job;
}

void jobs_remember(struct daemon *d, const struct wire_job *w,
                   const struct wire_task *task)
{
    struct job *job = add(d, w, task);

    if (!job)
        return;
    job->w.result_bytes = 0;
    job->is_recorded = true;
}

struct job *jobs_find(struct daemon *d, uint64_t id)
{
    for (size_t i = 0; i < d->jobs->nr; i++)
        if (d->jobs->table[i]->w.id == id)
            return d->jobs->table[i];
    return NULL;
}

struct job *jobs_nth(struct daemon *d, size_t n)
{
    return n < d->jobs->nr ? d->jobs->table[n] : NULL;
}

void jobs_cancel(struct job *job)
{
    struct wire m;

    wire_begin(&m, WIRE_CANCEL);
    if (has_ended(job) || job->is_cancelling)
        return;
    job->is_cancelling = true;
    if (job->w.state == JOB_QUEUED) {
        job_finish(job, -ECANCELED, "Stopped before it began.");
    } else if (job->w.state == JOB_PRE) {
        hooks_stop(job->hooks);
        job->hooks = NULL;
        job_finish(job, -ECANCELED, "Stopped before it began.");
    } else if (job->fd >= 0) {
        wire_send(job->fd, &m);
    }
}

void jobs_frozen(struct daemon *d, uint64_t id, int rc)
{
    struct job *job = jobs_find(d, id);
    struct wire m;

    wire_begin(&m, WIRE_FROZEN);
    if (!job || job->fd < 0 || job->w.state != JOB_RUNNING)
        return;
    job->is_asking = false;
    m.u.frozen.domid = job->w.domid;
    m.u.frozen.rc = rc;
    m.u.frozen.job = id;
    wire_send(job->fd, &m);
}

void jobs_door_died(struct daemon *d)
{
    for (size_t i = 0; i < d->jobs->nr; i++)
        if (d->jobs->table[i]->frozen || d->jobs->table[i]->is_asking) {
            d->jobs->table[i]->frozen = 0;
            jobs_frozen(d, d->jobs->table[i]->w.id, -EPIPE);
        }
}

bool jobs_may_bear(const struct daemon *d)
{
    for (size_t i = 0; i < d->jobs->nr; i++) {
        const struct job *job = d->jobs->table[i];

        if (is_active(job) &&
            (job->w.verb == VERB_FORK || job->w.verb == VERB_ROLLBACK))
            return true;
    }
    return false;
}

void jobs_reaped(struct daemon *d, pid_t pid, int status)
{
    struct jobs *j = d->jobs;

    if (pid == j->spare.pid) {
        log_msg(LOG_ERR, "%s ended before it had anything to do (status %x)",
                d->conf.job_program, status);
        close(j->spare.fd);
        j->spare.pid = 0; /* the next job starts one */
        return;
    }
    for (size_t i = 0; i < j->nr; i++) {
        if (hooks_reaped(j->table[i]->hooks, pid, status))
            return;
        if (j->table[i]->pid == pid)
            j->table[i]->pid = 0; /* its socket tells the rest */
    }
}

bool jobs_any_running(const struct daemon *d)
{
    for (size_t i = 0; i < d->jobs->nr; i++)
        if (d->jobs->table[i]->w.state == JOB_RUNNING ||
            d->jobs->table[i]->w.state == JOB_POST)
            return true;
    return false;
}

int jobs_open(struct daemon *d)
{
    d->jobs = calloc(1, sizeof(*d->jobs));
    if (!d->jobs)
        return -ENOMEM;
    /* So that an id is not used again by the next of us: in no millisecond of
     * its life does a daemon begin more than a job. */
    d->jobs->last_id = (uint64_t)now_unix_us() / 1000u;
    spare_make(d, &d->jobs->spare);
    ev_init(&d->jobs->late, on_late);
    d->jobs->late.data = d->jobs;
    return 0;
}

void jobs_close(struct daemon *d)
{
    struct jobs *j = d->jobs;

    if (!j)
        return;
    if (j->spare.pid)
        close(j->spare.fd);
    on_late(d->loop, &j->late, 0);
    ev_timer_stop(d->loop, &j->late);
    for (size_t i = 0; i < j->nr; i++) {
        if (j->table[i]->fd >= 0)
            close(j->table[i]->fd);
        job_free(j->table[i]);
    }
    free(j);
    d->jobs = NULL;
}
