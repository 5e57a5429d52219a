/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_VIEW_H
#define CKPT_DISK_VIEW_H
/*
 * A snapshot of a disk as a block device of this host.  It can be written to,
 * and nothing of that reaches the snapshot or is there any more when the view
 * is closed: a filesystem may bring itself into order before it is read.
 */
struct ckpt;

#define DISK_VIEW_MAX 64 /* a device's path */

/* @tag names the view: letters, digits and '-'.  -ENOTSUP: that driver's
 * snapshots cannot be shown.  What a failure leaves, disk_view_close() takes
 * away. */
int disk_view_open(struct ckpt *c, const char *driver, const char *snapshot,
                   const char *tag, char device_out[DISK_VIEW_MAX]);
/* 0 also when it is not shown, or not any more. */
int disk_view_close(struct ckpt *c, const char *driver, const char *snapshot,
                    const char *tag);
/* Partition @number of @device, as a device of its own until the view is
 * closed. */
int disk_view_partition(struct ckpt *c, const char *device, unsigned number,
                        char device_out[DISK_VIEW_MAX]);

#endif
