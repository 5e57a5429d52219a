/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_JOB_H
#define CKPTD_JOB_H
/*
 * One operation in a process of its own.  The main thread is in libckpt; a
 * second one listens to the parent, whose only words are "stop" and answers,
 * and whose death means "stop" as well.  While a take stands by the main thread
 * listens itself, for a guest waits, and to wake another thread takes long.
 */
#include <pthread.h>
#include <stdbool.h>

#include "ckpt.h"
#include "json_out.h"
#include "wire.h"

struct job {
    int fd; /* to the parent */
    int hush_fd; /* an eventfd: the listener is to be quiet */
    struct wire_task task;
    ckpt *c;
    struct json *json; /* the result, one line */
    struct wire_end end;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_cancelled;
    bool is_answered; /* to what we asked */
    bool is_awaiting_go; /* the main thread listens */
    bool has_go;         /* who stands by goes on, with this task */
    struct wire_task go;
    int frozen_rc;
    struct policy policy;
};

/* From here on a death is a failure; before it another is given the task. */
void job_say_begun(struct job *job);
/* Who stands by waits; 0: job->task is what to do.  -ECANCELED, -ENOMEM. */
int job_await_go(struct job *job);
/* Whether the parent wants us to stop. */
bool job_is_cancelled(struct job *job);
/* Keeps libckpt's words, or ours, for END.  Returns @rc. */
int job_failed(struct job *job, int rc);
int job_fail(struct job *job, int rc, const char *words);

/* The verbs; each fills job->json and job->end. */
int run_take(struct job *job);
int run_rollback(struct job *job);
int run_fork(struct job *job);
int run_list(struct job *job);
int run_show(struct job *job);
int run_delete(struct job *job);
int run_verify(struct job *job);
int run_prune(struct job *job);
int run_stats(struct job *job);

#endif
