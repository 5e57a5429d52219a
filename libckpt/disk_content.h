/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_CONTENT_H
#define CKPT_DISK_CONTENT_H
/*
 * A snapshot of a disk, open to be read as one raw disk: what the guest would
 * read at each offset, whatever the storage makes of it.
 */
#include "disk_extents.h"

struct rbd_talk;

struct disk_content {
    int fd; /* -1: there is no such, or it is elsewhere */
    uint64_t size_bytes;
    struct disk_extents data; /* what lies in none of them is zero */
    char *volume;             /* owned; lvmthin's own, or NULL */
    struct rbd_talk *talk;    /* owned; rbd's own, or NULL */
};

/* An image as QEMU opens it. */
#define DISK_SHOWN_MAX 400
struct disk_shown {
    const char *format; /* static; QEMU's word for it */
    char image[DISK_SHOWN_MAX];
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
int disk_content_read(struct ckpt *c, struct disk_content *content, void *out,
                      size_t len_bytes, uint64_t offset_bytes);
int disk_no_content(struct ckpt *c, const char *snapshot,
                    struct disk_content *out);
/* The same of being shown: a file that QEMU opens by its own name; one that it
 * cannot open; nothing to be taken away. */
int disk_show_file(struct ckpt *c, const char *snapshot, const char *format,
                   struct disk_shown *out);
int disk_no_show(struct ckpt *c, const char *snapshot, const char *tag,
                 struct disk_shown *out);
int disk_no_hide(struct ckpt *c, const char *snapshot, const char *tag);

#endif
