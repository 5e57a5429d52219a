/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A QMP conversation of one command: greeting, qmp_capabilities, the command.
 * Answers come one object a line; events may come between.  Commands are those
 * libxl uses for save and restore (libxl_qmp.c): stop, cont,
 * xen-save-devices-state, xen-set-global-dirty-log.
 */
#include "qmp.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

#include "ctx.h"

#define QMP_TIMEOUT_US 10000000ull
#define QMP_LINE_MAX 65536

struct qmp {
    struct ckpt *c; /* may be NULL */
    uint32_t domid;
    int fd;
    size_t have;
    char line[QMP_LINE_MAX];
};

static int words(const struct qmp *q, int rc, const char *what)
{
    if (!q->c)
        return rc;
    return fail(q->c, rc == -ENOENT ? -EIO : rc,
                "device model of domain %u: %s", q->domid, what);
}

static int dial(struct qmp *q)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    snprintf(addr.sun_path, sizeof(addr.sun_path),
             "/var/run/xen/qmp-libxl-%u", q->domid);
    q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (q->fd < 0)
        return words(q, -errno, "socket");
    if (connect(q->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return words(q, -errno, "connecting to its QMP socket");
    return 0;
}

/* One line into q->line, NUL-terminated; what follows it stays behind it. */
static int read_line(struct qmp *q, uint64_t deadline_us, size_t *len_out)
{
    struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
    uint64_t now;
    char *end;
    ssize_t n;

    while (!(end = memchr(q->line, '\n', q->have))) {
        now = now_us();
        if (now >= deadline_us)
            return words(q, -ETIMEDOUT, "no answer by QMP");
        if (q->have == sizeof(q->line))
            return words(q, -EPROTO, "a QMP line is too long");
        if (poll(&pfd, 1, (int)((deadline_us - now) / 1000 + 1)) < 1)
            continue; /* the deadline decides */
        n = read(q->fd, q->line + q->have, sizeof(q->line) - q->have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return words(q, n ? -errno : -EPIPE, "QMP connection lost");
        q->have += (size_t)n;
    }
    *end = '\0';
    *len_out = (size_t)(end - q->line) + 1;
    return 0;
}

/* Waits for "return" or "error"; events and the greeting are passed over.
 * @greeting: the greeting is what is waited for. */
static int read_answer(struct qmp *q, bool greeting)
{
    const char *path_return[] = { "return", NULL };
    const char *path_greeting[] = { "QMP", NULL };
    const char *path_error[] = { "error", "desc", NULL };
    uint64_t deadline_us = now_us() + QMP_TIMEOUT_US;
    yajl_val tree, v;
    size_t len = 0;
    int rc;

    for (;;) {
        rc = read_line(q, deadline_us, &len);
        if (rc)
            return rc;
        tree = yajl_tree_parse(q->line, NULL, 0);
        memmove(q->line, q->line + len, q->have - len);
        q->have -= len;
        if (!tree)
            return words(q, -EPROTO, "QMP answer is not JSON");
        v = yajl_tree_get(tree, path_error, yajl_t_string);
        if (v) {
            rc = words(q, -EIO, YAJL_GET_STRING(v));
            yajl_tree_free(tree);
            return rc;
        }
        v = yajl_tree_get(tree, greeting ? path_greeting : path_return,
                          yajl_t_any);
        yajl_tree_free(tree);
        if (v)
            return 0;
    }
}

static int say_line(struct qmp *q, const char *line)
{
    size_t len = strlen(line);

    if (send(q->fd, line, len, MSG_NOSIGNAL) != (ssize_t)len)
        return words(q, errno ? -errno : -EIO, "sending by QMP");
    return read_answer(q, false);
}

static int command(struct ckpt *c, uint32_t domid, const char *line)
{
    struct qmp q = { .c = c, .domid = domid, .fd = -1 };
    int rc;

    rc = dial(&q);
    if (rc)
        goto out;
    rc = read_answer(&q, true);
    if (rc)
        goto out;
    rc = say_line(&q, "{\"execute\":\"qmp_capabilities\"}\r\n");
    if (rc)
        goto out;
    rc = say_line(&q, line);
out:
    if (q.fd >= 0)
        close(q.fd);
    return rc;
}

int qmp_stop(struct ckpt *c, uint32_t domid)
{
    return command(c, domid, "{\"execute\":\"stop\"}\r\n");
}

int qmp_cont(struct ckpt *c, uint32_t domid)
{
    return command(c, domid, "{\"execute\":\"cont\"}\r\n");
}

int qmp_save_devices(struct ckpt *c, uint32_t domid, const char *path)
{
    char line[512];

    /* "live": the devices go on afterwards; without it QEMU 2.11 and later
     * hands its disk locks over for good (QEMU's xen-save-devices-state). */
    if (snprintf(line, sizeof(line),
                 "{\"execute\":\"xen-save-devices-state\",\"arguments\":"
                 "{\"filename\":\"%s\",\"live\":true}}\r\n",
                 path) >= (int)sizeof(line))
        return -ENAMETOOLONG;
    return command(c, domid, line);
}

int qmp_log_dirty(struct ckpt *c, uint32_t domid, bool enable)
{
    return command(c, domid,
                   enable ? "{\"execute\":\"xen-set-global-dirty-log\","
                            "\"arguments\":{\"enable\":true}}\r\n"
                          : "{\"execute\":\"xen-set-global-dirty-log\","
                            "\"arguments\":{\"enable\":false}}\r\n");
}
