/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DM_HOLD_H
#define CKPT_DM_HOLD_H
/*
 * A device of device-mapper whose I/O is held back while a snapshot of it is
 * made.  No program runs, and nothing is allocated, from dm_hold_begin() on.
 */
#include <stdint.h>

#include "disk.h"
#include "dm.h"

/* The cut waits this long for another's suspension, or for a lock. */
#define DM_HOLD_FOREIGN_WAIT_US 500000u

struct dm_hold {
    struct dm_device device; /* filled by the driver */
    int fd;                  /* for device-mapper; the driver's own, or -1 */
    int stat_fd;
    uint64_t writes;        /* of the device, when it was suspended */
    struct disk_deed *deed; /* room for the suspension */
};

/* Sets descriptors to none. */
void dm_hold_init(struct dm_hold *h);
/* Gives back descriptors, fd too, and room.  Harmless twice. */
void dm_hold_close(struct dm_hold *h);
/* What the others need is there. */
int dm_hold_arm(struct disk *d, struct dm_hold *h);
/* What is under way is finished, the rest is held back. @lock_fd (or -1) is
 * the suspension's from here on, also on failure. */
int dm_hold_begin(struct disk *d, struct dm_hold *h, int lock_fd);
/* It is still held, and nothing was written since. */
int dm_hold_check(struct disk *d, const struct dm_hold *h);
/* I/O flows again. */
int dm_hold_end(struct disk *d, struct dm_hold *h);

#endif
