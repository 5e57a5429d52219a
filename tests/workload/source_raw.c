/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A flat guest-physical image: frame g is at byte g * 4096.  Holes in the file
 * are frames that nobody needs to look at.
 */
#include "page_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PAGE_BYTES = 4096
};

struct raw {
    struct page_source src; /* first: the two have one address */
    int fd;
};

static int raw_read(struct page_source *src, uint64_t gfn, void *page)
{
    struct raw *raw = (struct raw *)src;
    ssize_t done;

    if (gfn >= src->nr_gfns)
        return -ENOENT;
    done = pread(raw->fd, page, PAGE_BYTES, (off_t)(gfn * PAGE_BYTES));
    if (done < 0)
        return -errno;
    return done == PAGE_BYTES ? 0 : -ENOENT;
}

static uint64_t raw_next(struct page_source *src, uint64_t gfn)
{
    struct raw *raw = (struct raw *)src;
    off_t at;

    at = lseek(raw->fd, (off_t)(gfn * PAGE_BYTES), SEEK_DATA);
    if (at < 0)
        return errno == ENXIO ? src->nr_gfns : gfn;
    return (uint64_t)at / PAGE_BYTES;
}

static void raw_close(struct page_source *src)
{
    struct raw *raw = (struct raw *)src;

    close(raw->fd);
    free(raw);
}

int source_raw_open(char **args, struct page_source **src_out)
{
    struct raw *raw;
    struct stat st;
    int rc;

    raw = calloc(1, sizeof(*raw));
    if (!raw)
        return -ENOMEM;
    raw->fd = open(args[0], O_RDONLY | O_CLOEXEC);
    if (raw->fd < 0 || fstat(raw->fd, &st) < 0) {
        rc = -errno;
        goto out;
    }
    raw->src = (struct page_source){
        .read = raw_read,
        .next = raw_next,
        .close = raw_close,
        .nr_gfns = ((uint64_t)st.st_size + PAGE_BYTES - 1) / PAGE_BYTES,
    };
    *src_out = &raw->src;
    raw = NULL;
    rc = 0;
out:
    if (raw && raw->fd >= 0)
        close(raw->fd);
    free(raw);
    return rc;
}
