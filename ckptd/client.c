/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A client is a buffer in, a buffer out and a right.  The right comes from the
 * kernel (SO_PEERCRED, SO_PEERGROUPS), from nothing the client says, and is
 * fixed when it connects.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc.h"

#define GROUPS_MAX 512u
#define READS_A_TURN 4 /* then it is the others' turn */

const char *right_name(enum right right)
{
    static const char *const names[] = {"none", "read", "operate", "admin"};

    return names[right];
}

static enum right right_of_gid(const struct front *f, gid_t gid)
{
    static const enum right rights[3] = {RIGHT_READ, RIGHT_OPERATE,
                                         RIGHT_ADMIN};

    for (int i = 2; i >= 0; i--)
        if (f->hello.gid[i] != (uint32_t)-1 && f->hello.gid[i] == gid)
            return rights[i];
    return RIGHT_NONE;
}

static enum right right_of(const struct front *f, int fd,
                           const struct ucred *cred)
{
    gid_t groups[GROUPS_MAX];
    socklen_t len = sizeof(groups);
    enum right best, one;

    if (cred->uid == 0 || cred->uid == f->hello.owner_uid)
        return RIGHT_ADMIN;
    best = right_of_gid(f, cred->gid);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return best; /* more groups than that: by its first one only */
    for (size_t i = 0; i < len / sizeof(groups[0]); i++) {
        one = right_of_gid(f, groups[i]);
        if (one > best)
            best = one;
    }
    return best;
}

void client_close(struct client *cl)
{
    struct front *f = cl->f;

    ev_io_stop(f->loop, &cl->in_io);
    ev_io_stop(f->loop, &cl->out_io);
    close(cl->fd);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (f->clients[i] == cl)
            f->clients[i] = NULL;
    free(cl->in);
    free(cl->out);
    free(cl);
}

void client_close_all(struct front *f)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (f->clients[i])
            client_close(f->clients[i]);
}

/* What does not go now goes when the socket can take more.  A client that is
 * beyond help is closed by its next event, not under its caller's feet. */
static void flush(struct client *cl)
{
    ssize_t n;

    while (cl->out_sent < cl->out_len) {
        n = send(cl->fd, cl->out + cl->out_sent, cl->out_len - cl->out_sent,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            cl->is_closing = true;
            cl->out_sent = cl->out_len;
            break;
        }
        cl->out_sent += (size_t)n;
    }
    if (cl->out_sent == cl->out_len) {
        cl->out_sent = cl->out_len = 0;
        ev_io_stop(cl->f->loop, &cl->out_io);
        if (cl->is_closing)
            ev_feed_event(cl->f->loop, &cl->in_io, EV_READ);
    } else {
        ev_io_start(cl->f->loop, &cl->out_io);
    }
}

static void append(struct client *cl, const char *text, size_t len)
{
    size_t room = cl->out_room ? cl->out_room : 4096;
    char *out;

    if (cl->out_sent) {
        memmove(cl->out, cl->out + cl->out_sent, cl->out_len - cl->out_sent);
        cl->out_len -= cl->out_sent;
        cl->out_sent = 0;
    }
    while (room < cl->out_len + len + 1)
        room *= 2;
    if (room > OUT_MAX) {
        log_bounded(&cl->f->faults, LOG_WARNING,
                    "a client of uid %u does not read its answers: cut off",
                    (unsigned)cl->uid);
        cl->is_closing = true;
        cl->out_len = 0;
        return;
    }
    if (room != cl->out_room) {
        out = realloc(cl->out, room);
        if (!out) {
            cl->is_closing = true;
            return;
        }
        cl->out = out;
        cl->out_room = room;
    }
    memcpy(cl->out + cl->out_len, text, len);
    cl->out[cl->out_len + len] = '\n';
    cl->out_len += len + 1;
}

void client_send(struct client *cl, const char *text, bool is_event)
{
    if (cl->is_closing)
        return;
    if (is_event && cl->out_len - cl->out_sent > OUT_EVENTS) {
        cl->events_left_out++;
        return;
    }
    append(cl, text, strlen(text));
    flush(cl);
}

static void on_out(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    flush(io->data);
}

/* All whole lines of the buffer. */
static void take_lines(struct client *cl)
{
    char *line = cl->in, *end;

    while (!cl->is_closing &&
           (end = memchr(line, '\n', cl->in_len - (size_t)(line - cl->in)))) {
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        if (memchr(line, '\0', (size_t)(end - line)) &&
            strlen(line) + 1 < (size_t)(end - line))
            rpc_fail(cl, "null", -32700, -EINVAL, "A NUL is in the request.");
        else if (*line)
            rpc_line(cl, line);
        line = end + 1;
    }
    cl->in_len -= (size_t)(line - cl->in);
    memmove(cl->in, line, cl->in_len);
    if (cl->in_len == REQUEST_MAX) {
        rpc_fail(cl, "null", -32600, -EINVAL,
                 "The request is longer than 64 KiB.");
        cl->is_closing = true;
    }
}

static void on_in(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *cl = io->data;
    ssize_t n = 0;

    (void)loop, (void)events;
    for (int turn = 0; turn < READS_A_TURN && !cl->is_closing; turn++) {
        n = recv(cl->fd, cl->in + cl->in_len, REQUEST_MAX - cl->in_len,
                 MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n <= 0) {
            client_close(cl);
            return;
        }
        cl->in_len += (size_t)n;
        take_lines(cl);
    }
    if (cl->is_closing) {
        flush(cl);
        if (cl->out_len == cl->out_sent)
            client_close(cl);
        else
            ev_io_stop(cl->f->loop, &cl->in_io);
    }
}

/* A free slot for the caller, or NULL with the reason.  However many there are,
 * an administrator can look what they do. */
static struct client **slot_for(struct front *f, uid_t uid, enum right right,
                                const char **why)
{
    struct client **slot = NULL;
    unsigned same = 0, others = 0;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *cl = f->clients[i];

        if (!cl)
            slot = &f->clients[i];
        same += cl && cl->uid == uid;
        others += cl && cl->right < RIGHT_ADMIN;
    }
    *why =
        !slot || (right < RIGHT_ADMIN && others >= CLIENTS_MAX - CLIENTS_ADMIN)
            ? "too many clients"
        : uid != 0 && same >= CLIENTS_PER_UID ? "too many clients of yours"
                                              : NULL;
    return *why ? NULL : slot;
}

static void refuse(struct front *f, int fd, const struct ucred *cred,
                   const char *why)
{
    char text[256];
    int len = snprintf(text, sizeof(text),
                       "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":"
                       "-32000,\"message\":\"%s\",\"data\":{\"code\":\"%s\"}}}"
                       "\n",
                       why, *why == 't' ? "busy" : "not-permitted");

    (void)!send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
    log_bounded(&f->refusals, LOG_WARNING, "a client of uid %u is refused: %s",
                (unsigned)cred->uid, why);
    close(fd);
}

void client_accept(struct front *f, int listen_fd)
{
    struct ucred cred = {0, 0, 0};
    socklen_t len = sizeof(cred);
    struct client **slot, *cl;
    const char *why;
    enum right right;
    int fd;

    fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
        close(fd);
        return;
    }
    right = right_of(f, fd, &cred);
    slot = slot_for(f, cred.uid, right, &why);
    if (right == RIGHT_NONE)
        why = "You have no right to use ckptd; see ckptd.conf(5), read_group.";
    if (why) {
        refuse(f, fd, &cred, why);
        return;
    }
    cl = calloc(1, sizeof(*cl));
    if (!cl || !(cl->in = malloc(REQUEST_MAX))) {
        free(cl);
        close(fd);
        return;
    }
    cl->f = f;
    cl->fd = fd;
    cl->uid = cred.uid;
    cl->pid = cred.pid;
    cl->right = right;
    ev_io_init(&cl->in_io, on_in, fd, EV_READ);
    ev_io_init(&cl->out_io, on_out, fd, EV_WRITE);
    cl->in_io.data = cl->out_io.data = cl;
    ev_io_start(f->loop, &cl->in_io);
    *slot = cl;
}
