/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckpt-rbd is no child of ours: it lives for as long as its socket is open and
 * until it has let go of what it holds.  For that rbd_talk_end() waits some seconds,
 * by reading until the socket is closed there.
 */
#include "rbd_talk.h"

#include <inttypes.h>
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

/* What @line began has ended with @rc. */
static int end_of(struct rbd_talk *t, int rc, const char *line,
                  unsigned timeout_ms)
{
    if (rc == 1)
        return refused(t);
    if (rc)
        hang_up(t);
    if (rc == -ETIMEDOUT)
        return fail(
            t->c, -EHOSTDOWN, /* -ETIMEDOUT is a guest's, to others */
            "Ceph pool %s: no answer from the cluster within %u s (%.*s).",
            t->pool, timeout_ms / 1000, (int)strcspn(line, " \n"), line);
    return rc ? fail(t->c, rc, "Ceph pool %s: ckpt-rbd", t->pool) : 0;
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
    return end_of(t, rc, line, timeout_ms);
}

/* --- bytes ----------------------------------------------------------------- */

static int wait_for(struct rbd_talk *t, short events, uint64_t deadline_us)
{
    struct pollfd p = {.fd = t->fd, .events = events};
    uint64_t now;

    for (;;) {
        now = now_us();
        if (now >= deadline_us)
            return -ETIMEDOUT;
        if (poll(&p, 1, (int)((deadline_us - now) / 1000) + 1) > 0)
            return 0;
    }
}

/* Some came with the line before them. */
static int read_bytes(struct rbd_talk *t, uint64_t deadline_us, char *out,
                      size_t len)
{
    const size_t here = t->len < len ? t->len : len;
    ssize_t n;
    int rc = 0;

    memcpy(out, t->in, here);
    t->len -= here;
    memmove(t->in, t->in + here, t->len);
    for (size_t at = here; !rc && at<len; at += n> 0 ? (size_t)n : 0) {
        rc = wait_for(t, POLLIN, deadline_us);
        n = rc ? 0 : recv(t->fd, out + at, len - at, MSG_DONTWAIT);
        if (!rc && n == 0)
            rc = -EPIPE;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            rc = -errno;
    }
    return rc;
}

static int write_bytes(struct rbd_talk *t, uint64_t deadline_us,
                       const char *data, size_t len)
{
    ssize_t n;
    int rc = 0;

    for (size_t at = 0; !rc && at<len; at += n> 0 ? (size_t)n : 0) {
        rc = wait_for(t, POLLOUT, deadline_us);
        n = rc ? 0
               : send(t->fd, data + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            rc = -errno;
    }
    return rc;
}

int rbd_talk_read(struct rbd_talk *t, unsigned timeout_ms, void *out,
                  size_t len_bytes, uint64_t offset_bytes)
{
    const uint64_t deadline_us = now_us() + timeout_ms * (uint64_t)1000;
    int rc;

    rc = rbd_talk_ask(t, timeout_ms, NULL, NULL, "read %" PRIu64 " %zu",
                      offset_bytes, len_bytes);
    return rc ? rc
              : end_of(t, read_bytes(t, deadline_us, out, len_bytes), "read",
                       timeout_ms);
}

int rbd_talk_write(struct rbd_talk *t, unsigned timeout_ms, const void *data,
                   size_t len_bytes, uint64_t offset_bytes)
{
    const uint64_t deadline_us = now_us() + timeout_ms * (uint64_t)1000;
    char line[64];
    const int len = snprintf(line, sizeof(line), "write %" PRIu64 " %zu\n",
                             offset_bytes, len_bytes);
    int rc = send_line(t, line, len);

    if (!rc)
        rc = write_bytes(t, deadline_us, data, len_bytes);
    if (!rc)
        rc = listen_to(t, deadline_us, NULL, NULL);
    return end_of(t, rc, line, timeout_ms);
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
