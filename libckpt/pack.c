/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Pages enter one by one by pack_add() and leave in runs: neighbours in the
 * file are one pwritev(), neighbours in memory one iovec of it.
 *
 *     fresh: slots 17 18 19 20 ...   always adjacent, so a write a megabyte
 *     again: slots 3 4 5 | 9 | 12    pages put a second time, where they were
 *
 * Nothing here allocates, logs or locks.  The kernel is told early to write
 * back what has piled up, so that little is left for the fsync.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <xxhash.h>

#include "safe_io.h"

#define WRITEBACK_PAGES 4096u /* 16 MiB */

uint64_t pack_sum(const void *data, size_t len_bytes, uint64_t seed)
{
    return PACK_SUM(data, len_bytes, seed);
}

bool pack_is_zero(const void *page)
{
    const char *p = page;

    for (unsigned off = 0; off < PAGE_SIZE_BYTES; off += 64) {
        uint64_t w[8];

        memcpy(w, p + off, sizeof(w));
        if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
            return false;
    }
    return true;
}

void pack_init(struct pack *p, int fd)
{
    memset(p, 0, sizeof(*p));
    p->fd = fd;
    p->next_slot = 1; /* slot 0 is the file's head */
    p->started_slot = 1;
}

static int run_flush(struct pack *p, struct pack_run *run)
{
    int rc;

    if (!run->nr_pages)
        return 0;
    rc = safe_pwritev_all(p->fd, run->iov, (int)run->nr_iov,
                          (off_t)(run->slot << PAGE_SHIFT_BITS));
    run->nr_pages = 0;
    run->nr_iov = 0;
    return rc;
}

static int run_add(struct pack *p, struct pack_run *run, const void *page,
                   uint64_t slot)
{
    struct iovec *last;
    int rc;

    if (run->nr_pages && (slot != run->slot + run->nr_pages ||
                          run->nr_pages == PACK_RUN_PAGES)) {
        rc = run_flush(p, run);
        if (rc)
            return rc;
    }
    if (!run->nr_pages)
        run->slot = slot;
    run->nr_pages++;
    last = &run->iov[run->nr_iov];
    if (run->nr_iov &&
        (const char *)last[-1].iov_base + last[-1].iov_len == page) {
        last[-1].iov_len += PAGE_SIZE_BYTES;
        return 0;
    }
    last->iov_base = (void *)(uintptr_t)page; /* iovec knows no const */
    last->iov_len = PAGE_SIZE_BYTES;
    run->nr_iov++;
    return 0;
}

int pack_add(struct pack *p, const void *page, uint64_t *slot_out)
{
    int rc;

    rc = run_add(p, &p->fresh, page, p->next_slot);
    if (!rc)
        *slot_out = p->next_slot++;
    return rc;
}

int pack_replace(struct pack *p, const void *page, uint64_t slot)
{
    int rc;

    /* What is still on its way to the same slot goes first. */
    if (p->fresh.nr_pages && slot >= p->fresh.slot) {
        rc = run_flush(p, &p->fresh);
        if (rc)
            return rc;
    }
    return run_add(p, &p->again, page, slot);
}

int pack_flush(struct pack *p)
{
    uint64_t behind;
    int rc;

    rc = run_flush(p, &p->fresh);
    if (!rc)
        rc = run_flush(p, &p->again);
    if (rc)
        return rc;
    behind = p->next_slot - p->started_slot;
    if (behind >= WRITEBACK_PAGES) {
        /* Advice: where it is not taken, the fsync has more to do. */
        sync_file_range(p->fd, (off_t)(p->started_slot << PAGE_SHIFT_BITS),
                        (off_t)(behind << PAGE_SHIFT_BITS),
                        SYNC_FILE_RANGE_WRITE);
        p->started_slot = p->next_slot;
    }
    return 0;
}
