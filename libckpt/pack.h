/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PACK_H
#define CKPT_PACK_H
/*
 * HOT PATH: brings pages to their places in a pack, in writes as large as the
 * pages allow, while the caller goes on where there is enough to do.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "mapped.h"
#include "page.h"

struct ring;

/* The ways to the file. */
enum pack_way {
    PACK_DIRECT, /* copied aside, and past the page cache: disks */
    PACK_CACHED, /* by write(): what knows no other way */
    PACK_MAPPED, /* into a mapping of it: persistent memory, tmpfs */
};

#define PACK_RUNS 4u
#define PACK_RUN_PAGES 256u /* at most, see pack.c */
#define PACK_WORKERS 2u

/* Pages bound for adjacent places, up to a multiple of so many pages: there a
 * filesystem can do with one large page, and a mapping with one piece. */
struct pack_run {
    uint32_t first;
    unsigned nr;
    bool is_busy; /* it is being written, or waits for that */
    char *copy;   /* room for the pages; NULL: they are borrowed */
    char *to;     /* where `first` is mapped */
    const void *page[PACK_RUN_PAGES];
};

struct pack {
    enum pack_way way;
    int fd;        /* borrowed; the page cache's way */
    int direct_fd; /* borrowed; past it, or -1 */
    struct mapped mapped;
    unsigned run_pages;
    uint32_t end; /* one past the highest place put so far */
    struct pack_run run[PACK_RUNS];
    unsigned at; /* the run being filled */
    char *room;  /* owned: the copies */
    struct ring *ring; /* writes them; NULL: the workers do */

    pthread_mutex_t lock; /* of what follows, and is_busy */
    pthread_cond_t work, done;
    pthread_t worker[PACK_WORKERS];
    unsigned nr_workers;
    unsigned queue[PACK_RUNS]; /* runs to write, a ring */
    unsigned nr_queued, queue_at;
    bool is_ending;
    int error; /* of the first write that failed */
};

/*
 * @direct_fd is for PACK_DIRECT.  There pages are copied into room of our own
 * and written from it while the caller goes on.  In the other ways they are
 * borrowed, and written by the end of pack_flush().  0 or -errno, of
 * mapped_init() too; pack_fini() is needed anyway.
 */
int pack_init(struct pack *p, enum pack_way way, int fd, int direct_fd);
/* Waits for what is being written.  Harmless on zero bytes. */
void pack_fini(struct pack *p);

/* @page goes to @place. */
int pack_put(struct pack *p, const void *page, uint32_t place);
/* The pages put are borrowed no longer. */
int pack_flush(struct pack *p);
/* All pages put are in the file (in the kernel's hands, not on disk). */
int pack_drain(struct pack *p);
/* What is no page, beside the pages; 0 or -errno. */
int pack_write(struct pack *p, const void *data, size_t len_bytes,
               uint64_t offset);
/* After a drain: all of the file lasts.  0 or -errno. */
int pack_harden(struct pack *p);
/* A page put, if it is still in memory; else NULL: it is in the file. */
const void *pack_find(struct pack *p, uint32_t place);

#endif
