/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_THIN_H
#define CKPT_THIN_H
/*
 * Thin volumes and their pools as device-mapper shows them: quick looks, no
 * program is run.
 */
#include <stdint.h>

#include "dm.h"
#include "lvm.h"

struct ckpt;

struct thin {
    char vg[DM_NAME_MAX];
    char lv[DM_NAME_MAX];
    struct dm_device device;
    dev_t pool;
    uint32_t id; /* in the pool */
    uint64_t size_bytes;
};

/* What a configuration's @target is.  -ENOTSUP: no thin volume of LVM, or by
 * a name that does not follow a renaming; the words say what instead. */
int thin_look(struct ckpt *c, int dm_fd, const char *target, struct thin *out);

/* -ENOSPC when data or metadata of the pool are @limit_percent full or more;
 * -EIO when it cannot be written to. */
int thin_check_pool(struct ckpt *c, int dm_fd, dev_t pool,
                    double limit_percent);

/* Requests that changed the volume since it is active: writes and discards.
 * The descriptor is for thin_writes() and closed with close(2). */
int thin_open_stat(struct ckpt *c, const struct thin *t, int *fd_out);
int thin_writes(struct ckpt *c, const struct thin *t, int stat_fd,
                uint64_t *nr_out);

#endif
