/* SPDX-License-Identifier: LGPL-2.1-only */
/* The memory of a stored checkpoint, read through libckpt. */
#include "page_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ckpt.h"

struct stored {
    struct page_source src; /* first: the two have one address */
    ckpt *c;
    ckpt_memory *memory;
};

static int stored_read(struct page_source *src, uint64_t gfn, void *page)
{
    struct stored *stored = (struct stored *)src;
    int rc;

    rc = ckpt_memory_read(stored->memory, gfn, page);
    if (rc && rc != -ENOENT)
        fprintf(stderr, "%s\n", ckpt_error(stored->c));
    return rc;
}

static uint64_t stored_next(struct page_source *src, uint64_t gfn)
{
    struct stored *stored = (struct stored *)src;

    /* Where the index is damaged, reading says so. */
    (void)ckpt_memory_next(stored->memory, &gfn);
    return gfn;
}

static void stored_close(struct page_source *src)
{
    struct stored *stored = (struct stored *)src;

    ckpt_memory_close(stored->memory);
    ckpt_close(stored->c);
    free(stored);
}

/* args: the store's URL, the checkpoint. */
int source_ckpt_open(char **args, struct page_source **src_out)
{
    struct stored *stored;
    int rc;

    stored = calloc(1, sizeof(*stored));
    if (!stored)
        return -ENOMEM;
    rc = ckpt_open(args[0], NULL, &stored->c);
    if (!rc)
        rc = ckpt_memory_open(stored->c, args[1], &stored->memory);
    if (rc) {
        fprintf(stderr, "%s\n", stored->c ? ckpt_error(stored->c) : "memory");
        ckpt_close(stored->c);
        free(stored);
        return rc;
    }
    stored->src = (struct page_source){
        .read = stored_read,
        .next = stored_next,
        .close = stored_close,
        .nr_gfns = ckpt_memory_nr_gfns(stored->memory),
    };
    *src_out = &stored->src;
    return 0;
}
