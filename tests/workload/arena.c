/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The witness's memory and where it lies in the guest.
 *
 * One shared mapping, locked, small pages, not inherited by children: nothing
 * should ever give its pages other frames.  Still they could move, so the
 * frames are read again from time to time and published under a version that
 * is odd meanwhile:
 *
 *   control --root_gfn--> root page --512 frames--> table pages --> every page
 *
 * The tables list all arena pages by index, the control page and the tables
 * included.  Frames come from /proc/self/pagemap, where PFN means guest frame
 * in a PVH or HVM guest.  With backing=FILE the arena is a mapping of that
 * file and a frame is a position in it, so the file is a guest-physical image:
 * the checkers can be tested without a hypervisor.
 */
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKING_FIRST_GFN = 16
}; /* so that index and frame are not the same */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_PFN ((UINT64_C(1) << 55) - 1)

static int map_backing(struct witness *w, size_t len)
{
    off_t skip = (off_t)BACKING_FIRST_GFN * FMT_PAGE;
    void *p = MAP_FAILED;
    int fd;
    int rc;

    fd = open(w->opt.backing, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = -errno;
        goto out;
    }
    rc = -posix_fallocate(fd, 0, skip + (off_t)len);
    if (rc)
        goto out;
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
             skip);
    if (p == MAP_FAILED) {
        rc = -errno;
        goto out;
    }
    w->arena.base = p;
    rc = 0;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static int map_locked(struct witness *w, size_t len)
{
    void *p;

    p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
             0);
    if (p == MAP_FAILED)
        return -errno;
    w->arena.base = p;
    madvise(p, len, MADV_NOHUGEPAGE); /* not every kernel knows the word */
    if (madvise(p, len, MADV_DONTFORK) < 0)
        return -errno;
    memset(p, 0, len);
    if (mlock(p, len) < 0)
        return -errno;
    w->arena.pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    return w->arena.pagemap_fd < 0 ? -errno : 0;
}

/* Leaves one frame number per arena page in entries. */
static int read_frames(struct arena *a)
{
    size_t len = a->nr_pages * 8;
    size_t done = 0;

    if (a->pagemap_fd < 0) {
        for (uint64_t i = 0; i < a->nr_pages; i++)
            a->entries[i] = BACKING_FIRST_GFN + i;
        return 0;
    }
    while (done < len) {
        off_t at = (off_t)((uintptr_t)a->base / FMT_PAGE * 8 + done);
        ssize_t r;

        r = pread(a->pagemap_fd, (char *)a->entries + done, len - done, at);
        if (r <= 0)
            return r < 0 ? -errno : -EIO;
        done += (size_t)r;
    }
    for (uint64_t i = 0; i < a->nr_pages; i++) {
        if (!(a->entries[i] & PAGEMAP_PRESENT))
            return -EFAULT;
        a->entries[i] &= PAGEMAP_PFN;
        if (!a->entries[i])
            return -EPERM; /* the kernel hides frames from the likes of us */
    }
    return 0;
}

int64_t arena_publish(struct witness *w)
{
    struct fmt_control *c = w->control;
    const uint64_t *gfn = w->arena.entries;
    uint64_t *table = arena_page(w, c->first_table);
    int64_t moved = 0;
    int rc;

    rc = read_frames(&w->arena);
    if (rc)
        return rc;
    for (uint64_t i = 0; i < w->arena.nr_pages; i++)
        moved += table[i] != gfn[i];
    if (!moved)
        return 0;
    atomic_fetch_add(&c->table_version, 1);
    memcpy(table, gfn, w->arena.nr_pages * 8);
    memcpy(w->root, gfn + c->first_table, c->nr_tables * 8);
    c->gfn = gfn[ARENA_CONTROL];
    c->root_gfn = gfn[ARENA_ROOT];
    c->table_sum = fmt_sum(gfn, w->arena.nr_pages);
    atomic_fetch_add(&c->table_version, 1);
    return moved;
}

static int fill_random(void *buf, size_t len)
{
    char *p = buf;

    while (len) {
        ssize_t r = getrandom(p, len, 0);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        p += r;
        len -= (size_t)r;
    }
    return 0;
}

static int fill_fixed(struct witness *w, uint64_t nr_tables)
{
    struct fmt_control *c = w->control;
    struct timespec now;
    int rc;

    rc = fill_random(&c->instance, sizeof(c->instance));
    if (!rc)
        rc = fill_random(w->secrets, FMT_PAGE);
    if (rc)
        return rc;
    clock_gettime(CLOCK_REALTIME, &now);
    c->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    c->version = FMT_VERSION;
    c->nr_writers = w->opt.writers;
    c->nr_pages = w->arena.nr_pages;
    c->first_table = ARENA_STATUS + w->opt.writers;
    c->nr_tables = nr_tables;
    c->first_region = c->first_table + nr_tables;
    c->region_pages = (c->nr_pages - c->first_region) / w->opt.writers;
    c->secrets_sum = fmt_sum(w->secrets, FMT_WORDS);
    c->static_sum = fmt_static_sum(c);
    w->log->instance = c->instance;
    for (uint64_t i = 0; i < w->opt.writers; i++) {
        struct fmt_status *s = arena_status(w, i);

        s->magic = FMT_STATUS_MAGIC;
        s->instance = c->instance;
        s->writer = i;
    }
    return 0;
}

int arena_open(struct witness *w)
{
    uint64_t region = w->opt.mb * (1024 * 1024 / FMT_PAGE) / w->opt.writers;
    uint64_t others = ARENA_STATUS + w->opt.writers;
    uint64_t nr = others + region * w->opt.writers;
    uint64_t nr_tables = nr / (FMT_WORDS - 1) + 1; /* and room for their own */
    size_t len;
    int64_t moved;
    int rc;

    nr += nr_tables;
    if (nr > FMT_MAX_PAGES)
        return -E2BIG;
    len = nr * FMT_PAGE;
    w->arena.nr_pages = nr;
    w->arena.pagemap_fd = -1;
    w->arena.entries = calloc(nr, 8);
    if (!w->arena.entries)
        return -ENOMEM;
    rc = w->opt.backing ? map_backing(w, len) : map_locked(w, len);
    if (rc)
        return rc;
    w->control = arena_page(w, ARENA_CONTROL);
    w->secrets = arena_page(w, ARENA_SECRETS);
    w->log = arena_page(w, ARENA_LOG);
    w->root = arena_page(w, ARENA_ROOT);
    rc = fill_fixed(w, nr_tables);
    if (rc)
        return rc;
    moved = arena_publish(w);
    if (moved < 0)
        return (int)moved;
    memcpy(w->control->magic, FMT_MAGIC, sizeof(w->control->magic));
    return 0;
}

void arena_close(struct witness *w)
{
    if (w->control) /* nobody shall find a witness that is gone */
        memset(w->control->magic, 0, sizeof(w->control->magic));
    if (w->arena.base)
        munmap(w->arena.base, w->arena.nr_pages * FMT_PAGE);
    if (w->arena.pagemap_fd >= 0)
        close(w->arena.pagemap_fd);
    free(w->arena.entries);
    w->control = NULL;
    w->arena = (struct arena){.pagemap_fd = -1};
}
