/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LARGE_H
#define CKPT_LARGE_H
/*
 * Memory for tables of a guest's pages: zeroed, in the processor's large pages
 * where there is enough of it, since they are looked at all over.  What is not
 * touched costs nothing, so a table can have the size it may need at most.
 */
#include <stddef.h>

/* NULL: no memory. */
void *large_alloc(size_t bytes);
/* @bytes as they were asked for.  NULL is nothing. */
void large_free(void *p, size_t bytes);

#endif
