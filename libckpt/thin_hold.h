/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_THIN_HOLD_H
#define CKPT_THIN_HOLD_H
/*
 * A thin volume held back (dm_hold.h) while its pool makes a snapshot of it:
 * the part of the beats that LVM's volumes and device-mapper's share.
 */
#include "dm_hold.h"
#include "thin.h"

struct thin_hold {
    struct thin thin;  /* filled by the driver */
    struct dm_hold dm; /* its fd by the driver, too */
};

/* As dm_hold's. */
void thin_hold_init(struct thin_hold *h);
void thin_hold_close(struct thin_hold *h);
/* The pool has room for a snapshot; what the cut needs is there. */
int thin_hold_arm(struct disk *d, struct thin_hold *h);
int thin_hold_begin(struct disk *d, struct thin_hold *h, int lock_fd);
/* Nothing was written since; then the pool's messages @messages (ended by
 * NULL), of which the last makes the snapshot, and I/O flows again. */
int thin_hold_end(struct disk *d, struct thin_hold *h,
                  const char *const *messages);

#endif
