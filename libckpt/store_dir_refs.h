/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_DIR_REFS_H
#define CKPT_STORE_DIR_REFS_H
/*
 * How often each page and node of a store is referred to: counted from the
 * checkpoints, and kept in the folder `refs` so that a removal costs what it
 * frees.  The counts can be made anew at any time; they are, when a process
 * died with them in its hands, or the machine did.
 *
 * Only the holder of DIR_USE_LOCK, exclusive, may touch them.
 */
#include "packs.h"

struct dir_store;
struct ref_map;

#define REFS_OPEN 256u

struct refs {
    struct dir_store *st; /* borrowed */
    int fd;               /* the folder */
    bool is_known;        /* they were good when opened */
    uint64_t generation;  /* of counts that were made together */
    bool is_lost;         /* some could not be kept: to be made anew */
    struct packs packs;
    struct ref_map *map[REFS_OPEN];
    /* What went to zero: a pack's number and a block of its file. */
    uint64_t *freed; /* owned */
    size_t nr_freed, room_freed;
    uint64_t pages_freed;
};

int refs_open(struct refs *r, struct dir_store *st);
/* With @is_good they are kept for the next time. */
void refs_close(struct refs *r, bool is_good);

/* Counts what pack @number's tree refers to, unless it has been.  -EUCLEAN: a
 * node of it is damaged, the counts are of no use. */
int refs_count(struct refs *r, uint32_t number);
/* The reverse; what went to zero is added to r->freed. */
int refs_uncount(struct refs *r, uint32_t number);

/* Does anything refer to a page or node of this pack? */
int refs_is_live(struct refs *r, uint32_t number, bool *is_live_out);
/* Adds all blocks of a pack to which nothing refers to r->freed. */
int refs_dead_blocks(struct refs *r, uint32_t number);
/* Forgets the counts of a pack that is removed. */
void refs_forget(struct refs *r, uint32_t number);

#endif
