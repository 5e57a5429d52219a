/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_TAKE_H
#define CKPT_TAKE_H
/*
 * One checkpoint being taken: its state and its steps, for who runs them
 * (take.c for one domain, group.c for several at once; take_cut.c for both).
 */
#include "mem.h"
#include "op.h"
#include "xen_suspend.h"

struct image;
struct xen_rings;

struct take {
    struct ckpt *c;
    const char *domain;
    const struct ckpt_take_opts *opts;
    struct op op;
    struct disks disks;
    struct xen_rings *rings; /* of those; NULL: cannot be looked at */
    struct mem mem;
    struct image *img;
    struct ckpt_info info; /* becomes the manifest */
    pid_t monitor;         /* xl's process for the domain, or 0 */
    int monitor_fd;        /* its pidfd, or -1 */
    struct xen_stamp *stamp; /* of when it was found */
    bool has_memory;
    bool is_stale; /* what is armed would miss something */
    bool pending; /* the guest may yet suspend: the guard waits for it */
    /* Of the cut. */
    bool was_paused, is_still;
    unsigned token, token_unpaused; /* the guard's, 0: none */
    unsigned token_monitor;
    struct xen_suspend suspend;
    char not_drained[256]; /* why not all requests have their answers */
    bool owes_thaw, is_frozen;
};

void take_init(struct take *t, struct ckpt *c, const char *domain,
               const struct ckpt_take_opts *opts);
/* @rc 0: t->info goes to *info_out, if that is not NULL. */
void take_fini(struct take *t, int rc, struct ckpt_info *info_out);

/* In this order; each takes a struct take. */
int take_find(void *take);
int take_disks_find(void *take);
int take_room(void *take);
int take_mem_arm(void *take);
int take_disks_arm(void *take);
/* Whoever guards it resumes it from now on; also again, if others have taken the
 * claim meanwhile.  Its end without a cut is take_call_off(). */
int take_claim(struct take *t);
void take_call_off(struct take *t);
/* All stand still, all are cut, all go on, on every path. */
int take_cut_all(struct take *const *takes, size_t nr);
int take_disks_drain(void *take);
int take_mem_drain(void *take);
int take_commit(void *take);

void take_disks_undo(void *take);
void take_room_undo(void *take);
void take_mem_undo(void *take);

#endif
