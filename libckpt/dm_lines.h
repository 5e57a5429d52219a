/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DM_LINES_H
#define CKPT_DM_LINES_H
/*
 * The whole table of a device, whatever its lines are, to be given to another
 * one.  A cipher's key may be in it: it is never written anywhere, and wiped.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct dm_lines;

/* *out is owned. -ENOTSUP: longer than what we hold; -ENODATA: it has none. */
int dm_lines_read(int fd, dev_t dev, struct dm_lines **out);
void dm_lines_free(struct dm_lines *l); /* NULL is fine */
uint64_t dm_lines_size(const struct dm_lines *l);
/* NULL: each line's type is among @types (ended by NULL); else the first that
 * is not, borrowed. */
const char *dm_lines_other_type(const struct dm_lines *l,
                                const char *const *types);
bool dm_lines_are_equal(const struct dm_lines *a, const struct dm_lines *b);
/* As dm_load(). */
int dm_lines_load(int fd, dev_t dev, const struct dm_lines *l);

#endif
