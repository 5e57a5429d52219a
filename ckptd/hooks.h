/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_HOOKS_H
#define CKPTD_HOOKS_H
/*
 * The administrator's programs in hooks.d, run one after the other in the
 * order of their names: `NAME pre take` with the job as JSON on standard
 * input.  A `pre` that does not exit 0 in time is a veto.  For a job on several
 * domains all are run for one after the other.
 */
#include "daemon.h"

struct hooks;
/* @why: NULL, or who vetoed and the last line it said, about the @n-th of the
 * objects; borrowed. */
typedef void hooks_done_fn(void *arg, size_t n, const char *why);

/* Runs them all, for each object that @job is about; @done is called once,
 * perhaps from within.  The result is NULL when it was.  @phase: static storage;
 * @job and @task are borrowed for the call. */
struct hooks *hooks_run(struct daemon *d, const char *phase,
                        const struct wire_job *job,
                        const struct wire_task *task, hooks_done_fn *done,
                        void *arg);
/* Ends what runs; @done is not called. */
void hooks_stop(struct hooks *h);
/* Of the loop's child watcher: whether @pid was one of ours. */
bool hooks_reaped(struct hooks *h, pid_t pid, int status);

#endif
