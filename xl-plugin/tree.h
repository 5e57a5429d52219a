/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_TREE_H
#define XL_TREE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ckpt.h"

/* Draws @list, oldest first, as a tree per domain; @is_utf8 chooses the
 * characters.  Returns 0 or -ENOMEM. */
int tree_print(FILE *f, const struct ckpt_info *list, size_t nr, bool is_utf8);
#endif
