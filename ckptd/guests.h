/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_GUESTS_H
#define CKPTD_GUESTS_H
/*
 * The domains of this host as the door reports them: which have a door of
 * their own, what they asked for, what is due for them.  What a guest has
 * used up is kept by its UUID and outlives the domain, the daemon and a
 * rollback.
 */
#include "daemon.h"

#define GUESTS_MAX 32768u /* domids */
#define RECORDS_MAX 4096u

struct job;

/* What is kept of a guest, in the state file.  What forks of forks use up is
 * the first guest's: @parent is that one, never a fork itself. */
struct record {
    char uuid[TEXT_UUID];
    char parent[TEXT_UUID]; /* whose fork it is, or a fork's; "": nobody's */
    int64_t tokens_milli;   /* of the rate; at tokens_us */
    int64_t tokens_us;      /* unix; 0: never used */
    int64_t schedule_us;    /* the last one that was due */
};

int guests_open(struct daemon *d);
void guests_close(struct daemon *d);

/* The record of @uuid, made when there is none; NULL: too many. */
struct record *guests_record(struct daemon *d, const char *uuid);
/* The @n-th record, NULL past the last. */
struct record *guests_record_nth(struct daemon *d, size_t n);

/* rate.c: one request's worth is taken from it; false: there is none, and will be
 * in *wait_s_out seconds, or with -1 never. */
bool rate_take(struct record *r, const struct policy *p, int64_t now_us,
               int64_t *wait_s_out);
/* It was taken for nothing. */
void rate_give(struct record *r, const struct policy *p);

/* From the door. */
void guests_domain(struct daemon *d, const struct wire_domain *dom);
void guests_request(struct daemon *d, const struct wire_guest *g);
void guests_door_died(struct daemon *d);
/* A new door has told of all that are here. */
void guests_all_told(struct daemon *d);
/* The policies are new: every guest's door is told anew. */
void guests_reconfigure(struct daemon *d);

/* @domain is a name or, all digits, a number.  0: no such domain here. */
uint32_t guests_domid(const struct daemon *d, const char *domain);
/* Its name; NULL: no such number here. */
const char *guests_name(const struct daemon *d, const char *domain);
/* WIRE_FREEZE or WIRE_THAW to the door; false: there is nobody to ask. */
bool guests_freeze(struct daemon *d, uint64_t job, uint32_t domid,
                   uint32_t type, uint32_t deadline_ms);

/* standby.c: the checkpoint that the guest may ask for next; false: none is to
 * be made ready. */
bool guests_next_take(struct daemon *d, uint32_t domid,
                      struct wire_task *task_out);

/* From jobs.c. */
void guests_job_accepted(struct daemon *d, const struct job *job);
void guests_job_ended(struct daemon *d, const struct job *job);
void guests_born(struct daemon *d, const struct job *job,
                 const struct wire_child *child);
void guests_stat(struct daemon *d, const struct wire *stat);

#endif
