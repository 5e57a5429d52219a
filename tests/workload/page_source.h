/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef WITNESS_PAGE_SOURCE_H
#define WITNESS_PAGE_SOURCE_H
/*
 * Where a checker gets a guest's pages from.  A new kind of image is one file
 * source_NAME.c with an open function, and one row in check.c.
 */
#include <stdint.h>

struct page_source {
    /* Copies the 4096 bytes of @gfn to @page.  -ENOENT: the image has no such
     * page; any other -errno: it could not be read. */
    int (*read)(struct page_source *src, uint64_t gfn, void *page);
    /* The smallest frame >= @gfn that may hold something, or nr_gfns. */
    uint64_t (*next)(struct page_source *src, uint64_t gfn);
    void (*close)(struct page_source *src);
    uint64_t nr_gfns; /* all frames are below */
};

/* Each opens an image named by @args, as many words as its row in check.c
 * says.  *src_out is owned by the caller, who calls its close(). */
int source_raw_open(char **args, struct page_source **src_out);
int source_ckpt_open(char **args, struct page_source **src_out);

#endif
