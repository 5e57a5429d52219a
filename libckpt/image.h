/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_IMAGE_H
#define CKPT_IMAGE_H
/*
 * One checkpoint in a store: its pages (by guest frame), some named blobs
 * (machine state, configuration) and its manifest.  An image is written in
 * private and exists for readers from image_commit() on: whole, or not at all.
 */
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct image;
struct store;

/* --- writing ------------------------------------------------------------- */

/* A new image under @id, private until committed. */
int image_create(struct store *st, const char *id, struct image **img_out);
/*
 * Begins with what checkpoint @id holds, before anything is put: frames that
 * are not put are as they are there.  After a failure (-ENOTSUP: its format
 * cannot be built upon; -EUCLEAN, -ENOENT) the image is empty as before.
 */
int image_base(struct image *img, const char *id);
/* Takes @bytes of room, or -ENOSPC; what is not needed is given back. */
int image_reserve(struct image *img, uint64_t bytes);
/*
 * Stores a batch.  A frame put again replaces what was there; PAGE_TYPE_ABSENT
 * forgets it.  NULL data, and pages found to be all zero, cost nothing.  A
 * page may change while it is put only if it is put again later.  After a
 * failure the image can only be aborted.
 */
int image_put(struct image *img, const struct page_batch *b);
/* Stores @data under @name ([a-z.-]+, at most 32 characters), once; at most
 * STORE_BLOBS_MAX to an image. */
#define STORE_BLOBS_MAX 64u
int image_put_blob(struct image *img, const char *name, const void *data,
                   size_t len_bytes);
/* Counts so far, the bytes of pages and blobs; any pointer may be NULL. */
void image_stats(const struct image *img, uint64_t *pages_stored_out,
                 uint64_t *pages_zero_out, uint64_t *stored_bytes_out);
/* Makes all written so far durable: the slow part of a commit, done early. */
int image_sync(struct image *img);
/* Publishes with @manifest (JSON).  The image is closed, also on failure. */
int image_commit(struct image *img, const char *manifest);
/* The file that exists from the commit on, for the guard. */
int image_commit_path(struct image *img, char *path, size_t path_bytes);
/* Throws an uncommitted image away.  NULL is fine. */
void image_abort(struct image *img);

/* --- reading ------------------------------------------------------------- */

int image_open(struct store *st, const char *id, struct image **img_out);
void image_close(struct image *img); /* NULL is fine */
/* The manifest's text; borrowed until close. */
const char *image_manifest(const struct image *img);
/* 4096 bytes into @page; -ENOENT: no memory there; -EUCLEAN: damaged. */
int image_get(struct image *img, uint64_t gfn, void *page, uint8_t *type_out);
/* @*gfn becomes the first frame from there on that is there, or nr_gfns. */
int image_seek(struct image *img, uint64_t *gfn);
/* Where a frame's content can be mapped from: PAGE_SIZE_BYTES at @offset of
 * @fd, which is borrowed until the next call on @img; -1 is a zero page.  It is
 * not compared with its checksum.  -ENOTSUP: it cannot be mapped. */
struct image_home {
    int fd;
    uint8_t type;
    uint64_t offset;
};
int image_home(struct image *img, uint64_t gfn, struct image_home *home_out);
/*
 * The next frames in rising order from @*cursor (start with 0, advanced past
 * the last one); b->nr is 0 at the end.  Data is verified, borrowed until the
 * next call on @img.  Absent frames are not returned; zero pages have NULL.
 * What lies before a damaged page is returned first.  Then comes -EUCLEAN,
 * with @*cursor past the damage so that a checker can go on, b->nr the number
 * of frames it hit and b->gfn[0] the first of them.
 */
int image_next(struct image *img, uint64_t *cursor, struct page_batch *b);
/* One more than the highest frame. */
uint64_t image_nr_gfns(const struct image *img);
/* *data_out is owned by the caller (free); -ENOENT when there is none. */
int image_blob(struct image *img, const char *name, void **data_out,
               size_t *len_bytes_out);
/* The name of the @n-th blob, borrowed until close; NULL past the last. */
const char *image_blob_name(const struct image *img, unsigned n);

#endif
