/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_QCOW2_H
#define CKPT_DISK_QCOW2_H
/* The parts of the qcow2 driver: disk_qcow2.c makes and uses snapshots,
 * disk_qcow2_remove.c takes them out of the middle of chains,
 * disk_qcow2_changed.c says what changed between two, disk_qcow2_content.c
 * reads and fills them. */
#include <stddef.h>

#include "disk.h"

int qcow2_remove(struct ckpt *c, const char *snapshot);
int qcow2_changed(struct ckpt *c, const char *from, const char *to,
                  disk_extent_fn *fn, void *arg);

int qcow2_open(struct ckpt *c, const char *snapshot, struct disk_content *out);
int qcow2_show(struct ckpt *c, const char *snapshot, const char *tag,
               struct disk_shown *out);
/* A raw file without a name, all holes, in the folder of @beside. */
int qcow2_nameless(struct ckpt *c, const char *beside, uint64_t size_bytes,
                   int *fd_out);
/* Fills @path, which is there and empty, with what the raw file @fd has. */
int qcow2_from_raw(struct ckpt *c, int fd, const char *path);

struct disk_extents;
/* The report of `qemu-img map --output=json`: adds the runs that are found
 * less than @depth_below files deep. */
int qcow2_read_map(struct ckpt *c, const char *text, size_t depth_below,
                   struct disk_extents *out);

#endif
