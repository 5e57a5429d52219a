/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_BEATS_H
#define CKPT_DISK_BEATS_H
/* The beats over all disks of a guest (disk.c). */
#include "disk.h"

/* All disks of a guest; those with why_none are passed over.  A failure has
 * the disk's name in its words.  When cut fails, I/O flows on all of them. */
int disks_arm(struct disk *disks, size_t nr, const char *id);
/* Between arm and cut.  When one fails, none is locked. */
int disks_lock(struct disk *disks, size_t nr);
void disks_unlock(struct disk *disks, size_t nr);
int disks_cut(struct disk *disks, size_t nr);
int disks_drain(struct disk *disks, size_t nr);
/* I/O flows first, on all of them; then the rest is taken back. */
void disks_undo(struct disk *disks, size_t nr);
void disks_keep(struct disk *disks, size_t nr);

#endif
