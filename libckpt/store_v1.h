/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_V1_H
#define CKPT_STORE_V1_H
/*
 * A checkpoint of format 1, a folder of files, as docs/specs/store-1.md draws
 * them.  They are read, and never written.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ckpt.h"
#include "page.h"
#include "store_driver.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

#define V1_FORMAT_TEXT "xen-ckpt store 1\n"
#define V1_FORMAT_VERSION 1u
#define V1_PAGES_MAGIC "XCKPTPAG"
#define V1_INDEX_MAGIC "XCKPTIDX"
#define V1_BLOB_MAGIC "XCKPTBLB"

/* No guest frame lies higher: 48 bits of address. */
#define V1_GFN_MAX ((UINT64_C(1) << 36) - 1)

/* At the beginning of every binary file. */
struct v1_head {
    char magic[8];
    uint32_t version;
    uint32_t pad;
    uint32_t mandatory; /* a bit the reader does not know: it must refuse */
    uint32_t optional;  /* a bit the reader does not know: it may ignore */
    char id[CKPT_ID_LEN];
    uint64_t count; /* index: entries; blob: bytes */
    uint64_t extra; /* index: pages in `pages`; blob: checksum of its data */
    uint64_t sum;   /* of the 56 bytes above */
};
_Static_assert(sizeof(struct v1_head) == 64, "v1_head");

struct v1_blob_row {
    char name[STORE_BLOB_NAME_MAX]; /* padded with zeros */
    uint64_t len_bytes;
    uint64_t sum;
};

/* The first page of `index`. */
struct v1_index_head {
    struct v1_head head;
    uint32_t nr_blobs;
    uint32_t pad;
    struct v1_blob_row blobs[STORE_BLOBS_MAX];
    uint8_t zero[944];
    uint64_t sum; /* of the 4088 bytes above */
};
_Static_assert(sizeof(struct v1_index_head) == 4096, "v1_index_head");

/* One guest frame.  home: type in bits 63-60, V1_HOME_ZERO, and in bits
 * 39-0 the page's number in `pages` (its offset / 4096, so never 0). */
struct v1_entry {
    uint64_t gfn;
    uint64_t home;
    uint64_t sum; /* of the page; 0 when it is not in `pages` */
};
#define V1_HOME_TYPE_SHIFT 60
#define V1_HOME_ZERO (UINT64_C(1) << 59) /* nothing is stored */
#define V1_HOME_PAGE_MASK ((UINT64_C(1) << 40) - 1)
#define V1_HOME_KNOWN                                                       \
    ((UINT64_C(0xf) << V1_HOME_TYPE_SHIFT) | V1_HOME_ZERO |              \
     V1_HOME_PAGE_MASK)

/* The other pages of `index`: all but the last are full. */
#define V1_BLOCK_ENTRIES 170u
struct v1_index_block {
    struct v1_entry entries[V1_BLOCK_ENTRIES];
    uint32_t nr;
    uint32_t pad;
    uint64_t sum; /* of the 4088 bytes above, with the block's number as seed */
};
_Static_assert(sizeof(struct v1_index_block) == 4096, "v1_index_block");

static inline uint8_t v1_home_type(uint64_t home)
{
    return (uint8_t)(home >> V1_HOME_TYPE_SHIFT);
}

static inline uint64_t v1_home_page(uint64_t home)
{
    return home & V1_HOME_PAGE_MASK;
}

#define V1_PAGES "pages"
#define V1_INDEX "index"
#define V1_BLOB "blob."
#define V1_MANIFEST "manifest.json"

/* --- store_v1.c ------------------------------------------------------ */

void v1_head_fill(struct v1_head *h, const char *magic, const char *id,
                     uint64_t count, uint64_t extra);
/* NULL when it is sound, else what is wrong with it; static. */
const char *v1_head_check(const struct v1_head *h, const char *magic,
                             const char *id);

/* The first page of `pages`: its head, and zeros. */
const char *v1_pages_head_check(const void *page, const char *id);
/* NULL when sound.  @file_bytes is what fstat() says of the file. */
const char *v1_index_head_check(const struct v1_index_head *h,
                                   const char *id, uint64_t file_bytes);
uint64_t v1_index_nr_blocks(const struct v1_index_head *h);
/* NULL when the @n-th block, of an index with head @h, is sound. */
const char *v1_index_block_check(const struct v1_index_head *h,
                                    const struct v1_index_block *b,
                                    uint64_t n);
void v1_index_head_seal(struct v1_index_head *h);
void v1_index_block_seal(struct v1_index_block *b, uint64_t n);

#endif
