/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_SPAWN_H
#define CKPT_SPAWN_H
/*
 * Runs a helper program: argv only, no shell, a time limit, its stderr kept
 * for the error text.  Descriptors other than 0-2 are closed in the child,
 * signals are at their defaults, stdin is /dev/null, messages are in English
 * and numbers have points (LC_ALL=C).  The caller's SIGCHLD, whatever its
 * disposition, is neither raised nor needed; a ^C at the caller's terminal
 * does not reach the child, our death does (SIGTERM).
 */
struct ckpt;

/*
 * Runs @argv (NULL-terminated, argv[0] looked up in PATH, then in the usual
 * sbin folders) and waits.  0 when it exits 0.  -EIO when it fails: the error
 * text has the program, its status and the last line it wrote to stderr.
 * -ETIMEDOUT: it was ended after @timeout_ms.  Its stdout goes to *out_out
 * (owned, NUL-terminated; more than 1 MiB is -EFBIG) when @out_out is not
 * NULL, else to /dev/null.  *out_out is filled on success only.
 */
int spawn_run(struct ckpt *c, const char *const argv[], unsigned timeout_ms,
              char **out_out);

/* The same, with its stdout to @fd (not 0 to 2), however much it is. */
int spawn_run_to(struct ckpt *c, const char *const argv[], unsigned timeout_ms,
                 int fd);

#define SPAWN_FDS_MAX 2
/*
 * The same for a program that leaves a daemon behind: @fds become descriptors
 * 3, 4, ... of it, its stderr is ours, and it survives us.
 */
int spawn_daemon(struct ckpt *c, const char *const argv[], const int *fds,
                 unsigned nr_fds, unsigned timeout_ms);

#endif
