/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef GUEST_IMAGE_H
#define GUEST_IMAGE_H
/*
 * Memory as a guest's is: half of it zero, in runs; the rest text, records
 * with pointers, noise (what is compressed or encrypted), and a twentieth
 * copies of other pages.  The same bytes for the same seed.
 */
#include <stddef.h>
#include <stdint.h>

/* @nr_pages pages of 4096 bytes at @to. */
void guest_image_fill(void *to, uint64_t nr_pages, uint64_t seed);
/* One page of that sort, never zero and no copy. */
void guest_page_fill(void *to, uint64_t seed);

#endif
