/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Memory of a running PV guest, by Xen's own save code.
 *
 * A PV guest's page tables hold machine frames; what is stored must hold the
 * guest's own.  Xen's save code translates them and knows what else belongs
 * to a PV guest, so it runs here in a thread of its own, streams into a pipe,
 * and is taken apart on this side (stream_read.c).
 *
 *   arm    the thread's live passes arrive, until it asks for the suspend;
 *          without shadow paging in Xen there are none
 *   cut    it is answered; the last pages and the machine state arrive
 *   drain  nothing: all of it is in the image
 *
 * The thread sees two words: `go` (1 the guest stands still, 0 give up).
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ctx.h"
#include "guard.h"
#include "mem.h"
#include "page.h"
#include "stream_read.h"
#include "xen_dom.h"
#include "xen_save.h"

struct stream {
    struct mem *m;
    struct stream_reader *reader;
    int pipe_read, pipe_write;
    int asked;  /* eventfd: the thread wants the guest still */
    int answer; /* eventfd: 1 give up, 2 it stands still */
    unsigned token_log;
    bool live;    /* passes while the guest runs */
    bool running; /* the thread is */
    pthread_t thread;
    int thread_rc;
    char thread_words[256];
};

static int stream_probe(struct xen *x, const struct xen_dom *dom, char *why)
{
    (void)x, (void)why;
    return dom->type == XEN_TYPE_PV ? 0 : -ENOTSUP;
}

/* In the thread: blocks until cut or undo has answered. */
static int when_asked(void *arg)
{
    struct stream *s = arg;
    uint64_t word = 1;

    if (write(s->asked, &word, sizeof(word)) != sizeof(word))
        return 0;
    while (read(s->answer, &word, sizeof(word)) != sizeof(word))
        if (errno != EINTR)
            return 0;
    return word == 2;
}

static void *run_save(void *arg)
{
    struct stream *s = arg;
    sigset_t pipe_signal;

    /* A reader that leaves shall be an error, not a death. */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    s->thread_rc =
        xen_save(s->m->c->log, s->m->dom->domid, s->live, s->pipe_write,
                 when_asked, s, s->thread_words, sizeof(s->thread_words));
    close(s->pipe_write); /* the reader sees the end */
    s->pipe_write = -1;
    return NULL;
}

/* Ends the thread, whatever it does. */
static void join(struct stream *s)
{
    uint64_t give_up = 1;

    if (!s->running)
        return;
    if (write(s->answer, &give_up, sizeof(give_up)) < 0)
        warn(s->m->c, "ending Xen's save: %s", strerror(errno));
    close(s->pipe_read);
    s->pipe_read = -1;
    pthread_join(s->thread, NULL);
    s->running = false;
}

static int start(struct stream *s)
{
    struct ckpt *c = s->m->c;
    int fds[2], rc;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail(c, -errno, "pipe");
    s->pipe_read = fds[0];
    s->pipe_write = fds[1];
    fcntl(s->pipe_write, F_SETPIPE_SZ, 1 << 20); /* fewer switches; optional */
    s->asked = eventfd(0, EFD_CLOEXEC);
    s->answer = eventfd(0, EFD_CLOEXEC);
    if (s->asked < 0 || s->answer < 0)
        return fail(c, -errno, "eventfd");
    rc = stream_reader_new(c, s->pipe_read, s->m->img, &s->m->machine,
                           &s->reader);
    if (!rc)
        rc = guard_add(s->m->g, GUARD_LOG_DIRTY, s->m->dom->domid, NULL,
                       &s->token_log);
    if (rc)
        return rc;
    rc = pthread_create(&s->thread, NULL, run_save, s);
    if (rc)
        return fail(c, -rc, "starting a thread");
    s->running = true;
    return 0;
}

/* Xen's own words when its save ended the stream, else the reader's. */
static int failed(struct stream *s, int rc)
{
    if (rc != -EPIPE)
        return rc;
    join(s);
    return fail(s->m->c, s->thread_rc ? s->thread_rc : -EIO,
                "domain \"%s\": Xen's save failed (%s)", s->m->dom->name,
                s->thread_words);
}

/* Records until the thread asks for the suspend. */
static int read_passes(struct stream *s)
{
    struct pollfd pfd[2] = { { .fd = s->pipe_read, .events = POLLIN },
                             { .fd = s->asked, .events = POLLIN } };
    bool end = false;
    int rc;

    rc = stream_read_head(s->reader);
    while (!rc) {
        rc = check_cancel(s->m->c);
        if (rc || (poll(pfd, 2, -1) < 0 && errno == EINTR))
            continue;
        if (pfd[0].revents)
            rc = stream_read_record(s->reader, &end);
        else if (pfd[1].revents)
            return 0; /* asked, and nothing left in the pipe */
        if (!rc && end)
            rc = fail(s->m->c, -EPROTO, "Xen's save did not ask to suspend");
        progress(s->m->c, "memory",
                 stream_reader_pages(s->reader) * PAGE_SIZE_BYTES, 0);
    }
    return failed(s, rc);
}

static int stream_arm(struct mem *m)
{
    struct stream *s;
    int rc;

    s = calloc(1, sizeof(*s));
    if (!s)
        return fail(m->c, -ENOMEM, "memory capture");
    s->m = m;
    s->pipe_read = s->pipe_write = s->asked = s->answer = -1;
    m->priv = s;
    rc = xen_can_save_live(m->x, &s->live);
    if (!rc && !s->live)
        snprintf(m->why, sizeof(m->why),
                 "this Xen has no shadow paging, so a PV guest's memory is "
                 "saved while it stands still");
    if (!rc)
        rc = start(s);
    if (!rc)
        rc = read_passes(s);
    return rc;
}

static int stream_cut(struct mem *m)
{
    struct stream *s = m->priv;
    uint64_t before = stream_reader_pages(s->reader), go = 2;
    bool end = false;
    int rc = 0;

    if (write(s->answer, &go, sizeof(go)) != sizeof(go))
        return fail(m->c, -errno, "answering Xen's save");
    while (!rc && !end)
        rc = stream_read_record(s->reader, &end);
    if (rc)
        return failed(s, rc);
    m->pages_in_pause = stream_reader_pages(s->reader) - before;
    m->passes = s->live ? 2 : 1; /* Xen does not tell how many it made */
    return 0;
}

/* Xen's save ends log-dirty itself when its work is done. */
static int stream_disarm(struct mem *m)
{
    struct stream *s = m->priv;

    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
    if (s->thread_rc)
        return fail(m->c, s->thread_rc, "domain \"%s\": Xen's save failed (%s)",
                    m->dom->name, s->thread_words);
    guard_del(m->g, s->token_log);
    s->token_log = 0;
    return 0;
}

static int stream_drain(struct mem *m)
{
    (void)m;
    return 0;
}

static void stream_undo(struct mem *m)
{
    struct stream *s = m->priv;

    if (!s)
        return;
    join(s);
    /* The thread has ended, and ended log-dirty on its way out. */
    guard_del(m->g, s->token_log);
    stream_reader_free(s->reader);
    if (s->pipe_read >= 0)
        close(s->pipe_read);
    if (s->pipe_write >= 0)
        close(s->pipe_write);
    if (s->asked >= 0)
        close(s->asked);
    if (s->answer >= 0)
        close(s->answer);
    free(s);
    m->priv = NULL;
}

const struct mem_driver mem_stream = {
    .name = "stream",
    .caps = 0,
    .probe = stream_probe,
    .arm = stream_arm,
    .cut = stream_cut,
    .disarm = stream_disarm,
    .drain = stream_drain,
    .undo = stream_undo,
};
