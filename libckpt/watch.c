/* SPDX-License-Identifier: LGPL-2.1-only */
/* Puts a monitor where xl's has left (watch.h). */
#include "watch.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctx.h"
#include "launch.h"

/* xl's process sees the suspend as an event: a moment may pass. */
#define LEAVING_MS 200

static int start(struct ckpt *c, uint32_t domid)
{
    int sock[2], rc = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
        return -errno;
    if (send(sock[0], &domid, sizeof(domid), MSG_NOSIGNAL) != sizeof(domid))
        rc = -errno;
    if (!rc)
        rc = launch_helper(c, "watch", &sock[1], 1);
    if (!rc)
        say(c, "xl's monitor of domain %u left; ours is there", domid);
    close(sock[0]);
    close(sock[1]);
    return rc;
}

int watch_replace(struct ckpt *c, uint32_t domid, int monitor_fd)
{
    struct pollfd pfd = { .fd = monitor_fd, .events = POLLIN };
    bool has_left = monitor_fd < 0 || poll(&pfd, 1, LEAVING_MS) == 1;

    if (monitor_fd >= 0)
        close(monitor_fd);
    return has_left ? start(c, domid) : 0;
}
