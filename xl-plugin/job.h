/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_JOB_H
#define XL_JOB_H
/*
 * One run of one command: its arguments, the store it works on, the JSON it
 * builds and the words of its failure.  main.c makes it, the command's run()
 * uses it, main.c prints what is left in it.
 */
#include "ckpt.h"
#include "json_out.h"
#include "opts.h"
#include "progress.h"

#define JOB_ERROR_LEN 512

struct job {
    const struct command *cmd;
    struct args args;
    struct json *json; /* NULL without --json */
    ckpt *c;           /* NULL before job_open() */
    struct daemon *daemon; /* NULL: we work alone; see daemon.h */
    struct xentoollog_logger *log;
    struct progress progress;
    char error[JOB_ERROR_LEN]; /* of the first failure; "" when none */
};

/* Opens the store the arguments name; signals cancel from here on.  0, or
 * -errno with the words in job->error. */
int job_open(struct job *job);
/* Closes what job_open() opened; harmless when it did not. */
void job_close(struct job *job);

/* To be asked before each operation: 0, or -ECANCELED after a signal. */
int job_go(struct job *job);

/* After a call on job->c failed with @rc: takes its words, if they are the
 * first, clears the screen of progress and returns @rc. */
int job_failed(struct job *job, int rc);
/* The same with words of our own. */
__attribute__((format(printf, 3, 4))) int job_fail(struct job *job, int rc,
                                                   const char *fmt, ...);

/* The stream for a result in words; NULL when there is to be none (--json).
 * The progress line is gone from the screen afterwards. */
FILE *job_output(struct job *job);

/* The commands. */
int cmd_checkpoint(struct job *job);
int cmd_rollback(struct job *job);
int cmd_fork(struct job *job);
int cmd_list(struct job *job);
int cmd_show(struct job *job);
int cmd_delete(struct job *job);
int cmd_verify(struct job *job);
int cmd_diff(struct job *job);
int cmd_mount(struct job *job);
int cmd_umount(struct job *job);
int cmd_keep(struct job *job);
int cmd_prune(struct job *job);
int cmd_export(struct job *job);
int cmd_import(struct job *job);
int cmd_keygen(struct job *job);

/* Their options, each table beside its command. */
extern const struct opt checkpoint_opts[], rollback_opts[], fork_opts[];
extern const struct opt list_opts[], no_opts[], show_opts[],
    verify_opts[];
extern const struct opt keep_opts[], prune_opts[];
extern const struct opt export_opts[], import_opts[], keygen_opts[];
#endif
