/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The operation's side of the guard (the other is guard_main.c).
 *
 *   operation                          guard (ckpt-helper guard 3)
 *   socketpair, spawn  ------------->  forks away, its parent exits: "stands"
 *   add suspend, add dm-suspend, ...   keeps a list
 *   del ...                            strikes out
 *   bye, shutdown      ------------->  (undoes what stands,) closes the lock,
 *   reads EOF          <-------------  then the socket
 *
 * The helper has the socket as descriptor 3 and the lock, if any, as 4.  It is
 * a socket of packets and not a pipe, because a send on it raises no SIGPIPE,
 * because it tells the guard our pid, and because its other end closing tells
 * us that the lock is free again.  Packets stay readable after we are gone.
 */
#include "guard.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctx.h"
#include "guard_record.h"
#include "launch.h"

#define NOTICE_MS 3000
#define STOP_TIMEOUT_MS 10000  /* nothing stands: it only has to leave */
#define UNDO_TIMEOUT_MS 300000 /* more than guard_main.c takes */

struct guard {
    struct ckpt *c;
    int fd;
    unsigned last_token;
    unsigned nr_standing;
};

int guard_start(struct ckpt *c, int lock_fd, struct guard **g_out)
{
    struct guard *g = NULL;
    int ends[2] = {-1, -1}, fds[2];
    int rc;

    g = calloc(1, sizeof(*g));
    if (!g)
        return fail(c, -ENOMEM, "guard");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        rc = fail(c, -errno, "guard: socketpair");
        goto out;
    }
    fds[0] = ends[1];
    fds[1] = lock_fd;
    /* Returns when the guard has forked away: so it runs. */
    rc = launch_helper(c, "guard", fds, lock_fd >= 0 ? 2 : 1);
    if (rc) {
        fail_prefix(c, rc, "no guard, so the guest is not touched");
        goto out;
    }
    g->c = c;
    g->fd = ends[0];
    ends[0] = -1;
    *g_out = g;
    g = NULL;
out:
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    free(g);
    return rc;
}

static int send_record(struct guard *g, const struct guard_record *r)
{
    while (send(g->fd, r, sizeof(*r), MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return fail(g->c, -errno, "the guard is gone");
    return 0;
}

int guard_add(struct guard *g, enum guard_harm harm, uint32_t domid,
              const char *arg, unsigned *token_out)
{
    struct guard_record r = {
        .magic = GUARD_MAGIC,
        .op = GUARD_OP_ADD,
        .harm = (uint32_t)harm,
        .domid = domid,
    };
    size_t len = arg ? strlen(arg) : 0;
    int rc;

    if (token_out)
        *token_out = 0;
    if (!g)
        return 0;
    if (len >= sizeof(r.arg))
        return fail(g->c, -ENAMETOOLONG, "guard: %s", arg);
    if (len)
        memcpy(r.arg, arg, len);
    r.token = g->last_token + 1;
    rc = send_record(g, &r);
    if (rc)
        return rc;
    g->last_token = r.token;
    g->nr_standing++;
    if (token_out)
        *token_out = r.token;
    return 0;
}

/* @token: 0 where @op is about none. */
static int send_op(struct guard *g, enum guard_op op, unsigned token)
{
    struct guard_record r = {.magic = GUARD_MAGIC, .op = op, .token = token};

    return g ? send_record(g, &r) : 0;
}

int guard_del(struct guard *g, unsigned token)
{
    int rc = token ? send_op(g, GUARD_OP_DEL, token) : 0;

    if (g && token && !rc)
        g->nr_standing--;
    return rc;
}

int guard_undo(struct guard *g, unsigned token)
{
    return token ? send_op(g, GUARD_OP_UNDO, token) : 0;
}

int guard_hold(struct guard *g)
{
    return send_op(g, GUARD_OP_HOLD, 0);
}

int guard_flush(struct guard *g)
{
    return send_op(g, GUARD_OP_FLUSH, 0);
}

/* The guard closes its end right after the lock. */
static bool is_gone_within(const struct guard *g, int limit_ms)
{
    struct pollfd pfd = {.fd = g->fd, .events = POLLIN};
    const uint64_t begin = now_us();
    int left_ms = limit_ms, n;

    do {
        n = poll(&pfd, 1, left_ms);
        left_ms = limit_ms - (int)((now_us() - begin) / 1000);
    } while (n < 0 && errno == EINTR && left_ms > 0);
    return n > 0;
}

static void wait_until_gone(const struct guard *g)
{
    const int limit_ms = g->nr_standing ? UNDO_TIMEOUT_MS : STOP_TIMEOUT_MS;

    if (is_gone_within(g, NOTICE_MS))
        return;
    /* Nobody should have to wait for minutes before he is told why. */
    if (g->nr_standing)
        warn(g->c, "the guard has more to do, for up to %d s%s%s",
             limit_ms / 1000, g->c->error[0] ? ": " : "", g->c->error);
    if (!is_gone_within(g, limit_ms - NOTICE_MS))
        warn(g->c, "the guard is still at work after %d s; see syslog",
             limit_ms / 1000);
}

static void say_bye(struct guard *g)
{
    struct guard_record bye = {.magic = GUARD_MAGIC, .op = GUARD_OP_BYE};

    /* A guard that is gone already has done its work, or was killed. */
    while (send(g->fd, &bye, sizeof(bye), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
    /* Also for copies of our end in processes somebody forked from us. */
    shutdown(g->fd, SHUT_WR);
}

void guard_stop(struct guard *g)
{
    if (!g)
        return;
    say_bye(g);
    wait_until_gone(g);
    close(g->fd);
    free(g);
}
