/* SPDX-License-Identifier: LGPL-2.1-only */
/* Starts ckpt-helper (launch.h). */
#include "launch.h"

#include <stdlib.h>
#include <unistd.h>

#include "ctx.h"
#include "spawn.h"

#ifndef CKPT_HELPER
#define CKPT_HELPER "/usr/local/libexec/xen-ckpt/bin/ckpt-helper"
#define CKPT_RBD "/usr/local/libexec/xen-ckpt/bin/ckpt-rbd"
#endif

#define START_TIMEOUT_MS 30000u

int launch_helper(struct ckpt *c, const char *role, const int *fds,
                  unsigned nr_fds)
{
    const char *path = secure_getenv("CKPT_HELPER");
    const char *argv[] = { path ? path : CKPT_HELPER, role, "3", NULL };

    return spawn_daemon(c, argv, fds, nr_fds, START_TIMEOUT_MS);
}

int launch_rbd(struct ckpt *c, int fd)
{
    const char *path = secure_getenv("CKPT_RBD");
    const char *argv[] = {path ? path : CKPT_RBD, "3", NULL};

    if (access(argv[0], X_OK) < 0)
        return fail(c, -ENOTSUP,
                    "%s is not there: it is built and installed with the rest "
                    "where Ceph's librbd is (package librbd-dev).",
                    argv[0]);
    return spawn_daemon(c, argv, &fd, 1, START_TIMEOUT_MS);
}
