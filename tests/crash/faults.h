/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef FAULTS_H
#define FAULTS_H
/*
 * Stands between the library and the kernel (the linker's --wrap) and makes
 * the n-th call that changes a file go wrong.  Between faults it keeps a list
 * of what is written and not yet durable, and checks that nothing of it is
 * published: what a power cut would show, without cutting the power.
 */
enum fault {
    FAULT_NONE,        /* counts and checks only */
    FAULT_KILL_BEFORE, /* SIGKILL instead of the call */
    FAULT_KILL_AFTER,
    FAULT_KILL_TORN, /* SIGKILL after half of a write */
    FAULT_EIO,       /* the call fails, once */
    FAULT_ENOSPC,    /* half of a write, then this and no more: the rest fail */
    FAULT_DEAD,      /* the call fails, and every one after it */
    FAULT_SHORT,     /* half of a write, told so: no failure at all */
    FAULT_EINTR,     /* interrupted, once: no failure at all */
    FAULT_ENOMEM,    /* no call fails, but the n-th allocation */
    FAULT_POWER,     /* the power fails: of what was not made durable some is
                      * lost, by chance, and then SIGKILL */
};
#define NR_FAULTS (FAULT_POWER + 1)

/* For FAULT_POWER: what is lost depends on it. */
void faults_seed(unsigned seed);

/* A tmpfs passes for a disk, so that the store writes past the page cache. */
void faults_on_disk(void);

/* From here on; @n counts from 1. */
void faults_arm(enum fault fault, unsigned n);
/* Ends it: how many points were passed. */
unsigned faults_disarm(void);
/* How often anything was made durable, since the program began. */
unsigned faults_syncs(void);
/* What was published before it was durable, or left undurable at the end of
 * a call that said it was; "" when nothing. */
const char *faults_unsound(void);
/* Is there anything in @dir, a folder, that is not durable? */
int faults_is_durable(const char *dir);
#endif
