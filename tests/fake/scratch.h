/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef SCRATCH_H
#define SCRATCH_H
/*
 * A folder to play in, a store in it, and pages and batches with content that
 * can be told from any other.  What goes wrong here ends the test.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "page.h"

struct ckpt;
struct ckpt_info;
struct image;

/* A new folder below $CKPT_TEST_TMP, else /dev/shm; owned, its name is
 * released by scratch_remove() together with all that is in it. */
char *scratch_dir(void);
void scratch_remove(char *dir);

/* Another of those, with a copy of all files and folders in @dir. */
char *scratch_copy(const char *dir);

/* "DIR/REST"; one of a few static buffers, good until four calls later. */
const char *scratch_path(const char *dir, const char *rest);

/* A handle on the store in DIR/store. */
struct ckpt *scratch_open(const char *dir);

/* What most tests of a store begin with: cmocka's setup and teardown. */
struct scratch_world {
    char *dir;
    struct ckpt *c;
};
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* 4096 bytes told by @seed; 0 is the zero page.  With the bit they can be
 * compressed, else not. */
#define SCRATCH_DULL (UINT64_C(1) << 63)
void scratch_page(void *page, uint64_t seed);
/* Puts one ordinary page. */
int scratch_put(struct image *img, uint64_t gfn, uint64_t seed);
/* A committed image of @nr pages, frame n with seed n + 1, and its manifest
 * "{}". */
void scratch_image(struct ckpt *c, const char *id, unsigned nr);
/* The same on every other frame (2n has seed n + 1), with a blob "state". */
void scratch_image_sparse(struct ckpt *c, const char *id, unsigned nr);
/* Reads all there is of an image, by every way, at most @batches of it; dies
 * when it would go on for ever.  Damage is fine. */
void scratch_read_all(struct ckpt *c, const char *id, unsigned batches);

/* Two checkpoints have the same frames with the same pages, and of @blobs, which
 * NULL ends, both the same content. */
bool scratch_same(struct ckpt *c, const char *id, const char *other_id,
                  const char *const *blobs);

/* "xvda" on "/dev/vg0/web", written by the guest unless @why_none says else; the
 * only one. */
void scratch_add_disk(struct ckpt_info *info, const char *why_none);

/* All that a manifest must have; strings are owned by *info_out. */
void scratch_info(struct ckpt_info *info_out, const char *id, const char *name,
                  const char *domain_name, const char *domain_uuid);
/* A checkpoint without pages and with that manifest. */
void scratch_commit(struct ckpt *c, const struct ckpt_info *info);

/* Removes it again. */
void scratch_drop(struct ckpt *c, const char *id);

/* How many files and folders lie below @dir/@rest, itself apart. */
unsigned scratch_count(const char *dir, const char *rest);
/* The path of checkpoint @id's pack in DIR/store; as scratch_path(). */
const char *scratch_pack(const char *dir, const char *id);
/* Its head, as it is. */
struct pack_head;
void scratch_pack_head(const char *dir, const char *id, struct pack_head *h);
/* Turns over one byte of a file. */
void scratch_flip(const char *path, long offset);
long scratch_size(const char *path);
#endif
