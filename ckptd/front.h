/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_FRONT_H
#define CKPTD_FRONT_H
/*
 * The role that talks to clients: it has the socket, the JSON and a mirror of
 * the jobs, and nothing else.  What it wants done it asks the parent for.
 */
#include <ev.h>
#include <stdbool.h>

#include "log.h"
#include "wire.h"

#define CLIENTS_MAX 64u
#define CLIENTS_ADMIN 8u /* of them nobody else's */
#define FRONT_STATS 1024u

struct client;

struct front_job {
    struct wire_job w;
    char *result; /* owned, NUL-terminated; NULL: none */
    uint32_t result_len;
};

struct front {
    struct ev_loop *loop;
    int parent_fd;
    ev_io parent_io, listen_io;
    ev_timer accept_again, textfile;
    struct wire_hello hello;
    struct client *clients[CLIENTS_MAX];
    struct front_job jobs[JOBS_MAX];
    size_t nr_jobs;
    uint64_t last_tag;
    struct log_rate refusals, faults;
    struct metrics *metrics;
    struct http *http;
};

/* --- front.c --- */
struct front_job *front_job(struct front *f, uint64_t id);
void front_send(struct front *f, const struct wire *m);

/* --- metrics.c, http.c --- */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *x);
void metrics_job(struct metrics *x, const struct wire_job *before,
                 const struct wire_job *now);
void metrics_wire(struct metrics *x, const struct wire *m);
/* Prometheus text, owned; NULL when memory ran out. */
char *metrics_text(struct front *f);
struct http *http_open(struct front *f, int listen_fd);
void http_close(struct http *h);

#endif
