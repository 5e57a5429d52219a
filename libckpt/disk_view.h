/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_VIEW_H
#define CKPT_DISK_VIEW_H
/*
 * A snapshot of a disk as a block device of this host, to be read only.
 */
struct ckpt;

#define DISK_VIEW_MAX 320 /* a device's path */

/* @tag: letters, digits and '-', for a name where one is needed.  -ENOTSUP:
 * that driver's snapshots cannot be shown. */
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
