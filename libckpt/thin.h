/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_THIN_H
#define CKPT_THIN_H
/*
 * Thin volumes and their pools as device-mapper shows them: quick looks, no
 * program is run.
 */
#include <stdbool.h>
#include <stdint.h>

#include "disk.h"
#include "dm.h"
#include "lvm.h"

struct ckpt;

/* Beyond this no checkpoint is begun. */
#define THIN_FULL_PERCENT 95.0

struct thin {
    char vg[DM_NAME_MAX];
    char lv[DM_NAME_MAX];
    struct dm_device device;
    dev_t pool;
    uint32_t id; /* in the pool */
    uint64_t size_bytes;
};

/* What a configuration's @target is.  -ENOTSUP: no thin volume of LVM, or by
 * a name that does not follow a renaming; the words say what instead. */
int thin_look(struct ckpt *c, int dm_fd, const char *target, struct thin *out);

/* "POOL ID" of a thin volume's table, with or without an external origin. */
bool thin_parse(const char *params, dev_t *pool_out, uint32_t *id_out);

/* It has one: what was never written to the volume is read from there. */
bool thin_has_origin(const char *params);

/* "METADATA DATA BLOCK LOW-WATER N FEATURE..." of a pool's table: what is not
 * written of a new block is zero. */
bool thin_is_zeroing(const char *params);
/* And how large a block is. */
uint64_t thin_block_bytes(const char *params);
/* How much of a new @volume the first write to it makes real, of which what is
 * not written is what other volumes had: a block; 0 of a pool that zeroes. */
int thin_stale_bytes(struct ckpt *c, dev_t volume, uint64_t *bytes_out);

/* -ENOSPC when data or metadata of the pool are @limit_percent full or more;
 * -EIO when it cannot be written to. */
int thin_check_pool(struct ckpt *c, int dm_fd, dev_t pool,
                    double limit_percent);

/* What changed from the volume @from of the pool to @to (thin_delta). */
int thin_changed(struct ckpt *c, int dm_fd, dev_t pool, uint32_t from,
                 uint32_t to, disk_extent_fn *fn, void *arg);
/* Where anything was ever written to the volume @id of the pool (thin_dump):
 * fills out->data, with all of it and a warning that names @name where that
 * cannot be told. */
struct disk_content;
int thin_content(struct ckpt *c, int dm_fd, dev_t pool, uint32_t id,
                 const char *name, struct disk_content *out);
struct disk_extents;
/* One line of thin_delta's or thin_dump's XML; *block_bytes is 0 until a line
 * has told it.  -EUCLEAN: not understood. */
int thin_read_delta(const char *line, uint64_t *block_bytes,
                    struct disk_extents *out);

#endif
