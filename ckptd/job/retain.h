/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_RETAIN_H
#define CKPTD_RETAIN_H
/*
 * Which checkpoints a policy keeps.  Only those whose name begins with the
 * prefix are its to delete: what a person made stays.  The store itself is the
 * record, so nothing can come apart when a process dies.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"

struct retain {
    const char *prefix;      /* not "" */
    const char *domain_uuid; /* NULL: of every domain */
    uint32_t keep_count;     /* newest; 0: all */
    uint64_t keep_age_s;     /* 0: for ever */
    int64_t now_us;
};

/* "PREFIX" followed by a digit: what ckptd names them. */
bool retain_is_ours(const struct ckpt_info *info, const char *prefix);
/* Marks in is_old[@nr] what is to go.  @list is oldest first. */
size_t retain_choose(const struct retain *r, const struct ckpt_info *list,
                     size_t nr, bool *is_old);
/* Bytes of those with the prefix. */
uint64_t retain_bytes(const struct retain *r, const struct ckpt_info *list,
                      size_t nr);

#endif
