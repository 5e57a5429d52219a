/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PAGE_H
#define CKPT_PAGE_H
/*
 * A batch of guest pages on their way between a memory driver, the store and
 * a stream.  Batches are the unit of every call on the hot path: nothing is
 * called per page.
 */
#include <stdint.h>

#define PAGE_SIZE_BYTES 4096u
#define PAGE_SHIFT_BITS 12
#define PAGE_BATCH 1024u /* 4 MiB; also libxc's MAX_BATCH_SIZE */

/*
 * What a frame is, as the top four bits of a libxc page type
 * (xen/include/public/domctl.h, XEN_DOMCTL_PFINFO_*): 0 is ordinary memory,
 * 1-4 a PV page table of that level, with bit 3 set when pinned.
 */
#define PAGE_TYPE_NORMAL 0x0u
#define PAGE_TYPE_BROKEN 0xdu
#define PAGE_TYPE_ALLOC 0xeu  /* memory, content does not matter */
#define PAGE_TYPE_ABSENT 0xfu /* no memory at this frame */

struct page_batch {
    unsigned nr; /* <= PAGE_BATCH */
    uint64_t gfn[PAGE_BATCH];
    uint8_t type[PAGE_BATCH];     /* PAGE_TYPE_* */
    const void *data[PAGE_BATCH]; /* 4096 bytes, borrowed; NULL: all zero */
};

/* A frame of this type has content worth keeping. */
static inline int page_type_has_data(uint8_t type)
{
    return type < PAGE_TYPE_BROKEN;
}

#endif
