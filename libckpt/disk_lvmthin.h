/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_LVMTHIN_H
#define CKPT_DISK_LVMTHIN_H
/*
 * The parts of the lvmthin driver: disk_lvmthin.c makes snapshots, with
 * the three beats; disk_lvmthin_use.c uses them;
 * disk_lvmthin_changed.c says what changed between two.
 */
#include "disk.h"
#include "lvm.h"
#include "thin.h"

#define LVMTHIN_FULL_PERCENT 95.0
#define LVMTHIN_OLD ".ckpt-old"
#define LVMTHIN_NEW ".ckpt-new"
#define LVMTHIN_FORK "fork-"
/* A volume's name with one of these, before it is known to fit. */
#define LVMTHIN_SUFFIXED_MAX (DM_NAME_MAX + sizeof(LVMTHIN_NEW))

/* From arm to drain, or from rollback to its end: d->priv. */
struct lvmthin {
    struct thin thin;
    int dm_fd;
    int stat_fd;
    uint32_t snapshot_id;
    uint64_t writes;              /* of the origin, at the cut */
    struct disk_deed *suspension; /* room for it */
    char lock_path[LVM_LOCK_MAX];
    bool keeps_tag; /* the volume had our tag before the rollback */
};

/* d->priv: what the target is, and a descriptor for device-mapper. */
int lvmthin_priv_new(struct disk *d);
void lvmthin_priv_free(struct disk *d);
/* What holds a descriptor is given back; the rest of d->priv stays. */
void lvmthin_close_fds(struct lvmthin *p);
/* Room in LVM and device-mapper for a name of ours. */
int lvmthin_check_name(struct ckpt *c, const char *vg, const char *lv);
/* From here on undo removes vg/lv, if it has our tag. */
int lvmthin_deed_remove(struct disk *d, const char *vg, const char *lv);

int lvmthin_rollback(struct disk *d, const char *snapshot);
int lvmthin_rollback_end(struct disk *d, bool is_new_kept);
int lvmthin_fork(struct disk *d, const char *snapshot, const char *name,
                 char **target_out);
int lvmthin_remove(struct ckpt *c, const char *snapshot);
int lvmthin_check(struct ckpt *c, const char *snapshot);

int lvmthin_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg);

int lvmthin_open(struct ckpt *c, const char *snapshot,
                 struct disk_content *out);
void lvmthin_close(struct ckpt *c, struct disk_content *content);
/* A new thin volume of @pool, active, with our tag, to be removed again unless
 * it is kept.  -EEXIST: there is one of that name. */
int lvmthin_create(struct disk *d, const char *vg, const char *pool,
                   const char *name, uint64_t size_bytes);

struct disk_extents;
/* Runs @argv, a program that reads metadata, with that of the pool as its word
 * @at, and its report to @fd. */
int lvmthin_ask_pool(struct ckpt *c, const char *vg, const char *pool,
                     const char **argv, unsigned at, int fd);
int lvmthin_read_report(struct ckpt *c, const char *program, int fd,
                        struct disk_extents *out);
/* One line of thin_delta's or thin_dump's XML; *block_bytes is 0 until a line
 * has told it.  -EUCLEAN: not understood. */
int lvmthin_read_delta(const char *line, uint64_t *block_bytes,
                       struct disk_extents *out);

#endif
