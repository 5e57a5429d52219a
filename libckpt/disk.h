/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_H
#define CKPT_DISK_H
/*
 * The disks of a domain.  Every kind of storage is one table of verbs; the
 * three beats are arm (guest runs), cut (guest suspended: short, no helper
 * program) and drain (guest runs again), with undo back to before arm.
 *
 * From cut to drain the guest's I/O waits, so drain comes right after the
 * guest was resumed, before anything long.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"
#include "guard.h"

struct disk;
struct disk_deed;

#define DISK_CAP_QUICK_CUT (1u << 0) /* cut takes milliseconds */
#define DISK_CAP_FORK (1u << 1)

struct disk_driver {
    const char *name;
    unsigned caps; /* DISK_CAP_* */
    /* 0: mine.  -ENOTSUP: not mine, try the next; the error text says what
     * @target lacks.  Else: stop, say why. */
    int (*probe)(struct ckpt *c, const char *target);
    /* A snapshot for checkpoint @id can be made: room, names.  May be slow.
     * Fills d->size_bytes and d->snapshot. */
    int (*arm)(struct disk *d, const char *id);
    /* The instant: from here on no write of the guest reaches the snapshot. */
    int (*cut)(struct disk *d);
    /* The snapshot exists, I/O flows again. */
    int (*drain)(struct disk *d);
    /* As before arm, rollback or fork; harmless at any time, and twice. */
    void (*undo)(struct disk *d);
    /* d->target now has @snapshot's content; what it had is kept aside until
     * rollback_end(@keep_new).  The guest may still run on the old content:
     * it holds the device open.  rollback_end(true) throws that away and so
     * comes after the old domain is gone. */
    int (*rollback)(struct disk *d, const char *snapshot);
    int (*rollback_end)(struct disk *d, bool keep_new);
    /* A writable copy-on-write clone of @snapshot for the new domain @name;
     * *target_out (owned) goes into its configuration. */
    int (*fork)(struct disk *d, const char *snapshot, const char *name,
                char **target_out);
    /* 0 also when it is gone already. */
    int (*remove)(struct ckpt *c, const char *snapshot);
    /* The snapshot is there and whole, as far as can be told. */
    int (*check)(struct ckpt *c, const char *snapshot);
};

struct disk {
    struct ckpt *c;  /* borrowed */
    struct guard *g; /* borrowed, may be NULL */
    const struct disk_driver *drv;
    char *vdev;           /* owned; "xvda" */
    char *target;         /* owned; as the configuration names it */
    char *snapshot;       /* owned; filled by arm */
    const char *why_none; /* static; set for a disk without one */
    uint64_t size_bytes;
    void *priv;              /* the driver's own, freed by undo/end */
    struct disk_deed *deeds; /* owned; last one first */
    struct disk_deed *after; /* owned; to be undone once those stay */
};

/* All drivers in probing order, ended by NULL. */
extern const struct disk_driver *const disk_drivers[];
extern const struct disk_driver disk_lvmthin;

/* The driver for @target, or -ENOTSUP with the disk named and the reason. */
int disk_pick(struct ckpt *c, const char *vdev, const char *target,
              const struct disk_driver **drv_out);
/* By the name in a manifest. */
int disk_driver_by_name(struct ckpt *c, const char *name,
                        const struct disk_driver **drv_out);
/* What was done is meant to stay (the checkpoint is committed, the domain
 * runs): nothing of it is undone any more, neither by us nor by the guard.
 * What a rollback kept aside is then the guard's to throw away, until
 * rollback_end(true) has done it. */
void disk_keep(struct disk *d);
/* Frees what @d owns.  Takes nothing back: undo or keep first. */
void disk_fini(struct disk *d);

/* All disks of a guest; those with why_none are passed over.  A failure has
 * the disk's name in its words.  When cut fails, I/O flows on all of them. */
int disks_arm(struct disk *disks, size_t nr, const char *id);
int disks_cut(struct disk *disks, size_t nr);
int disks_drain(struct disk *disks, size_t nr);
/* I/O flows first, on all of them; then the rest is taken back. */
void disks_undo(struct disk *disks, size_t nr);
void disks_keep(struct disk *disks, size_t nr);

#endif
