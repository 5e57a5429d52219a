/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_TASK_H
#define CKPTD_TASK_H
/* What is to be done, and how far it is: the words all roles share. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TEXT_NAME = 128,
    TEXT_GROUP = 72,
    TEXT_DOMAINS = 1024, /* of a group, each ended by DOMAIN_END or the NUL */
    TEXT_IDS = 544,      /* their checkpoints', in that order, by ID_END */
    TEXT_KEY = 64,
    TEXT_WORDS = 512,
    TEXT_UUID = 37
};

enum verb {
    VERB_TAKE,
    VERB_ROLLBACK,
    VERB_FORK,
    VERB_LIST,
    VERB_SHOW,
    VERB_DELETE,
    VERB_VERIFY,
    VERB_PRUNE,
    VERB_STATS, /* of all domains, for the metrics */
    VERB_NR
};
const char *verb_name(uint32_t verb); /* "take"; never NULL */
int verb_is_short(uint32_t verb);     /* reads some files, touches no guest */

enum origin {
    ORIGIN_SOCKET,
    ORIGIN_GUEST,
    ORIGIN_SCHEDULE,
    ORIGIN_DAEMON
};
const char *origin_name(uint32_t origin);

/* In no name of a domain, nor in an id. */
#define DOMAIN_END '\t'
#define ID_END ','
/* The @n-th of @words, which are ended by @end; false: past the last, or it is
 * too long. */
bool word_nth(const char *words, char end, size_t n, char *out, size_t size);
/* Adds one; false: there is no room. */
bool word_add(char *words, size_t size, char end, const char *word);

enum job_state {
    JOB_QUEUED,
    JOB_PRE, /* hooks are asked */
    JOB_RUNNING,
    JOB_POST, /* hooks are told */
    JOB_DONE,
    JOB_FAILED,
    JOB_CANCELLED
};
const char *job_state_name(uint32_t state);

enum {
    TASK_DISK_ONLY = 1u << 0,
    TASK_PAUSED = 1u << 1,
    TASK_DESTROY_FIRST = 1u << 2,
    TASK_QUIESCE = 1u << 3,
    TASK_NO_NETWORK = 1u << 4,
    TASK_EXISTING_OK = 1u << 5, /* a take repeated with the same key */
    TASK_OWN_LAST = 1u << 6,    /* roll back to the newest with the prefix */
    TASK_DRY_RUN = 1u << 7,     /* prune: only say */
    TASK_NO_TRACK = 1u << 8,
    /* When the ring is full; neither: as the policy says. */
    TASK_WAIT = 1u << 9,
    TASK_GIVE_UP = 1u << 10,
    TASK_COMPRESS = 1u << 11, /* prune: and what stays is made smaller */
    TASK_STAND_BY = 1u << 12, /* up to the cut, then ask */
    TASK_BY_POLICY = 1u << 13, /* a group's: freeze and retention of each */
};

#define TASK_EXCLUDE_MAX 16
struct wire_task {
    uint32_t verb, flags;
    uint32_t count, timeout_ms;
    uint32_t domid;         /* of a guest's own request, else 0 */
    uint32_t quiesce_ms;    /* deadline of a freeze */
    uint32_t keep_count;    /* of those with the prefix; 0: all */
    uint32_t offset, limit; /* of a list */
    uint32_t ring_mib;      /* 0: as the policy says */
    uint64_t keep_age_s; /* 0: for ever */
    uint64_t max_bytes;  /* of those with the prefix; 0: no limit */
    char prefix[16];     /* "auto-", "guest-"; "": any */
    char group[TEXT_GROUP];     /* a take of several; "": of one, or none */
    char domains[TEXT_DOMAINS]; /* then these, and @domain is "" */
    char domain[TEXT_NAME];
    char checkpoint[TEXT_NAME + TEXT_NAME];
    char name[TEXT_NAME];
    char description[1024];
    char exclude[TASK_EXCLUDE_MAX][16];
    char store[256];
};

struct wire_job {
    uint64_t id;
    uint32_t state, verb, origin, uid;
    int32_t rc;
    uint32_t domid;
    uint64_t done_bytes, total_bytes, elapsed_us;
    uint64_t rate_bytes_s, remaining_ms;     /* 0: not known */
    int64_t queued_us, started_us, ended_us; /* unix; 0: not yet */
    uint64_t stored_bytes, pause_us, result_bytes;
    char key[TEXT_KEY];
    char group[TEXT_GROUP];     /* of a take of several; else "" */
    char domains[TEXT_DOMAINS]; /* all it works on; "": none, or any */
    char domain[TEXT_NAME];     /* the only one; else "" */
    char checkpoint[TEXT_IDS];  /* of a group: all its ids */
    char phase[48];
    char words[TEXT_WORDS];
};

#endif
