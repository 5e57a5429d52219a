/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PACK_H
#define CKPT_PACK_H
/*
 * HOT PATH: looks at a page (is it zero? its checksum) and packs pages into a
 * file of numbered 4096-byte slots, in writes as large as the batch allows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "page.h"

/* XXH3 is faster on SIMD hardware and 20 times slower in an emulator. */
#define PACK_SUM XXH64

uint64_t pack_sum(const void *data, size_t len_bytes, uint64_t seed);
bool pack_is_zero(const void *page);

/* The most that is gathered before it is written: a megabyte, so that what the
 * checksum has just read is still in the cache when the kernel copies it. */
#define PACK_RUN_PAGES 256u

/* Pages bound for adjacent slots. */
struct pack_run {
    uint64_t slot; /* of the first */
    unsigned nr_pages;
    unsigned nr_iov;
    struct iovec iov[PACK_RUN_PAGES];
};

struct pack {
    int fd;                /* borrowed */
    uint64_t next_slot;    /* one past the last in use */
    uint64_t started_slot; /* up to here the kernel was told to write back */
    struct pack_run fresh;
    struct pack_run again;
};

void pack_init(struct pack *p, int fd);
/* @page, 4096 bytes borrowed until pack_flush(), goes to a new slot. */
int pack_add(struct pack *p, const void *page, uint64_t *slot_out);
/* The same for a slot given out before. */
int pack_replace(struct pack *p, const void *page, uint64_t slot);
/* Everything added is in the file (in the kernel's hands, not on disk). */
int pack_flush(struct pack *p);

#endif
