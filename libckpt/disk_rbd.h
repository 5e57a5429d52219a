/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_RBD_H
#define CKPT_DISK_RBD_H
/*
 * The parts of the rbd driver: disk_rbd.c makes snapshots, with the three
 * beats; disk_rbd_use.c uses them; disk_rbd_changed.c says what changed
 * between two.  All of it asks ckpt-rbd (rbd_talk.h).
 */
#include "disk.h"
#include "rbd_kernel.h"
#include "rbd_name.h"
#include "rbd_talk.h"

#define RBD_URL "rbd:"
#define RBD_NEW ".ckpt-new"
#define RBD_OLD ".ckpt-old-" /* then the image's id: rbd/session.h */

/* From arm to drain: d->priv. */
struct rbd {
    struct rbd_talk *talk;
    struct rbd_name name; /* of the image, as the configuration has it */
    char id[RBD_TEXT_MAX];
    uint64_t size_bytes;
    bool is_kernel; /* mapped to a block device */
};

/* What d->target is, found in its cluster.  -ENOTSUP: no RBD image.  The talk
 * is to be ended, also on failure. */
int rbd_find(struct disk *d, struct rbd *r);
void rbd_end(struct rbd *r);

int rbd_take_back(struct ckpt *c, const char *words);
int rbd_rollback(struct disk *d, const char *snapshot);
int rbd_rollback_end(struct disk *d, bool keep_new);
int rbd_fork(struct disk *d, const char *snapshot, const char *name,
             char **target_out);
int rbd_remove(struct ckpt *c, const char *snapshot);
int rbd_check(struct ckpt *c, const char *snapshot);
int rbd_changed(struct ckpt *c, const char *from, const char *to,
                disk_extent_fn *fn, void *arg);

#endif
