/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_DISK_DEED_H
#define CKPT_DISK_DEED_H
/*
 * For drivers: what was done to the host's storage and can be taken back.  A
 * deed is written down, here and with the guard, before it is done.  Whoever
 * is left takes it back with the same function: we, last one first, or the
 * guard.
 */
#include "disk.h"

typedef int disk_undo_fn(struct ckpt *c, const char *arg);

struct disk_deed {
    struct disk_deed *before; /* done before this one */
    disk_undo_fn *undo;       /* 0 also when there is nothing to undo */
    enum guard_harm harm;
    unsigned token;
    int fd; /* a lock for as long as it stands, or -1 */
    char arg[GUARD_ARG_MAX];
};

/* Room for a deed of the cut, where nothing is allocated. */
struct disk_deed *disk_deed_new(struct disk *d);
void disk_deed_free(struct disk_deed *deed); /* NULL is fine */
/* Writes it down. @deed is d's from then on, or freed on failure. */
int disk_deed_add(struct disk *d, struct disk_deed *deed, enum guard_harm harm,
                  disk_undo_fn *undo, const char *arg);
/* Both of the above. */
int disk_deed_begin(struct disk *d, enum guard_harm harm, disk_undo_fn *undo,
                    const char *arg);
/* A deed of the driver's own @words, for its take_back(). */
int disk_deed_words(struct disk *d, enum guard_harm harm, const char *words);
/* The last one is undone, or meant to stay: forgotten. */
int disk_deed_strike(struct disk *d);
/* A deed that disk_keep() brings about: the volume that is superfluous once
 * the rest stays.  Forgotten when all is taken back before that. */
int disk_deed_after(struct disk *d, enum guard_harm harm, disk_undo_fn *undo,
                    const char *arg);
int disk_deed_words_after(struct disk *d, const char *words);
/* Undoes it, after disk_keep(). */
int disk_deed_undo_after(struct disk *d);
/* Takes all back.  One that cannot be taken back stays with the guard, and
 * those before it: said as a warning.  Keeps the error text. */
int disk_deed_undo_all(struct disk *d);
/* The rollback_end() of a driver whose rollback is all deeds. */
int disk_deed_rollback_end(struct disk *d, bool keep_new);

#endif
