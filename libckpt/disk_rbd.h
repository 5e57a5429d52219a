/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_RBD_H
#define CKPT_DISK_RBD_H
/*
 * The parts of the rbd driver: disk_rbd.c makes snapshots, with the three
 * beats; disk_rbd_use.c uses them; disk_rbd_changed.c says what changed
 * between two; disk_rbd_content.c reads them, and fills new images.  All of it
 * asks ckpt-rbd (rbd_talk.h).
 */
#include "disk.h"
#include "disk_content.h"
#include "rbd_kernel.h"
#include "rbd_name.h"
#include "rbd_talk.h"

#define RBD_URL "rbd:"
#define RBD_NEW ".ckpt-new"
#define RBD_OLD ".ckpt-old-" /* then the image's id: rbd/session.h */
#define RBD_MADE ".ckpt-made-"

/* From arm to drain, or from make to finish: d->priv. */
struct rbd {
    struct rbd_talk *talk;
    struct rbd_name name; /* of the image, as the configuration has it */
    char id[RBD_TEXT_MAX];
    uint64_t size_bytes;
    bool is_kernel; /* mapped to a block device */
    struct rbd_name made; /* which name it has before it is finished */
};

/* What d->target is, found in its cluster.  -ENOTSUP: no RBD image.  The talk
 * is to be ended, also on failure. */
int rbd_find(struct disk *d, struct rbd *r);
void rbd_end(struct rbd *r);
void rbd_priv_free(struct disk *d);
/* The name of an image beside @n's: its name, then @suffix and @id. */
int rbd_name_beside(struct disk *d, const struct rbd_name *n,
                    const char *suffix, const char *id, struct rbd_name *out);
/* One that nobody has, for an image that is not yet what it is to be. */
int rbd_name_made(struct disk *d, const struct rbd_name *n,
                  struct rbd_name *out);

int rbd_take_back(struct ckpt *c, const char *words);
int rbd_rollback(struct disk *d, const char *snapshot);
int rbd_rollback_end(struct disk *d, bool keep_new);
int rbd_fork(struct disk *d, const char *snapshot, const char *name,
             char **target_out);
int rbd_remove(struct ckpt *c, const char *snapshot);
int rbd_check(struct ckpt *c, const char *snapshot);
int rbd_changed(struct ckpt *c, const char *from, const char *to,
                disk_extent_fn *fn, void *arg);
/* @question is answered with extents; adds them to @out, in order. */
int rbd_ask_extents(struct ckpt *c, struct rbd_talk *t, const char *question,
                    struct disk_extents *out);
/* A deed of "VERB NAME ID SNAPSHOT". */
int rbd_deed(struct disk *d, enum guard_harm harm, const char *verb,
             const struct rbd_name *n, const char *id, const char *snapshot);
/* The image @id, now @from, becomes @to. */
int rbd_move(struct disk *d, enum guard_harm harm, struct rbd_talk *t,
             const char *id, const struct rbd_name *from,
             const struct rbd_name *to);

int rbd_content_open(struct ckpt *c, const char *snapshot,
                     struct disk_content *out);
void rbd_content_close(struct ckpt *c, struct disk_content *content);
int rbd_content_read(struct ckpt *c, struct disk_content *content, void *out,
                     size_t len_bytes, uint64_t offset_bytes);
int rbd_show(struct ckpt *c, const char *snapshot, const char *tag,
             struct disk_shown *out);

/* A new image, all zeros, that is to be d->target (rbd:...): it is written to,
 * and then finished, when it is durable and has its name.  Undo removes it. */
int rbd_make(struct disk *d, uint64_t size_bytes);
int rbd_make_write(struct disk *d, const void *data, size_t len_bytes,
                   uint64_t offset_bytes);
int rbd_make_finish(struct disk *d);

#endif
