/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An open-addressed table in a file, at most half full:
 *
 *     head (4096 bytes) | entry 0 | entry 1 | ...       16 bytes each
 *     an entry's home is its sum's top bits; then the next, and the next
 *
 * Readers map it and take what they find, also in the middle of a change: a
 * wrong entry leads to a page that is not equal, or to none.  Writers exclude
 * each other by a flock.  Additions are sorted by home, so that the file is
 * read and written once from front to back; they come after the commit,
 * where nobody waits.
 */
#include "equals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store_dir.h"

#define EQUALS "equals"
#define MAGIC "XCKPTEQ1"
#define SHIFT_MIN 12u
#define SHIFT_MAX 34u
#define PROBES 64u
#define WINDOW 256u /* entries read and written at a time, and PROBES */

struct equals_head {
    char magic[8];
    uint64_t log2; /* of the number of entries */
    uint64_t used; /* about how many are */
    uint8_t zero[4072];
};
_Static_assert(sizeof(struct equals_head) == 4096, "equals_head");

static uint64_t file_bytes(uint64_t log2)
{
    return sizeof(struct equals_head) + (sizeof(struct equal) << log2);
}

static bool head_is_sound(const struct equals_head *h, uint64_t bytes)
{
    return !memcmp(h->magic, MAGIC, sizeof(h->magic)) &&
           h->log2 >= SHIFT_MIN && h->log2 <= SHIFT_MAX &&
           bytes == file_bytes(h->log2);
}

static int read_head(int fd, struct equals_head *h)
{
    struct stat sb;

    if (fstat(fd, &sb) < 0 || safe_pread_all(fd, h, sizeof(*h), 0) ||
        !head_is_sound(h, (uint64_t)sb.st_size))
        return -EUCLEAN;
    return 0;
}

void equals_open(struct equals *q, struct dir_store *st)
{
    struct equals_head h;
    void *map;
    int fd;

    memset(q, 0, sizeof(*q));
    fd = openat(st->fd, EQUALS, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (!read_head(fd, &h)) {
        map = mmap(NULL, file_bytes(h.log2), PROT_READ, MAP_SHARED, fd, 0);
        if (map != MAP_FAILED) {
            q->table = (const void *)((char *)map + sizeof(h));
            q->shift = 64 - (unsigned)h.log2;
            q->map_bytes = file_bytes(h.log2);
        }
    }
    close(fd);
}

void equals_close(struct equals *q)
{
    if (q->table)
        munmap((char *)(uintptr_t)q->table - sizeof(struct equals_head),
               q->map_bytes);
    memset(q, 0, sizeof(*q));
}

unsigned equals_find(const struct equals *q, uint64_t sum, store_ref *refs,
                     unsigned max)
{
    const uint64_t mask = q->table ? UINT64_MAX >> q->shift : 0;
    unsigned nr = 0;

    if (!q->table)
        return 0;
    for (unsigned i = 0; i < PROBES && nr < max; i++) {
        const struct equal e = q->table[((sum >> q->shift) + i) & mask];

        if (!e.ref)
            break;
        if (e.sum == sum)
            refs[nr++] = e.ref;
    }
    return nr;
}

/* --- adding -------------------------------------------------------------- */

/* By the window of the file they belong to; in it they may lie as they like.
 * NULL: no memory. */
static struct equal *sort(const struct equal *add, size_t nr, unsigned shift)
{
    const size_t nr_windows = (UINT64_MAX >> shift) / WINDOW + 1;
    size_t *end = calloc(nr_windows + 1, sizeof(*end));
    struct equal *sorted = malloc(nr * sizeof(*sorted));

    if (!end || !sorted) {
        free(end);
        free(sorted);
        return NULL;
    }
    for (size_t i = 0; i < nr; i++)
        end[(add[i].sum >> shift) / WINDOW + 1]++;
    for (size_t i = 0; i < nr_windows; i++)
        end[i + 1] += end[i];
    for (size_t i = 0; i < nr; i++)
        sorted[end[(add[i].sum >> shift) / WINDOW]++] = add[i];
    free(end);
    return sorted;
}

/* A table in memory with room for twice what is to be in it. */
struct fresh {
    struct equal *table;
    unsigned shift;
    uint64_t used;
};

static void insert(struct dir_store *st, struct fresh *f, const struct equal *e)
{
    const uint64_t mask = UINT64_MAX >> f->shift;

    for (unsigned i = 0; i < PROBES; i++) {
        struct equal *at = &f->table[((e->sum >> f->shift) + i) & mask];

        if (at->ref && (at->sum != e->sum ||
                        dir_by_number(st, ref_pack(at->ref))))
            continue;
        f->used += !at->ref;
        *at = *e;
        return;
    }
}

/* As safe_replace_via(), but nobody waits for it to last. */
static int replace(struct dir_store *st, const void *data, size_t len_bytes)
{
    static const char temp[] = "." EQUALS SAFE_TEMP_SUFFIX;
    int rc = 0;
    int fd;

    fd = openat(st->tmp_fd, temp,
                O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        rc = -errno;
    if (!rc)
        rc = safe_write_all(fd, data, len_bytes);
    if (!rc && renameat(st->tmp_fd, temp, st->fd, EQUALS) < 0)
        rc = -errno;
    if (rc)
        unlinkat(st->tmp_fd, temp, 0);
    close(fd);
    return rc;
}

/* The old entries that still lead to a pack, in a table that is large enough:
 * written beside the old one and renamed over it. */
static int grow(struct dir_store *st, int fd, const struct equals_head *old,
                uint64_t nr_more)
{
    struct equals_head h = {.magic = MAGIC, .log2 = SHIFT_MIN};
    struct equals q = {.table = NULL};
    struct fresh f = {.table = NULL};
    char *file;
    int rc;

    while (h.log2 < SHIFT_MAX && 1ull << h.log2 < 3 * (old->used + nr_more))
        h.log2++;
    file = calloc(1, file_bytes(h.log2));
    if (!file)
        return -ENOMEM;
    f.table = (struct equal *)(void *)(file + sizeof(h));
    f.shift = 64 - (unsigned)h.log2;
    if (fd >= 0)
        equals_open(&q, st);
    for (uint64_t i = 0; q.table && i <= UINT64_MAX >> q.shift; i++) {
        const struct equal e = q.table[i];

        if (e.ref && dir_by_number(st, ref_pack(e.ref)))
            insert(st, &f, &e);
    }
    equals_close(&q);
    h.used = f.used;
    memcpy(file, &h, sizeof(h));
    rc = replace(st, file, file_bytes(h.log2));
    free(file);
    return rc;
}

static void put_in(struct equal *window, uint64_t k, uint64_t len,
                   const struct equal *e, struct equals_head *h)
{
    const uint64_t end = k + PROBES < len ? k + PROBES : len;

    for (; k < end; k++) {
        if (window[k].ref && window[k].sum != e->sum)
            continue;
        h->used += !window[k].ref;
        window[k] = *e;
        return;
    }
}

/* Into the file, a window of it at a time. */
static int merge(int fd, struct equals_head *h,
                 const struct equal *add, size_t nr)
{
    const uint64_t mask = (UINT64_C(1) << h->log2) - 1;
    const unsigned shift = 64 - (unsigned)h->log2;
    struct equal window[WINDOW + PROBES];
    struct equal *sorted = sort(add, nr, shift);
    size_t i = 0;
    int rc = 0;

    if (!sorted)
        return -ENOMEM;
    while (!rc && i < nr) {
        const uint64_t from = (sorted[i].sum >> shift) / WINDOW * WINDOW;
        const off_t at = (off_t)(sizeof(*h) + from * sizeof(*window));
        uint64_t len = WINDOW + PROBES;

        if (from + len > mask + 1)
            len = mask + 1 - from; /* what would wrap around is lost */
        rc = safe_pread_all(fd, window, len * sizeof(*window), at);
        for (; !rc && i < nr; i++) {
            if ((sorted[i].sum >> shift) / WINDOW * WINDOW != from)
                break;
            put_in(window, (sorted[i].sum >> shift) - from, len, &sorted[i], h);
        }
        if (!rc)
            rc = safe_pwrite_all(fd, window, len * sizeof(*window), at);
    }
    free(sorted);
    return rc;
}

void equals_add(struct dir_store *st, const struct equal *add, size_t nr)
{
    struct equals_head h = {.used = 0};
    int lock_fd, fd;
    int rc;

    if (!nr || dir_lock_file(st, ".equals", LOCK_EX, &lock_fd))
        return;
    fd = openat(st->fd, EQUALS, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    rc = fd < 0 ? -errno : read_head(fd, &h);
    if (rc || h.used + nr > UINT64_C(1) << (h.log2 - 1)) {
        rc = grow(st, rc ? -1 : fd, &h, nr);
        if (fd >= 0)
            close(fd);
        fd = rc ? -1 : openat(st->fd, EQUALS, O_RDWR | O_CLOEXEC);
        if (!rc)
            rc = fd < 0 ? -errno : read_head(fd, &h);
    }
    if (!rc)
        rc = merge(fd, &h, add, nr);
    if (!rc)
        rc = safe_pwrite_all(fd, &h, sizeof(h), 0);
    if (rc)
        say(st->base.c, "equal pages will not all be found: %s", strerror(-rc));
    st->base.c->error[0] = '\0';
    if (fd >= 0)
        close(fd);
    close(lock_fd);
}
