/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_CONTENT_H
#define CKPT_DISK_CONTENT_H
/*
 * A snapshot of a disk, open to be read as one raw disk: what the guest would
 * read at each offset, whatever the storage makes of it.
 */
#include "disk_extents.h"

struct disk_content {
    int fd;
    uint64_t size_bytes;
    struct disk_extents data; /* what lies in none of them is zero */
    char *volume;             /* owned; the driver's own, or NULL */
};

/* Of @fd, which becomes content's: a file, whose holes are known, or a device.
 * On failure it is closed. */
int disk_content_of_file(struct ckpt *c, int fd, const char *path,
                         struct disk_content *out);
/* All of it, where nobody knows what was never written. */
int disk_content_whole(struct ckpt *c, struct disk_content *out);
/* How many bytes lie in the extents. */
uint64_t disk_content_bytes(const struct disk_content *content);
/* For the drivers' tables: nothing but what the structure has is to be given
 * back; and for those that cannot. */
void disk_content_close(struct ckpt *c, struct disk_content *content);
int disk_no_content(struct ckpt *c, const char *snapshot,
                    struct disk_content *out);

#endif
