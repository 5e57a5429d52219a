/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Two open-addressed tables in a file, each at most half full:
 *
 *     head (4096 bytes) | young: 2^15 entries | old: 2^log2 entries
 *     an entry has 16 bytes; its home is its sum's top bits; then the next ...
 *
 * A few additions go to the young table, which is small enough to be read and
 * written whole.  Once they do not fit there they go to the old one together
 * with what is young, sorted by home, so that it is read and written once from
 * front to back.
 *
 * Readers map the file and take what they find, also in the middle of a change:
 * a wrong entry leads to a page that is not equal, or to none.  Writers exclude
 * each other by a flock.
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
#include "large.h"
#include "safe_io.h"
#include "store_dir.h"

#define EQUALS "equals"
#define MAGIC "XCKPTEQ2"
#define SHIFT_MIN 12u
#define SHIFT_MAX 34u
#define AT_ONCE_MAX 22u /* 64 MiB: mapped page by page they would take longer */
#define PROBES 64u
#define WINDOW 4096u /* entries read and written at a time, and PROBES */
#define YOUNG_SHIFT EQUALS_YOUNG_SHIFT
#define YOUNG_NR ((UINT64_MAX >> YOUNG_SHIFT) + 1)
#define YOUNG_BYTES (YOUNG_NR * sizeof(struct equal))

struct equals_head {
    char magic[8];
    uint64_t log2;  /* of the number of old entries */
    uint64_t used;  /* about how many are */
    uint64_t young; /* about how many of the young */
    uint8_t zero[4064];
};
_Static_assert(sizeof(struct equals_head) == 4096, "equals_head");

static uint64_t file_bytes(uint64_t log2)
{
    return sizeof(struct equals_head) + YOUNG_BYTES +
           (sizeof(struct equal) << log2);
}

static bool head_is_sound(const struct equals_head *h, uint64_t bytes)
{
    return !memcmp(h->magic, MAGIC, sizeof(h->magic)) && h->log2 >= SHIFT_MIN &&
           h->log2 <= SHIFT_MAX && bytes == file_bytes(h->log2);
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
        map = mmap(NULL, file_bytes(h.log2), PROT_READ,
                   MAP_SHARED | (h.log2 <= AT_ONCE_MAX ? MAP_POPULATE : 0), fd,
                   0);
        if (map != MAP_FAILED) {
            q->young = (const void *)((char *)map + sizeof(h));
            q->table = q->young + YOUNG_NR;
            q->has_young = h.young > 0;
            q->shift = 64 - (unsigned)h.log2;
            q->map_bytes = file_bytes(h.log2);
        }
    }
    close(fd);
}

void equals_close(struct equals *q)
{
    if (q->table)
        munmap((char *)(uintptr_t)q->young - sizeof(struct equals_head),
               q->map_bytes);
    memset(q, 0, sizeof(*q));
}

static unsigned find(const struct equal *table, unsigned shift, uint64_t sum,
                     store_ref *refs, unsigned max)
{
    const uint64_t mask = UINT64_MAX >> shift;
    unsigned nr = 0;

    for (unsigned i = 0; i < PROBES && nr < max; i++) {
        const struct equal e = table[((sum >> shift) + i) & mask];

        if (!e.ref)
            break;
        if (e.sum == sum)
            refs[nr++] = e.ref;
    }
    return nr;
}

unsigned equals_find(const struct equals *q, uint64_t sum, store_ref *refs,
                     unsigned max)
{
    unsigned nr = 0;

    if (!q->table)
        return 0;
    if (q->has_young)
        nr = find(q->young, YOUNG_SHIFT, sum, refs, max);
    return nr + find(q->table, q->shift, sum, refs + nr, max - nr);
}

/* --- adding -------------------------------------------------------------- */

/* Into a table, or the part of one, of @len entries, at @k or soon after it, or
 * nowhere.  How many more are used. */
static unsigned put_in(struct equal *table, uint64_t k, uint64_t len,
                       const struct equal *e)
{
    const uint64_t end = k + PROBES < len ? k + PROBES : len;
    unsigned is_more;

    while (k < end && table[k].ref && table[k].sum != e->sum)
        k++;
    if (k == end)
        return 0;
    is_more = !table[k].ref;
    table[k] = *e;
    return is_more;
}

/* Where those of each window of the file begin, once all are counted and
 * summed up; from then on where the next of them goes. */
struct windows {
    size_t *at;
    unsigned shift;
    struct equal *sorted;
};

static size_t *window_of(const struct windows *w, const struct equal *e)
{
    return &w->at[(e->sum >> w->shift) / WINDOW];
}

static void count_in(const struct windows *w, const struct equal *e, size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        if (e[i].ref)
            window_of(w, &e[i])[1]++;
    }
}

static void put_sorted(const struct windows *w, const struct equal *e,
                       size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        if (e[i].ref)
            w->sorted[(*window_of(w, &e[i]))++] = e[i];
    }
}

/* By the window of the file they belong to; in it they may lie as they like.
 * @sorted has room for YOUNG_NR + @nr.  How many there are; 0: no memory. */
static size_t sort(struct equal *sorted, const struct equal *young,
                   const struct equal *add, size_t nr, unsigned shift)
{
    const size_t nr_windows = (UINT64_MAX >> shift) / WINDOW + 1;
    const struct windows w = {
        .at = calloc(nr_windows + 1, sizeof(*w.at)),
        .shift = shift,
        .sorted = sorted,
    };

    if (!w.at)
        return 0;
    count_in(&w, young, YOUNG_NR);
    count_in(&w, add, nr);
    for (size_t i = 0; i < nr_windows; i++)
        w.at[i + 1] += w.at[i];
    put_sorted(&w, young, YOUNG_NR);
    put_sorted(&w, add, nr);
    nr = w.at[nr_windows];
    free(w.at);
    return nr;
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

/* What leads to a pack that is there: into @table, or only counted. */
static uint64_t keep(struct dir_store *st, const struct equal *from,
                     uint64_t nr, struct equal *table, unsigned shift)
{
    uint64_t kept = 0;

    for (uint64_t i = 0; i < nr; i++) {
        if (!from[i].ref || !dir_is_known(st, ref_pack(from[i].ref)))
            continue;
        kept += table ? put_in(table, from[i].sum >> shift,
                               (UINT64_MAX >> shift) + 1, &from[i])
                      : 1;
    }
    return kept;
}

static uint64_t keep_all(struct dir_store *st, const struct equals *q,
                         struct equal *table, unsigned shift)
{
    if (!q->table)
        return 0;
    return keep(st, q->table, (UINT64_MAX >> q->shift) + 1, table, shift) +
           keep(st, q->young, YOUNG_NR, table, shift);
}

/* A new file, renamed over the old one, with an old table that is large enough
 * for all that is kept and @add. */
static int grow(struct dir_store *st, const struct equal *add, size_t nr)
{
    struct equals_head h = {.magic = MAGIC, .log2 = SHIFT_MIN};
    struct equals q;
    struct equal *table;
    uint64_t want;
    unsigned shift;
    char *file;
    int rc;

    equals_open(&q, st);
    want = 3 * (keep_all(st, &q, NULL, 0) + nr);
    while (h.log2 < SHIFT_MAX && UINT64_C(1) << h.log2 < want)
        h.log2++;
    file = calloc(1, file_bytes(h.log2));
    if (!file) {
        equals_close(&q);
        return -ENOMEM;
    }
    table = (struct equal *)(void *)(file + sizeof(h)) + YOUNG_NR;
    shift = 64 - (unsigned)h.log2;
    h.used = keep_all(st, &q, table, shift);
    equals_close(&q);
    for (size_t i = 0; i < nr; i++)
        h.used +=
            put_in(table, add[i].sum >> shift, UINT64_C(1) << h.log2, &add[i]);
    memcpy(file, &h, sizeof(h));
    rc = replace(st, file, file_bytes(h.log2));
    free(file);
    return rc;
}

/* Into the old table, a window of it at a time. */
static int merge(int fd, struct equals_head *h, const struct equal *sorted,
                 size_t nr, struct equal *window)
{
    const uint64_t len = UINT64_C(1) << h->log2;
    const unsigned shift = 64 - (unsigned)h->log2;
    size_t i = 0;
    int rc = 0;

    while (!rc && i < nr) {
        const uint64_t from = (sorted[i].sum >> shift) / WINDOW * WINDOW;
        const off_t at =
            (off_t)(sizeof(*h) + YOUNG_BYTES + from * sizeof(*window));
        uint64_t here = WINDOW + PROBES;

        if (from + here > len)
            here = len - from;
        rc = safe_pread_all(fd, window, here * sizeof(*window), at);
        for (; !rc && i < nr; i++) {
            if ((sorted[i].sum >> shift) / WINDOW * WINDOW != from)
                break;
            h->used += put_in(window, (sorted[i].sum >> shift) - from, here,
                              &sorted[i]);
        }
        if (!rc)
            rc = safe_pwrite_all(fd, window, here * sizeof(*window), at);
    }
    return rc;
}

/* All that is young grows old, with @add. */
static int age(int fd, struct equals_head *h, struct equal *young,
               const struct equal *add, size_t nr)
{
    const size_t bytes = (YOUNG_NR + nr) * sizeof(*add);
    struct equal *window = malloc((WINDOW + PROBES) * sizeof(*window));
    struct equal *sorted = large_alloc(bytes);
    size_t n = 0;
    int rc = -ENOMEM;

    if (sorted && window)
        n = sort(sorted, young, add, nr, 64 - (unsigned)h->log2);
    if (n)
        rc = merge(fd, h, sorted, n, window);
    large_free(sorted, bytes);
    free(window);
    h->young = 0;
    memset(young, 0, YOUNG_BYTES);
    return rc;
}

static int add_to(int fd, struct equals_head *h, const struct equal *add,
                  size_t nr)
{
    struct equal *young = malloc(YOUNG_BYTES);
    int rc;

    if (!young)
        return -ENOMEM;
    rc = safe_pread_all(fd, young, YOUNG_BYTES, sizeof(*h));
    if (!rc && h->young + nr > YOUNG_NR / 2)
        rc = age(fd, h, young, add, nr);
    else if (!rc)
        for (size_t i = 0; i < nr; i++)
            h->young +=
                put_in(young, add[i].sum >> YOUNG_SHIFT, YOUNG_NR, &add[i]);
    if (!rc)
        rc = safe_pwrite_all(fd, young, YOUNG_BYTES, sizeof(*h));
    free(young);
    return rc ? rc : safe_pwrite_all(fd, h, sizeof(*h), 0);
}

void equals_add(struct dir_store *st, const struct equal *add, size_t nr)
{
    struct equals_head h;
    int lock_fd, fd;
    int rc;

    if (!nr || dir_lock_file(st, ".equals", LOCK_EX, &lock_fd))
        return;
    fd = openat(st->fd, EQUALS, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || read_head(fd, &h))
        memset(&h, 0, sizeof(h));
    if (!h.log2 || h.used + h.young + nr > UINT64_C(1) << (h.log2 - 1))
        rc = grow(st, add, nr);
    else
        rc = add_to(fd, &h, add, nr);
    if (rc)
        say(st->base.c, "equal pages will not all be found: %s", strerror(-rc));
    st->base.c->error[0] = '\0';
    if (fd >= 0)
        close(fd);
    close(lock_fd);
}
