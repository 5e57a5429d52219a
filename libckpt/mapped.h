/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_MAPPED_H
#define CKPT_MAPPED_H
/*
 * A file written through mappings of it: what is copied there lasts without a
 * write() where the file lies in persistent memory (DAX).  Anywhere else it is
 * an ordinary file, mapped; mapped_is_memory() tells which.
 *
 * Room is taken before it is mapped, so that no store meets a full disk.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPPED_PIECE_BYTES (4u << 20)

struct pmem2_map;

/* Zero bytes are one without a file. */
struct mapped {
    int fd;                   /* borrowed */
    struct pmem2_map **piece; /* owned; NULL: not mapped (yet) */
    size_t nr_pieces;
    bool is_memory;
    /* libpmem2's, for this file */
    void *(*copy)(void *to, const void *from, size_t len, unsigned flags);
    void (*drain)(void);
};

/* 0 or -errno; -EOPNOTSUPP: this filesystem moves blocks that are written
 * again, which may fail when it is full.  mapped_fini() is needed anyway. */
int mapped_init(struct mapped *m, int fd);
void mapped_fini(struct mapped *m); /* harmless on zero bytes */

static inline bool mapped_is_memory(const struct mapped *m)
{
    return m->is_memory;
}

/* Where @offset is in memory, good to the end of its piece, until _fini.  One
 * thread at a time. */
int mapped_at(struct mapped *m, uint64_t offset, char **at_out);
/* To a place within a piece; any thread, which then calls mapped_drain(). */
void mapped_copy(const struct mapped *m, char *to, const void *from,
                 size_t len_bytes);
/* What this thread copied is on its way no longer. */
void mapped_drain(const struct mapped *m);
/* The same to any place, by the thread that may call mapped_at(). */
int mapped_write(struct mapped *m, const void *data, size_t len_bytes,
                 uint64_t offset);
/* All that was drained lasts, and so does the file's length. */
int mapped_harden(struct mapped *m);

#endif
