/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_DMTHIN_H
#define CKPT_DISK_DMTHIN_H
/*
 * The parts of the dmthin driver: disk_dmthin.c makes snapshots, with the
 * three beats; disk_dmthin_use.c uses them, disk_dmthin_content.c reads them;
 * disk_dmthin_deed.c is what was done, and how it is taken back.
 *
 * A snapshot is "POOL/ID/SECTORS": the pool's name in device-mapper, the
 * volume's id in it, and the size that its table needs.
 */
#include "disk.h"
#include "thin_hold.h"

#define DMTHIN_OLD ".ckpt-old"
#define DMTHIN_NEW ".ckpt-new"
/* Ids from here on are ours.  They have 24 bits; whoever makes volumes by hand
 * or by a script counts from 0. */
#define DMTHIN_FIRST_ID 0x800000u
#define DMTHIN_NR_IDS 0x800000u

struct dmthin_pool {
    char name[DM_NAME_MAX];
    dev_t dev;
};
struct dmthin_snapshot {
    struct dmthin_pool pool;
    uint32_t id;
    uint64_t size_bytes;
};

/* What a configuration's @target is; -ENOTSUP: not a thin device of ours. */
int dmthin_look(struct ckpt *c, int dm_fd, const char *target, struct thin *t,
                struct dmthin_pool *pool);
int dmthin_find_pool(struct ckpt *c, int dm_fd, const char *name,
                     struct dmthin_pool *pool);
/* -EEXIST with @hint: there is a device @name. */
int dmthin_check_free(struct ckpt *c, int dm_fd, const char *name,
                      const char *hint);
/* Finds the pool; does not look whether the volume is there. */
int dmthin_find(struct ckpt *c, int dm_fd, const char *snapshot,
                struct dmthin_snapshot *out);
/* And its volume is there, and the pool works: -EUCLEAN. */
int dmthin_find_whole(struct ckpt *c, int dm_fd, const char *snapshot,
                      struct dmthin_snapshot *s);
void dmthin_target(const struct dmthin_pool *pool, uint32_t id,
                   uint64_t size_bytes, struct dm_target *out);
/* -ENODATA without words: the pool has no such volume. */
int dmthin_exists(int dm_fd, const struct dmthin_pool *pool, uint32_t id);

/* Deeds, which undo takes back. */
/* A new volume with an id that @seed leads to: empty, or (@of not 0, or @has_of)
 * a snapshot of @of. */
int dmthin_make_volume(struct disk *d, int dm_fd, enum guard_harm harm,
                       const struct dmthin_pool *pool, const char *seed,
                       const uint32_t *of, uint32_t *id_out);
int dmthin_make_device(struct disk *d, enum guard_harm harm,
                       const struct dmthin_pool *pool, uint32_t id,
                       uint64_t size_bytes, const char *name);
/* The device @from, of volume @id. */
int dmthin_rename(struct disk *d, const struct dmthin_pool *pool, uint32_t id,
                  const char *from, const char *to);
/* Once all is kept, @name's content @new_id gets the id that it had. */
int dmthin_settle_after(struct disk *d, const struct dmthin_pool *pool,
                        const struct thin *old, uint32_t new_id,
                        uint64_t size_bytes);
int dmthin_take_back(struct ckpt *c, const char *words);

int dmthin_rollback(struct disk *d, const char *snapshot);
int dmthin_fork(struct disk *d, const char *snapshot, const char *name,
                char **target_out);
int dmthin_remove(struct ckpt *c, const char *snapshot);
int dmthin_check(struct ckpt *c, const char *snapshot);
int dmthin_changed(struct ckpt *c, const char *from, const char *to,
                   disk_extent_fn *fn, void *arg);
int dmthin_open(struct ckpt *c, const char *snapshot, struct disk_content *out);
int dmthin_show(struct ckpt *c, const char *snapshot, const char *tag,
                struct disk_shown *out);
int dmthin_hide(struct ckpt *c, const char *snapshot, const char *tag);
/* A new thin volume of the pool and its device @name, to be removed again
 * unless they are kept. */
int dmthin_create(struct disk *d, const char *pool_name, const char *name,
                  uint64_t size_bytes);

#endif
