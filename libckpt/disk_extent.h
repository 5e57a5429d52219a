/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_EXTENT_H
#define CKPT_DISK_EXTENT_H
#include <stdint.h>

/* A run of bytes of a disk: that two snapshots of it may differ in, or that
 * may be other than zero. */
struct disk_extent {
    uint64_t offset_bytes;
    uint64_t len_bytes;
};
/* Not 0: stop, and return it. */
typedef int disk_extent_fn(void *arg, const struct disk_extent *e);

#endif
