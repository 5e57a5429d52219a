/* SPDX-License-Identifier: LGPL-2.1-only */
/* Starts ckpt-helper (launch.h). */
#include "launch.h"

#include <stdlib.h>

#include "ctx.h"
#include "spawn.h"

#ifndef CKPT_HELPER
#define CKPT_HELPER "/usr/local/libexec/xen-ckpt/bin/ckpt-helper"
#endif

#define START_TIMEOUT_MS 30000u

int launch_helper(struct ckpt *c, const char *role, const int *fds,
                  unsigned nr_fds)
{
    const char *path = secure_getenv("CKPT_HELPER");
    const char *argv[] = { path ? path : CKPT_HELPER, role, "3", NULL };

    return spawn_daemon(c, argv, fds, nr_fds, START_TIMEOUT_MS);
}
