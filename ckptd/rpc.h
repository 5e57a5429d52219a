/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_RPC_H
#define CKPTD_RPC_H
/* One line is one request; a method is a row of methods.c. */
#include <yajl/yajl_tree.h>

#include "client.h"
#include "ctx.h"

struct request {
    char id[72]; /* as JSON; "null" */
    bool has_id; /* else nobody waits for the reply */
    yajl_val params;
    struct ckpt c; /* words of a failure */
};
void rpc_line(struct client *cl, const char *line);
/* @result is JSON. */
void rpc_reply(struct client *cl, const char *id, const char *result);
void rpc_fail(struct client *cl, const char *id, int code, int rc,
              const char *words);
/* The job's end, or its result, or why there is none. */
void rpc_reply_end(struct client *cl, const struct wait *w,
                   const struct front_job *job);
struct wait *rpc_wait(struct client *cl, struct request *rq,
                      enum wait_kind kind, uint64_t tag);
/* What came from the parent, for those who wait and those who listen. */
void rpc_accepted(struct front *f, const struct wire_accepted *a);
void rpc_policy(struct front *f, const struct wire_policy *p);
void rpc_job(struct front *f, const struct front_job *job, bool is_progress);

/* --- methods.c --- */
struct method {
    const char *name;
    enum right needs;
    int (*run)(struct client *cl, struct request *rq);
    const char *const *params; /* NULL-terminated */
};
const struct method *method_find(const char *name);

/* --- params.c: each 0, or -EINVAL with its words; what is missing leaves
 * *out as it is, unless it is needed --- */
int param_text(struct request *rq, const char *key, bool is_needed, char *out,
               size_t size);
int param_u32(struct request *rq, const char *key, uint32_t max, uint32_t *out);
int param_u64(struct request *rq, const char *key, uint64_t max, uint64_t *out);
int param_bool(struct request *rq, const char *key, bool *out);
int param_flag(struct request *rq, const char *key, uint32_t bit,
               uint32_t *flags);
/* A word of several, ended by NULL: its bit is set. */
struct choice {
    const char *word;
    uint32_t bit;
};
int param_choice(struct request *rq, const char *key,
                 const struct choice *choices, uint32_t *flags);
int param_excludes(struct request *rq, const char *key,
                   char out[TASK_EXCLUDE_MAX][16]);
/* An array of 1 to CKPT_GROUP_MAX texts, joined by DOMAIN_END; needed. */
int param_domains(struct request *rq, const char *key, char *out, size_t size);
/* Nothing but the names in @known. */
int params_check(struct request *rq, const char *const *known);

#endif
