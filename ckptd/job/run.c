/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The verbs that touch a guest: take, rollback, fork.  What the policy allows
 * is checked again here, against the store as it is now.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "job.h"
#include "retain.h"

/* A dead parent's answer is to stop. */
static int ask(struct job *job, const struct wire *question)
{
    int rc;

    pthread_mutex_lock(&job->lock);
    job->is_answered = false;
    pthread_mutex_unlock(&job->lock);
    wire_send(job->fd, question);
    pthread_mutex_lock(&job->lock);
    while (!job->is_answered && !job->is_cancelled)
        pthread_cond_wait(&job->changed, &job->lock);
    rc = job->is_answered ? 0 : -ECANCELED;
    pthread_mutex_unlock(&job->lock);
    return rc;
}

/* One of the domains of a take. */
struct member {
    struct job *job;
    uint32_t n;
    char domain[TEXT_NAME];
    struct policy policy; /* its own */
    uint32_t quiesce_ms;  /* 0: no freeze */
};

/* Asks the parent, who asks the door, who asks the guest; the door answers
 * within the deadline. */
static int ask_guest(struct member *m, uint32_t type)
{
    struct wire q;
    int rc;

    wire_begin(&q, type);
    q.u.freeze.domid = m->job->task.domid;
    q.u.freeze.deadline_ms = m->quiesce_ms;
    q.u.freeze.index = m->n;
    rc = ask(m->job, &q);
    return rc ? rc : m->job->frozen_rc;
}

static int freeze(void *arg)
{
    return ask_guest(arg, WIRE_FREEZE);
}

static int thaw(void *arg)
{
    return ask_guest(arg, WIRE_THAW);
}

/* All is ready: from here on it is the guest that waits. */
static int stand_by(void *arg)
{
    struct job *job = arg;
    struct wire m;
    int rc;

    wire_begin(&m, WIRE_ARMED);
    wire_send(job->fd, &m);
    rc = job_await_go(job);
    if (!rc)
        job_say_begun(job);
    return rc;
}

/* The policy of the domain.  That goes by the name, which for a domain asked for by
 * number only Xen knows for certain. */
static int find_policy(struct member *m)
{
    struct job *job = m->job;
    struct wire q;
    struct ckpt_domain d = {.uuid = ""};
    int rc = 0;

    wire_begin(&q, WIRE_POLICY_ASK);
    if (!m->domain[strspn(m->domain, "0123456789")]) {
        rc = ckpt_domain_find(job->c, m->domain, &d);
        if (rc)
            return job_failed(job, rc);
    }
    snprintf(q.u.policy.domain, sizeof(q.u.policy.domain), "%s",
             d.name ? d.name : m->domain);
    ckpt_domain_fini(&d);
    rc = ask(job, &q);
    if (rc)
        return job_fail(job, rc, "Stopped on request.");
    m->policy = job->policy;
    return 0;
}

/* --- retention ------------------------------------------------------------ */

static struct retain retention(const struct job *job, const char *uuid)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (struct retain){.prefix = job->task.prefix,
                           .domain_uuid = uuid,
                           .keep_count = job->task.keep_count,
                           .keep_age_s = job->task.keep_age_s,
                           .now_us = (int64_t)now.tv_sec * 1000000};
}

/* Deletes what the policy no longer keeps.  A failure is told, but the
 * checkpoint that was just made stands. */
static void drop_old(const struct member *m, const char *uuid)
{
    struct job *job = m->job;
    struct retain r = retention(job, uuid);
    struct ckpt_info *list;
    bool *is_old;
    size_t nr;
    int rc;

    if (job->task.flags & TASK_BY_POLICY) {
        r.keep_count = m->policy.keep_count;
        r.keep_age_s = m->policy.keep_age_s;
    }
    if (!job->task.prefix[0] || (!r.keep_count && !r.keep_age_s))
        return;
    rc = ckpt_list(job->c, uuid, &list, &nr);
    if (rc) {
        fprintf(stderr, "retention: %s\n", ckpt_error(job->c));
        return;
    }
    is_old = calloc(nr + 1, sizeof(*is_old));
    if (is_old)
        retain_choose(&r, list, nr, is_old);
    for (size_t i = 0; is_old && i < nr && !job_is_cancelled(job); i++) {
        if (!is_old[i])
            continue;
        rc = ckpt_delete(job->c, list[i].id);
        if (rc && rc != -ENOENT)
            fprintf(stderr, "retention: %s: %s\n", list[i].id,
                    ckpt_error(job->c));
        else
            job->end.nr_pruned++;
    }
    free(is_old);
    ckpt_list_free(list, nr);
}

static int check_bytes(struct job *job)
{
    const struct retain r = retention(job, NULL);
    struct ckpt_info *list;
    char words[160];
    uint64_t bytes;
    size_t nr;
    int rc;

    if (!job->task.max_bytes)
        return 0;
    rc = ckpt_list(job->c, job->task.domain, &list, &nr);
    if (rc)
        return job_failed(job, rc);
    bytes = retain_bytes(&r, list, nr);
    ckpt_list_free(list, nr);
    if (bytes < job->task.max_bytes)
        return 0;
    snprintf(words, sizeof(words),
             "The guest's checkpoints take %llu MiB of the %llu MiB it may "
             "have.",
             (unsigned long long)bytes >> 20,
             (unsigned long long)job->task.max_bytes >> 20);
    return job_fail(job, -EDQUOT, words);
}

/* --- take ----------------------------------------------------------------- */

/* What a group waits for is the longest of its pauses. */
static void put_checkpoint(struct job *job, const struct ckpt_info *info)
{
    struct wire_end *e = &job->end;

    json_checkpoint(job->json, job->task.group[0] ? NULL : "checkpoint", info);
    e->stored_bytes += info->stored_bytes;
    if (info->pause_us > e->pause_us)
        e->pause_us = info->pause_us;
    e->created_us = info->created_unix_us;
    (void)word_add(e->checkpoint, sizeof(e->checkpoint), ID_END, info->id);
}

static void put_checkpoints(struct job *job, const struct ckpt_info *infos,
                            size_t nr)
{
    if (job->task.group[0])
        json_open_array(job->json, "checkpoints");
    for (size_t i = 0; i < nr; i++)
        put_checkpoint(job, &infos[i]);
    if (job->task.group[0])
        json_close_array(job->json);
}

/* That of the domain which has the name of the request and, if one was asked
 * for, is of the group. */
static int find_one(struct job *job, const char *domain,
                    struct ckpt_info *info_out)
{
    const struct wire_task *t = &job->task;
    struct ckpt_info *list;
    int rc = -EEXIST;
    size_t nr;

    if (ckpt_list(job->c, domain, &list, &nr))
        return rc;
    for (size_t i = 0; rc && i < nr; i++) {
        if (strcmp(list[i].name, t->name) ||
            strcmp(list[i].group ? list[i].group : "", t->group))
            continue;
        *info_out = list[i];
        list[i] = list[--nr]; /* the rest is not ours */
        rc = 0;
    }
    ckpt_list_free(list, nr);
    return rc;
}

/* The same request again, after we died in the first: was it done?  Of a group all
 * are there, or none is. */
static int find_existing(struct job *job, const struct member *m, size_t nr,
                         struct ckpt_info *infos)
{
    size_t found = 0;
    int rc = 0;

    while (!rc && found < nr) {
        rc = find_one(job, m[found].domain, &infos[found]);
        found += !rc;
    }
    if (!rc) {
        put_checkpoints(job, infos, nr);
        json_bool(job->json, "existed", true);
        job->end.words[0] = '\0';
    }
    while (found)
        ckpt_info_fini(&infos[--found]);
    return rc;
}

/* What the request did not say, the policy says. */
static int set_options(struct member *m, const char *const *exclude,
                       struct ckpt_take_opts *opts)
{
    struct job *job = m->job;
    const struct wire_task *t = &job->task;
    int rc;

    rc = find_policy(m);
    if (rc)
        return rc;
    *opts = (struct ckpt_take_opts){
        .name = t->name[0] ? t->name : NULL,
        .description = t->description[0] ? t->description : NULL,
        .exclude_disks = exclude,
        .flags = (t->flags & TASK_DISK_ONLY ? CKPT_TAKE_DISK_ONLY : 0) |
                 (t->flags & TASK_PAUSED ? CKPT_TAKE_LEAVE_PAUSED : 0) |
                 (t->flags & TASK_NO_TRACK ? CKPT_TAKE_NO_TRACK : 0),
        .suspend_timeout_ms = t->timeout_ms,
        .ring_mib = t->ring_mib ? t->ring_mib : m->policy.ring_mib,
        .when_full = t->flags & TASK_GIVE_UP ||
                             (!(t->flags & TASK_WAIT) && m->policy.give_up)
                         ? CKPT_WHEN_FULL_GIVE_UP
                         : CKPT_WHEN_FULL_WAIT,
    };
    if (t->flags & TASK_STAND_BY) {
        opts->stand_by = stand_by;
        opts->stand_by_arg = job;
    }
    if (t->flags & TASK_QUIESCE)
        m->quiesce_ms = t->quiesce_ms;
    else if (t->flags & TASK_BY_POLICY && m->policy.schedule_quiesce &&
             m->policy.guest_requests & GUEST_QUIESCE)
        m->quiesce_ms = m->policy.quiesce_ms;
    if (m->quiesce_ms) {
        opts->freeze = freeze;
        opts->thaw = thaw;
        opts->freeze_arg = m;
    }
    return 0;
}

/* All that is needed to take @nr domains at one instant, or one. */
struct call {
    struct member member[CKPT_GROUP_MAX];
    const char *domains[CKPT_GROUP_MAX];
    const char *exclude[TASK_EXCLUDE_MAX + 1];
    struct ckpt_take_opts opts[CKPT_GROUP_MAX];
    struct ckpt_info infos[CKPT_GROUP_MAX];
    size_t nr;
};

static int prepare(struct job *job, struct call *call)
{
    const struct wire_task *t = &job->task;
    const char *words = t->group[0] ? t->domains : t->domain;
    const char end = t->group[0] ? DOMAIN_END : '\n';
    struct member *m = call->member;
    int rc = 0;

    for (size_t i = 0, n = 0; i < TASK_EXCLUDE_MAX; i++)
        if (t->exclude[i][0])
            call->exclude[n++] = t->exclude[i];
    while (!rc && call->nr < CKPT_GROUP_MAX &&
           word_nth(words, end, call->nr, m->domain, sizeof(m->domain))) {
        m->job = job;
        m->n = (uint32_t)call->nr;
        call->domains[call->nr] = m->domain;
        rc = set_options(m, call->exclude, &call->opts[call->nr]);
        call->nr++;
        m++;
    }
    return rc;
}

static int take(struct job *job, struct call *call)
{
    const struct wire_task *t = &job->task;
    int rc;

    rc = t->group[0]
             ? ckpt_take_group(job->c, t->group, call->domains, call->nr,
                               call->opts, call->infos)
             : ckpt_take(job->c, call->domains[0], call->opts, call->infos);
    if (rc)
        job_failed(job, rc);
    if (rc == -EEXIST && t->flags & TASK_EXISTING_OK && t->name[0])
        return find_existing(job, call->member, call->nr, call->infos);
    if (rc)
        return rc;
    put_checkpoints(job, call->infos, call->nr);
    for (size_t i = 0; i < call->nr; i++) {
        drop_old(&call->member[i], call->infos[i].domain_uuid);
        ckpt_info_fini(&call->infos[i]);
    }
    json_number(job->json, "pruned", job->end.nr_pruned);
    return 0;
}

int run_take(struct job *job)
{
    struct call *call = calloc(1, sizeof(*call));
    int rc;

    if (!call)
        return job_fail(job, -ENOMEM, "not enough memory");
    rc = check_bytes(job);
    if (!rc)
        rc = prepare(job, call);
    if (!rc)
        rc = take(job, call);
    free(call);
    return rc;
}

/* --- rollback and fork ----------------------------------------------------- */

static void tell_child(struct job *job, const struct ckpt_domain *d,
                       uint32_t index)
{
    struct wire m;

    wire_begin(&m, WIRE_CHILD);
    m.u.child.domid = d->domid;
    m.u.child.index = index;
    snprintf(m.u.child.uuid, sizeof(m.u.child.uuid), "%s", d->uuid);
    snprintf(m.u.child.name, sizeof(m.u.child.name), "%s", d->name);
    wire_send(job->fd, &m);
}

/* The newest with the prefix, its id in @id. */
static int find_own_last(struct job *job, char *id, size_t size)
{
    struct ckpt_info *list;
    size_t nr;
    int rc;

    rc = ckpt_list(job->c, job->task.domain, &list, &nr);
    if (rc)
        return job_failed(job, rc);
    id[0] = '\0';
    for (size_t i = 0; i < nr; i++)
        if (retain_is_ours(&list[i], job->task.prefix))
            snprintf(id, size, "%s", list[i].id);
    ckpt_list_free(list, nr);
    return id[0] ? 0
                 : job_fail(job, -ENOENT,
                            "The guest has no checkpoint of its own.");
}

int run_rollback(struct job *job)
{
    const struct wire_task *t = &job->task;
    struct ckpt_rollback_opts opts = {
        .flags =
            (t->flags & TASK_PAUSED ? CKPT_ROLLBACK_LEAVE_PAUSED : 0) |
            (t->flags & TASK_DESTROY_FIRST ? CKPT_ROLLBACK_DESTROY_FIRST : 0),
    };
    char own[CKPT_ID_LEN + 1];
    const char *to = t->checkpoint[0] ? t->checkpoint : NULL;
    struct ckpt_domain d = {.uuid = ""};
    int rc;

    if (t->flags & TASK_OWN_LAST) {
        rc = find_own_last(job, own, sizeof(own));
        if (rc)
            return rc;
        to = own;
    }
    rc = ckpt_rollback(job->c, t->domain, to, &opts, &d);
    if (rc)
        return job_failed(job, rc);
    tell_child(job, &d, 0);
    json_domain(job->json, "domain", &d, true);
    json_text(job->json, "checkpoint", to);
    if (to)
        snprintf(job->end.checkpoint, sizeof(job->end.checkpoint), "%.*s",
                 (int)sizeof(job->end.checkpoint) - 1, to);
    job->end.pause_us = d.down_us;
    ckpt_domain_fini(&d);
    return 0;
}

int run_fork(struct job *job)
{
    const struct wire_task *t = &job->task;
    struct ckpt_fork_opts opts = {
        .name = t->name[0] ? t->name : NULL,
        .count = t->count,
        .flags = (t->flags & TASK_PAUSED ? CKPT_FORK_LEAVE_PAUSED : 0) |
                 (t->flags & TASK_NO_NETWORK ? CKPT_FORK_NO_NETWORK : 0),
        .suspend_timeout_ms = t->timeout_ms,
    };
    const char *source = t->checkpoint[0] ? t->checkpoint : t->domain;
    unsigned nr = 0, count = t->count ? t->count : 1;
    struct ckpt_domain *doms;
    int rc;

    if (count > CKPT_FORK_MAX)
        return job_fail(job, -EINVAL, "That is too many forks at a time.");
    doms = calloc(count, sizeof(*doms));
    if (!doms)
        return job_fail(job, -ENOMEM, "not enough memory");
    rc = ckpt_fork(job->c, source, &opts, doms, &nr);
    if (rc)
        job_failed(job, rc);
    /* Also those made before one failed: they exist. */
    json_open_array(job->json, "domains");
    for (unsigned i = 0; i < nr; i++) {
        tell_child(job, &doms[i], i + 1);
        json_domain(job->json, NULL, &doms[i], false);
        ckpt_domain_fini(&doms[i]);
    }
    json_close_array(job->json);
    free(doms);
    return rc;
}
