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

/* Asks the parent, who asks the door, who asks the guest; the door answers
 * within the deadline. */
static int ask_guest(struct job *job, uint32_t type)
{
    struct wire m = {.type = type};
    int rc;

    m.u.freeze.domid = job->task.domid;
    m.u.freeze.deadline_ms = job->task.quiesce_ms;
    rc = ask(job, &m);
    return rc ? rc : job->frozen_rc;
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
    struct wire m = {.type = WIRE_ARMED};
    int rc;

    wire_send(job->fd, &m);
    pthread_mutex_lock(&job->lock);
    while (!job->has_go && !job->is_cancelled)
        pthread_cond_wait(&job->changed, &job->lock);
    rc = job->is_cancelled ? -ECANCELED : 0;
    if (!rc)
        job->task = job->go;
    pthread_mutex_unlock(&job->lock);
    if (!rc)
        job_say_begun(job);
    return rc;
}

/* What the request did not say, the policy says.  That goes by the name, which
 * for a domain asked for by number only Xen knows for certain. */
static int fill_in(struct job *job, struct ckpt_take_opts *opts)
{
    const struct wire_task *t = &job->task;
    struct wire m = {.type = WIRE_POLICY_ASK};
    struct ckpt_domain d = {.uuid = ""};
    int rc = 0;

    if (!t->domain[strspn(t->domain, "0123456789")]) {
        rc = ckpt_domain_find(job->c, t->domain, &d);
        if (rc)
            return job_failed(job, rc);
    }
    snprintf(m.u.policy.domain, sizeof(m.u.policy.domain), "%s",
             d.name ? d.name : t->domain);
    ckpt_domain_fini(&d);
    rc = ask(job, &m);
    if (rc)
        return job_fail(job, rc, "Stopped on request.");
    if (!t->ring_mib)
        opts->ring_mib = job->policy.ring_mib;
    if (!(t->flags & (TASK_WAIT | TASK_GIVE_UP)) && job->policy.give_up)
        opts->when_full = CKPT_WHEN_FULL_GIVE_UP;
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
static void drop_old(struct job *job, const char *uuid)
{
    const struct retain r = retention(job, uuid);
    struct ckpt_info *list;
    bool *is_old;
    size_t nr;
    int rc;

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

static void put_checkpoint(struct job *job, const struct ckpt_info *info)
{
    json_checkpoint(job->json, "checkpoint", info);
    job->end.stored_bytes = info->stored_bytes;
    job->end.pause_us = info->pause_us;
    job->end.created_us = info->created_unix_us;
    snprintf(job->end.checkpoint, sizeof(job->end.checkpoint), "%s", info->id);
}

/* The same request again, after we died in the first: was it done? */
static int find_existing(struct job *job)
{
    const struct wire_task *t = &job->task;
    struct ckpt_info *list;
    int rc = -EEXIST;
    size_t nr;

    if (ckpt_list(job->c, t->domain, &list, &nr))
        return rc;
    for (size_t i = 0; i < nr; i++)
        if (!strcmp(list[i].name, t->name)) {
            put_checkpoint(job, &list[i]);
            json_bool(job->json, "existed", true);
            rc = 0;
            break;
        }
    ckpt_list_free(list, nr);
    return rc;
}

int run_take(struct job *job)
{
    const struct wire_task *t = &job->task;
    const char *exclude[TASK_EXCLUDE_MAX + 1] = {NULL};
    struct ckpt_take_opts opts = {
        .name = t->name[0] ? t->name : NULL,
        .description = t->description[0] ? t->description : NULL,
        .exclude_disks = exclude,
        .flags = (t->flags & TASK_DISK_ONLY ? CKPT_TAKE_DISK_ONLY : 0) |
                 (t->flags & TASK_PAUSED ? CKPT_TAKE_LEAVE_PAUSED : 0) |
                 (t->flags & TASK_NO_TRACK ? CKPT_TAKE_NO_TRACK : 0),
        .suspend_timeout_ms = t->timeout_ms,
        .ring_mib = t->ring_mib,
        .when_full = t->flags & TASK_GIVE_UP ? CKPT_WHEN_FULL_GIVE_UP
                                             : CKPT_WHEN_FULL_WAIT,
        .freeze_arg = job,
    };
    struct ckpt_info info = {.parent = ""};
    int rc;

    for (size_t i = 0, n = 0; i < TASK_EXCLUDE_MAX; i++)
        if (t->exclude[i][0])
            exclude[n++] = t->exclude[i];
    if (t->flags & TASK_STAND_BY) {
        opts.stand_by = stand_by;
        opts.stand_by_arg = job;
    }
    if (t->flags & TASK_QUIESCE && t->quiesce_ms) {
        opts.freeze = freeze;
        opts.thaw = thaw;
    }
    rc = check_bytes(job);
    if (!rc)
        rc = fill_in(job, &opts);
    if (rc)
        return rc;
    rc = ckpt_take(job->c, t->domain, &opts, &info);
    if (rc == -EEXIST && t->flags & TASK_EXISTING_OK && t->name[0]) {
        job_failed(job, rc);
        rc = find_existing(job);
        if (!rc)
            job->end.words[0] = '\0';
        return rc;
    }
    if (rc)
        return job_failed(job, rc);
    put_checkpoint(job, &info);
    drop_old(job, info.domain_uuid);
    json_number(job->json, "pruned", job->end.nr_pruned);
    ckpt_info_fini(&info);
    return 0;
}

/* --- rollback and fork ----------------------------------------------------- */

static void tell_child(struct job *job, const struct ckpt_domain *d,
                       uint32_t index)
{
    struct wire m = {.type = WIRE_CHILD};

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
