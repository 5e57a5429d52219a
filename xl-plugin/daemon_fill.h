/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_DAEMON_FILL_H
#define XL_DAEMON_FILL_H
/* The records of ckpt.h, out of the JSON that json_ckpt.c makes of them. */
#include <yajl/yajl_tree.h>

#include "ckpt.h"

/* The member, or NULL. */
yajl_val fill_member(yajl_val object, const char *key);
/* "" when there is no such text. */
const char *fill_text(yajl_val object, const char *key);
uint64_t fill_number(yajl_val object, const char *key);

/* 0, -EPROTO when something is missing, -ENOMEM; to be released in each case
 * as if ckpt_take() and its kin had filled them. */
int fill_info(yajl_val object, struct ckpt_info *info_out);
int fill_domain(yajl_val object, struct ckpt_domain *d_out);

#endif
