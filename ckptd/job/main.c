/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckptd-job FD: started by ckptd, never typed.  It opens what is slow to open
 * (the libraries; the store comes with the task), waits for RUN, does it,
 * reports, and ends.  A spare one waits here for the next request, so that a
 * guest's wish need not wait for exec and the dynamic linker.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xentoollog.h>

#include "job.h"

static int (*const runs[VERB_NR])(struct job *) = {
    [VERB_TAKE] = run_take,     [VERB_ROLLBACK] = run_rollback,
    [VERB_FORK] = run_fork,     [VERB_LIST] = run_list,
    [VERB_SHOW] = run_show,     [VERB_DELETE] = run_delete,
    [VERB_VERIFY] = run_verify, [VERB_PRUNE] = run_prune,
    [VERB_STATS] = run_stats,
};

bool job_is_cancelled(struct job *job)
{
    bool is_cancelled;

    pthread_mutex_lock(&job->lock);
    is_cancelled = job->is_cancelled;
    pthread_mutex_unlock(&job->lock);
    return is_cancelled;
}

int job_fail(struct job *job, int rc, const char *words)
{
    if (!job->end.words[0])
        snprintf(job->end.words, sizeof(job->end.words), "%s", words);
    return rc;
}

int job_failed(struct job *job, int rc)
{
    const char *words = job->c ? ckpt_error(job->c) : "";

    return job_fail(job, rc, words[0] ? words : strerror(-rc));
}

/* A word of the parent; with @rc it is gone, and the operation is to stop.
 * Under the lock. */
static void hear(struct job *job, int rc, const struct wire *m)
{
    if (!rc && m->type == WIRE_FROZEN) {
        job->is_answered = true;
        job->frozen_rc = m->u.frozen.rc;
    } else if (!rc && m->type == WIRE_POLICY) {
        job->is_answered = true;
        job->policy = m->u.policy.policy;
    } else if (!rc && m->type == WIRE_RUN) {
        job->has_go = true;
        job->go = m->u.run;
    } else {
        job->is_cancelled = true;
        if (job->c)
            ckpt_cancel(job->c);
    }
    pthread_cond_broadcast(&job->changed);
}

static void *listen_to_parent(void *arg)
{
    struct job *job = arg;
    struct pollfd pfds[] = {{.fd = job->fd, .events = POLLIN},
                            {.fd = job->hush_fd, .events = POLLIN}};
    struct wire *m = malloc(sizeof(*m));
    int rc = m ? 0 : -ENOMEM;
    eventfd_t hush;

    while (!rc) {
        (void)poll(pfds, 2, -1);
        pthread_mutex_lock(&job->lock);
        while (job->is_awaiting_go)
            pthread_cond_wait(&job->changed, &job->lock);
        (void)eventfd_read(job->hush_fd, &hush);
        if (poll(pfds, 1, 0) > 0) { /* not what was heard in the meantime */
            rc = wire_recv(job->fd, m);
            hear(job, rc, m);
        }
        pthread_mutex_unlock(&job->lock);
    }
    free(m);
    return NULL;
}

int job_await_go(struct job *job)
{
    struct wire *m = malloc(sizeof(*m));
    int rc = 0;

    if (!m)
        return -ENOMEM;
    pthread_mutex_lock(&job->lock);
    job->is_awaiting_go = true;
    eventfd_write(job->hush_fd, 1); /* or it would wake with each word */
    while (!job->has_go && !job->is_cancelled) {
        pthread_mutex_unlock(&job->lock);
        rc = wire_recv(job->fd, m);
        pthread_mutex_lock(&job->lock);
        hear(job, rc, m);
    }
    if (job->is_cancelled)
        rc = -ECANCELED;
    if (!rc)
        job->task = job->go;
    job->is_awaiting_go = false;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);
    free(m);
    return rc;
}

static void on_progress(void *arg, const struct ckpt_progress *p)
{
    struct job *job = arg;
    struct wire *m = calloc(1, sizeof(*m));

    /* also for a wish that came before the operation had begun */
    if (job_is_cancelled(job))
        ckpt_cancel(job->c);
    if (!m)
        return;
    m->type = WIRE_PROGRESS;
    m->u.progress.done_bytes = p->done_bytes;
    m->u.progress.total_bytes = p->total_bytes;
    m->u.progress.elapsed_us = p->elapsed_us;
    snprintf(m->u.progress.phase, sizeof(m->u.progress.phase), "%s", p->phase);
    wire_send(job->fd, m); /* a parent that is gone has stopped us already */
    free(m);
}

static void send_result(struct job *job, const char *text, size_t len)
{
    struct wire *m = calloc(1, sizeof(*m));
    size_t done = 0, n;

    for (; m && done < len; done += n) {
        n = len - done < WIRE_PART_BYTES ? len - done : WIRE_PART_BYTES;
        m->type = WIRE_PART;
        m->u.part.offset = (uint32_t)done;
        m->u.part.total_bytes = (uint32_t)len;
        m->u.part.len_bytes = (uint32_t)n;
        memcpy(m->u.part.bytes, text + done, n);
        if (wire_send(job->fd, m))
            break;
    }
    free(m);
}

static void report(struct job *job, int rc)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct wire m;

    wire_begin(&m, WIRE_END);
    if (!f || json_write(job->json, f) < 0)
        rc = rc ? rc : job_fail(job, -ENOMEM, "not enough memory");
    if (f)
        fclose(f);
    if (len > WIRE_RESULT_MAX)
        rc = job_fail(job, -EFBIG,
                      "The answer is larger than 1 MiB: ask for part of it "
                      "with offset and limit.");
    else if (text)
        send_result(job, text, len);
    free(text);
    job->end.rc = rc;
    m.u.end = job->end;
    wire_send(job->fd, &m);
}

/* What the Xen libraries and ours say goes to the daemon's log. */
static struct xentoollog_logger *make_log(void)
{
    return (struct xentoollog_logger *)xtl_createlogger_stdiostream(
        stderr, XTL_WARN, XTL_STDIOSTREAM_HIDE_PROGRESS);
}

static int open_and_run(struct job *job, struct xentoollog_logger *log)
{
    const struct wire_task *t = &job->task;
    ckpt *c;
    int rc;

    rc = ckpt_open(t->store[0] ? t->store : NULL, log, &c);
    pthread_mutex_lock(&job->lock);
    job->c = c;
    pthread_mutex_unlock(&job->lock);
    if (rc)
        return job_failed(job, rc);
    ckpt_set_progress(c, on_progress, job);
    if (job_is_cancelled(job))
        return job_fail(job, -ECANCELED, "Stopped on request.");
    return runs[t->verb](job);
}

/* From here on nobody can cancel what is no more; the listener ends. */
static void hang_up(struct job *job, pthread_t thread)
{
    ckpt *c;

    pthread_mutex_lock(&job->lock);
    c = job->c;
    job->c = NULL;
    pthread_mutex_unlock(&job->lock);
    shutdown(job->fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    ckpt_close(c);
}

/* Whose process dies before this has had nothing done, and gets another. */
void job_say_begun(struct job *job)
{
    struct wire m;

    wire_begin(&m, WIRE_READY);
    wire_send(job->fd, &m);
}

static int descriptor(const char *word)
{
    char *end;
    long fd;

    errno = 0;
    fd = strtol(word, &end, 10);
    return errno || end == word || *end || fd < 3 || fd > INT_MAX ? -1
                                                                  : (int)fd;
}

int main(int argc, char **argv)
{
    struct job job = {.lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    struct wire *m = malloc(sizeof(*m));
    struct xentoollog_logger *log;
    pthread_t thread;
    int rc;

    job.fd = argc == 2 ? descriptor(argv[1]) : -1;
    if (job.fd < 0 || !m) {
        fprintf(stderr, "ckptd-job FD is run by ckptd.\n");
        return 2;
    }
    prctl(PR_SET_NAME, "ckptd-job");
    signal(SIGPIPE, SIG_IGN);
    rc = wire_recv(job.fd, m);
    job.task = m->u.run;
    if (rc || m->type != WIRE_RUN) {
        free(m);
        return rc == -EPIPE ? 0 : 2; /* a spare that was not needed */
    }
    free(m);
    job.json = json_new_line();
    log = make_log();
    job.hush_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!job.json || !log || job.hush_fd < 0 ||
        pthread_create(&thread, NULL, listen_to_parent, &job))
        return 2;
    if (!(job.task.flags & TASK_STAND_BY))
        job_say_begun(&job);
    rc = open_and_run(&job, log);
    report(&job, rc);
    hang_up(&job, thread);
    xtl_logger_destroy(log);
    json_free(job.json);
    return 0;
}
