/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_H
#define CKPT_STORE_H
/*
 * Where checkpoints lie.  A store holds images; what can be done with one is
 * in image.h.
 *
 * store.c picks the driver by the URL's scheme, checks names and forwards;
 * store_driver.h is what a driver fills in, store_dir.c the first of them.
 */
#include <stddef.h>
#include <stdint.h>

#include "image.h"

struct ckpt;
struct ckpt_frames;
struct store;
struct store_lock;

/* To read only: nothing is made, swept or locked. */
#define STORE_READ_ONLY (1u << 0)
int store_open(struct ckpt *c, const char *url, unsigned flags,
               struct store **st_out);
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
/* Who only waits lets others in; then -EWOULDBLOCK: one of them is at it. */
void store_lock_yield(struct store_lock *l);
int store_lock_again(struct store_lock *l);

/* --- the store as a whole ------------------------------------------------ */

/* Ids of all committed images, sorted; NULL-terminated array, owned (one free
 * of the array frees all). */
int store_list(struct store *st, char ***ids_out);
/* What an image's removal gives back, would give, or gave. */
struct store_space {
    uint64_t freed_bytes;   /* now */
    uint64_t pending_bytes; /* later: takes under way may refer to it, or
                             * somebody reads it */
    uint64_t shared_bytes;  /* not: other checkpoints have it, too */
};
/* Removes an image. Atomic: readers see it whole or not at all. @space_out
 * may be NULL. */
int store_drop(struct store *st, const char *id, struct store_space *space_out);
/* Gives back whatever no checkpoint needs. */
int store_prune(struct store *st, struct store_space *space_out);
/*
 * Compresses what is stored, but for the images @raw_ids (NULL-terminated).
 * Takes and readers go on meanwhile; what removals give back waits.  Adds the
 * room that this gave to *saved_bytes, also when it fails half-way.  -EBUSY:
 * another compresses, or a removal is under way.
 */
int store_compress(struct store *st, const char *const *raw_ids,
                   uint64_t *saved_bytes);
/*
 * A line for each piece of what is stored as @word, an id or in the store's own
 * words, and whether it is good; also of what is damaged.  What is shown is fit
 * for a terminal.
 */
typedef void store_line_fn(void *arg, const char *line);
int store_dump(struct store *st, const char *word, store_line_fn *fn,
               void *arg);
/* The ids, as store_list() gives them, of other images that need what is damaged
 * where @id lost @lost, or that are damaged themselves so that nobody can tell. */
int store_sharers(struct store *st, const char *id,
                  const struct ckpt_frames *lost, size_t nr, char ***ids_out);
/* What the removal of @id would give. */
int store_space(struct store *st, const char *id,
                struct store_space *space_out);
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
