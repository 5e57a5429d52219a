/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_CLIENT_H
#define CKPTD_CLIENT_H
/* One connection: who it is, what it has sent, what it is owed. */
#include <sys/types.h>

#include "front.h"

#define CLIENTS_PER_UID 32u
#define REQUEST_MAX (64u * 1024u)
#define OUT_MAX (2u << 20)      /* a client that reads no more is cut off */
#define OUT_EVENTS (256u << 10) /* from here on events are left out */
#define WAITS_MAX 32u           /* of one client */

enum right {
    RIGHT_NONE,
    RIGHT_READ,
    RIGHT_OPERATE,
    RIGHT_ADMIN
};
const char *right_name(enum right right);

/* A reply that is still owed. */
struct wait {
    enum wait_kind {
        WAIT_FREE,
        WAIT_ACCEPTED,
        WAIT_RESULT,
        WAIT_END,
        WAIT_POLICY
    } kind;
    bool wants_result; /* of an ACCEPTED: the reply is the job's result */
    uint64_t tag;      /* ACCEPTED, POLICY: ours; else the job's id */
    char id[72];       /* the request's, as JSON */
};

struct client {
    struct front *f;
    int fd;
    ev_io in_io, out_io;
    uid_t uid;
    pid_t pid;
    enum right right;
    bool wants_jobs, wants_progress, is_closing;
    char *in; /* owned, REQUEST_MAX */
    size_t in_len;
    char *out; /* owned */
    size_t out_len, out_room, out_sent;
    uint64_t events_left_out;
    struct wait waits[WAITS_MAX];
};

void client_accept(struct front *f, int listen_fd);
void client_close(struct client *cl);
/* A line, without its newline. Events are left out when it reads too slowly. */
void client_send(struct client *cl, const char *text, bool is_event);
void client_close_all(struct front *f);

#endif
