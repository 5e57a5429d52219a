/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckpt-rbd is no child of ours: it lives for as long as its socket is open and
 * for a few seconds after, in which it lets go of what it holds.  That is
 * waited for, in rbd_talk_end(), by reading until the socket is closed there.
 */
#include "rbd_talk.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctx.h"
#include "launch.h"

#define CONNECT_TIMEOUT_MS 10000u
#define END_TIMEOUT_MS 12000u

struct rbd_talk {
    struct ckpt *c; /* borrowed */
    int fd;         /* -1: over */
    char pool[RBD_TEXT_MAX];
    char fsid[64];
    char in[2 * RBD_TALK_WORDS_MAX];
    size_t len; /* of what came and is not looked at yet */
    char line[RBD_TALK_WORDS_MAX];
};

static void hang_up(struct rbd_talk *t)
{
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

/* --- lines ----------------------------------------------------------------- */

static bool next_line(struct rbd_talk *t)
{
    const char *end = memchr(t->in, '\n', t->len);
    const size_t len = end ? (size_t)(end - t->in) : 0;

    if (!end || len >= sizeof(t->line))
        return false;
    memcpy(t->line, t->in, len);
    t->line[len] = '\0';
    t->len -= len + 1;
    memmove(t->in, end + 1, t->len);
    return true;
}

static int read_line(struct rbd_talk *t, uint64_t deadline_us)
{
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    ssize_t n;

    while (!next_line(t)) {
        const uint64_t now = now_us();

        if (t->len == sizeof(t->in))
            return -EPROTO;
        if (now >= deadline_us)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)((deadline_us - now) / 1000) + 1) <= 0)
            continue;
        n = recv(t->fd, t->in + t->len, sizeof(t->in) - t->len, MSG_DONTWAIT);
        if (n == 0)
            return -EPIPE;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        t->len += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* --- asking ---------------------------------------------------------------- */

static int refused(struct rbd_talk *t)
{
    char *words;
    const long error = strtol(t->line + 3, &words, 10);

    return fail(t->c, error > 0 && error < 4096 ? -(int)error : -EIO,
                "Ceph pool %s:%s.", t->pool, words);
}

static int listen_to(struct rbd_talk *t, uint64_t deadline_us, rbd_talk_fn *fn,
                     void *arg)
{
    int rc;

    for (;;) {
        rc = read_line(t, deadline_us);
        if (rc)
            return rc;
        if (!strncmp(t->line, "ok ", 3))
            return 0;
        if (!strncmp(t->line, "no ", 3))
            return 1;
        if (strncmp(t->line, "- ", 2) || !fn)
            return -EPROTO;
        rc = fn(arg, t->line + 2);
        if (rc)
            return rc;
    }
}

static int send_line(struct rbd_talk *t, const char *line, int len)
{
    if (t->fd < 0)
        return -EPIPE;
    /* It fits: what is asked is never much. */
    return send(t->fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len
               ? 0
               : -EPIPE;
}

int rbd_talk_ask(struct rbd_talk *t, unsigned timeout_ms, rbd_talk_fn *fn,
                 void *arg, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    int len, rc;

    va_start(ap, fmt);
    len = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    if (len < 0 || (size_t)len >= sizeof(line) - 1)
        return fail(t->c, -ENAMETOOLONG, "Ceph pool %s", t->pool);
    line[len++] = '\n';
    rc = send_line(t, line, len);
    if (!rc)
        rc = listen_to(t, now_us() + timeout_ms * (uint64_t)1000, fn, arg);
    if (rc == 1)
        return refused(t);
    if (rc)
        hang_up(t);
    if (rc == -ETIMEDOUT)
        return fail(
            t->c, rc,
            "Ceph pool %s: no answer from the cluster within %u s (%.*s).",
            t->pool, timeout_ms / 1000, (int)strcspn(line, " \n"), line);
    return rc ? fail(t->c, rc, "Ceph pool %s: ckpt-rbd", t->pool) : 0;
}

const char *rbd_talk_answer(const struct rbd_talk *t)
{
    return t->line + 3;
}

const char *rbd_talk_fsid(const struct rbd_talk *t)
{
    return t->fsid;
}

/* --- its begin and its end ------------------------------------------------- */

static int start(struct ckpt *c, int *fd_out)
{
    int ends[2], rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return fail(c, -errno, "ckpt-rbd: a socket");
    rc = launch_rbd(c, ends[1]);
    close(ends[1]);
    if (rc) {
        close(ends[0]);
        return rc;
    }
    *fd_out = ends[0];
    return 0;
}

int rbd_talk_begin(struct ckpt *c, const struct rbd_name *n,
                   struct rbd_talk **out)
{
    struct rbd_talk *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return fail(c, -ENOMEM, "Ceph pool %s", n->pool);
    t->c = c;
    t->fd = -1;
    memcpy(t->pool, n->pool, sizeof(t->pool));
    rc = start(c, &t->fd);
    if (!rc)
        rc = rbd_talk_ask(t, CONNECT_TIMEOUT_MS, NULL, NULL, "connect %s %s %s",
                          n->pool, n->space[0] ? n->space : "-",
                          n->options[0] ? n->options : "-");
    if (rc) {
        rbd_talk_end(t);
        return rc;
    }
    snprintf(t->fsid, sizeof(t->fsid), "%.63s", rbd_talk_answer(t));
    *out = t;
    return 0;
}

void rbd_talk_end(struct rbd_talk *t)
{
    const uint64_t deadline_us = now_us() + END_TIMEOUT_MS * (uint64_t)1000;

    if (!t)
        return;
    if (t->fd >= 0 && shutdown(t->fd, SHUT_WR) == 0)
        while (read_line(t, deadline_us) == 0)
            ;
    hang_up(t);
    free(t);
}
