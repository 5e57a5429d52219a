/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_FORMAT_H
#define CKPT_STORE_FORMAT_H
/*
 * The bytes of a pack, as docs/specs/store.md draws them: pages, the nodes of
 * the radix tree that the pack added, checksums, blobs and a manifest.
 * Everything is little-endian, as is every machine Xen runs on.
 */
#include <stdbool.h>
#include <stdint.h>

#include "ckpt.h"
#include "store_driver.h"
#include "store_ref.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

#define STORE_FORMAT_TEXT "xen-ckpt store 2\n"
#define STORE_FORMAT_1_TEXT "xen-ckpt store 1\n"
#define PACK_VERSION 2u
#define PACK_MAGIC "XCKPTPAK"

/* Features.  A reader refuses a mandatory bit that it does not know. */
#define PACK_COMPRESSED (1u << 0) /* pages, group by group */
#define PACK_MANDATORY_KNOWN PACK_COMPRESSED
#define PACK_CODEC_ZSTD 1u

struct pack_blob {
    char name[STORE_BLOB_NAME_MAX]; /* padded with zeros */
    uint64_t offset;                /* in the file */
    uint64_t len_bytes;
    uint64_t sum;
};

/* The first 4096 bytes.  Page n of 1..nr_pages lies at 4096 * n; in a compressed
 * pack its group may, as one, at the place of the group's first page. */
struct pack_head {
    char magic[8];
    uint32_t version;
    uint32_t sum_kind; /* enum pack_sum_kind, of every checksum but ours */
    uint32_t mandatory;
    uint32_t optional;
    char id[CKPT_ID_LEN];
    uint32_t number;
    uint32_t height;      /* of the tree: 0 is no frame, 1 is a leaf */
    store_ref root;       /* a node, maybe in another pack; 0: none */
    uint64_t nr_gfns;     /* one more than the highest frame */
    uint64_t nr_stored;   /* frames of the tree with content */
    uint64_t nr_zero;     /* frames of the tree without */
    uint64_t nr_pages;    /* in this pack */
    uint64_t nr_nodes;    /* in this pack */
    uint64_t nodes_block; /* where their blocks begin, in 4096 bytes */
    uint64_t sums_block;  /* where the pages' checksums begin */
    uint64_t file_blocks; /* length of the file */
    uint64_t groups_block; /* of a compressed pack: where the lengths begin */
    uint32_t nr_blobs;
    uint32_t codec; /* of a compressed pack */
    struct pack_blob manifest; /* without a name */
    struct pack_blob blobs[STORE_BLOBS_MAX];
    uint8_t zero[312];
    uint64_t sum; /* XXH64 of the 4088 bytes above */
};
_Static_assert(sizeof(struct pack_head) == 4096, "pack_head");

/* 16 references: to pages in a leaf, else to nodes one level down. */
#define NODE_SHIFT 4
#define NODE_REFS (1u << NODE_SHIFT)
#define NODE_HEIGHT_MAX 9u /* 36 bits of gfn */
struct store_node {
    store_ref ref[NODE_REFS];
};

#define BLOCK_NODES 31u
struct node_block {
    uint64_t sum; /* of what follows, with the block's number as seed */
    uint32_t number;
    uint32_t nr;                /* nodes in it; all but the last are full */
    uint8_t level[BLOCK_NODES]; /* 1 is a leaf */
    uint8_t zero[81];
    struct store_node node[BLOCK_NODES];
};
_Static_assert(sizeof(struct node_block) == 4096, "node_block");

#define BLOCK_SUMS 510u
struct sums_block {
    uint64_t sum;    /* of what follows, with the block's number as seed */
    uint64_t number; /* of the pack */
    uint64_t page[BLOCK_SUMS];
};
_Static_assert(sizeof(struct sums_block) == 4096, "sums_block");

/* NULL when sound, else what is wrong; static.  @file_bytes: as fstat() says. */
const char *pack_head_check(const struct pack_head *h, uint64_t file_bytes);
void pack_head_seal(struct pack_head *h);
/* The @n-th block of the pack with head @h. */
const char *node_block_check(const struct pack_head *h,
                             const struct node_block *b, uint64_t n);
void node_block_seal(const struct pack_head *h, struct node_block *b,
                     uint64_t n);
const char *sums_block_check(const struct pack_head *h,
                             const struct sums_block *b, uint64_t n);
void sums_block_seal(const struct pack_head *h, struct sums_block *b,
                     uint64_t n);

#endif
