/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_NAME_H
#define CKPT_DISK_NAME_H
#include <stdbool.h>
#include <stddef.h>

#define DISK_NAME_FORK "fork-"

/* "fork-NAME-VDEV" of letters, digits and "+_.-" only, at most 63 of NAME; a
 * name that had to be changed gets a number, so that two stay two.  Cut off
 * at @room_bytes. */
void disk_name_fork(const char *domain, const char *vdev, char *out,
                    size_t room_bytes);
/* Letters and digits only: fit for any name. */
bool disk_name_is_plain(const char *s);

#endif
