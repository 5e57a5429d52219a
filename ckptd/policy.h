/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_POLICY_H
#define CKPTD_POLICY_H
/*
 * What one domain may ask for and what is done for it unasked.  Plain data of
 * fixed size: it travels between the roles as it is.
 */
#include <stdint.h>

enum {
    GUEST_CHECKPOINT = 1u << 0,
    GUEST_FORK = 1u << 1,
    GUEST_ROLLBACK = 1u << 2,
    GUEST_QUIESCE = 1u << 3, /* it is asked to freeze its filesystems */
};

#define FORK_COUNT_MAX 256u /* children of one request */

struct policy {
    uint32_t guest_requests;   /* GUEST_*; 0: the guest gets no door */
    uint32_t guest_rate_hour;  /* accepted requests an hour, on average */
    uint32_t guest_burst;      /* and at once */
    uint32_t guest_keep;       /* newest checkpoints of the guest's own kept */
    uint64_t guest_bytes;      /* they may take up in the store; 0: no limit */
    uint32_t fork_max;         /* living children of the guest's own forks */
    uint32_t fork_network;     /* 0: children of its forks have none */
    uint32_t quiesce_ms;       /* a freeze lasts no longer; 0: no freeze */
    uint32_t schedule_quiesce; /* scheduled checkpoints freeze as well */
    uint64_t schedule_s;       /* between scheduled checkpoints; 0: none */
    uint32_t keep_count;       /* newest scheduled ones kept; 0: all */
    uint32_t ring_mib;         /* of what it writes during a take; 0: default */
    uint32_t give_up;          /* then, rather than that it waits */
    uint32_t guest_standby;    /* a take is made ready before it asks */
    uint64_t keep_age_s; /* older scheduled ones are deleted; 0: never */
    char group[72];      /* scheduled at one instant with its like; "": alone */
};

/* "checkpoint", "fork", "rollback", "quiesce"; bit @n of guest_requests; NULL
 * past the last. */
const char *policy_request_name(unsigned n);

#endif
