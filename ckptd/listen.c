/* SPDX-License-Identifier: LGPL-2.1-only */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define BACKLOG 64
#define LEAVE_MS 2000

static int say(int rc, const char *what)
{
    log_msg(LOG_ERR, "%s: %s", what, strerror(-rc));
    return rc;
}

/* 0: nobody is there any more; -EAGAIN: somebody has just gone. */
static int knock(const char *path, const struct sockaddr_un *at)
{
    struct pollfd p = {.events = POLLIN};
    int rc = 0;

    p.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p.fd < 0)
        return -errno;
    if (!connect(p.fd, (const struct sockaddr *)at, sizeof(*at)))
        /* The front of a daemon that was killed leaves in a moment. */
        rc = poll(&p, 1, LEAVE_MS) > 0 ? -EAGAIN : -EADDRINUSE;
    else if (errno == ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
        rc = -errno;
    close(p.fd);
    return rc;
}

/* A socket nobody listens on is what a dead daemon left; one that answers is
 * a living one's. */
static int remove_stale(const char *path, const struct sockaddr_un *at)
{
    int rc = -EAGAIN;

    for (int n = 0; rc == -EAGAIN && n < 8; n++)
        rc = knock(path, at);
    return rc == -EAGAIN ? -EADDRINUSE : rc;
}

int listen_unix(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd, rc;

    if (strlen(path) >= sizeof(at.sun_path))
        return say(-ENAMETOOLONG, path);
    strcpy(at.sun_path, path);
    rc = remove_stale(path, &at);
    if (rc)
        return say(rc, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return say(-errno, path);
    /* Everybody may connect: what they may do is decided by who they are. */
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0) {
        rc = say(-errno, path);
        close(fd);
        return rc;
    }
    return fd;
}

static int listen_inet(const char *where, struct sockaddr *at, socklen_t len)
{
    int fd, rc, on = 1;

    fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return say(-errno, where);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, at, len) < 0 || listen(fd, BACKLOG) < 0) {
        rc = say(-errno, where);
        close(fd);
        return rc;
    }
    return fd;
}

int listen_metrics(const char *where)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr_in in = {.sin_family = AF_INET};
    const char *colon = strrchr(where, ':');
    char *end;
    long port;

    if (!strncmp(where, "unix:/", 6))
        return listen_unix(where + 5);
    errno = 0;
    port = colon ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || errno || *end || port < 1 || port > 65535)
        return say(-EINVAL, where);
    if (!strncmp(where, "127.0.0.1:", 10)) {
        in.sin_port = htons((uint16_t)port);
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return listen_inet(where, (struct sockaddr *)&in, sizeof(in));
    }
    if (!strncmp(where, "[::1]:", 6)) {
        in6.sin6_port = htons((uint16_t)port);
        in6.sin6_addr = in6addr_loopback;
        return listen_inet(where, (struct sockaddr *)&in6, sizeof(in6));
    }
    log_msg(LOG_ERR,
            "%s: metrics are served on 127.0.0.1, [::1] or "
            "unix:/PATH only",
            where);
    return -EINVAL;
}
