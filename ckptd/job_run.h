/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_JOB_RUN_H
#define CKPTD_JOB_RUN_H
/* Between jobs.c, which knows all jobs, and the process of one. */
#include "jobs.h"

/* A process that waits for its task; pid 0: none. */
struct spare {
    pid_t pid;
    int fd;
};
void spare_make(struct daemon *d, struct spare *s);

/* A process of its own that has been told to do @task: 0 and both, or -errno. */
int job_start(struct daemon *d, const struct wire_task *task, pid_t *pid_out,
              int *fd_out);
/* The answer to its POLICY_ASK. */
void job_policy(struct daemon *d, int fd, const struct wire_policy *ask);

/* The job's turn has come: its process, then its post hooks. */
void job_run(struct job *job, struct spare *s);

/* jobs.c: */
void job_set_state(struct job *job, enum job_state state);
void job_finish(struct job *job, int rc, const char *words);

#endif
