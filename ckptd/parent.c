/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The parent's loop: what the roles say, signals, the end.  It starts
 * everything and looks into nothing: no JSON, no xenstore, no store.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "guests.h"
#include "jobs.h"
#include "log.h"
#include "notify.h"
#include "standby.h"
#include "state.h"

#define STOP_S 120. /* for jobs to put everything back */

struct parent {
    struct daemon *d;
    ev_signal term, intr, hup;
    ev_child child;
    ev_timer stop, stats, compress;
    ev_check stopped;
    bool was_ready;
};

/* --- to the front ------------------------------------------------------------ */

static void send_result(struct daemon *d, struct job *job)
{
    static struct wire m;
    const uint32_t len = (uint32_t)job->w.result_bytes;
    uint32_t done = 0, n;

    for (; done < len; done += n) {
        n = len - done < WIRE_PART_BYTES ? len - done : WIRE_PART_BYTES;
        wire_begin(&m, WIRE_PART);
        m.u.part.job = job->w.id;
        m.u.part.offset = done;
        m.u.part.total_bytes = len;
        m.u.part.len_bytes = n;
        memcpy(m.u.part.bytes, job->result + done, n);
        child_send(&d->front, &m);
    }
    /* A front that is started anew gets the small ones again. */
    jobs_drop_results(d);
}

/* The result first: a job that has ended has all that belongs to it. */
void parent_tell_job(struct daemon *d, const struct wire_job *w)
{
    struct wire m;
    struct job *job = jobs_find(d, w->id);

    wire_begin(&m, WIRE_JOB);
    if (job && w->state >= JOB_DONE && job->result)
        send_result(d, job);
    m.u.job = *w;
    child_send(&d->front, &m);
}

static void submit(struct daemon *d, const struct wire_submit *s)
{
    struct wire m;
    struct job *job;
    bool is_old;
    int rc;

    wire_begin(&m, WIRE_ACCEPTED);
    job = jobs_submit(d, ORIGIN_SOCKET, s->uid, s->key, &s->task, &rc, &is_old,
                      m.u.accepted.words);
    m.u.accepted.tag = s->tag;
    m.u.accepted.rc = rc;
    m.u.accepted.is_old = is_old;
    if (job) {
        m.u.accepted.rc = 0;
        m.u.accepted.job = job->w.id;
    }
    if (is_old) /* the front may have forgotten it */
        parent_tell_job(d, &job->w);
    child_send(&d->front, &m);
    if (job && !is_old)
        jobs_kick(d);
}

/* A client's word for a domain may be a number. */
static void tell_policy(struct daemon *d, const struct wire_policy *ask)
{
    const char *name = guests_name(d, ask->domain);
    struct wire m;

    wire_begin(&m, WIRE_POLICY);
    m.u.policy = *ask;
    m.u.policy.rc = name ? 0 : -ENOENT;
    m.u.policy.policy = *conf_policy(&d->conf, name ? name : "");
    child_send(&d->front, &m);
}

/* The text is the front's, the file is ours: nobody else may write there. */
static void write_textfile(struct daemon *d, const struct wire_part *p)
{
    char temp[CONF_TEXT + 8];
    ssize_t n;
    int fd;

    if (!d->conf.metrics_textfile[0])
        return;
    snprintf(temp, sizeof(temp), "%s.new", d->conf.metrics_textfile);
    fd =
        open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    n = fd < 0 ? -1 : write(fd, p->bytes, p->len_bytes);
    if (fd >= 0 && close(fd) < 0)
        n = -1;
    if (n != (ssize_t)p->len_bytes ||
        rename(temp, d->conf.metrics_textfile) < 0)
        log_msg(LOG_ERR, "%s: %s", d->conf.metrics_textfile, strerror(errno));
}

static void check_ready(struct daemon *d)
{
    if (!d->front.is_ready || (d->conf.xenstore && !d->door.is_ready) ||
        !d->on_ready)
        return;
    d->on_ready(d);
    d->on_ready = NULL;
    notify_systemd("READY=1\nSTATUS=serving");
}

static void on_front(struct daemon *d, const struct wire *m)
{
    struct job *job;

    if (m->type == WIRE_READY) {
        d->front.is_ready = true;
        check_ready(d);
    } else if (m->type == WIRE_SUBMIT) {
        submit(d, &m->u.submit);
    } else if (m->type == WIRE_CANCEL) {
        job = jobs_find(d, m->u.cancel.job);
        if (job)
            jobs_cancel(job);
    } else if (m->type == WIRE_POLICY_ASK) {
        tell_policy(d, &m->u.policy);
    } else if (m->type == WIRE_METRICS) {
        write_textfile(d, &m->u.part);
    }
}

static void say_hello(struct daemon *d)
{
    struct wire m;

    wire_begin(&m, WIRE_HELLO);
    for (int i = 0; i < 3; i++)
        m.u.hello.gid[i] = d->gid[i];
    m.u.hello.owner_uid = geteuid();
    m.u.hello.can_serve_metrics = d->metrics_fd >= 0;
    m.u.hello.writes_textfile = d->conf.metrics_textfile[0] != '\0';
    child_send(&d->front, &m);
}

static void on_front_start(struct daemon *d)
{
    const struct wire all_told = {.type = WIRE_READY};
    struct job *job;

    say_hello(d);
    for (size_t i = 0; (job = jobs_nth(d, i)); i++)
        parent_tell_job(d, &job->w);
    child_send(&d->front, &all_told);
}

/* --- the door ------------------------------------------------------------------ */

static void on_door(struct daemon *d, const struct wire *m)
{
    if (m->type == WIRE_READY) {
        d->door.is_ready = true;
        guests_all_told(d);
        check_ready(d);
    } else if (m->type == WIRE_DOMAIN) {
        guests_domain(d, &m->u.domain);
        child_send(&d->front, m);
    } else if (m->type == WIRE_GUEST) {
        guests_request(d, &m->u.guest);
        child_send(&d->front, m); /* which only counts them */
    } else if (m->type == WIRE_FROZEN) {
        jobs_frozen(d, m->u.frozen.job, m->u.frozen.rc);
    }
}

/* --- signals ---------------------------------------------------------------------- */

/* A right whose group is not there is nobody's: not of who had it before. */
static int find_groups(struct daemon *d)
{
    static const char *const rights[3] = {"read", "operate", "admin"};
    const char *names[3] = {d->conf.read_group, d->conf.operate_group,
                            d->conf.admin_group};
    struct group *gr;
    int rc = 0;

    for (int i = 0; i < 3; i++) {
        gr = names[i][0] ? getgrnam(names[i]) : NULL;
        d->gid[i] = gr ? gr->gr_gid : (gid_t)-1;
        if (gr || !names[i][0])
            continue;
        log_msg(LOG_ERR,
                "there is no group \"%s\": it gives nobody the right \"%s\"",
                names[i], rights[i]);
        rc = -ENOENT;
    }
    return rc;
}

/* As configured; also when that was read again. */
static void arm_compress(struct daemon *d, ev_timer *w)
{
    w->repeat = (double)d->conf.compress_s;
    ev_timer_again(d->loop, w); /* stops it for 0 */
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int events)
{
    struct parent *p = w->data;
    struct daemon *d = p->d;
    const uint64_t compress_s = d->conf.compress_s;
    char error[CONF_ERROR_LEN];
    struct conf conf;

    (void)loop, (void)events;
    notify_reloading();
    log_reopen();
    conf_init(&conf);
    if (conf_load(&conf, d->conf_path, error)) {
        log_msg(LOG_ERR, "%s; the configuration stays as it was", error);
        conf_fini(&conf);
    } else {
        /* What was opened at the start stays: it needs a restart. */
        strcpy(conf.socket, d->conf.socket);
        strcpy(conf.metrics_listen, d->conf.metrics_listen);
        strcpy(conf.state_dir, d->conf.state_dir);
        strcpy(conf.run_dir, d->conf.run_dir);
        strcpy(conf.user, d->conf.user);
        conf.xenstore = d->conf.xenstore;
        conf_fini(&d->conf);
        d->conf = conf;
        (void)find_groups(d); /* what it lacks is in the log */
        say_hello(d);
        guests_reconfigure(d);
        if (d->conf.compress_s != compress_s)
            arm_compress(d, &p->compress);
        log_msg(LOG_NOTICE, "%s is read", d->conf_path);
    }
    notify_systemd("READY=1");
}

static void on_term(struct ev_loop *loop, ev_signal *w, int events)
{
    struct parent *p = w->data;
    struct daemon *d = p->d;
    struct job *job;

    (void)events;
    if (d->is_stopping)
        return;
    d->is_stopping = true;
    ev_timer_start(loop, &p->stop);
    notify_systemd("STOPPING=1");
    log_msg(LOG_NOTICE, "stopping: jobs are undone, guests run on");
    for (size_t i = 0; (job = jobs_nth(d, i)); i++)
        jobs_cancel(job);
    standbys_end(d, 0);
}

static void on_stopped(struct ev_loop *loop, ev_check *w, int events)
{
    struct daemon *d = w->data;

    (void)events;
    if (d->is_stopping && !jobs_any_running(d) && !standbys_any(d))
        ev_break(loop, EVBREAK_ALL);
}

static void on_stop_limit(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)w, (void)events;
    log_msg(LOG_ERR, "a job does not stop; its guard will put things back");
    ev_break(loop, EVBREAK_ALL);
}

static void on_reaped(struct ev_loop *loop, ev_child *w, int events)
{
    struct daemon *d = w->data;

    (void)loop, (void)events;
    if (w->rpid == d->front.pid)
        d->front.pid = 0;
    else if (w->rpid == d->door.pid)
        d->door.pid = 0;
    else
        jobs_reaped(d, w->rpid, w->rstatus);
}

/* The figures of the store, for the metrics. */
static void on_stats(struct ev_loop *loop, ev_timer *w, int events)
{
    struct daemon *d = w->data;
    struct wire_task task = {.verb = VERB_STATS};
    struct wire m;
    char words[TEXT_WORDS];
    bool is_old;
    int rc;

    wire_begin(&m, WIRE_STAT);
    (void)events;
    w->repeat = (double)d->conf.metrics_interval_s;
    ev_timer_again(loop, w);
    if (d->metrics_fd < 0 && !d->conf.metrics_textfile[0])
        return;
    child_send(&d->front, &m); /* an empty one: what follows is new */
    if (jobs_submit(d, ORIGIN_DAEMON, 0, "", &task, &rc, &is_old, words))
        jobs_kick(d);
}

/* Room is made of what lies in the store, but for the heads; a compression that
 * still waits, or is under way, is enough. */
static void on_compress(struct ev_loop *loop, ev_timer *w, int events)
{
    struct daemon *d = w->data;
    struct wire_task task = {.verb = VERB_PRUNE, .flags = TASK_COMPRESS};
    char words[TEXT_WORDS];
    struct job *job;
    bool is_old;
    int rc;

    (void)events;
    arm_compress(d, w);
    for (size_t n = 0; (job = jobs_nth(d, n)); n++)
        if (job->w.verb == VERB_PRUNE && job->task.flags & TASK_COMPRESS &&
            job->w.state < JOB_DONE)
            return;
    (void)loop;
    if (jobs_submit(d, ORIGIN_SCHEDULE, 0, "", &task, &rc, &is_old, words))
        jobs_kick(d);
    else
        log_msg(LOG_WARNING, "the store is not compressed: %s", words);
}

static void watch_signals(struct daemon *d, struct parent *p)
{
    ev_signal_init(&p->term, on_term, SIGTERM);
    ev_signal_init(&p->intr, on_term, SIGINT);
    ev_signal_init(&p->hup, on_hup, SIGHUP);
    ev_child_init(&p->child, on_reaped, 0, 0);
    ev_check_init(&p->stopped, on_stopped);
    ev_timer_init(&p->stop, on_stop_limit, STOP_S, 0.);
    ev_timer_init(&p->stats, on_stats, 1., 60.);
    ev_timer_init(&p->compress, on_compress, 0., 0.);
    p->d = d;
    p->term.data = p->intr.data = p->hup.data = p;
    p->child.data = p->stopped.data = p->stats.data = p->compress.data = d;
    ev_signal_start(d->loop, &p->term);
    ev_signal_start(d->loop, &p->intr);
    ev_signal_start(d->loop, &p->hup);
    ev_child_start(d->loop, &p->child);
    ev_check_start(d->loop, &p->stopped);
    ev_timer_start(d->loop, &p->stats);
    arm_compress(d, &p->compress);
}

static void child_init(struct daemon *d, struct child *c, const char *name)
{
    memset(c, 0, sizeof(*c));
    c->d = d;
    c->name = name;
    c->fd = -1;
}

int parent_run(struct daemon *d)
{
    struct parent p;
    int rc;

    memset(&p, 0, sizeof(p));
    signal(SIGPIPE, SIG_IGN);
    child_init(d, &d->front, "front");
    child_init(d, &d->door, "door");
    d->front.on_message = on_front;
    d->front.on_start = on_front_start;
    d->door.on_message = on_door;
    d->door.on_death = guests_door_died;
    d->loop = ev_default_loop(EVFLAG_AUTO);
    if (!d->loop)
        return -ENOMEM;
    if (mkdir(d->conf.run_dir, 0755) < 0 && errno != EEXIST) {
        log_msg(LOG_ERR, "%s: %s", d->conf.run_dir, strerror(errno));
        return -errno;
    }
    rc = find_groups(d);
    if (!rc)
        rc = guests_open(d);
    if (!rc)
        rc = standbys_open(d);
    if (!rc)
        rc = jobs_open(d);
    if (!rc)
        rc = state_load(d);
    if (!rc) {
        watch_signals(d, &p);
        child_start(&d->front);
        if (d->conf.xenstore)
            child_start(&d->door);
        ev_run(d->loop, 0);
    }
    d->is_stopping = true;
    if (!rc)
        state_save(d);
    child_stop(&d->front);
    child_stop(&d->door);
    jobs_close(d);
    guests_close(d);
    standbys_close(d);
    return rc;
}
