/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * JSON-RPC 2.0, a request a line.  The right is checked here, once, before
 * any method runs.  Replies may come later and in another order: each waits
 * in its client's table for the parent's answer or the job's end.
 */
#include "rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "json.h"
#include "json_line.h"

enum {
    RPC_PARSE = -32700,
    RPC_REQUEST = -32600,
    RPC_METHOD = -32601,
    RPC_PARAMS = -32602,
    RPC_FAILED = -32000,
};

static void begin(struct json *j, const char *id)
{
    json_begin_line(j);
    json_put_string(j, "jsonrpc", "2.0");
    if (id)
        json_put_raw(j, "id", id);
}

static void end(struct client *cl, struct json *j, bool is_event)
{
    struct ckpt c = {.url = NULL};
    char *text;

    if (json_end(&c, j, "reply", &text)) {
        log_bounded(&cl->f->faults, LOG_ERR, "a reply is lost: %s", c.error);
        cl->is_closing = true; /* rather than leave it waiting */
        return;
    }
    client_send(cl, text, is_event);
    free(text);
}

void rpc_reply(struct client *cl, const char *id, const char *result)
{
    struct json j;

    if (!id[0])
        return;
    begin(&j, id);
    json_put_raw(&j, "result", result);
    end(cl, &j, false);
}

void rpc_fail(struct client *cl, const char *id, int code, int rc,
              const char *words)
{
    struct json j;

    if (!id[0])
        return;
    begin(&j, id);
    json_open_object(&j, "error");
    json_put_i64(&j, "code", code);
    line_put_text(&j, "message", words);
    json_open_object(&j, "data");
    json_put_string(&j, "code", line_code(rc));
    json_put_u64(&j, "exit", (uint64_t)exit_code_of(rc)->status);
    json_close_object(&j);
    json_close_object(&j);
    end(cl, &j, false);
}

/* --- replies that come later ---------------------------------------------------- */

struct wait *rpc_wait(struct client *cl, struct request *rq,
                      enum wait_kind kind, uint64_t tag)
{
    for (size_t i = 0; i < WAITS_MAX; i++) {
        struct wait *w = &cl->waits[i];

        if (w->kind != WAIT_FREE)
            continue;
        memset(w, 0, sizeof(*w));
        w->kind = kind;
        w->tag = tag;
        if (rq->has_id)
            memcpy(w->id, rq->id, sizeof(w->id));
        return w;
    }
    fail(&rq->c, -EBUSY, "More than %u replies are still owed to you.",
         WAITS_MAX);
    return NULL;
}

static void reply_job(struct client *cl, const char *id,
                      const struct front_job *job)
{
    struct json j;

    if (!id[0])
        return;
    begin(&j, id);
    json_open_object(&j, "result");
    line_put_job(&j, "job", &job->w);
    if (job->w.state >= JOB_DONE && job->result)
        json_put_raw(&j, "result", job->result);
    json_close_object(&j);
    end(cl, &j, false);
}

void rpc_reply_end(struct client *cl, const struct wait *w,
                   const struct front_job *job)
{
    if (w->kind == WAIT_END)
        reply_job(cl, w->id, job);
    else if (job->w.state != JOB_DONE)
        rpc_fail(cl, w->id, RPC_FAILED, job->w.rc, job->w.words);
    else if (job->result)
        rpc_reply(cl, w->id, job->result);
    else
        reply_job(cl, w->id, job); /* of an earlier life: the result is gone */
}

void rpc_accepted(struct front *f, const struct wire_accepted *a)
{
    for (size_t i = 0; i < CLIENTS_MAX * WAITS_MAX; i++) {
        struct client *cl = f->clients[i / WAITS_MAX];
        struct wait *w = cl ? &cl->waits[i % WAITS_MAX] : NULL;
        struct front_job *job;

        if (!w || w->kind != WAIT_ACCEPTED || w->tag != a->tag)
            continue;
        job = front_job(f, a->job);
        if (a->rc) {
            rpc_fail(cl, w->id, RPC_FAILED, a->rc, a->words);
            w->kind = WAIT_FREE;
        } else if (w->wants_result) {
            w->kind = WAIT_RESULT;
            w->tag = a->job;
            if (job && job->w.state >= JOB_DONE) {
                rpc_reply_end(cl, w, job);
                w->kind = WAIT_FREE;
            }
        } else {
            if (job)
                reply_job(cl, w->id, job);
            else
                rpc_fail(cl, w->id, RPC_FAILED, -EIO, "The job is lost.");
            w->kind = WAIT_FREE;
        }
        return;
    }
}

void rpc_policy(struct front *f, const struct wire_policy *p)
{
    for (size_t i = 0; i < CLIENTS_MAX * WAITS_MAX; i++) {
        struct client *cl = f->clients[i / WAITS_MAX];
        struct wait *w = cl ? &cl->waits[i % WAITS_MAX] : NULL;
        struct json j;

        if (!w || w->kind != WAIT_POLICY || w->tag != p->tag)
            continue;
        if (p->rc) {
            rpc_fail(cl, w->id, RPC_FAILED, p->rc,
                     "ckptd has met no domain of that number.");
        } else if (w->id[0]) {
            begin(&j, w->id);
            json_open_object(&j, "result");
            line_put_policy(&j, "policy", &p->policy);
            json_close_object(&j);
            end(cl, &j, false);
        }
        w->kind = WAIT_FREE;
        return;
    }
}

static void send_event(struct client *cl, const struct front_job *job)
{
    struct json j;

    begin(&j, NULL);
    json_put_string(&j, "method", "event.job");
    json_open_object(&j, "params");
    line_put_job(&j, "job", &job->w);
    if (cl->events_left_out)
        json_put_u64(&j, "left_out", cl->events_left_out);
    json_close_object(&j);
    cl->events_left_out = 0;
    end(cl, &j, true);
}

void rpc_job(struct front *f, const struct front_job *job, bool is_progress)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *cl = f->clients[i];

        if (cl && cl->wants_jobs && !verb_is_short(job->w.verb) &&
            (!is_progress || cl->wants_progress))
            send_event(cl, job);
        for (size_t n = 0; cl && job->w.state >= JOB_DONE && n < WAITS_MAX;
             n++) {
            struct wait *w = &cl->waits[n];

            if ((w->kind != WAIT_RESULT && w->kind != WAIT_END) ||
                w->tag != job->w.id)
                continue;
            rpc_reply_end(cl, w, job);
            w->kind = WAIT_FREE;
        }
    }
}

/* --- one line ---------------------------------------------------------------------- */

/* A string, an integer or null, kept as JSON to be given back. */
static int take_id(struct request *rq, yajl_val v)
{
    struct ckpt c = {.url = NULL};
    struct json j;
    char *text;

    strcpy(rq->id, "null");
    if (!v) {
        rq->has_id = false;
        rq->id[0] = '\0';
        return 0;
    }
    rq->has_id = true;
    if (YAJL_IS_NULL(v))
        return 0;
    if (YAJL_IS_INTEGER(v)) {
        snprintf(rq->id, sizeof(rq->id), "%lld", v->u.number.i);
        return 0;
    }
    if (!YAJL_IS_STRING(v) || strlen(v->u.string) > 32)
        return -EINVAL;
    json_begin_line(&j);
    json_put_string(&j, "", v->u.string);
    if (json_end(&c, &j, "id", &text))
        return -EINVAL;
    /* {"":"..."} */
    if (strlen(text) - 5 >= sizeof(rq->id)) {
        free(text);
        return -EINVAL;
    }
    snprintf(rq->id, sizeof(rq->id), "%.*s", (int)strlen(text) - 5, text + 4);
    free(text);
    return 0;
}

static bool is_version_2(yajl_val tree)
{
    yajl_val v = json_member(tree, "jsonrpc");

    return YAJL_IS_STRING(v) && !strcmp(v->u.string, "2.0");
}

static void call(struct client *cl, struct request *rq, const char *name)
{
    const struct method *m = method_find(name);
    char words[160];
    int rc;

    if (!m) {
        rpc_fail(cl, rq->id, RPC_METHOD, -ENOTSUP, "There is no such method.");
        return;
    }
    if (cl->right < m->needs) {
        snprintf(words, sizeof(words),
                 "%s needs the right \"%s\"; yours is "
                 "\"%s\".",
                 m->name, right_name(m->needs), right_name(cl->right));
        log_bounded(&cl->f->refusals, LOG_WARNING, "uid %u: %s",
                    (unsigned)cl->uid, words);
        rpc_fail(cl, rq->id, RPC_FAILED, -EPERM, words);
        return;
    }
    rc = params_check(rq, m->params);
    if (!rc)
        rc = m->run(cl, rq);
    if (rc)
        rpc_fail(cl, rq->id, rc == -EINVAL ? RPC_PARAMS : RPC_FAILED, rc,
                 rq->c.error);
}

void rpc_line(struct client *cl, const char *line)
{
    struct request rq = {.has_id = false};
    yajl_val tree, method;

    strcpy(rq.id, "null");
    if (json_parse(&rq.c, "The request", line, REQUEST_MAX, &tree)) {
        rpc_fail(cl, "null", RPC_PARSE, -EINVAL, rq.c.error);
        return;
    }
    method = json_member(tree, "method");
    if (!YAJL_IS_OBJECT(tree) || !is_version_2(tree) ||
        !YAJL_IS_STRING(method) || take_id(&rq, json_member(tree, "id"))) {
        rpc_fail(cl, "null", RPC_REQUEST, -EINVAL,
                 "That is no request of JSON-RPC 2.0 (batches are not "
                 "taken).");
    } else {
        rq.params = json_member(tree, "params");
        call(cl, &rq, method->u.string);
    }
    yajl_tree_free(tree);
}
