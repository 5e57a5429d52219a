/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Block jobs of a running QEMU: what a file holds goes down into the one
 * beneath it, or what is beneath goes up.  Both take as long as there is to
 * copy, and the guest runs meanwhile.  A job is started, looked at whenever
 * QEMU has told of an event, and dismissed once it is concluded.  It outlives
 * who started it; and QEMU is not held on to, only asked now and then.
 */
#include "qcow2_node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "json.h"

#define JOB_ID "xen-ckpt"
#define JOB_HOLD_MS 1000u /* connected, and not, while a job runs */
#define JOB_APART_MS 500u
#define JOB_PATIENCE 6u /* times QMP_TIMEOUT_MS: a host that swaps */

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
    /* Another of us may have waited for it, too, and dismissed it.  Whether
     * it came to a good end is to be seen by what it was to change. */
    *is_over_out = !status[0];
    return 0;
}

/* The socket serves one client, and libxl is another. */
static int let_others_in(struct qmp *q)
{
    int rc = -ETIMEDOUT;

    qmp_hang_up(q);
    /* lint: sleep ok: events are for who is connected */
    usleep(JOB_APART_MS * 1000);
    for (unsigned n = 0; n < JOB_PATIENCE && rc == -ETIMEDOUT; n++)
        rc = qmp_connect(q);
    return rc;
}

static int finish_job(struct qmp *q)
{
    bool is_over = false, is_asked = false, is_cancelled = false;
    unsigned seen = 0, nr_slow = 0;
    int rc = 0;

    while (!rc && !is_over) {
        qmp_await_event(q, &seen, 0);
        rc = step_job(q, &is_over, &is_asked);
        if (rc == -ETIMEDOUT && nr_slow++ < JOB_PATIENCE) {
            rc = let_others_in(q);
            continue;
        }
        if (rc || is_over)
            break;
        if (!is_asked && !is_cancelled && check_cancel(qmp_ctx(q))) {
            is_cancelled = true;
            rc = qmp_call_1(q, "job-cancel", "id", JOB_ID);
        }
        /* No event is no failure: the next look says whether it lives. */
        if (!rc)
            rc = qmp_await_event(q, &seen, JOB_HOLD_MS);
        if (rc == -ETIMEDOUT)
            rc = let_others_in(q);
    }
    return is_cancelled ? check_cancel(qmp_ctx(q)) : rc;
}

/* What somebody left who died, or whom QEMU answered too late, comes to its end
 * first: there is one name for jobs of ours. */
static int clear_job(struct qmp *q)
{
    char status[24], error[256];
    int rc = job_status(q, status, error);

    if (rc || !status[0])
        return rc;
    finish_job(q); /* however it ends */
    rc = check_cancel(qmp_ctx(q));
    if (!rc)
        rc = job_status(q, status, error);
    return rc || !status[0] ? rc
                            : fail(qmp_ctx(q), -EBUSY,
                                   "QEMU: a block job of ours is under way.");
}

static int begin_job(struct qmp *q, struct json *j, const char *command)
{
    int rc = clear_job(q);

    if (rc)
        return rc;
    qmp_begin(j, command);
    json_put_string(j, "job-id", JOB_ID);
    json_put_bool(j, "auto-dismiss", false);
    return 0;
}

static int run_job(struct qmp *q, struct json *j)
{
    int rc = qmp_end(q, j);

    return rc ? rc : finish_job(q);
}

int qcow2_node_commit(struct qmp *q, const char *overlay, const char *base)
{
    struct json j;
    int rc = begin_job(q, &j, "block-commit");

    if (rc)
        return rc;
    json_put_string(&j, "device", overlay);
    json_put_string(&j, "base-node", base);
    return run_job(q, &j);
}

int qcow2_node_stream(struct qmp *q, const char *top, const char *base,
                      const char *backing)
{
    struct json j;
    int rc = begin_job(q, &j, "block-stream");

    if (rc)
        return rc;
    json_put_string(&j, "device", top);
    if (base) {
        json_put_string(&j, "base-node", base);
        json_put_string(&j, "backing-file", backing);
    }
    return run_job(q, &j);
}
