/* SPDX-License-Identifier: LGPL-2.1-only */
/* Puts a monitor where xl's has left (watch.h). */
#include "watch.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctx.h"
#include "launch.h"
#include "op.h"

/* xl's process sees the suspend as an event: a moment may pass. */
#define LEAVING_MS 200

void watch_replace(struct op *op, int monitor_fd)
{
    struct pollfd pfd = { .fd = monitor_fd, .events = POLLIN };
    int sock[2];

    if (monitor_fd < 0)
        return;
    if (poll(&pfd, 1, LEAVING_MS) == 1 && op->x) {
        if (!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock)) {
            if (send(sock[0], &op->dom.domid, sizeof(op->dom.domid),
                     MSG_NOSIGNAL) == sizeof(op->dom.domid) &&
                !launch_helper(op->c, "watch", &sock[1], 1))
                say(op->c, "xl's monitor of domain %u left; ours is there",
                    op->dom.domid);
            close(sock[0]);
            close(sock[1]);
        }
    }
    close(monitor_fd);
}
