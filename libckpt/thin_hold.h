/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_THIN_HOLD_H
#define CKPT_THIN_HOLD_H
/*
 * A thin volume whose I/O is held back while a snapshot of it is made: the
 * part of the beats that LVM's volumes and device-mapper's share.  No program
 * runs, and nothing is allocated, from thin_hold_begin() on.
 */
#include <stdint.h>

#include "disk.h"
#include "thin.h"

/* The cut waits this long for another's suspension, or for a lock. */
#define THIN_FOREIGN_WAIT_US 500000u

struct thin_hold {
    struct thin thin; /* filled by the driver */
    int dm_fd;        /* the driver's own, or -1 */
    int stat_fd;
    uint64_t writes;        /* of the volume, at the cut */
    struct disk_deed *deed; /* room for the suspension */
};

/* Sets descriptors to none. */
void thin_hold_init(struct thin_hold *h);
/* Gives back descriptors, dm_fd too, and room.  Harmless twice. */
void thin_hold_close(struct thin_hold *h);
/* The pool has room for a snapshot; what the cut needs is there. */
int thin_hold_arm(struct disk *d, struct thin_hold *h);
/* What is under way is finished, the rest is held back. @lock_fd (or -1) is
 * the suspension's from here on, also on failure. */
int thin_hold_begin(struct disk *d, struct thin_hold *h, int lock_fd);
/* Nothing was written since; then the pool's messages @messages (ended by
 * NULL), of which the last makes the snapshot, and I/O flows again. */
int thin_hold_end(struct disk *d, struct thin_hold *h,
                  const char *const *messages);

#endif
