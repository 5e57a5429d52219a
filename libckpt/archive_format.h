/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_FORMAT_H
#define CKPT_ARCHIVE_FORMAT_H
/*
 * The bytes of an archive, as docs/specs/archive.md draws them: a head, then
 * chunks, which carry a stream of records.  Everything is little-endian.
 */
#include <stdint.h>

#include "ckpt.h"
#include "page.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

/* --- the outside --------------------------------------------------------- */

#define ARCHIVE_MAGIC "XCKPTARC"
#define ARCHIVE_VERSION 1u
#define ARCHIVE_ENCRYPTED (1u << 0)
#define ARCHIVE_SIGNED (1u << 1)
#define ARCHIVE_MANDATORY_KNOWN (ARCHIVE_ENCRYPTED | ARCHIVE_SIGNED)

#define ARCHIVE_SLOTS_MAX 8u
#define ARCHIVE_SLOT_SHARED 1u /* nonce, XSalsa20-Poly1305 */
#define ARCHIVE_SLOT_SEALED 2u /* a sealed box to an X25519 key */
#define ARCHIVE_WRAPPED_BYTES 80u

struct archive_slot {
    uint32_t kind; /* 0: not used */
    uint32_t zero;
    uint8_t wrapped[ARCHIVE_WRAPPED_BYTES]; /* padded with zeros */
};

struct archive_head {
    char magic[8];
    uint32_t version;
    uint32_t nr_slots;
    uint32_t mandatory;
    uint32_t optional;
    uint8_t zero[8];
    uint8_t stream[24]; /* the head of the secretstream */
    uint8_t zero2[8];
    uint8_t signer[32]; /* Ed25519 public key */
    struct archive_slot slot[ARCHIVE_SLOTS_MAX];
    uint8_t zero3[224];
};
_Static_assert(sizeof(struct archive_head) == 1024, "archive_head");

#define ARCHIVE_CHUNK_MAX (1u << 20) /* octets of the stream in one */
#define ARCHIVE_CHUNK_LAST (1u << 0)
#define ARCHIVE_CHUNK_ZSTD (1u << 1)
/* Followed by `stored` octets, then a proof: 64 octets when it is signed, else
 * 32. */
struct archive_chunk {
    uint32_t stored;
    uint32_t raw; /* octets of the stream that it makes */
    uint32_t flags;
    uint32_t zero;
};

/* What a signature is of: these 24 octets and 32 of the chain. */
#define ARCHIVE_SIGNED_PREFIX "xen-ckpt archive chunk 1"

/* --- the stream of records ------------------------------------------------ */

/* Bit 31 of a type: a reader that does not know it passes over it. */
#define ARCHIVE_OPTIONAL (1u << 31)
enum archive_type {
    ARCHIVE_BEGIN = 1,    /* what there will be; the first */
    ARCHIVE_MANIFEST = 2, /* JSON */
    ARCHIVE_BLOB = 3,     /* a name, and its bytes */
    ARCHIVE_PAGES = 4,
    ARCHIVE_DISK = 5, /* a disk begins */
    ARCHIVE_DATA = 6, /* of the disk that began last */
    ARCHIVE_END = 7,  /* the last */
};

struct archive_record {
    uint32_t type;
    uint32_t len; /* of the body, that is padded to 8 with zeros */
};

struct archive_begin {
    uint64_t nr_stored; /* frames with content */
    uint64_t nr_zero;   /* frames without */
    uint32_t nr_blobs;
    uint32_t nr_disks;
};

#define ARCHIVE_BLOB_MAX (64u << 20)
struct archive_blob {
    char name[32]; /* padded with zeros */
};

#define ARCHIVE_PAGES_MAX 256u /* in one record */
/* nr frames, then the pages of those that are stored, in that order. */
struct archive_pages {
    uint32_t nr;
    uint32_t nr_stored;
};
#define ARCHIVE_FRAME_ZERO (UINT64_C(1) << 59)
#define ARCHIVE_FRAME_TYPE_SHIFT 60

struct archive_disk {
    char vdev[64]; /* padded with zeros */
    uint64_t size_bytes;
    uint64_t data_bytes; /* of all its records of data, at most */
};

#define ARCHIVE_DATA_MAX (1u << 20)
#define ARCHIVE_DATA_ALIGN 512u /* but for the end of the disk */
struct archive_data {
    uint64_t offset_bytes;
};

struct archive_end {
    uint64_t nr_records; /* before this one */
};

#endif
