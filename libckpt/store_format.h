/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_FORMAT_H
#define CKPT_STORE_FORMAT_H
/*
 * The bytes of a checkpoint in a directory store, as docs/specs/store.md
 * draws them.  Everything is little-endian, as is every machine Xen runs on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ckpt.h"
#include "page.h"
#include "store_driver.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

#define STORE_FORMAT_TEXT "xen-ckpt store 1\n"
#define STORE_FORMAT_VERSION 1u
#define STORE_PAGES_MAGIC "XCKPTPAG"
#define STORE_INDEX_MAGIC "XCKPTIDX"
#define STORE_BLOB_MAGIC "XCKPTBLB"

/* No guest frame lies higher: 48 bits of address. */
#define STORE_GFN_MAX ((UINT64_C(1) << 36) - 1)

/* At the beginning of every binary file. */
struct store_head {
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
_Static_assert(sizeof(struct store_head) == 64, "store_head");

struct store_blob_row {
    char name[STORE_BLOB_NAME_MAX]; /* padded with zeros */
    uint64_t len_bytes;
    uint64_t sum;
};

/* The first page of `index`. */
struct store_index_head {
    struct store_head head;
    uint32_t nr_blobs;
    uint32_t pad;
    struct store_blob_row blobs[STORE_BLOBS_MAX];
    uint8_t zero[944];
    uint64_t sum; /* of the 4088 bytes above */
};
_Static_assert(sizeof(struct store_index_head) == 4096, "store_index_head");

/* One guest frame.  home: type in bits 63-60, STORE_HOME_ZERO, and in bits
 * 39-0 the page's number in `pages` (its offset / 4096, so never 0). */
struct store_entry {
    uint64_t gfn;
    uint64_t home;
    uint64_t sum; /* of the page; 0 when it is not in `pages` */
};
#define STORE_HOME_TYPE_SHIFT 60
#define STORE_HOME_ZERO (UINT64_C(1) << 59) /* nothing is stored */
#define STORE_HOME_PAGE_MASK ((UINT64_C(1) << 40) - 1)
#define STORE_HOME_KNOWN                                                       \
    ((UINT64_C(0xf) << STORE_HOME_TYPE_SHIFT) | STORE_HOME_ZERO |              \
     STORE_HOME_PAGE_MASK)

/* The other pages of `index`: all but the last are full. */
#define STORE_BLOCK_ENTRIES 170u
struct store_index_block {
    struct store_entry entries[STORE_BLOCK_ENTRIES];
    uint32_t nr;
    uint32_t pad;
    uint64_t sum; /* of the 4088 bytes above, with the block's number as seed */
};
_Static_assert(sizeof(struct store_index_block) == 4096, "store_index_block");

static inline uint8_t store_home_type(uint64_t home)
{
    return (uint8_t)(home >> STORE_HOME_TYPE_SHIFT);
}

static inline uint64_t store_home_page(uint64_t home)
{
    return home & STORE_HOME_PAGE_MASK;
}

/* --- store_format.c ------------------------------------------------------ */

void store_head_fill(struct store_head *h, const char *magic, const char *id,
                     uint64_t count, uint64_t extra);
/* NULL when it is sound, else what is wrong with it; static. */
const char *store_head_check(const struct store_head *h, const char *magic,
                             const char *id);

/* The first page of `pages`: its head, and zeros. */
const char *store_pages_head_check(const void *page, const char *id);
/* NULL when sound.  @file_bytes is what fstat() says of the file. */
const char *store_index_head_check(const struct store_index_head *h,
                                   const char *id, uint64_t file_bytes);
uint64_t store_index_nr_blocks(const struct store_index_head *h);
/* NULL when the @n-th block, of an index with head @h, is sound. */
const char *store_index_block_check(const struct store_index_head *h,
                                    const struct store_index_block *b,
                                    uint64_t n);
void store_index_head_seal(struct store_index_head *h);
void store_index_block_seal(struct store_index_block *b, uint64_t n);

/* A text with its checksum around it, owned by the caller; NULL: no memory. */
char *store_text_wrap(enum store_text what, const char *text);
/* Cuts the wrapping off in place.  NULL when sound, else what is wrong. */
const char *store_text_unwrap(enum store_text what, char *text,
                              size_t len_bytes);

#endif
