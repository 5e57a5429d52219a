/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_WIRE_MSGS_H
#define CKPTD_WIRE_MSGS_H
/* The bodies of the messages that wire.h lists, in its order. */
#include "policy.h"
#include "task.h"

struct wire_hello {
    uint32_t gid[3]; /* read, operate, admin; UINT32_MAX: none */
    uint32_t can_serve_metrics;
    uint32_t writes_textfile;
    uint32_t owner_uid; /* who runs the daemon: an administrator */
};
struct wire_submit {
    uint64_t tag; /* the sender's, comes back in ACCEPTED */
    uint32_t uid, pid;
    char key[TEXT_KEY];
    struct wire_task task;
};
struct wire_accepted {
    uint64_t tag, job;
    int32_t rc;      /* 0, or why there is no job */
    uint32_t is_old; /* the key was known: an earlier job */
    char words[TEXT_WORDS];
};
struct wire_cancel {
    uint64_t job;
    uint32_t uid, pad;
};
struct wire_policy {
    uint64_t tag;
    char domain[TEXT_NAME];
    int32_t rc; /* -ENOENT: no domain of that number */
    uint32_t pad;
    struct policy policy;
};
#define WIRE_PART_BYTES 32768u
#define WIRE_RESULT_MAX (1024u * 1024u)
struct wire_part { /* of a job's result, JSON in one line */
    uint64_t job;
    uint32_t offset, total_bytes;
    uint32_t len_bytes, pad;
    char bytes[WIRE_PART_BYTES];
};
struct wire_domain {
    uint32_t domid, is_present;
    char uuid[TEXT_UUID];
    char name[TEXT_NAME];
    char pad[3];
};
struct wire_guest {
    uint32_t domid, request; /* one GUEST_* */
    uint32_t count, dropped; /* events not looked at since the last */
    char id[24];
};
struct wire_door {
    uint32_t domid, requests; /* GUEST_*; 0: close it */
    char origin[32];          /* "", "fork 2", "rollback" */
    char busy_id[24];         /* of its last request that was accepted */
};
struct wire_answer {
    uint32_t domid, is_busy;
    uint32_t is_again, pad; /* it may have come to an earlier door */
    char id[24];
    char result[TEXT_WORDS];
};
struct wire_freeze {
    uint32_t domid, deadline_ms;
    uint64_t job;   /* for which it is */
    uint32_t index; /* from a job: of which of its domains, not by domid */
    uint32_t pad;
};
struct wire_frozen {
    uint32_t domid;
    int32_t rc;
    uint64_t job;
};
struct wire_progress {
    uint64_t done_bytes, total_bytes, elapsed_us;
    char phase[48];
};
struct wire_child {
    uint32_t domid, index;
    char uuid[TEXT_UUID];
    char name[TEXT_NAME];
    char pad[3];
};
struct wire_stat { /* of one domain's checkpoints */
    uint64_t count, bytes;
    int64_t oldest_us, newest_us;
    char uuid[TEXT_UUID];
    char name[TEXT_NAME];
    char pad[3];
};
struct wire_end {
    int32_t rc;
    uint32_t nr_pruned;
    uint64_t stored_bytes, pause_us;
    int64_t created_us;
    char checkpoint[TEXT_IDS];
    char words[TEXT_WORDS];
};

#endif
