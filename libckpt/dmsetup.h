/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DMSETUP_H
#define CKPT_DMSETUP_H
/*
 * Devices of device-mapper made, renamed and removed by dmsetup, which waits
 * until udev has its links in /dev/mapper right.  Not for a pause.
 */
#include <stdbool.h>

struct ckpt;
struct dm_target;

int dmsetup_create(struct ckpt *c, const char *name, const struct dm_target *t,
                   bool is_read_only);
int dmsetup_rename(struct ckpt *c, const char *from, const char *to);
/* Waits a few seconds for whoever has it open for a moment. */
int dmsetup_remove(struct ckpt *c, const char *name);
/* Now, or when nobody has it open any more. */
int dmsetup_remove_closed(struct ckpt *c, const char *name);

#endif
