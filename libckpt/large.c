/* SPDX-License-Identifier: LGPL-2.1-only */
/* What is less than half a large page comes from malloc. */
#include "large.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define LARGE_PAGE_BYTES ((size_t)2 << 20)

static size_t rounded(size_t bytes)
{
    return (bytes + LARGE_PAGE_BYTES - 1) & ~(LARGE_PAGE_BYTES - 1);
}

void *large_alloc(size_t bytes)
{
    const size_t len = rounded(bytes);
    size_t before;
    char *map;

    if (bytes < LARGE_PAGE_BYTES / 2)
        return calloc(1, bytes);
    if (len < bytes || len > SIZE_MAX - LARGE_PAGE_BYTES)
        return NULL;
    map = mmap(NULL, len + LARGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return NULL;
    before = rounded((uintptr_t)map) - (uintptr_t)map;
    if (before)
        munmap(map, before);
    if (before < LARGE_PAGE_BYTES)
        munmap(map + before + len, LARGE_PAGE_BYTES - before);
    madvise(map + before, len, MADV_HUGEPAGE); /* advice */
    return map + before;
}

void large_free(void *p, size_t bytes)
{
    if (bytes < LARGE_PAGE_BYTES / 2)
        free(p);
    else if (p)
        munmap(p, rounded(bytes));
}
