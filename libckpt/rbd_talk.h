/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RBD_TALK_H
#define CKPT_RBD_TALK_H
/*
 * A conversation with ckpt-rbd (rbd/main.c), the program that knows librbd.
 * It has one connection to the pool of the name it was begun with.
 */
#include <stdint.h>

#include "rbd_name.h"

#define RBD_TALK_WORDS_MAX 512
#define RBD_TIMEOUT_MS 30000u

struct rbd_talk;

/* What it says before its answer.  Not 0: stop, and return that. */
typedef int rbd_talk_fn(void *arg, const char *words);

/* Starts it and has it connect.  -EHOSTDOWN: no cluster answers. */
int rbd_talk_begin(struct ckpt *c, const struct rbd_name *n,
                   struct rbd_talk **out);
/* Asks, and waits at most @timeout_ms; after that the talk is over.  @fn may
 * be NULL.  A refusal has its words. */
int rbd_talk_ask(struct rbd_talk *t, unsigned timeout_ms, rbd_talk_fn *fn,
                 void *arg, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The same with bytes: @len_bytes of them follow the answer, to @out; or the
 * question. */
int rbd_talk_read(struct rbd_talk *t, unsigned timeout_ms, void *out,
                  size_t len_bytes, uint64_t offset_bytes);
int rbd_talk_write(struct rbd_talk *t, unsigned timeout_ms, const void *data,
                   size_t len_bytes, uint64_t offset_bytes);
/* What came with the last success; borrowed until the next. */
const char *rbd_talk_answer(const struct rbd_talk *t);
/* The cluster it is connected to. */
const char *rbd_talk_fsid(const struct rbd_talk *t);
/* Returns when it is gone, and what it held with it, or after 12 s: then it is left
 * to let go of that by itself.  NULL is fine. */
void rbd_talk_end(struct rbd_talk *t);

#endif
