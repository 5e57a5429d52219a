/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_CTX_H
#define CKPT_CTX_H
/*
 * The handle behind the public `ckpt`: its store, its last error, its
 * progress callback, its cancel flag.  fail() is the one way an error gets
 * its words.
 */
#include <errno.h>
#include <stdatomic.h>

#include "ckpt.h"

struct store;

struct ckpt {
    struct xentoollog_logger *log; /* borrowed, may be NULL */
    struct store *store;           /* owned */
    char *url;                     /* owned */
    char error[512];
    ckpt_progress_fn *progress_fn; /* may be NULL */
    void *progress_arg;
    const struct ckpt_quiesce *quiesce; /* borrowed, may be NULL */
    uint64_t begin_us;         /* of the operation under way */
    uint64_t last_progress_us; /* for the ten a second */
    atomic_int cancelled;      /* set by a signal handler or another thread */
};

/* Every public function begins with this: no error, not cancelled, and the
 * clock of the operation starts. */
void ctx_begin(struct ckpt *c);

/*
 * Fills the handle's error text and returns @rc, so that a failure is one
 * line: `return fail(c, -errno, "%s: open", path);`.  strerror(-rc) is
 * appended after ": " unless the format ends in a full stop.  Keeps errno.
 * A second fail() replaces the text: the words are written once, where most
 * is known, and nobody above calls it again.
 */
int fail(struct ckpt *c, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the text already there. Returns @rc. */
int fail_prefix(struct ckpt *c, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Says something on the logger: for people following with -v. */
void say(struct ckpt *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Something the admin should know although the operation goes on. */
void warn(struct ckpt *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Reports progress when a tenth of a second has passed. */
void progress(struct ckpt *c, const char *phase, uint64_t done_bytes,
              uint64_t total_bytes);

/* -ECANCELED with its words once ckpt_cancel() was called, else 0. */
int check_cancel(struct ckpt *c);

/* CLOCK_MONOTONIC in microseconds. */
uint64_t now_us(void);
/* CLOCK_REALTIME in microseconds. */
int64_t now_unix_us(void);

#endif
