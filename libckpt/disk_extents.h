/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_EXTENTS_H
#define CKPT_DISK_EXTENTS_H
/*
 * In which bytes two snapshots differ, from what storage says of where it
 * keeps them.  An extent may hold equal bytes; outside of all there are none
 * that differ.
 */
#include "disk.h"

/* Extents in ascending order, those that touch put together. */
struct disk_extents {
    struct disk_extent *list; /* owned */
    size_t nr, room;
};
/* -ENOMEM, or -EUCLEAN when @offset_bytes lies before the last one. */
int disk_extents_add(struct disk_extents *e, uint64_t offset_bytes,
                     uint64_t len_bytes);
/* The bytes that lie in @a or in @b, given to @fn in order. */
int disk_extents_either(const struct disk_extents *a,
                        const struct disk_extents *b, disk_extent_fn *fn,
                        void *arg);
void disk_extents_fini(struct disk_extents *e);

/* Two files whose filesystem tells which blocks they share (FIEMAP). */
int disk_extents_changed_files(struct ckpt *c, const char *from, const char *to,
                               disk_extent_fn *fn, void *arg);

#endif
