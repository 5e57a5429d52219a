/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_GUEST_H
#define CKPTD_GUEST_H
/* A domain of this host, for guests.c and schedule.c alone. */
#include "guests.h"
#include "log.h"

struct guest {
    struct daemon *d;
    struct wire_domain dom;
    struct record *record; /* NULL: there are too many */
    uint32_t requests;     /* its door's, as told to the door */
    bool is_held;          /* its door is not told yet */
    bool is_unseen;        /* since the door died */
    char origin[32];
    uint64_t job;            /* of its request under way; 0: none */
    char id[24];             /* the guest's name for it, or for the last one */
    char result[TEXT_WORDS]; /* of that, when it has ended */
    ev_timer schedule;
    uint64_t schedule_job;
    struct log_rate refusals;
};

struct guests {
    struct guest *by_domid[GUESTS_MAX];
    uint32_t last; /* highest domid seen, +1 */
    struct record record[RECORDS_MAX];
    size_t nr_records;
};

const struct policy *guest_policy(const struct guest *g);
/* A name for a checkpoint, "PREFIX20261121-004510-123". */
void guest_name_take(char name[TEXT_NAME], const char *prefix);

/* --- schedule.c --- */
void schedule_init(struct guest *g);
/* When the next one is due, by the plan and the policy as they are now. */
void schedule_arm(struct guest *g);

#endif
