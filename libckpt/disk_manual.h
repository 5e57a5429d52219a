/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_MANUAL_H
#define CKPT_DISK_MANUAL_H
#include <stddef.h>

#define MANUAL_NAME_MAX 64 /* of a hook */

/* The value of the first line "KEY=VALUE" of what a hook printed.  -ENOENT:
 * there is none; -ENAMETOOLONG; -EINVAL: spaces or control characters. */
int manual_answer(const char *text, const char *key, char *out,
                  size_t room_bytes);

#endif
