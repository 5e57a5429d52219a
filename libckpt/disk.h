/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_H
#define CKPT_DISK_H
/*
 * The disks of a domain.  Every kind of storage is one table of verbs: arm (guest
 * runs), cut (suspended: short, no helper program), drain (runs again), and undo
 * back to before arm.  From cut to drain its I/O waits: nothing long before it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"
#include "disk_extent.h"
#include "guard.h"

struct disk;
struct disk_content;
struct disk_deed;
struct disk_shown;
#define DISK_CAP_QUICK_CUT (1u << 0) /* cut takes milliseconds */
#define DISK_CAP_FORK (1u << 1)
#define DISK_CAP_OWED (1u << 2) /* remove() may be -EBUSY: ask again later */
struct disk_driver {
    const char *name;
    unsigned caps; /* DISK_CAP_* */
    /* 0: mine.  -ENOTSUP: not mine, the error text says what d->target lacks.
     * Else: stop, say why.  Leaves no trace in @d. */
    int (*probe)(struct disk *d);
    /* A snapshot for checkpoint @id can be made: room, names.  May be slow.
     * Fills d->size_bytes and d->snapshot. */
    int (*arm)(struct disk *d, const char *id);
    /* The storage's own lock, which cut needs, is waited for while the guest
     * still runs; until drain, undo or unlock().  NULL: there is none.  A cut
     * without it has to wait with the guest suspended. */
    int (*lock)(struct disk *d);
    void (*unlock)(struct disk *d);
    /* The instant: from here on no write of the guest reaches the snapshot. */
    int (*cut)(struct disk *d);
    /* The snapshot exists, I/O flows again. */
    int (*drain)(struct disk *d);
    /* As before arm, rollback or fork; harmless, and twice too. */
    void (*undo)(struct disk *d);
    /* d->target now has @snapshot's content; what it had, on which the guest may
     * still run, is kept aside until rollback_end(@keep_new): true throws it
     * away and so comes after the old domain is gone. */
    int (*rollback)(struct disk *d, const char *snapshot);
    int (*rollback_end)(struct disk *d, bool keep_new);
    /* A writable copy-on-write clone for the new domain @name; *target_out
     * (owned) goes into its configuration. */
    int (*fork)(struct disk *d, const char *snapshot, const char *name,
                char **target_out);
    /* 0 also when it is gone already. */
    int (*remove)(struct ckpt *c, const char *snapshot);
    /* The snapshot is there and whole, as far as can be told. */
    int (*check)(struct ckpt *c, const char *snapshot);
    /* Takes one deed back that the driver wrote down in its own @words; 0
     * also when there is nothing to take back (any more). */
    int (*take_back)(struct ckpt *c, const char *words);
    /* Every byte in which @to differs from @from lies in an extent given to
     * @fn, in ascending order; -ENOTSUP: cannot tell. */
    int (*changed)(struct ckpt *c, const char *from, const char *to,
                   disk_extent_fn *fn, void *arg);
    /* What @snapshot holds, to be read for a while (disk_content.h); -ENOTSUP:
     * it cannot be read from here.  @out is zero before, and to be closed after
     * a success only. */
    int (*open)(struct ckpt *c, const char *snapshot, struct disk_content *out);
    void (*close)(struct ckpt *c, struct disk_content *content);
    /* All of @len_bytes, at most 1 MiB. */
    int (*read)(struct ckpt *c, struct disk_content *content, void *out,
                size_t len_bytes, uint64_t offset_bytes);
    /* @snapshot as an image that QEMU opens, until hide(), also after our end;
     * -ENOTSUP: there is none.  @tag: for a name, letters, digits and '-'. */
    int (*show)(struct ckpt *c, const char *snapshot, const char *tag,
                struct disk_shown *out);
    /* 0 also when it is not shown, or not any more. */
    int (*hide)(struct ckpt *c, const char *snapshot, const char *tag);
};

#define DISK_NO_DOMAIN UINT32_MAX

struct disk {
    struct ckpt *c;  /* borrowed */
    struct guard *g; /* borrowed, may be NULL */
    const struct disk_driver *drv;
    char *vdev;           /* owned; "xvda" */
    char *target;         /* owned; as the configuration names it */
    char *format;         /* owned; "raw", "qcow2", ...; NULL: not known */
    uint32_t domid;       /* it belongs to, running; or DISK_NO_DOMAIN */
    char *snapshot;       /* owned; filled by arm, or from a checkpoint */
    const char *why_none; /* static; set for a disk without one */
    uint64_t size_bytes;
    void *priv;              /* the driver's own, freed by undo/end */
    struct disk_deed *deeds; /* owned; last one first */
    struct disk_deed *after; /* owned; to be undone once those stay */
};

extern const struct disk_driver *const disk_drivers[]; /* as probed; NULL */
extern const struct disk_driver disk_lvmthin, disk_dmthin, disk_dmsnap;
extern const struct disk_driver disk_qcow2, disk_reflink, disk_rbd, disk_manual;

/* Fills d->drv, or -ENOTSUP with the disk named and the reasons. */
int disk_pick(struct disk *d);
/* By the name in a manifest. */
int disk_driver_by_name(struct ckpt *c, const char *name,
                        const struct disk_driver **drv_out);
/* "DRIVER WORDS", "DRIVER SNAPSHOT": what the guard does with its records. */
int disk_take_back(struct ckpt *c, const char *arg);
int disk_remove(struct ckpt *c, const char *arg);
/* For a driver that cannot tell: -ENOTSUP. */
int disk_no_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg);
/* What was done is meant to stay: nothing of it is undone any more, neither by
 * us nor by the guard, whose it is then, until rollback_end(true), to throw away
 * what a rollback kept aside. */
void disk_keep(struct disk *d);
/* Frees what @d owns.  Takes nothing back: undo or keep first. */
void disk_fini(struct disk *d);

#endif
