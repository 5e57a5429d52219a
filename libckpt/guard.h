/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_GUARD_H
#define CKPT_GUARD_H
/*
 * Promise 1: a guest is never left paused or changed by the death of our
 * process.  Before an operation first touches a guest it starts a guard: a
 * process of its own session that holds one end of a socket.  The operation
 * writes down each harm before doing it and strikes it out when undone.  When
 * the operation's process dies, or closes its end, with harms still standing
 * the guard undoes them, last one first, and exits.  What was written is read
 * even after our death, so nothing needs an answer.
 *
 * The guard is fork+exec of ckpt-helper: it shares no memory, no libxl state
 * and no thread with the operation.  It inherits the store's lock, so that
 * nobody begins on this domain before it is done, or has nothing left but to
 * wait for a guest that may suspend yet.
 */
#include <stdint.h>

struct ckpt;
struct guard;

enum guard_harm {
    GUARD_LOG_DIRTY,   /* domid: log-dirty mode is on */
    GUARD_COW,         /* domid: Xen captures its memory on write */
    GUARD_QEMU_DIRTY,  /* domid: the device model reports its writes */
    GUARD_SUSPEND,     /* domid, arg: the claim under which it is asked to
                           suspend (xen_suspend_claim.h), maybe about to */
    GUARD_STILL,       /* the same: stands suspended */
    GUARD_MONITOR,     /* domid, arg: the pid of xl's monitor, which leaves when
                           the domain suspends (watch.h) */
    GUARD_PAUSE,       /* domid: holds one pause of ours */
    GUARD_UNPAUSED,    /* domid: an administrator's pause was taken away */
    GUARD_DM_SUSPEND,  /* arg: "uuid name", the device holds its I/O */
    GUARD_LV_REMOVE,   /* arg: "vg/lv" with our tag, or "vg/lv uuid" */
    GUARD_LV_RENAME,   /* arg: "vg/now vg/before uuid", to be renamed back */
    GUARD_DISK_MADE,   /* arg: "driver words", for its take_back(); a thing
                           of a checkpoint, which a committed one keeps */
    GUARD_DISK_MOVED,  /* the same, whatever is committed */
    GUARD_DISK_REMOVE, /* arg: "driver snapshot", of a checkpoint deleted */
    GUARD_DOMAIN,      /* domid: half-built, to be destroyed */
    GUARD_DOMAIN_NAME, /* domid, arg: the name to give back */
    GUARD_UNLESS_FILE, /* arg: once this file exists the checkpoint is
                           committed, and neither GUARD_LV_REMOVE nor
                           GUARD_DISK_MADE is undone */
    GUARD_NR
};

#define GUARD_ARG_MAX 480 /* bytes of arg, the final NUL included */

/* @lock_fd is handed to the guard; -1 for none.  0 means it stands. */
int guard_start(struct ckpt *c, int lock_fd, struct guard **g_out);
/* Writes a harm down; @arg NULL is "", @token_out (may be NULL) is for
 * guard_del().  Does not block, allocate or raise SIGPIPE.  @g NULL: nobody
 * guards, 0 and token 0.  A failure means the guard is gone: do no harm. */
int guard_add(struct guard *g, enum guard_harm harm, uint32_t domid,
              const char *arg, unsigned *token_out);
/* Strikes it out: undone, or meant to stay.  Token 0 is ignored. */
int guard_del(struct guard *g, unsigned token);
/* The guard undoes it from now on, though the operation goes on with what may
 * take longer. */
int guard_undo(struct guard *g, unsigned token);
/* Between the two, what is added and struck out counts all at once or, when
 * we die first, not at all: for the moment in which an operation turns from
 * "undo" to "finish". */
int guard_hold(struct guard *g);
int guard_flush(struct guard *g);
/* The operation is over.  Waits until the guard has let go of the lock; it
 * undoes first what still stands, but for a guest that may suspend yet.  NULL is
 * fine. */
void guard_stop(struct guard *g);

/* The guard's own main, in ckpt-helper: reads @fd until it closes, then
 * undoes.  Returns the exit status. */
int guard_main(int fd);

#endif
