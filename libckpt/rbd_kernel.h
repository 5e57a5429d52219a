/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_RBD_KERNEL_H
#define CKPT_RBD_KERNEL_H
/*
 * Images that the kernel has mapped to block devices.  Which, it tells in
 * /sys/bus/rbd/devices ($CKPT_RBD_SYSFS); udev gives them their names
 * /dev/rbd/POOL/IMAGE ($CKPT_RBD_DEV instead of /dev/rbd, for tests).  The
 * program rbd maps and unmaps.
 */
#include "disk.h"
#include "rbd_name.h"

struct rbd_kernel {
    char id[RBD_TEXT_MAX]; /* of the image */
    char fsid[64];
};

/* -ENOTSUP with words: @target is none.  -EINVAL: it is one, but no name
 * that could lead to another device after a rollback. */
int rbd_kernel_find(struct ckpt *c, const char *target, struct rbd_name *n_out,
                    struct rbd_kernel *out);
/* Maps @n and waits for its name in /dev, which is @target_out. */
int rbd_kernel_map(struct ckpt *c, const struct rbd_name *n, const char *id,
                   char target_out[RBD_TEXT_MAX]);
/* Every device of the image @id; 0 also when there is none. */
int rbd_kernel_unmap(struct ckpt *c, const char *id);

#endif
