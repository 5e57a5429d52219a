/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_PACK_H
#define CKPT_PACK_H
/*
 * HOT PATH: brings pages to their places in a pack, in writes as large as the
 * pages allow, by threads of its own where there is enough to do.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "page.h"

#define PACK_RUNS 4u
#define PACK_RUN_PAGES 256u /* a megabyte; of borrowed pages a quarter */
#define PACK_WORKERS 2u

/* Pages bound for adjacent places. */
struct pack_run {
    uint32_t first;
    unsigned nr;
    bool is_busy;              /* a worker has it */
    char *copy;                /* room for the pages; NULL: they are borrowed */
    const void *page[PACK_RUN_PAGES];
};

struct pack {
    int fd;        /* borrowed; the page cache's way */
    int direct_fd; /* borrowed; past it, or -1 */
    unsigned run_pages;
    uint32_t end; /* one past the highest place put so far */
    struct pack_run run[PACK_RUNS];
    unsigned at; /* the run being filled */
    char *room;  /* owned: the copies */

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
 * With @direct_fd pages are copied into room of our own and written from
 * there while the caller goes on; without (-1) they are borrowed, and written
 * by the end of pack_flush().  0 or -errno; pack_fini() is needed anyway.
 */
int pack_init(struct pack *p, int fd, int direct_fd);
/* Waits for what is being written.  Harmless on zero bytes. */
void pack_fini(struct pack *p);

/* @page goes to @place. */
int pack_put(struct pack *p, const void *page, uint32_t place);
/* The pages put are borrowed no longer. */
int pack_flush(struct pack *p);
/* All pages put are in the file (in the kernel's hands, not on disk). */
int pack_drain(struct pack *p);
/* A page put, if it is still in memory; else NULL: it is in the file. */
const void *pack_find(struct pack *p, uint32_t place);

#endif
