/* SPDX-License-Identifier: LGPL-2.1-only */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "xen_private.h"

/* The toolstack's folder; $CKPT_LOCK_DIR instead, for tests. */
#define LOCK_DIR "/var/run/xen"

int xen_lock_open(const char *name)
{
    const char *dir = secure_getenv("CKPT_LOCK_DIR");
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir ? dir : LOCK_DIR, name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}
