/* SPDX-License-Identifier: LGPL-2.1-only */
/* The front's main: the listening socket, the parent, the mirror of jobs. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "rpc.h"

#define ACCEPT_PAUSE_S 1.
#define TEXTFILE_S 15.

void front_send(struct front *f, const struct wire *m)
{
    /* Without its parent the front is nothing. */
    if (wire_send(f->parent_fd, m))
        ev_break(f->loop, EVBREAK_ALL);
}

struct front_job *front_job(struct front *f, uint64_t id)
{
    for (size_t i = f->nr_jobs; i-- > 0;)
        if (f->jobs[i].w.id == id)
            return &f->jobs[i];
    return NULL;
}

static void drop_result(struct front_job *job)
{
    free(job->result);
    job->result = NULL;
    job->result_len = 0;
}

static void forget(struct front *f, size_t i)
{
    drop_result(&f->jobs[i]);
    f->nr_jobs--;
    memmove(&f->jobs[i], &f->jobs[i + 1],
            (f->nr_jobs - i) * sizeof(f->jobs[0]));
}

static struct front_job *add_job(struct front *f)
{
    struct jobs_seen seen = {.asked = 0};

    for (size_t i = f->nr_jobs; i-- > 0;)
        if (job_is_old(&f->jobs[i].w, &seen))
            forget(f, i);
    if (f->nr_jobs == JOBS_MAX) /* more than the parent has */
        forget(f, 0);
    memset(&f->jobs[f->nr_jobs], 0, sizeof(f->jobs[0]));
    return &f->jobs[f->nr_jobs++];
}

#define RESULT_KEPT (64u * 1024u)

/* Whoever waited for one has it by then. */
static void drop_old_results(struct front *f)
{
    size_t kept[2] = {0}; /* those of queries by themselves */

    for (size_t i = f->nr_jobs; i-- > 0;) {
        struct front_job *job = &f->jobs[i];
        size_t *sum = &kept[verb_is_short(job->w.verb)];

        if (job->w.state < JOB_DONE)
            continue;
        if (job->result_len > RESULT_KEPT ||
            *sum + job->result_len > RESULTS_KEPT)
            drop_result(job);
        *sum += job->result_len;
    }
}

static void take_job(struct front *f, const struct wire_job *w)
{
    struct front_job *job = front_job(f, w->id);
    struct wire_job before = {.state = JOB_QUEUED};
    bool is_progress;

    if (job)
        before = job->w;
    else
        job = add_job(f);
    is_progress = before.id && before.state == w->state;
    job->w = *w;
    metrics_job(f->metrics, &before, w);
    rpc_job(f, job, is_progress);
    if (w->state >= JOB_DONE)
        drop_old_results(f);
}

static void take_part(struct front *f, const struct wire_part *p)
{
    struct front_job *job = front_job(f, p->job);

    if (!job) {
        job = add_job(f);
        job->w.id = p->job;
    }
    if (!p->offset) {
        drop_result(job);
        job->result = malloc(p->total_bytes + 1);
    }
    if (!job->result || p->offset != job->result_len)
        return;
    memcpy(job->result + p->offset, p->bytes, p->len_bytes);
    job->result_len += p->len_bytes;
    job->result[job->result_len] = '\0';
}

/* From now on: whoever asks before all is known here would be told that his
 * job does not exist. */
static void serve(struct front *f)
{
    const struct wire m = {.type = WIRE_READY};

    ev_io_start(f->loop, &f->listen_io);
    front_send(f, &m);
}

static void on_parent(struct ev_loop *loop, ev_io *io, int events)
{
    struct front *f = io->data;
    static struct wire m;
    int rc;

    (void)events;
    while (!(rc = wire_recv(f->parent_fd, &m))) {
        if (m.type == WIRE_JOB)
            take_job(f, &m.u.job);
        else if (m.type == WIRE_PART)
            take_part(f, &m.u.part);
        else if (m.type == WIRE_ACCEPTED)
            rpc_accepted(f, &m.u.accepted);
        else if (m.type == WIRE_POLICY)
            rpc_policy(f, &m.u.policy);
        else if (m.type == WIRE_HELLO)
            f->hello = m.u.hello;
        else if (m.type == WIRE_READY)
            serve(f);
        else
            metrics_wire(f->metrics, &m);
    }
    if (rc != -EAGAIN)
        ev_break(loop, EVBREAK_ALL);
}

static void on_accept_again(struct ev_loop *loop, ev_timer *w, int events)
{
    struct front *f = w->data;

    (void)events;
    ev_io_start(loop, &f->listen_io);
}

/* Out of descriptors: the socket would stay readable, and we would spin. */
static void on_listen(struct ev_loop *loop, ev_io *io, int events)
{
    struct front *f = io->data;

    (void)events;
    errno = 0;
    client_accept(f, io->fd);
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        ev_io_stop(loop, io);
        ev_timer_set(&f->accept_again, ACCEPT_PAUSE_S, 0.);
        ev_timer_start(loop, &f->accept_again);
    }
}

static void on_textfile(struct ev_loop *loop, ev_timer *w, int events)
{
    struct front *f = w->data;
    struct wire *m;
    char *text;
    size_t len;

    (void)loop, (void)events;
    if (!f->hello.writes_textfile)
        return;
    text = metrics_text(f);
    m = calloc(1, sizeof(*m));
    len = text ? strlen(text) : 0;
    if (m && len && len <= WIRE_PART_BYTES) {
        m->type = WIRE_METRICS;
        m->u.part.len_bytes = m->u.part.total_bytes = (uint32_t)len;
        memcpy(m->u.part.bytes, text, len);
        front_send(f, m);
    } else if (len) {
        log_bounded(&f->faults, LOG_WARNING,
                    "the metrics are too long for the textfile");
    }
    free(m);
    free(text);
}

static void start(struct front *f)
{
    ev_io_init(&f->parent_io, on_parent, f->parent_fd, EV_READ);
    ev_io_init(&f->listen_io, on_listen, ROLE_FD_LISTEN, EV_READ);
    ev_init(&f->accept_again, on_accept_again);
    ev_timer_init(&f->textfile, on_textfile, 2., TEXTFILE_S);
    f->parent_io.data = f->listen_io.data = f->accept_again.data =
        f->textfile.data = f;
    ev_io_start(f->loop, &f->parent_io);
    ev_timer_start(f->loop, &f->textfile);
}

int front_main(const struct role_args *args)
{
    struct front *f = calloc(1, sizeof(*f));
    int rc;

    role_begin("ckptd-front");
    f->parent_fd = ROLE_FD_PARENT;
    fcntl(ROLE_FD_LISTEN, F_SETFL, O_NONBLOCK);
    rc = role_confine(args->user, args->run_dir);
    if (rc) {
        log_msg(LOG_ERR, "cannot give privileges away: %s", strerror(-rc));
        return 1;
    }
    f->loop = ev_default_loop(EVFLAG_AUTO);
    f->metrics = metrics_new();
    if (!f->loop || !f->metrics)
        return 1;
    if (args->has_metrics)
        f->http = http_open(f, ROLE_FD_METRICS);
    start(f);
    ev_run(f->loop, 0);
    client_close_all(f);
    http_close(f->http);
    metrics_free(f->metrics);
    for (size_t i = 0; i < f->nr_jobs; i++)
        drop_result(&f->jobs[i]);
    free(f);
    return 0;
}
