/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Block jobs of a running QEMU: what a file holds goes down into the one
 * beneath it, or what is beneath goes up.  Both take as long as there is to
 * copy, and the guest runs meanwhile.  A job is started, looked at whenever
 * QEMU has told of an event, and dismissed once it is concluded.
 */
#include "qcow2_node.h"

#include <stdio.h>
#include <string.h>

#include "ctx.h"
#include "json.h"

#define JOB_ID "xen-ckpt"

/* "running", "ready", "concluded", ...; "" when there is no such job. */
static int job_status(struct qmp *q, char status[24], char error[256])
{
    yajl_val list, v;
    int rc;

    status[0] = error[0] = '\0';
    rc = qmp_call(q, "{\"execute\":\"query-jobs\"}", &list);
    if (rc)
        return rc;
    for (size_t i = 0; YAJL_IS_ARRAY(list) && i < list->u.array.len; i++) {
        v = list->u.array.values[i];
        if (strcmp(json_text_in(v, "id"), JOB_ID))
            continue;
        snprintf(status, 24, "%s", json_text_in(v, "status"));
        snprintf(error, 256, "%s", json_text_in(v, "error"));
    }
    yajl_tree_free(list);
    return 0;
}

/* Does what the job waits for; *is_over_out: it is concluded. */
static int step_job(struct qmp *q, bool *is_over_out, bool *is_asked)
{
    char status[24], error[256];
    int rc;

    *is_over_out = false;
    rc = job_status(q, status, error);
    if (rc)
        return rc;
    if (!strcmp(status, "ready") && !*is_asked) {
        *is_asked = true;
        return qmp_call_1(q, "job-complete", "id", JOB_ID);
    }
    if (!strcmp(status, "concluded")) {
        *is_over_out = true;
        rc = qmp_call_1(q, "job-dismiss", "id", JOB_ID);
        return error[0] ? fail(qmp_ctx(q), -EIO, "QEMU: %s.", error) : rc;
    }
    if (!status[0])
        return fail(qmp_ctx(q), -EIO, "QEMU: the block job is gone.");
    return 0;
}

static int finish_job(struct qmp *q)
{
    bool is_over = false, is_asked = false, is_cancelled = false;
    unsigned seen = 0;
    int rc = 0;

    while (!rc && !is_over) {
        qmp_await_event(q, &seen, 0);
        rc = step_job(q, &is_over, &is_asked);
        if (rc || is_over)
            break;
        if (!is_asked && !is_cancelled && check_cancel(qmp_ctx(q))) {
            is_cancelled = true;
            rc = qmp_call_1(q, "job-cancel", "id", JOB_ID);
        }
        /* No event is no failure: the next look says whether it lives. */
        if (!rc && qmp_await_event(q, &seen, 2000) == -EPIPE)
            rc = -EPIPE;
    }
    return is_cancelled ? check_cancel(qmp_ctx(q)) : rc;
}

static void put_job(struct json *j)
{
    json_put_string(j, "job-id", JOB_ID);
    json_put_bool(j, "auto-dismiss", false);
}

int qcow2_node_commit(struct qmp *q, const char *overlay, const char *base)
{
    struct json j;
    int rc;

    qmp_begin(&j, "block-commit");
    put_job(&j);
    json_put_string(&j, "device", overlay);
    json_put_string(&j, "base-node", base);
    rc = qmp_end(q, &j);
    return rc ? rc : finish_job(q);
}

int qcow2_node_stream(struct qmp *q, const char *top, const char *base,
                      const char *backing)
{
    struct json j;
    int rc;

    qmp_begin(&j, "block-stream");
    put_job(&j);
    json_put_string(&j, "device", top);
    if (base) {
        json_put_string(&j, "base-node", base);
        json_put_string(&j, "backing-file", backing);
    }
    rc = qmp_end(q, &j);
    return rc ? rc : finish_job(q);
}
