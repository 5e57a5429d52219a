/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_LVMTHIN_H
#define CKPT_DISK_LVMTHIN_H
/*
 * The parts of the lvmthin driver: disk_lvmthin.c makes snapshots, with
 * the three beats; disk_lvmthin_use.c uses them.
 */
#include "disk.h"
#include "lvm.h"
#include "thin_hold.h"

#define LVMTHIN_OLD ".ckpt-old"
#define LVMTHIN_NEW ".ckpt-new"
#define LVMTHIN_FORK "fork-"
/* A volume's name with one of these, before it is known to fit. */
#define LVMTHIN_SUFFIXED_MAX (DM_NAME_MAX + sizeof(LVMTHIN_NEW))

/* From arm to drain, or from rollback to its end: d->priv. */
struct lvmthin {
    struct thin_hold hold;
    uint32_t snapshot_id;
    char lock_path[LVM_LOCK_MAX];
    int lock_fd; /* LVM's lock on the group, or -1 */
    bool keeps_tag; /* the volume had our tag before the rollback */
};

/* d->priv: what the target is, and a descriptor for device-mapper. */
int lvmthin_priv_new(struct disk *d);
void lvmthin_priv_free(struct disk *d);
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

/* The device of the pool vg/@pool, and a descriptor for device-mapper, to be
 * closed with close(2). */
int lvmthin_pool(struct ckpt *c, const char *vg, const char *pool,
                 int *dm_fd_out, dev_t *dev_out);
int lvmthin_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg);

int lvmthin_open(struct ckpt *c, const char *snapshot,
                 struct disk_content *out);
void lvmthin_close(struct ckpt *c, struct disk_content *content);
int lvmthin_show(struct ckpt *c, const char *snapshot, const char *tag,
                 struct disk_shown *out);
int lvmthin_hide(struct ckpt *c, const char *snapshot, const char *tag);
/* A new thin volume of @pool, active, with our tag, to be removed again unless
 * it is kept.  -EEXIST: there is one of that name. */
int lvmthin_create(struct disk *d, const char *vg, const char *pool,
                   const char *name, uint64_t size_bytes);

#endif
