/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_READ_H
#define CKPT_ARCHIVE_READ_H
/* The parts of an import: archive_read.c has its steps and reads what becomes
 * the image; archive_read_disk.c what becomes disks. */
#include <stdbool.h>

#include "archive_config.h"
#include "archive_pipe.h"
#include "archive_place.h"
#include "guard.h"
#include "page.h"
#include "store_driver.h"
#include "store_ref.h"

#define DISKS_MAX 256u /* as a manifest has */
#define ARCHIVE_MAGIC_BYTES 8u

struct import_archive {
    struct ckpt *c;
    int fd;
    const struct ckpt_import_opts *opts;
    uint8_t head[ARCHIVE_MAGIC_BYTES]; /* what was read of it before */
    struct archive_in *in;
    struct archive_begin begin;
    struct ckpt_info info;
    struct store_lock *lock; /* with disks, of the domain; */
    struct guard *g;         /* and who takes them back if we die */
    struct image *img;
    struct place *places; /* owned; of the disks that had a snapshot */
    size_t nr_places;
    struct place *disk;            /* that began last, or NULL */
    uint64_t disk_left, disk_next; /* data to come at most; and from where */
    uint64_t disk_size;
    uint64_t nr_records, nr_stored, nr_zero, next_gfn;
    uint32_t nr_blobs, nr_disks;
    bool has_config, has_machine;
    struct page_batch batch;
    uint8_t data[ARCHIVE_DATA_MAX];
};
_Static_assert(ARCHIVE_DATA_MAX == ARCHIVE_PAGES_MAX * PAGE_SIZE_BYTES, "room");

/* @magic: the ARCHIVE_MAGIC_BYTES that were read already. */
int import_archive(struct ckpt *c, int fd, const void *magic,
                   const struct ckpt_import_opts *opts,
                   struct ckpt_info *info_out);

/* --- archive_read_disk.c --------------------------------------------------- */

/* A step: a place for each disk with content, and no other. */
int import_archive_places(void *a);
int import_archive_disk(struct import_archive *a, uint32_t len);
int import_archive_data(struct import_archive *a, uint32_t len);
/* A step: all of them snapshotted. */
int import_archive_finish_disks(void *a);
void import_archive_undo_disks(void *a);
void import_archive_keep_disks(struct import_archive *a);
/* Into a->info. */
int import_archive_describe(struct import_archive *a);

#endif
