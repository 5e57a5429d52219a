/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LVM_H
#define CKPT_LVM_H
/*
 * LVM by its commands and its JSON report: what it offers as an interface.
 * Every one of these may take seconds, or wait for another's lock, so none
 * has a place in a pause.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm.h"

struct ckpt;

/* On every volume we make.  A rolled-back disk loses it when it is the
 * guest's own again. */
#define LVM_TAG "xen-ckpt"
#define LVM_UUID_LEN 38
/* "vg/lv", both at their longest. */
#define LVM_PATH_MAX (2 * DM_NAME_MAX)
#define LVM_LOCK_MAX 512

struct lvm_volume {
    char vg[DM_NAME_MAX];
    char name[DM_NAME_MAX];
    char uuid[LVM_UUID_LEN + 1];
    char pool[DM_NAME_MAX]; /* "" for what is not thin */
    char attr[16];          /* as `lvs` prints it */
    char tags[512];         /* "a,b" */
    uint32_t thin_id;       /* in the pool */
    uint64_t size_bytes;
};

struct lvm_list {
    struct lvm_volume *volumes; /* owned */
    size_t nr;
};

/* "vg/lv" into its parts; -EINVAL with words when it is no such thing. */
int lvm_split(struct ckpt *c, const char *path, char vg_out[DM_NAME_MAX],
              char lv_out[DM_NAME_MAX]);
/* Of @names (ended by NULL) those that @vg has, and all its thin pools: what
 * one run of a command can tell. */
int lvm_list(struct ckpt *c, const char *vg, const char *const *names,
             struct lvm_list *out);
void lvm_list_fini(struct lvm_list *l);
/* Borrowed from @l, or NULL. */
const struct lvm_volume *lvm_in(const struct lvm_list *l, const char *name);
bool lvm_has_tag(const struct lvm_volume *v, const char *tag);
/* As LVM's commands print it, from what device-mapper has. */
void lvm_uuid(const char *dm_uuid, char out[LVM_UUID_LEN + 1]);

#define LVM_SNAP_HIDDEN (1u << 0)  /* read-only, and nobody activates it */
#define LVM_SNAP_SKIPPED (1u << 1) /* active now, not at the next boot */
/* Thin snapshot @name of @vg/@origin, with our tag and the @tags ("a,b"). */
int lvm_snapshot(struct ckpt *c, const char *vg, const char *origin,
                 const char *name, const char *tags, unsigned flags);
int lvm_rename(struct ckpt *c, const char *vg, const char *from,
               const char *to);
/* Only if it has this uuid. */
int lvm_remove(struct ckpt *c, const char *vg, const char *lv,
               const char *uuid);
/* Read-only volumes are activated as such, hidden ones too. */
int lvm_activate(struct ckpt *c, const char *vg, const char *lv, bool is_on);
/* A thin volume in @pool, with our tag, active now and after the next boot. */
int lvm_create_thin(struct ckpt *c, const char *vg, const char *pool,
                    const char *name, uint64_t size_bytes);
int lvm_remove_tag(struct ckpt *c, const char *vg, const char *lv,
                   const char *tag);

/*
 * LVM's own lock on @vg, shared: its reports go on, its changes wait.  Who
 * suspends a volume behind LVM's back must hold it: an LVM command that finds
 * the volume suspended leaves the pool and its record of it at odds.
 * lvm_lock() waits at most @wait_us, or until it is cancelled; -EBUSY with
 * words.  close(2) releases.
 */
int lvm_lock_path(struct ckpt *c, const char *vg, char path[LVM_LOCK_MAX]);
int lvm_lock(struct ckpt *c, const char *path, uint64_t wait_us, int *fd_out);

/* Undo GUARD_LV_REMOVE and GUARD_LV_RENAME; 0 also when there is nothing to
 * undo (any more). */
int lvm_undo_remove(struct ckpt *c, const char *arg);
int lvm_undo_rename(struct ckpt *c, const char *arg);

#endif
