/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_H
#define CKPT_STORE_H
/*
 * Where checkpoints lie.  A store holds images; an image is one checkpoint's
 * pages (by guest frame), some named blobs (machine state, configuration)
 * and its manifest.  An image is written in private and exists for readers
 * from image_commit() on: whole, or not at all.
 *
 * store.c picks the driver by the URL's scheme, checks names and forwards;
 * store_driver.h is what a driver fills in, store_dir.c the first of them.
 */
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct ckpt;
struct store;
struct image;
struct store_lock;

int store_open(struct ckpt *c, const char *url, struct store **st_out);
void store_close(struct store *st); /* NULL is fine */

/* Bytes that can still be written. */
int store_free_bytes(struct store *st, uint64_t *bytes_out);

/*
 * One writer per @key (a domain's UUID, or "store" for the whole; named like
 * the keys of values).  -EBUSY names the process that holds it.  The kernel
 * drops it when the process and what inherited @fd_out (may be NULL; borrowed,
 * close-on-exec) are gone.
 */
int store_lock(struct store *st, const char *key, struct store_lock **l_out,
               int *fd_out);
void store_unlock(struct store_lock *l); /* NULL is fine */

/* --- writing ------------------------------------------------------------- */

/* A new image under @id, private until committed. */
int image_create(struct store *st, const char *id, struct image **img_out);
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
/* The file that exists from the commit of @id on, for the guard. */
int store_commit_path(struct store *st, const char *id, char *path,
                      size_t path_bytes);
/* Throws an uncommitted image away.  NULL is fine. */
void image_abort(struct image *img);

/* --- reading ------------------------------------------------------------- */

int image_open(struct store *st, const char *id, struct image **img_out);
void image_close(struct image *img); /* NULL is fine */
/* The manifest's text; borrowed until close. */
const char *image_manifest(const struct image *img);
/* 4096 bytes into @page; -ENOENT: no memory there; -EUCLEAN: damaged. */
int image_get(struct image *img, uint64_t gfn, void *page, uint8_t *type_out);
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

/* --- the store as a whole ------------------------------------------------ */

/* Ids of all committed images, sorted; NULL-terminated array, owned (one free
 * of the array frees all). */
int store_list(struct store *st, char ***ids_out);
/* Removes an image. Atomic: readers see it whole or not at all. */
int store_drop(struct store *st, const char *id);
/* The manifest alone, owned: lists need no more. */
int store_manifest(struct store *st, const char *id, char **manifest_out);
/* Replaces the manifest of a committed image (its parent changed). */
int store_set_manifest(struct store *st, const char *id, const char *manifest);
/* Small values that may change: the head of a domain.  @key is [a-z0-9.-]+,
 * not beginning with a dot; a value is a text of at most 4 KiB.
 * A value set to NULL is removed; a missing one is -ENOENT. */
int store_set(struct store *st, const char *key, const char *value);
int store_get(struct store *st, const char *key, char **value_out);
/* All keys, as store_list() gives ids. */
int store_keys(struct store *st, char ***keys_out);

#endif
