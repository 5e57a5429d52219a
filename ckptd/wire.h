/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_WIRE_H
#define CKPTD_WIRE_H
/*
 * What the roles say to each other: one message, one fixed struct, one packet
 * of a SOCK_SEQPACKET pair.  The receiver takes no packet of another size
 * than its type has, ends every text itself, and checks every enum and what may
 * be asked for; names have no control characters.  So the most a captured role
 * can send is a wrong number.
 *
 *   front ── SUBMIT CANCEL POLICY_ASK METRICS ─────► parent
 *   front ◄─ HELLO JOB PART ACCEPTED POLICY DOMAIN ─ parent
 *   door  ── DOMAIN GUEST FROZEN ──────────────────► parent
 *   door  ◄─ DOOR ANSWER FREEZE THAW ─────────────── parent
 *   job   ── READY ARMED PROGRESS CHILD STAT PART FREEZE THAW END ► parent
 *   job   ◄─ RUN CANCEL FROZEN ───────────────────── parent
 */
#include <stdbool.h>
#include <stdint.h>

#include "wire_msgs.h"

enum wire_type {
    WIRE_READY, /* no body: the role is up; the job has read its RUN */
    WIRE_HELLO,
    WIRE_SUBMIT,
    WIRE_ACCEPTED,
    WIRE_CANCEL,
    WIRE_POLICY_ASK,
    WIRE_POLICY,
    WIRE_JOB,
    WIRE_PART,
    WIRE_METRICS, /* a wire_part: the text for the textfile */
    WIRE_DOMAIN,
    WIRE_GUEST,
    WIRE_DOOR,
    WIRE_ANSWER,
    WIRE_FREEZE,
    WIRE_FROZEN,
    WIRE_THAW,
    WIRE_ARMED, /* no body: it stands by, and goes on with the next RUN */
    WIRE_RUN,
    WIRE_PROGRESS,
    WIRE_CHILD,
    WIRE_STAT,
    WIRE_END,
    WIRE_NR
};

struct wire {
    uint32_t type, pad;
    union {
        struct wire_hello hello;
        struct wire_submit submit;
        struct wire_accepted accepted;
        struct wire_cancel cancel;
        struct wire_policy policy;
        struct wire_job job;
        struct wire_part part;
        struct wire_domain domain;
        struct wire_guest guest;
        struct wire_door door;
        struct wire_answer answer;
        struct wire_freeze freeze;
        struct wire_frozen frozen;
        struct wire_task run;
        struct wire_progress progress;
        struct wire_child child;
        struct wire_stat stat;
        struct wire_end end;
    } u;
};

/* How many jobs wait or run at once.  Queries have rows of their own: who only
 * looks keeps nobody from work. */
#define JOBS_QUEUE_MAX 128u
#define JOBS_QUERIES_MAX 64u
/* And how many that ended the parent knows, and the front from it: the last of each
 * kind.  Who asked by the socket may come back for them; others come by schedule. */
enum { JOBS_KEPT_QUERIES = 32, JOBS_KEPT_ASKED = 256, JOBS_KEPT_OTHERS = 32 };
struct jobs_seen {
    uint32_t queries, asked, others; /* of zeroes at first */
};
/* Asked of each job, from the newest to the oldest, before one is added: whether it
 * is to be forgotten.  So there is room. */
bool job_is_old(const struct wire_job *w, struct jobs_seen *seen);
#define JOBS_MAX                                                               \
    (JOBS_QUEUE_MAX + JOBS_QUERIES_MAX + JOBS_KEPT_QUERIES + JOBS_KEPT_ASKED + \
     JOBS_KEPT_OTHERS)
/* Of what they returned either keeps that of the last, so much in all. */
#define RESULTS_KEPT (256u * 1024u)

/* Whether @s has a control character other than @but. */
bool has_control(const char *s, char but);
/* A pair of sockets, close-on-exec. */
int wire_pair(int fds[2]);
/* A message of that type, of zeroes as far as it is sent: most of a struct wire
 * never is. */
void wire_begin(struct wire *m, uint32_t type);
/* Whole or not at all: 0, -EAGAIN when @fd is full, else -errno. */
int wire_send(int fd, const struct wire *m);
/* Blocks if @fd does.  0; -EAGAIN; -EPIPE: the other end is gone; -EPROTO:
 * no such message. */
int wire_recv(int fd, struct wire *m);

#endif
