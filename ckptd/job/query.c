/* SPDX-License-Identifier: LGPL-2.1-only */
/* The verbs that only look at the store, or take away from it. */
#include <errno.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "retain.h"

#define LIST_LIMIT 256u /* records of an answer, when nothing is asked for */

int run_list(struct job *job)
{
    const struct wire_task *t = &job->task;
    const size_t limit = t->limit ? t->limit : LIST_LIMIT;
    struct ckpt_info *list;
    size_t nr, i;
    int rc;

    rc = ckpt_list(job->c, t->domain[0] ? t->domain : NULL, &list, &nr);
    if (rc)
        return job_failed(job, rc);
    json_open_array(job->json, "checkpoints");
    for (i = t->offset; i < nr && i - t->offset < limit; i++)
        json_checkpoint(job->json, NULL, &list[i]);
    json_close_array(job->json);
    json_number(job->json, "total", nr);
    ckpt_list_free(list, nr);
    return 0;
}

int run_show(struct job *job)
{
    struct ckpt_info info;
    int rc;

    rc = ckpt_find(job->c, job->task.checkpoint, &info);
    if (rc)
        return job_failed(job, rc);
    json_checkpoint(job->json, "checkpoint", &info);
    ckpt_info_fini(&info);
    return 0;
}

/* What is not there is deleted already. */
int run_delete(struct job *job)
{
    int rc;

    rc = ckpt_delete(job->c, job->task.checkpoint);
    json_bool(job->json, "existed", rc != -ENOENT);
    return rc && rc != -ENOENT ? job_failed(job, rc) : 0;
}

int run_verify(struct job *job)
{
    struct ckpt_verify_result result = {0, 0, 0};
    int rc;

    rc = ckpt_verify(job->c, job->task.checkpoint, &result);
    if (rc && rc != -EUCLEAN)
        return job_failed(job, rc);
    json_number(job->json, "pages_checked", result.pages_checked);
    json_number(job->json, "pages_bad", result.pages_bad);
    return rc ? job_failed(job, rc) : 0;
}

/* Where nobody waits: whoever wants the processor or the disk has it first.  A
 * take that has the store meanwhile is no failure: another time. */
static int compress(struct job *job)
{
    const struct ckpt_prune_opts opts = {.flags = CKPT_PRUNE_COMPRESS};
    struct ckpt_prune_result result = {.ids = NULL};
    int rc = 0;

    if (!(job->task.flags & TASK_COMPRESS))
        goto out;
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
            IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
    rc = ckpt_prune(job->c, &opts, &result);
    if (rc && rc != -EBUSY) {
        free(result.ids);
        return job_failed(job, rc);
    }
out:
    json_number(job->json, "freed_bytes", result.space.freed_bytes);
    json_bool(job->json, "busy", rc == -EBUSY);
    free(result.ids);
    return 0;
}

/* The rule of retention applied now; with TASK_DRY_RUN only said. */
int run_prune(struct job *job)
{
    const struct wire_task *t = &job->task;
    const bool is_dry = t->flags & TASK_DRY_RUN;
    struct retain r = {.prefix = t->prefix,
                       .keep_count = t->keep_count,
                       .keep_age_s = t->keep_age_s};
    struct ckpt_info *list;
    struct timespec now;
    bool *is_old;
    int rc, first = 0;
    size_t nr;

    clock_gettime(CLOCK_REALTIME, &now);
    r.now_us = (int64_t)now.tv_sec * 1000000;
    rc = ckpt_list(job->c, t->domain[0] ? t->domain : NULL, &list, &nr);
    if (rc)
        return job_failed(job, rc);
    is_old = calloc(nr + 1, sizeof(*is_old));
    if (!is_old) {
        ckpt_list_free(list, nr);
        return job_fail(job, -ENOMEM, "not enough memory");
    }
    retain_choose(&r, list, nr, is_old);
    json_open_array(job->json, "deleted");
    for (size_t i = 0; i < nr && !job_is_cancelled(job); i++) {
        if (!is_old[i])
            continue;
        rc = is_dry ? 0 : ckpt_delete(job->c, list[i].id);
        if (rc && rc != -ENOENT) {
            first = first ? first : job_failed(job, rc);
            continue;
        }
        json_text(job->json, NULL, list[i].id);
        job->end.nr_pruned++;
    }
    json_close_array(job->json);
    free(is_old);
    ckpt_list_free(list, nr);
    return first ? first : compress(job);
}

/* Sums of each domain, for the metrics.  Neighbours are mostly of the same
 * domain; a domain seen twice is added up by the parent. */
int run_stats(struct job *job)
{
    struct wire m;
    struct wire_stat *s = &m.u.stat;
    struct ckpt_info *list;
    size_t nr;
    int rc;

    wire_begin(&m, WIRE_STAT);
    rc = ckpt_list(job->c, NULL, &list, &nr);
    if (rc)
        return job_failed(job, rc);
    for (size_t i = 0; i < nr; i++) {
        const struct ckpt_info *info = &list[i];

        if (s->count && strcmp(s->uuid, info->domain_uuid)) {
            wire_send(job->fd, &m);
            memset(s, 0, sizeof(*s));
        }
        if (!s->count)
            s->oldest_us = info->created_unix_us;
        s->count++;
        s->bytes += info->stored_bytes;
        s->newest_us = info->created_unix_us;
        snprintf(s->uuid, sizeof(s->uuid), "%s", info->domain_uuid);
        snprintf(s->name, sizeof(s->name), "%s", info->domain_name);
    }
    if (s->count)
        wire_send(job->fd, &m);
    ckpt_list_free(list, nr);
    return 0;
}
