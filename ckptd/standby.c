/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 *   free ── settle: RUN ──► is made ready, waits ── its guest asks ──► a job's
 *     ▲                         │
 *     └── its socket closes ────┴── ending ◄── another job, a new policy
 *
 * One that fails by itself leaves its row behind for a while, so that it is not
 * tried over and over; where the guest's memory cannot be captured on write, until
 * the policies are read anew.
 */
#include "standby.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guests.h"
#include "job_run.h"
#include "log.h"

#define SETTLE_S 0.2 /* after the last change */
#define AGAIN_S 60.
#define NEVER 1e18

struct standby {
    struct daemon *d;
    uint32_t domid; /* 0: a free row */
    pid_t pid;
    int fd; /* -1: it failed, and is tried again at again_at */
    double again_at;
    ev_io io;
    bool is_ending;
    struct wire_task task;
};

struct standbys {
    struct standby row[STANDBYS_MAX];
    ev_timer settle;
};

static void forget(struct standby *s)
{
    if (s->fd >= 0) {
        ev_io_stop(s->d->loop, &s->io);
        close(s->fd);
    }
    s->fd = -1;
    s->domid = 0;
}

static void ended(struct standby *s)
{
    struct daemon *d = s->d;
    const bool failed = !s->is_ending;

    if (failed && !s->again_at)
        s->again_at = ev_now(d->loop) + AGAIN_S;
    ev_io_stop(d->loop, &s->io);
    close(s->fd);
    s->fd = -1;
    if (!failed)
        s->domid = 0;
    standbys_settle(d);
    jobs_kick(d);
}

static void on_standby(struct ev_loop *loop, ev_io *io, int events)
{
    struct standby *s = io->data;
    static struct wire m;
    int rc;

    (void)loop, (void)events;
    while (!(rc = wire_recv(s->fd, &m))) {
        if (m.type == WIRE_ARMED) {
            log_msg(LOG_INFO, "%s: a checkpoint stands by", s->task.domain);
        } else if (m.type == WIRE_POLICY_ASK) {
            job_policy(s->d, s->fd, &m.u.policy);
        } else if (m.type == WIRE_END && !s->is_ending) {
            log_msg(LOG_NOTICE, "%s: nothing is made ready ahead: %s",
                    s->task.domain, m.u.end.words);
            if (m.u.end.rc == -ENOTSUP)
                s->again_at = NEVER;
        }
    }
    if (rc != -EAGAIN)
        ended(s);
}

static void tell_to_end(struct standby *s)
{
    const struct wire m = {.type = WIRE_CANCEL};

    if (s->fd < 0) {
        s->domid = 0;
        return;
    }
    if (!s->is_ending)
        wire_send(s->fd, &m); /* one that is dead is seen to be */
    s->is_ending = true;
}

void standbys_end(struct daemon *d, uint32_t domid)
{
    for (size_t i = 0; i < STANDBYS_MAX; i++) {
        struct standby *s = &d->standbys->row[i];

        if (s->domid && (!domid || s->domid == domid))
            tell_to_end(s);
    }
    standbys_settle(d);
}

bool standbys_any(const struct daemon *d)
{
    for (size_t i = 0; i < STANDBYS_MAX; i++)
        if (d->standbys->row[i].domid && d->standbys->row[i].fd >= 0)
            return true;
    return false;
}

/* --- making them ------------------------------------------------------------- */

/* The row of @domid, or with 0 a free one. */
static struct standby *find(struct daemon *d, uint32_t domid)
{
    for (size_t i = 0; i < STANDBYS_MAX; i++)
        if (d->standbys->row[i].domid == domid)
            return &d->standbys->row[i];
    return NULL;
}

static void make(struct standby *s, struct daemon *d, uint32_t domid,
                 const struct wire_task *task)
{
    *s = (struct standby){.d = d, .domid = domid, .fd = -1, .task = *task};
    s->task.flags |= TASK_STAND_BY;
    if (job_start(d, &s->task, &s->pid, &s->fd)) {
        s->again_at = ev_now(d->loop) + AGAIN_S;
        return;
    }
    ev_io_init(&s->io, on_standby, s->fd, EV_READ);
    s->io.data = s;
    ev_io_start(d->loop, &s->io);
}

/* Whether @job is one for whose end it is better to wait, for it may be of that
 * domain. */
static bool is_of(struct daemon *d, const struct job *job, uint32_t domid)
{
    char name[TEXT_NAME];
    uint32_t of = job->task.domid;
    size_t n;

    if (verb_is_short(job->w.verb))
        return false;
    if (of)
        return of == domid;
    for (n = 0; word_nth(job->w.domains, DOMAIN_END, n, name, sizeof(name));
         n++) {
        of = guests_domid(d, name);
        if (!of || of == domid)
            return true;
    }
    return !n;
}

static bool is_busy(struct daemon *d, uint32_t domid)
{
    struct job *job;

    for (size_t i = 0; (job = jobs_nth(d, i)); i++)
        if (job->w.state < JOB_DONE && is_of(d, job, domid))
            return true;
    return false;
}

static void on_settle(struct ev_loop *loop, ev_timer *t, int events)
{
    struct daemon *d = t->data;
    struct wire_task task;

    (void)loop, (void)events;
    for (uint32_t domid = 1; domid < GUESTS_MAX && !d->is_stopping; domid++) {
        struct standby *s;

        if (!guests_next_take(d, domid, &task) || is_busy(d, domid))
            continue;
        s = find(d, domid);
        if (s && (s->fd >= 0 || ev_now(d->loop) < s->again_at))
            continue;
        s = s ? s : find(d, 0);
        if (s)
            make(s, d, domid, &task);
    }
}

void standbys_settle(struct daemon *d)
{
    ev_timer *t = &d->standbys->settle;

    ev_timer_stop(d->loop, t);
    ev_timer_set(t, SETTLE_S, AGAIN_S);
    ev_timer_start(d->loop, t);
}

/* --- using them -------------------------------------------------------------- */

/* Also one that is not ready yet: it goes on when it is. */
static bool is_for(const struct standby *s, const struct job *job)
{
    struct wire_task wanted = job->task;

    wanted.flags |= TASK_STAND_BY;
    memcpy(wanted.name, s->task.name, sizeof(wanted.name));
    return !s->is_ending && s->fd >= 0 && job->w.origin == ORIGIN_GUEST &&
           s->domid == job->task.domid &&
           !memcmp(&wanted, &s->task, sizeof(wanted));
}

bool standbys_in_way(struct daemon *d, const struct job *job)
{
    bool is_in_way = false;

    for (size_t i = 0; i < STANDBYS_MAX; i++) {
        struct standby *s = &d->standbys->row[i];

        if (!s->domid || s->fd < 0 || !is_of(d, job, s->domid) ||
            is_for(s, job))
            continue;
        tell_to_end(s);
        is_in_way = true;
    }
    return is_in_way;
}

bool standbys_take(struct daemon *d, const struct job *job, pid_t *pid_out,
                   int *fd_out)
{
    struct standby *s = job->task.domid ? find(d, job->task.domid) : NULL;

    if (!s || !is_for(s, job))
        return false;
    ev_io_stop(d->loop, &s->io);
    *pid_out = s->pid;
    *fd_out = s->fd;
    s->domid = 0;
    s->fd = -1;
    return true;
}

int standbys_open(struct daemon *d)
{
    d->standbys = calloc(1, sizeof(*d->standbys));
    if (!d->standbys)
        return -ENOMEM;
    for (size_t i = 0; i < STANDBYS_MAX; i++)
        d->standbys->row[i].fd = -1;
    ev_init(&d->standbys->settle, on_settle);
    d->standbys->settle.data = d;
    return 0;
}

/* Each sees us gone, undoes what it has done, and ends. */
void standbys_close(struct daemon *d)
{
    if (!d->standbys)
        return;
    ev_timer_stop(d->loop, &d->standbys->settle);
    for (size_t i = 0; i < STANDBYS_MAX; i++)
        if (d->standbys->row[i].domid)
            forget(&d->standbys->row[i]);
    free(d->standbys);
    d->standbys = NULL;
}
