/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A job's process: started (or the spare one taken), told what to do, listened
 * to, and seen off.  What it says changes the job's record, never who may run
 * next: that is jobs.c.
 */
#include "job_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "guests.h"
#include "hooks.h"
#include "log.h"
#include "standby.h"

static pid_t start_process(struct daemon *d, int *fd_out)
{
    const char *path = d->conf.job_program;
    char *argv[] = {(char *)"ckptd-job", (char *)"3", NULL};
    int fds[2];
    pid_t pid;

    if (wire_pair(fds) < 0)
        return -errno;
    /* A session of its own: a ^C at our terminal is for us, and we cancel. */
    pid = spawn_with(path, argv, &fds[1], 1, true);
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return pid;
    }
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *fd_out = fds[0];
    return pid;
}

void spare_make(struct daemon *d, struct spare *s)
{
    if (s->pid || d->is_stopping)
        return;
    s->pid = start_process(d, &s->fd);
    if (s->pid < 0)
        s->pid = 0; /* the next job tries itself, and says why */
}

static void after_post(void *arg, size_t n, const char *why)
{
    struct job *job = arg;

    (void)n, (void)why; /* is in the log; what is done is done */
    job->hooks = NULL;
    job_finish(job, job->w.rc, NULL);
}

static int give_process(struct job *job, struct spare *s);

/* A process that was there before its job may have died while it waited, which
 * we learn only from its silence, or stands by for a domain that is not the same
 * any more: nothing was begun, so another does it.  A new one that ends like that
 * would do so again. */
static bool has_another(struct job *job)
{
    const bool is_stale = job->is_standby && job->w.rc == -ESTALE;
    struct spare none = {.fd = -1};

    if (!(is_stale || (job->is_spare && !job->has_begun)) || job->is_cancelling)
        return false;
    free(job->result);
    job->result = NULL;
    job->w.result_bytes = 0;
    job->w.words[0] = '\0';
    job->w.rc = 0;
    job->has_begun = job->has_end = false;
    return !give_process(job, &none);
}

/* The process is gone, or has said all it had to say. */
static void process_ended(struct job *job)
{
    if (job->fd >= 0) {
        ev_io_stop(job->d->loop, &job->io);
        close(job->fd);
        job->fd = -1;
    }
    if (has_another(job))
        return;
    for (uint32_t n = 0; n < CKPT_GROUP_MAX; n++)
        if (job->frozen & 1u << n)
            guests_freeze(job->d, job->w.id, job->domids[n], WIRE_THAW, 0);
    job->frozen = 0;
    if (!job->has_end) {
        job->w.rc = job->is_cancelling ? -ECANCELED : -EIO;
        snprintf(job->w.words, sizeof(job->w.words),
                 "The operation's process died; what it had begun is undone "
                 "by its guard.");
    }
    if (verb_is_short(job->w.verb)) {
        job_finish(job, job->w.rc, NULL);
        return;
    }
    job->w.state = JOB_POST;
    parent_tell_job(job->d, &job->w);
    job->hooks =
        hooks_run(job->d, "post", &job->w, &job->task, after_post, job);
}

static void take_part(struct job *job, const struct wire_part *p)
{
    if (p->offset != job->w.result_bytes)
        return;
    if (!job->result)
        job->result = malloc(p->total_bytes + 1);
    if (!job->result)
        return;
    memcpy(job->result + p->offset, p->bytes, p->len_bytes);
    job->w.result_bytes += p->len_bytes;
    job->result[job->w.result_bytes] = '\0';
}

/* Smoothed over about a second; the rest of the way at that rate. */
static void take_progress(struct job *job, const struct wire_progress *p)
{
    const int64_t now = (int64_t)now_us();
    const int64_t dt = now - job->rated_us;
    uint64_t rate;

    job->w.elapsed_us = p->elapsed_us;
    if (strcmp(job->w.phase, p->phase) || p->done_bytes < job->rated_bytes) {
        memcpy(job->w.phase, p->phase, sizeof(job->w.phase));
        job->rated_us = now;
        job->rated_bytes = p->done_bytes;
        job->w.rate_bytes_s = job->w.remaining_ms = 0;
    } else if (dt >= 200000) {
        rate = (p->done_bytes - job->rated_bytes) * 1000000u / (uint64_t)dt;
        job->w.rate_bytes_s =
            job->w.rate_bytes_s ? (3 * job->w.rate_bytes_s + rate) / 4 : rate;
        job->rated_us = now;
        job->rated_bytes = p->done_bytes;
    }
    job->w.done_bytes = p->done_bytes;
    job->w.total_bytes = p->total_bytes;
    if (job->w.rate_bytes_s && p->total_bytes > p->done_bytes)
        job->w.remaining_ms =
            (p->total_bytes - p->done_bytes) * 1000u / job->w.rate_bytes_s;
    parent_tell_job(job->d, &job->w);
}

static void take_end(struct job *job, const struct wire_end *e)
{
    job->has_end = true;
    job->w.rc = e->rc;
    job->w.stored_bytes = e->stored_bytes;
    job->w.pause_us = e->pause_us;
    if (e->checkpoint[0])
        snprintf(job->w.checkpoint, sizeof(job->w.checkpoint), "%s",
                 e->checkpoint);
    memcpy(job->w.words, e->words, sizeof(job->w.words));
}

/* Who was frozen is thawed by its number: it may have another name by then. */
static uint32_t domid_of(struct job *job, uint32_t n)
{
    char name[TEXT_NAME];

    if (!job->w.domid && !job->w.group[0])
        job->w.domid = guests_domid(job->d, job->w.domain);
    if (!job->w.group[0])
        return job->w.domid;
    if (!job->domids[n] &&
        word_nth(job->w.domains, DOMAIN_END, n, name, sizeof(name)))
        job->domids[n] = guests_domid(job->d, name);
    return job->domids[n];
}

static void answer_freeze(struct job *job, uint32_t type,
                          const struct wire_freeze *f)
{
    const uint32_t n = f->index % CKPT_GROUP_MAX, bit = 1u << n;
    struct wire m;

    wire_begin(&m, WIRE_FROZEN);
    job->domids[n] = domid_of(job, n);
    job->frozen = type == WIRE_FREEZE ? job->frozen | bit : job->frozen & ~bit;
    job->is_asking = guests_freeze(job->d, job->w.id, job->domids[n], type,
                                   f->deadline_ms);
    if (job->is_asking)
        return; /* the door will answer */
    job->frozen &= ~bit;
    m.u.frozen.rc = -ENOTSUP;
    wire_send(job->fd, &m);
}

void job_policy(struct daemon *d, int fd, const struct wire_policy *ask)
{
    struct wire m;

    wire_begin(&m, WIRE_POLICY);
    m.u.policy.policy = *conf_policy(&d->conf, ask->domain);
    wire_send(fd, &m);
}

static void on_message(struct job *job, const struct wire *m)
{
    switch ((enum wire_type)m->type) {
    case WIRE_READY:
        job->has_begun = true;
        break;
    case WIRE_PROGRESS:
        take_progress(job, &m->u.progress);
        break;
    case WIRE_PART:
        take_part(job, &m->u.part);
        break;
    case WIRE_CHILD:
        guests_born(job->d, job, &m->u.child);
        break;
    case WIRE_STAT:
        guests_stat(job->d, m);
        break;
    case WIRE_FREEZE:
    case WIRE_THAW:
        answer_freeze(job, m->type, &m->u.freeze);
        break;
    case WIRE_POLICY_ASK:
        job_policy(job->d, job->fd, &m->u.policy);
        break;
    case WIRE_END:
        take_end(job, &m->u.end);
        break;
    case WIRE_HELLO:
    case WIRE_SUBMIT:
    case WIRE_ACCEPTED:
    case WIRE_CANCEL:
    case WIRE_POLICY:
    case WIRE_JOB:
    case WIRE_METRICS:
    case WIRE_DOMAIN:
    case WIRE_GUEST:
    case WIRE_DOOR:
    case WIRE_ANSWER:
    case WIRE_FROZEN:
    case WIRE_ARMED:
    case WIRE_RUN:
    case WIRE_NR:
    default:
        break; /* not a job's to say */
    }
}

static void on_job(struct ev_loop *loop, ev_io *io, int events)
{
    struct job *job = io->data;
    static struct wire m;
    int rc;

    (void)loop, (void)events;
    for (;;) {
        rc = wire_recv(job->fd, &m);
        if (rc == -EAGAIN)
            return;
        if (rc) {
            process_ended(job);
            return;
        }
        on_message(job, &m);
    }
}

static int send_task(struct daemon *d, int fd, const struct wire_task *task)
{
    struct wire *m = calloc(1, sizeof(*m));
    int rc;

    if (!m)
        return -ENOMEM;
    m->type = WIRE_RUN;
    m->u.run = *task;
    snprintf(m->u.run.store, sizeof(m->u.run.store), "%s", d->conf.store);
    rc = wire_send(fd, m);
    free(m);
    return rc == -EPIPE ? 0 : rc; /* its end is seen where every end is */
}

int job_start(struct daemon *d, const struct wire_task *task, pid_t *pid_out,
              int *fd_out)
{
    int rc;

    *fd_out = -1;
    *pid_out = start_process(d, fd_out);
    if (*pid_out < 0)
        return *pid_out;
    rc = send_task(d, *fd_out, task);
    if (rc) {
        close(*fd_out); /* it sees that, and ends */
        *fd_out = -1;
    }
    return rc;
}

/* Gives the task to the process that stands by for it, to the spare one, or to
 * a new one. */
static int give_process(struct job *job, struct spare *s)
{
    int rc = 0;

    job->is_standby = standbys_take(job->d, job, &job->pid, &job->fd);
    job->is_spare = job->is_standby || s->pid > 0;
    if (job->is_standby) {
        log_msg(LOG_DEBUG, "job %llu: its process stood by",
                (unsigned long long)job->w.id);
    } else if (job->is_spare) {
        job->pid = s->pid;
        job->fd = s->fd;
        s->pid = 0;
    } else {
        job->pid = start_process(job->d, &job->fd);
        rc = job->pid < 0 ? (int)job->pid : 0;
    }
    if (rc) {
        job->pid = 0;
        return rc;
    }
    rc = send_task(job->d, job->fd, &job->task);
    if (rc) {
        close(job->fd); /* it sees that, and ends */
        job->fd = -1;
        return rc;
    }
    ev_io_init(&job->io, on_job, job->fd, EV_READ);
    job->io.data = job;
    ev_io_start(job->d->loop, &job->io);
    return 0;
}

void job_run(struct job *job, struct spare *s)
{
    int rc = give_process(job, s);

    if (rc) {
        snprintf(job->w.words, sizeof(job->w.words), "Cannot start %s: %s",
                 job->d->conf.job_program, strerror(-rc));
        job_finish(job, rc, NULL);
        return;
    }
    /* While any take is under way the store gives nothing back of what this one
     * will delete, and cannot be compressed. */
    if (job->task.keep_count || job->task.keep_age_s ||
        job->task.flags & (TASK_COMPRESS | TASK_BY_POLICY))
        standbys_end(job->d, 0);
    job_set_state(job, JOB_RUNNING);
    spare_make(job->d, s);
}
