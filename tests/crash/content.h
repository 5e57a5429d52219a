/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_CRASH_CONTENT_H
#define CKPT_CRASH_CONTENT_H
/*
 * What the checkpoints of the crash tests hold.
 */
#include "store.h"

#define NR_PAGES 400u
#define NR_AGAIN 40u /* the first few are put a second time, with others */

/* Once, before all else. */
void content_make(void);
/* The first @nr frames. */
int content_put(struct image *img, unsigned nr, int is_again);
/* What frame @gfn holds in the end. */
const void *content_page(unsigned gfn);

#endif
