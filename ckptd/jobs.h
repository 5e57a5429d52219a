/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_JOBS_H
#define CKPTD_JOBS_H
/*
 * All jobs: those that wait, those that run, and the last that ended.  A job
 * is asked for once, runs in a process of its own between its hooks, and ends
 * as done, failed or cancelled.  One at a time works on a domain; one on several
 * waits for all of them, and no later one overtakes it on any.
 */
#include "ckpt.h"
#include "daemon.h"

#define JOBS_SHORT_MAX 4u /* queries beside the others */

struct hooks;
struct job {
    struct daemon *d;
    struct wire_job w;
    struct wire_task task;
    pid_t pid;
    int fd; /* to its process; -1 */
    ev_io io;
    struct hooks *hooks;
    char *result;    /* owned, result_bytes long so far; NULL: none, or sent */
    uint32_t names[CKPT_GROUP_MAX]; /* of its domains, each as a hash */
    uint32_t nr_names;
    uint32_t frozen; /* bits: of its n-th domain a freeze, no thaw yet */
    uint32_t domids[CKPT_GROUP_MAX]; /* of which they were asked for */
    bool is_asking;                  /* the door has not answered yet */
    bool is_recorded;   /* as accepted, in the audit log and the state */
    bool is_cancelling; /* once asked, not again */
    bool is_spare;      /* its process was there before it */
    bool is_standby;    /* and had made its take ready */
    bool has_begun; /* the process said so; before that it changes nothing */
    bool has_end;
    int64_t rated_us; /* where the rate was last taken */
    uint64_t rated_bytes;
};

int jobs_open(struct daemon *d);
/* Those under way are asked to stop; whoever remains sees us gone. */
void jobs_close(struct daemon *d);
bool jobs_any_running(const struct daemon *d);

/* A new job, or with @key one of the same caller that has it already
 * (*is_old_out).  NULL: *rc_out and @words say why. */
struct job *jobs_submit(struct daemon *d, enum origin origin, uint32_t uid,
                        const char *key, const struct wire_task *task,
                        int *rc_out, bool *is_old_out, char words[TEXT_WORDS]);
/* Starts what may start; after each jobs_submit(), when the caller has told who
 * waits for it. */
void jobs_kick(struct daemon *d);
struct job *jobs_find(struct daemon *d, uint64_t id);
void jobs_cancel(struct job *job);
/* All but the small ones of the last that ended. */
void jobs_drop_results(struct daemon *d);
/* The @n-th in order of their ids, NULL past the last. */
struct job *jobs_nth(struct daemon *d, size_t n);

/* The door's answer to a job's FREEZE or THAW; what one that has ended is told
 * is nobody's. */
void jobs_frozen(struct daemon *d, uint64_t id, int rc);
/* The door died: nobody will answer. */
void jobs_door_died(struct daemon *d);
/* A fork or rollback is making domains whose origin is not known yet. */
bool jobs_may_bear(const struct daemon *d);
/* Of the loop's child watcher. */
void jobs_reaped(struct daemon *d, pid_t pid, int status);

/* A job of an earlier life, by the state file: only its key matters. */
void jobs_remember(struct daemon *d, const struct wire_job *w,
                   const struct wire_task *task);

#endif
