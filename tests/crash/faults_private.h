/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef FAULTS_PRIVATE_H
#define FAULTS_PRIVATE_H
/* What faults.c shares with faults_mapped.c, which stands before libpmem2, and
 * faults_ring.c, before io_uring. */
#include "faults.h"

#include <pthread.h>
#include <sys/types.h>

extern enum fault armed;
extern unsigned target, passed, nr_syncs;
extern int is_armed;
extern char unsound[256];

#define LOSS_MAX 4096

/* A write, or a rename, that no fsync has followed. */
struct loss {
    ino_t ino; /* of the file, or of the folder renamed into */
    int fd, to_fd;
    off_t off;
    size_t len;
    char *mem; /* copied there, by this thread, and not drained */
    pthread_t thread;
    char name[64], to_name[64], was[16]; /* was: a link to what it replaced */
};
extern struct loss losses[LOSS_MAX];
extern unsigned nr_losses;

/* NULL when nothing is to be lost.  @fd may be -1. */
struct loss *new_loss(ino_t ino, int fd);
void die(void);
/* Before a call that writes no data. Nonzero: it fails, errno is set. */
int before(void);
void after(void);

/* Something of it is not durable; it is. */
void mark(ino_t ino);
void forget(ino_t ino);
ino_t ino_of(int fd);

/* Notes what was copied and not drained. */
void look_for_copies(void);
#endif
