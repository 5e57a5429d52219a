/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_MOUNT_H
#define CKPT_MOUNT_H
/* For who removes a checkpoint, or what is left of others. */
#include "ckpt.h"

/* -EBUSY with words while one of its disks is mounted.  What is left of a
 * mount that ended without us is taken away. The domain is locked. */
int mount_check_none(struct ckpt *c, const struct ckpt_info *info);
/* Takes away what is left of mounts that ended without us: a reboot, umount, a
 * death in between.  One that cannot be is told with a warning. */
int mount_collect(struct ckpt *c);

#endif
