/* SPDX-License-Identifier: LGPL-2.1-only */
#include "xen_bus.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

static int open_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(at.sun_path))
        return -ENAMETOOLONG;
    strcpy(at.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
        close(fd);
        return -errno;
    }
    return fd;
}

int bus_open(struct bus *b, const char *path)
{
    static const char *const devices[] = {"/dev/xen/xenbus",
                                          "/proc/xen/xenbus"};
    struct stat st;

    memset(b, 0, sizeof(*b));
    b->fd = -ENOENT;
    if (path && !stat(path, &st) && S_ISSOCK(st.st_mode)) {
        b->fd = open_socket(path);
    } else if (path) {
        b->fd = open(path, O_RDWR | O_CLOEXEC);
        b->fd = b->fd < 0 ? -errno : b->fd;
    }
    for (size_t i = 0; !path && b->fd < 0 && i < 2; i++) {
        b->fd = open(devices[i], O_RDWR | O_CLOEXEC);
        b->fd = b->fd < 0 ? -errno : b->fd;
    }
    return b->fd < 0 ? b->fd : 0;
}

void bus_close(struct bus *b)
{
    if (b->fd >= 0)
        close(b->fd);
    b->fd = -1;
}

static int get_all(int fd, void *data, size_t len)
{
    char *at = data;
    ssize_t n;

    while (len) {
        n = read(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* One message; its payload and a NUL into @text. */
static int receive(struct bus *b, struct xsd_sockmsg *head,
                   char text[BUS_VALUE_MAX + 1])
{
    int rc = get_all(b->fd, head, sizeof(*head));

    if (rc)
        return rc;
    if (head->len > BUS_VALUE_MAX)
        return -EPROTO;
    text[head->len] = '\0';
    return get_all(b->fd, text, head->len);
}

static int to_errno(const char *word)
{
    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (!strcmp(word, xsd_errors[i].errstring))
            return -xsd_errors[i].errnum;
    return -EIO;
}

/* @path, its NUL, then @len bytes of @more.  Watches that fire meanwhile are
 * remembered as one. */
static int call(struct bus *b, enum xsd_sockmsg_type type, const char *path,
                const char *more, size_t len, char text[BUS_VALUE_MAX + 1])
{
    struct xsd_sockmsg head = {.type = type};
    char message[sizeof(head) + BUS_VALUE_MAX];
    const size_t path_len = strlen(path) + 1;
    ssize_t n;
    int rc;

    if (path_len + len > BUS_VALUE_MAX)
        return -E2BIG;
    head.len = (uint32_t)(path_len + len);
    memcpy(message, &head, sizeof(head));
    memcpy(message + sizeof(head), path, path_len);
    memcpy(message + sizeof(head) + path_len, more, len);
    /* The device takes a message whole. */
    do
        n = write(b->fd, message, sizeof(head) + head.len);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)(sizeof(head) + head.len))
        return n < 0 ? -errno : -EIO;
    for (;;) {
        rc = receive(b, &head, text);
        if (rc)
            return rc;
        if (head.type == XS_ERROR)
            return to_errno(text);
        if (head.type != XS_WATCH_EVENT)
            return 0;
        b->has_event = true;
    }
}

int bus_read(struct bus *b, const char *path, char value[BUS_VALUE_MAX + 1])
{
    return call(b, XS_READ, path, "", 0, value);
}

int bus_write(struct bus *b, const char *path, const char *value)
{
    char text[BUS_VALUE_MAX + 1];

    return call(b, XS_WRITE, path, value, strlen(value), text);
}

int bus_watch(struct bus *b, const char *path)
{
    char text[BUS_VALUE_MAX + 1];

    return call(b, XS_WATCH, path, "t", 2, text);
}

int bus_wait(struct bus *b, int timeout_ms, const sigset_t *mask)
{
    struct timespec ts = {.tv_sec = timeout_ms / 1000,
                          .tv_nsec = timeout_ms % 1000 * 1000000L};
    struct pollfd p = {.fd = b->fd, .events = POLLIN};
    char text[BUS_VALUE_MAX + 1];
    struct xsd_sockmsg head;
    int n;

    if (b->has_event) {
        b->has_event = false;
        return 0;
    }
    n = ppoll(&p, 1, timeout_ms < 0 ? NULL : &ts, mask);
    if (n < 0)
        return -errno;
    if (!n)
        return -ETIMEDOUT;
    return receive(b, &head, text);
}
