/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_DAEMON_H
#define CKPTD_DAEMON_H
/*
 * The parent's whole state: one struct, handed to everybody, no globals.  The
 * parent decides (policy, order, quotas) and starts processes; it reads no
 * JSON and no word of a guest, only the structs of wire.h.
 */
#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "conf.h"
#include "wire.h"

struct daemon;

/* A role that lives as long as we do and is started again when it dies. */
struct child {
    struct daemon *d;
    const char *name;
    pid_t pid; /* 0: not running */
    int fd;    /* to it; -1 */
    bool is_ready;
    unsigned nr_deaths; /* in a row: how long the next start waits */
    double started_at;
    ev_io io;
    ev_timer again;
    void (*on_message)(struct daemon *d, const struct wire *m);
    void (*on_start)(struct daemon *d);
    void (*on_death)(struct daemon *d);
};

struct jobs;
struct guests;
struct standbys;

struct daemon {
    struct ev_loop *loop;
    const char *conf_path;
    struct conf conf;
    gid_t gid[3];   /* of the groups in conf; (gid_t)-1: none */
    int listen_fd;  /* the socket; the front accepts on it */
    int metrics_fd; /* or -1 */
    struct child front, door;
    struct jobs *jobs;
    struct guests *guests;
    struct standbys *standbys;
    ev_timer state_due;
    bool is_stopping;
    void (*on_ready)(struct daemon *d); /* once, when all roles are up */
};

/* --- roles.c: processes ---------------------------------------------------- */

/* Starts @c's process, now and whenever it dies. */
void child_start(struct child *c);
void child_stop(struct child *c);
/* A role that does not take its messages is stuck: it is killed, and started
 * anew with a fresh view. */
void child_send(struct child *c, const struct wire *m);
/* The descriptor a role has to its parent, and the ones it is handed. */
enum {
    ROLE_FD_PARENT = 3,
    ROLE_FD_LISTEN = 4,
    ROLE_FD_METRICS = 5
};
/* fork and exec with @fds as descriptors 3, 4, ...; -1 leaves one out.
 * Returns the pid, or -errno.  @group: a session of its own. */
pid_t spawn_with(const char *path, char *const argv[], const int *fds,
                 unsigned nr_fds, bool group);
/* What roles that face outside begin with: their name, no SIGPIPE, the parent
 * without waiting, and the time zone, whose file is out of reach soon. */
void role_begin(const char *name);
/* What a role gives away before it reads its first byte from outside. */
int role_confine(const char *user, const char *dir);

/* --- parent.c -------------------------------------------------------------- */

int parent_run(struct daemon *d);
/* To subscribers and metrics. */
void parent_tell_job(struct daemon *d, const struct wire_job *job);

/* --- front.c, door.c: the roles' own mains, exit statuses ------------------ */

/* What a role needs to know.  The parent says it: the configuration may have
 * become another since, or wrong. */
struct role_args {
    const char *user, *run_dir;
    bool has_metrics;
};
int front_main(const struct role_args *args);
int door_main(const struct role_args *args);

#endif
