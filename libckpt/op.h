/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_OP_H
#define CKPT_OP_H
/*
 * What the operations share: the domain they work on, under its lock and with
 * its guard; and its disks, both as the configuration has them and as a
 * checkpoint recorded them.
 */
#include "ckpt.h"
#include "disk.h"
#include "xen_dom.h"

struct guard;
struct store_lock;
struct xen;

/* One operation on one domain. */
struct op {
    struct ckpt *c;
    struct xen *x;
    struct xen_dom dom;
    char *config; /* libxl's JSON, owned */
    struct store_lock *lock;
    int lock_fd;
    struct guard *g;
};

/* Who @domain is, and no more; -ENOENT: there is none. */
int op_find(struct ckpt *c, const char *domain, struct xen_dom *dom_out);
/* Finds @domain, takes the lock on it, reads and checks its configuration,
 * starts the guard.  Nothing of the guest is touched.  With @stamp_out the
 * configuration is that of the domain as the stamp says. */
int op_open(struct op *op, struct ckpt *c, const char *domain,
            struct xen_stamp **stamp_out);
/* The same for a checkpoint's domain, which need not be running. */
int op_open_uuid(struct op *op, struct ckpt *c, const char *domain_uuid);
/* For what touches no domain: no connection to Xen. */
int op_open_store(struct op *op, struct ckpt *c, const char *domain_uuid);
/* What still stands is the guard's to undo, and waited for. */
void op_close(struct op *op);

/* Reads the whole checkpoint back; -EUCLEAN with the place. */
int op_verify(struct ckpt *c, const struct ckpt_info *info);

/* The public operations as parts of one another: without a fresh start of
 * the handle's error text, clock and cancel flag. */
int take_inner(struct ckpt *c, const char *domain,
               const struct ckpt_take_opts *opts, struct ckpt_info *info_out);
/* Until the lock is had @info may have become old: @may_go (NULL: it may, as it
 * is) is asked then, with what the manifest says, and its error returned. */
typedef int may_go_fn(struct ckpt *c, const struct ckpt_info *info);
int remove_inner(struct ckpt *c, const struct ckpt_info *info,
                 may_go_fn *may_go);

/* All disks of one domain; their beats are in disk.h. */
struct disks {
    struct disk *disk;
    size_t nr;
};
/* Of the running domain, each with its driver, or the reason for none.  A
 * disk no driver takes is -ENOTSUP, named, unless it is in @exclude. */
int disks_open(struct disks *d, struct op *op, const char *const *exclude);
/* Of a checkpoint: those that have a snapshot. */
int disks_open_info(struct disks *d, struct op *op,
                    const struct ckpt_info *info);
void disks_close(struct disks *d);
/* Into info->disks, owned by it. */
int disks_describe(const struct disks *d, struct ckpt_info *info);

#endif
