/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A QMP conversation: greeting, qmp_capabilities, commands.  Answers come one
 * object a line; events may come between and are counted.  What QEMU says is
 * bounded in length and depth: a guest may have got hold of it.
 *
 * The single commands are those libxl uses for save and restore
 * (libxl_qmp.c): stop, cont, xen-save-devices-state, xen-set-global-dirty-log.
 */
#include "qmp.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctx.h"
#include "json.h"

#define FIRST_ROOM (64u << 10)
/* A chain of files is told from each of its files on, one within the other. */
#define LINE_MAX_BYTES (64u << 20)
#define DEPTH_MAX 512u

struct qmp {
    struct ckpt *c;       /* may be NULL */
    struct ckpt *scratch; /* owned: words that nobody wants */
    uint32_t domid;
    uint64_t timeout_us;
    int fd;
    unsigned nr_events;
    char *line; /* owned */
    size_t have, room;
};

static int words(const struct qmp *q, int rc, const char *what)
{
    if (!q->c)
        return rc;
    return fail(q->c, rc == -ENOENT || rc == -ECONNREFUSED ? -EIO : rc,
                "device model of domain %u: %s", q->domid, what);
}

/* --- the connection -------------------------------------------------------- */

int qmp_new(struct ckpt *c, uint32_t domid, unsigned timeout_ms,
            struct qmp **q_out)
{
    struct qmp *q = calloc(1, sizeof(*q));

    if (q) {
        q->c = c;
        q->domid = domid;
        q->timeout_us = (uint64_t)timeout_ms * 1000;
        q->fd = -1;
        q->room = FIRST_ROOM;
        q->line = malloc(q->room);
        q->scratch = calloc(1, sizeof(*q->scratch));
    }
    *q_out = q;
    if (q && q->line && q->scratch)
        return 0;
    qmp_free(q);
    *q_out = NULL;
    return c ? fail(c, -ENOMEM, "QMP") : -ENOMEM;
}

void qmp_hang_up(struct qmp *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
    q->have = 0;
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    qmp_hang_up(q);
    free(q->line);
    free(q->scratch);
    free(q);
}

void qmp_set_timeout(struct qmp *q, unsigned timeout_ms)
{
    q->timeout_us = (uint64_t)timeout_ms * 1000;
}

struct ckpt *qmp_ctx(const struct qmp *q)
{
    return q->c ? q->c : q->scratch;
}

static int dial(struct qmp *q)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    const char *dir = getenv("CKPT_QMP_DIR");
    int rc;

    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/qmp-libxl-%u",
                 dir ? dir : "/var/run/xen",
                 q->domid) >= (int)sizeof(addr.sun_path))
        return words(q, -ENAMETOOLONG, "its QMP socket");
    q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (q->fd < 0)
        return words(q, -errno, "socket");
    if (connect(q->fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return 0;
    rc = -errno;
    if (q->c)
        fail(q->c, -EIO, "device model of domain %u: its QMP socket %s: %s.",
             q->domid, addr.sun_path, strerror(-rc));
    return rc;
}

/* --- lines ----------------------------------------------------------------- */

static int make_room(struct qmp *q)
{
    char *line;

    if (q->have < q->room)
        return 0;
    if (q->room >= LINE_MAX_BYTES)
        return words(q, -EPROTO, "a QMP line is too long");
    line = realloc(q->line, q->room * 2);
    if (!line)
        return words(q, -ENOMEM, "QMP");
    q->line = line;
    q->room *= 2;
    return 0;
}

/* One line into q->line, NUL-terminated; what follows it stays behind it. */
static int read_line(struct qmp *q, uint64_t deadline_us, size_t *len_out)
{
    struct pollfd pfd = {.fd = q->fd, .events = POLLIN};
    size_t looked = 0;
    uint64_t now;
    char *end;
    ssize_t n;
    int rc;

    while (!(end = memchr(q->line + looked, '\n', q->have - looked))) {
        looked = q->have;
        now = now_us();
        if (now >= deadline_us)
            return words(q, -ETIMEDOUT, "no answer by QMP");
        rc = make_room(q);
        if (rc)
            return rc;
        if (poll(&pfd, 1, (int)((deadline_us - now) / 1000 + 1)) < 1)
            continue; /* the deadline decides */
        n = read(q->fd, q->line + q->have, q->room - q->have);
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

/* The next object, owned. */
static int read_object(struct qmp *q, uint64_t deadline_us, yajl_val *out)
{
    char what[64];
    size_t len = 0;
    int rc;

    rc = read_line(q, deadline_us, &len);
    if (rc)
        return rc;
    snprintf(what, sizeof(what), "device model of domain %u: QMP", q->domid);
    rc = json_parse_deep(qmp_ctx(q), what, q->line, LINE_MAX_BYTES, DEPTH_MAX,
                         out);
    memmove(q->line, q->line + len, q->have - len);
    q->have -= len;
    if (!rc && json_member(*out, "event"))
        q->nr_events++;
    return rc;
}

/* Takes member @key out of @tree, which is freed. */
static void take_member(yajl_val tree, const char *key, yajl_val *out)
{
    for (size_t i = 0; out && i < tree->u.object.len; i++) {
        if (strcmp(tree->u.object.keys[i], key))
            continue;
        *out = tree->u.object.values[i];
        tree->u.object.values[i] = NULL; /* yajl_tree_free() passes it over */
    }
    yajl_tree_free(tree);
}

/* Waits for member @key, or "error"; all else is passed over. */
static int read_answer(struct qmp *q, const char *key, yajl_val *out)
{
    const uint64_t deadline_us = now_us() + q->timeout_us;
    const char *desc;
    yajl_val tree;
    int rc;

    for (;;) {
        rc = read_object(q, deadline_us, &tree);
        if (rc)
            return rc;
        if (json_member(tree, key)) {
            take_member(tree, key, out);
            return 0;
        }
        if (json_member(tree, "error")) {
            desc = YAJL_GET_STRING(
                json_member(json_member(tree, "error"), "desc"));
            rc = words(q, -EIO, desc ? desc : "an error without words");
            yajl_tree_free(tree);
            return rc;
        }
        yajl_tree_free(tree);
    }
}

static int send_text(struct qmp *q, const char *text, size_t len)
{
    ssize_t n;

    while (len) {
        n = send(q->fd, text, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return words(q, -errno, "sending by QMP");
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

/* --- the conversation ------------------------------------------------------ */

int qmp_call(struct qmp *q, const char *command, yajl_val *answer_out)
{
    int rc;

    if (answer_out)
        *answer_out = NULL;
    rc = send_text(q, command, strlen(command));
    if (!rc)
        rc = send_text(q, "\r\n", 2);
    return rc ? rc : read_answer(q, "return", answer_out);
}

void qmp_begin(struct json *j, const char *command)
{
    json_begin(j);
    json_put_string(j, "execute", command);
    json_open_object(j, "arguments");
}

int qmp_end(struct qmp *q, struct json *j)
{
    char *text;
    int rc;

    json_close_object(j);
    rc = json_end(qmp_ctx(q), j, "a QMP command", &text);
    if (rc)
        return rc;
    rc = qmp_call(q, text, NULL);
    free(text);
    return rc;
}

int qmp_call_1(struct qmp *q, const char *command, const char *key,
               const char *value)
{
    struct json j;

    qmp_begin(&j, command);
    json_put_string(&j, key, value);
    return qmp_end(q, &j);
}

int qmp_connect(struct qmp *q)
{
    int rc;

    qmp_hang_up(q);
    rc = dial(q);
    if (!rc)
        rc = read_answer(q, "QMP", NULL);
    if (!rc)
        rc = qmp_call(q, "{\"execute\":\"qmp_capabilities\"}", NULL);
    if (rc)
        qmp_hang_up(q);
    return rc;
}

int qmp_await_event(struct qmp *q, unsigned *seen, unsigned timeout_ms)
{
    const uint64_t deadline_us = now_us() + (uint64_t)timeout_ms * 1000;
    yajl_val tree;
    int rc = 0;

    while (timeout_ms && *seen == q->nr_events && !rc) {
        rc = read_object(q, deadline_us, &tree);
        if (!rc)
            yajl_tree_free(tree);
    }
    *seen = q->nr_events;
    return rc;
}

/* --- single commands ------------------------------------------------------- */

static int command(struct ckpt *c, uint32_t domid, const char *line)
{
    struct qmp *q;
    int rc;

    rc = qmp_new(c, domid, QMP_TIMEOUT_MS, &q);
    if (!rc)
        rc = qmp_connect(q);
    if (!rc)
        rc = qmp_call(q, line, NULL);
    qmp_free(q);
    /* With words it is no "no such domain". */
    return c && (rc == -ENOENT || rc == -ECONNREFUSED) ? -EIO : rc;
}

int qmp_stop(struct ckpt *c, uint32_t domid)
{
    return command(c, domid, "{\"execute\":\"stop\"}");
}

int qmp_cont(struct ckpt *c, uint32_t domid)
{
    return command(c, domid, "{\"execute\":\"cont\"}");
}

int qmp_save_devices(struct ckpt *c, uint32_t domid, const char *path)
{
    char line[512];

    /* "live": the devices go on afterwards; without it QEMU 2.11 and later
     * hands its disk locks over for good (QEMU's xen-save-devices-state). */
    if (snprintf(line, sizeof(line),
                 "{\"execute\":\"xen-save-devices-state\",\"arguments\":"
                 "{\"filename\":\"%s\",\"live\":true}}",
                 path) >= (int)sizeof(line))
        return -ENAMETOOLONG;
    return command(c, domid, line);
}

int qmp_log_dirty(struct ckpt *c, uint32_t domid, bool enable)
{
    return command(c, domid,
                   enable ? "{\"execute\":\"xen-set-global-dirty-log\","
                            "\"arguments\":{\"enable\":true}}"
                          : "{\"execute\":\"xen-set-global-dirty-log\","
                            "\"arguments\":{\"enable\":false}}");
}
