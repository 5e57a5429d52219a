/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_DOOR_H
#define CKPTD_DOOR_H
/*
 * The role that listens to guests.  Per domain: who it is, its subtree, and
 * how much it has been writing lately.
 */
#include <ev.h>
#include <stdbool.h>

#include "log.h"
#include "wire.h"
#include "xen_store.h"

#define DOOR_DOMIDS 32768u
/* More writes than this in a second, and a door stays shut for a while. */
#define DOOR_EVENTS_MAX 32u
#define DOOR_MUTE_MIN_S 1.
#define DOOR_MUTE_MAX_S 64.

enum freeze {
    FREEZE_NONE,
    FREEZE_ASKED,
    FREEZE_HOLDS,
    FREEZE_THAWING,
    FREEZE_EXPIRED
};

struct door;
struct doorway { /* of one domain */
    struct door *d;
    uint32_t domid;
    bool is_told;  /* the parent knows it */
    bool is_open;  /* it has its subtree */
    bool is_muted; /* its request is not watched for the moment */
    bool is_seen;  /* in the last list */
    char uuid[TEXT_UUID], name[TEXT_NAME];
    uint32_t requests; /* GUEST_* */
    char last_id[24];  /* the request dealt with last */
    char busy_id[24];  /* the one under way; "": none */
    double window;     /* begin of the second in which are */
    unsigned nr_events, dropped;
    double mute_s;
    ev_timer unmute;
    enum freeze freeze;
    uint32_t freeze_seq;
    uint64_t freeze_job; /* of the one at hand, or the last */
    uint64_t next_job;   /* waits for the guest to have thawed; 0: none */
    uint32_t next_ms;
    ev_timer freeze_limit;
    struct log_rate faults;
};

struct door {
    struct ev_loop *loop;
    int parent_fd;
    ev_io parent_io, store_io;
    ev_idle more; /* events left over from the last turn */
    ev_timer heartbeat;
    struct xen_store *store;
    struct doorway *by_domid[DOOR_DOMIDS];
    uint32_t last;
};

/* doorway.c: the subtree of one domain, docs/specs/xenstore.md */
int doorway_open(struct doorway *w, const struct wire_door *m);
void doorway_close(struct doorway *w);
/* Its request or acknowledgement may have changed. */
void doorway_event(struct doorway *w, const char *path, bool is_ack);
void doorway_answer(struct doorway *w, const struct wire_answer *a);
/* Stops its timers, frees it; the subtree is gone with the domain. */
void doorway_free(struct doorway *w);

/* freeze.c: its filesystems stand still for a moment */
void freeze_init(struct doorway *w);
void freeze_begin(struct doorway *w, uint64_t job, uint32_t deadline_ms);
void freeze_end(struct doorway *w, uint64_t job);
/* It is not spoken to any more: at once. */
void freeze_gone(struct doorway *w);
/* The domain is gone, and no answer will come. */
void freeze_lost(struct doorway *w);
void freeze_ack(struct doorway *w);
/* What an earlier daemon may have left: everybody thaws. */
void freeze_forget(struct doorway *w);
/* The answer to a FREEZE or THAW. */
void freeze_tell(struct door *d, uint32_t domid, uint64_t job, int rc);

/* Writes a node of ours below control/, which the guest may read. */
int doorway_put(struct doorway *w, const char *name, const char *value);
/* Counts a write of the guest; false: it is one too many. */
bool doorway_may_look(struct doorway *w);
void doorway_path(const struct doorway *w, const char *name,
                  char path[XEN_STORE_PATH]);
/* door.c */
void door_send(struct door *d, const struct wire *m);

#endif
