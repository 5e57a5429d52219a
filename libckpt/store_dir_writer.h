/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_DIR_WRITER_H
#define CKPT_STORE_DIR_WRITER_H
/* One checkpoint being written: store_dir_write.c takes its pages,
 * store_dir_commit.c writes the rest and publishes it. */
#include "equals.h"
#include "gfn_table.h"
#include "look.h"
#include "pack.h"
#include "packs.h"
#include "places.h"
#include "store_dir.h"

struct dir_writer {
    struct image base;
    struct dir_store *st;        /* borrowed */
    char temp[DIR_NAME_LEN + 1]; /* the name in tmp/; "" once published */
    int fd;                      /* the pack; locked */
    int direct_fd;               /* the same past the page cache, or -1 */
    int use_fd;                  /* holds the lock on what we may refer to */
    int base_fd;                 /* the checkpoint begun with, pinned, or -1 */
    bool is_punched;             /* unused places were given back */
    uint64_t reserved_bytes;
    struct pack_head head;
    struct looks looks;
    struct pack pack;
    struct places places;
    struct gfn_table table;
    struct packs packs;   /* the others */
    struct equals equals; /* pages in them */
    void *blob[STORE_BLOBS_MAX]; /* owned */
    char page[PAGE_SIZE_BYTES];  /* to compare with */
};

static inline struct dir_writer *dir_writer_of(struct image *img)
{
    return (struct dir_writer *)img;
}

int dir_commit(struct image *img, const char *manifest);

#endif
