/* SPDX-License-Identifier: LGPL-2.1-only */
/* The methods, one row and a few lines each.  docs/specs/socket.md says what
 * they take and give; a test compares it with this table. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"
#include "json.h"
#include "json_line.h"
#include "rpc.h"

/* --- what goes to the parent ------------------------------------------------------ */

/* [A-Za-z0-9._-]: it becomes part of a name and of a line of text. */
static int take_key(struct request *rq, char key[TEXT_KEY])
{
    int rc = param_text(rq, "key", false, key, TEXT_KEY);

    for (const char *p = key; !rc && *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
            rc = fail(&rq->c, -EINVAL,
                      "\"key\" may have letters, digits, '.', '_' and '-'.");
    return rc;
}

/* With "wait" the reply is the result, else the job that was made. */
static int submit(struct client *cl, struct request *rq, struct wire *m)
{
    bool wants_result = verb_is_short(m->u.submit.task.verb);
    struct wire_submit *s = &m->u.submit;
    struct wait *w;
    int rc;

    m->type = WIRE_SUBMIT;
    rc = param_bool(rq, "wait", &wants_result);
    if (!rc)
        rc = take_key(rq, s->key);
    if (rc)
        return rc;
    /* The same key again finds what the first one made. */
    if (s->key[0] && s->task.verb == VERB_TAKE && !s->task.name[0])
        snprintf(s->task.name, sizeof(s->task.name), "key-%s", s->key);
    s->tag = ++cl->f->last_tag;
    s->uid = (uint32_t)cl->uid;
    s->pid = (uint32_t)cl->pid;
    w = rpc_wait(cl, rq, WAIT_ACCEPTED, s->tag);
    if (!w)
        return -EBUSY;
    w->wants_result = wants_result;
    front_send(cl->f, m);
    return 0;
}

#define TEXT(key, needed, field)                                               \
    param_text(rq, key, needed, t->field, sizeof(t->field))

static const struct choice when_full[] = {
    {"wait", TASK_WAIT},
    {"give-up", TASK_GIVE_UP},
    {NULL, 0},
};

/* Of one domain, or of each of a group. */
static int take_options(struct request *rq, struct wire_task *t)
{
    int rc;

    t->verb = VERB_TAKE;
    if ((rc = TEXT("name", false, name)) ||
        (rc = TEXT("description", false, description)) ||
        (rc = param_excludes(rq, "exclude_disks", t->exclude)) ||
        (rc = param_flag(rq, "disk_only", TASK_DISK_ONLY, &t->flags)) ||
        (rc = param_flag(rq, "paused", TASK_PAUSED, &t->flags)) ||
        (rc = param_flag(rq, "quiesce", TASK_QUIESCE, &t->flags)) ||
        (rc = param_flag(rq, "no_track", TASK_NO_TRACK, &t->flags)) ||
        (rc = param_u32(rq, "quiesce_timeout_ms", 600000, &t->quiesce_ms)) ||
        (rc = param_u32(rq, "timeout_ms", 3600000, &t->timeout_ms)) ||
        (rc = param_u32(rq, "ring_mib", CKPT_RING_MIB_MAX, &t->ring_mib)) ||
        (rc = param_choice(rq, "when_full", when_full, &t->flags)))
        return rc;
    if (t->flags & TASK_QUIESCE && !t->quiesce_ms)
        t->quiesce_ms = 10000;
    return 0;
}

static int run_take(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    if ((rc = TEXT("domain", true, domain)) || (rc = take_options(rq, t)))
        return rc;
    return submit(cl, rq, &m);
}

static int run_group(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    if ((rc = TEXT("group", true, group)) ||
        (rc = param_domains(rq, "domains", t->domains, sizeof(t->domains))) ||
        (rc = take_options(rq, t)))
        return rc;
    return submit(cl, rq, &m);
}

static int run_rollback(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    t->verb = VERB_ROLLBACK;
    if ((rc = TEXT("domain", true, domain)) ||
        (rc = TEXT("checkpoint", false, checkpoint)) ||
        (rc = param_flag(rq, "paused", TASK_PAUSED, &t->flags)) ||
        (rc = param_flag(rq, "destroy_first", TASK_DESTROY_FIRST, &t->flags)))
        return rc;
    return submit(cl, rq, &m);
}

static int run_fork(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    t->verb = VERB_FORK;
    t->count = 1;
    if ((rc = TEXT("domain", false, domain)) ||
        (rc = TEXT("checkpoint", !t->domain[0], checkpoint)) ||
        (rc = TEXT("name", false, name)) ||
        (rc = param_u32(rq, "count", FORK_COUNT_MAX, &t->count)) ||
        (rc = param_flag(rq, "paused", TASK_PAUSED, &t->flags)) ||
        (rc = param_flag(rq, "no_network", TASK_NO_NETWORK, &t->flags)) ||
        (rc = param_u32(rq, "timeout_ms", 3600000, &t->timeout_ms)))
        return rc;
    return submit(cl, rq, &m);
}

static int run_list(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    t->verb = VERB_LIST;
    if ((rc = TEXT("domain", false, domain)) ||
        (rc = param_u32(rq, "offset", UINT32_MAX, &t->offset)) ||
        (rc = param_u32(rq, "limit", 1000, &t->limit)))
        return rc;
    return submit(cl, rq, &m);
}

/* show, delete, verify */
static int on_checkpoint(struct client *cl, struct request *rq, enum verb verb)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    t->verb = verb;
    rc = TEXT("checkpoint", true, checkpoint);
    return rc ? rc : submit(cl, rq, &m);
}

static int run_show(struct client *cl, struct request *rq)
{
    return on_checkpoint(cl, rq, VERB_SHOW);
}

static int run_delete(struct client *cl, struct request *rq)
{
    return on_checkpoint(cl, rq, VERB_DELETE);
}

static int run_verify(struct client *cl, struct request *rq)
{
    return on_checkpoint(cl, rq, VERB_VERIFY);
}

static int run_prune(struct client *cl, struct request *rq)
{
    struct wire m;
    struct wire_task *t = &m.u.submit.task;
    int rc;

    wire_begin(&m, WIRE_SUBMIT);
    t->verb = VERB_PRUNE;
    strcpy(t->prefix, "auto-");
    if ((rc = TEXT("domain", false, domain)) ||
        (rc = TEXT("prefix", false, prefix)) ||
        (rc = param_u32(rq, "keep_count", 1000000, &t->keep_count)) ||
        (rc = param_u64(rq, "keep_age_s", UINT32_MAX, &t->keep_age_s)) ||
        (rc = param_flag(rq, "compress", TASK_COMPRESS, &t->flags)) ||
        (rc = param_flag(rq, "dry_run", TASK_DRY_RUN, &t->flags)))
        return rc;
    if (!t->keep_count && !t->keep_age_s && !(t->flags & TASK_COMPRESS))
        return fail(&rq->c, -EINVAL,
                    "\"keep_count\", \"keep_age_s\" or \"compress\" is "
                    "missing.");
    if (t->flags & TASK_DRY_RUN && t->flags & TASK_COMPRESS)
        return fail(&rq->c, -EINVAL,
                    "\"dry_run\" and \"compress\" do not go together.");
    return submit(cl, rq, &m);
}

static int run_policy(struct client *cl, struct request *rq)
{
    struct wire m;
    int rc;

    wire_begin(&m, WIRE_POLICY_ASK);
    rc = param_text(rq, "domain", false, m.u.policy.domain,
                    sizeof(m.u.policy.domain));
    if (rc)
        return rc;
    m.u.policy.tag = ++cl->f->last_tag;
    if (!rpc_wait(cl, rq, WAIT_POLICY, m.u.policy.tag))
        return -EBUSY;
    front_send(cl->f, &m);
    return 0;
}

/* --- what the front knows ---------------------------------------------------------- */

static int reply_text(struct client *cl, struct request *rq, struct json *j)
{
    char *text;
    int rc;

    rc = json_end(&rq->c, j, "reply", &text);
    if (rc)
        return rc == -EINVAL ? -EIO : rc;
    rpc_reply(cl, rq->id, text);
    free(text);
    return 0;
}

static int run_job_list(struct client *cl, struct request *rq)
{
    struct json j;

    json_begin_line(&j);
    json_open_array(&j, "jobs");
    for (size_t i = 0; i < cl->f->nr_jobs; i++)
        if (!verb_is_short(cl->f->jobs[i].w.verb))
            line_put_job(&j, NULL, &cl->f->jobs[i].w);
    json_close_array(&j);
    return reply_text(cl, rq, &j);
}

static int find_job(struct client *cl, struct request *rq,
                    struct front_job **job_out)
{
    uint64_t id = 0;
    int rc;

    rc = param_u64(rq, "job", INT64_MAX, &id);
    if (rc)
        return rc;
    *job_out = front_job(cl->f, id);
    return *job_out ? 0
                    : fail(&rq->c, -ENOENT, "There is no job %llu.",
                           (unsigned long long)id);
}

static int run_job_show(struct client *cl, struct request *rq)
{
    struct wait w = {.kind = WAIT_END};
    struct front_job *job;
    int rc;

    rc = find_job(cl, rq, &job);
    if (rc)
        return rc;
    memcpy(w.id, rq->id, sizeof(w.id));
    rpc_reply_end(cl, &w, job);
    return 0;
}

static int run_job_wait(struct client *cl, struct request *rq)
{
    struct front_job *job;
    int rc;

    rc = find_job(cl, rq, &job);
    if (rc)
        return rc;
    if (job->w.state >= JOB_DONE)
        return run_job_show(cl, rq);
    return rpc_wait(cl, rq, WAIT_END, job->w.id) ? 0 : -EBUSY;
}

/* One's own, or with the right of an administrator anybody's. */
static int run_job_cancel(struct client *cl, struct request *rq)
{
    struct wire m;
    struct front_job *job;
    int rc;

    wire_begin(&m, WIRE_CANCEL);
    rc = find_job(cl, rq, &job);
    if (rc)
        return rc;
    if (cl->right < RIGHT_ADMIN &&
        (job->w.origin != ORIGIN_SOCKET || job->w.uid != cl->uid))
        return fail(&rq->c, -EPERM, "Job %llu is not yours.",
                    (unsigned long long)job->w.id);
    m.u.cancel.job = job->w.id;
    m.u.cancel.uid = (uint32_t)cl->uid;
    front_send(cl->f, &m);
    if (job->w.state >= JOB_DONE)
        return run_job_show(cl, rq);
    return rpc_wait(cl, rq, WAIT_END, job->w.id) ? 0 : -EBUSY;
}

static int run_subscribe(struct client *cl, struct request *rq)
{
    bool progress = false;
    int rc;

    rc = param_bool(rq, "progress", &progress);
    if (rc)
        return rc;
    cl->wants_jobs = true;
    cl->wants_progress = progress;
    rpc_reply(cl, rq->id, "{\"subscribed\":true}");
    return 0;
}

static int run_info(struct client *cl, struct request *rq)
{
    struct json j;

    json_begin_line(&j);
    json_put_string(&j, "version", CKPT_VERSION);
    json_put_u64(&j, "protocol", 1);
    json_put_string(&j, "right", right_name(cl->right));
    json_put_u64(&j, "uid", (uint64_t)cl->uid);
    return reply_text(cl, rq, &j);
}

/* --- the table ------------------------------------------------------------------------ */

#define PARAMS(...)                                                            \
    (const char *const[])                                                      \
    {                                                                          \
        __VA_ARGS__                                                            \
    }

/* clang-format off */
static const struct method methods[] = {
    { "checkpoint.list", RIGHT_READ, run_list,
      PARAMS("domain", "offset", "limit", "wait", NULL) },
    { "checkpoint.show", RIGHT_READ, run_show, PARAMS("checkpoint", "wait", NULL) },
    { "checkpoint.take", RIGHT_OPERATE, run_take,
      PARAMS("domain", "name", "description", "exclude_disks", "disk_only",
             "paused", "quiesce", "quiesce_timeout_ms", "no_track",
             "timeout_ms", "ring_mib", "when_full", "key", "wait", NULL) },
    { "checkpoint.group", RIGHT_OPERATE, run_group,
      PARAMS("group", "domains", "name", "description", "exclude_disks",
             "disk_only", "paused", "quiesce", "quiesce_timeout_ms",
             "no_track", "timeout_ms", "ring_mib", "when_full", "key", "wait",
             NULL) },
    { "checkpoint.rollback", RIGHT_OPERATE, run_rollback,
      PARAMS("domain", "checkpoint", "paused", "destroy_first", "key",
             "wait", NULL) },
    { "checkpoint.fork", RIGHT_OPERATE, run_fork,
      PARAMS("domain", "checkpoint", "name", "count", "paused", "no_network",
             "timeout_ms", "key", "wait", NULL) },
    { "checkpoint.verify", RIGHT_OPERATE, run_verify,
      PARAMS("checkpoint", "key", "wait", NULL) },
    { "checkpoint.delete", RIGHT_ADMIN, run_delete,
      PARAMS("checkpoint", "key", "wait", NULL) },
    { "store.prune", RIGHT_ADMIN, run_prune,
      PARAMS("domain", "prefix", "keep_count", "keep_age_s", "compress",
             "dry_run", "key", "wait", NULL) },
    { "policy.show", RIGHT_READ, run_policy, PARAMS("domain", NULL) },
    { "job.list", RIGHT_READ, run_job_list, PARAMS(NULL) },
    { "job.show", RIGHT_READ, run_job_show, PARAMS("job", NULL) },
    { "job.wait", RIGHT_READ, run_job_wait, PARAMS("job", NULL) },
    { "job.cancel", RIGHT_OPERATE, run_job_cancel, PARAMS("job", NULL) },
    { "event.subscribe", RIGHT_READ, run_subscribe, PARAMS("progress", NULL) },
    { "daemon.info", RIGHT_READ, run_info, PARAMS(NULL) },
};
/* clang-format on */

const struct method *method_find(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (!strcmp(methods[i].name, name))
            return &methods[i];
    return NULL;
}
