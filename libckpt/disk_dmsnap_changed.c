/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which blocks differ between two snapshots of a device, from what the kernel
 * writes into their files (numbers are little-endian, a chunk is the unit):
 *
 *   chunk 0      header   4 "SnAp", 4 valid, 4 version 1, 4 sectors a chunk
 *   chunk 1      list     pairs of 8 + 8: chunk of the disk, chunk of the file
 *   2 ...        the chunks of the pairs, as many as fill the list; then the
 *                next list, and so on, until a pair's second number is 0
 *
 * A file has what was overwritten since its snapshot.  A chunk that neither has
 * is the same in both; one that both have was perhaps overwritten only later
 * than either, so they are compared.
 */
#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_dmsnap.h"
#include "disk_extents.h"

#define MAGIC 0x70416e53u
#define CHUNK_SECTORS_MAX (1u << 20)

struct pair {
    uint64_t at, kept; /* chunk of the disk, of the file */
};

struct kept {
    const char *path; /* borrowed */
    int fd;
    uint64_t size_bytes, chunk_bytes;
    struct pair *list; /* owned; by `at` */
    size_t nr, room;
};

static int read_all(struct ckpt *c, const struct kept *k, void *out,
                    size_t len_bytes, uint64_t offset)
{
    const ssize_t n = pread(k->fd, out, len_bytes, (off_t)offset);

    if (n == (ssize_t)len_bytes)
        return 0;
    return n < 0 ? fail(c, -errno, "%s", k->path)
                 : fail(c, -EUCLEAN, "%s: is cut off.", k->path);
}

static int read_header(struct ckpt *c, struct kept *k)
{
    uint32_t head[4];
    int rc = read_all(c, k, head, sizeof(head), 0);

    if (rc)
        return rc;
    for (size_t i = 0; i < 4; i++)
        head[i] = le32toh(head[i]);
    if (head[0] != MAGIC || head[1] != 1 || head[2] != 1 || head[3] < 8 ||
        head[3] > CHUNK_SECTORS_MAX || head[3] & (head[3] - 1))
        return fail(c, -EUCLEAN, "%s: is not what a snapshot keeps.", k->path);
    k->chunk_bytes = head[3] * UINT64_C(512);
    return 0;
}

static int add(struct ckpt *c, struct kept *k, const struct pair *p)
{
    struct pair *list;

    if (k->nr == k->room) {
        list = reallocarray(k->list, k->room * 2 + 1024, sizeof(*list));
        if (!list)
            return fail(c, -ENOMEM, "%s", k->path);
        k->list = list;
        k->room = k->room * 2 + 1024;
    }
    k->list[k->nr].at = le64toh(p->at);
    k->list[k->nr].kept = le64toh(p->kept);
    if (k->list[k->nr].kept >= k->size_bytes / k->chunk_bytes ||
        k->list[k->nr].at > UINT64_MAX / k->chunk_bytes - 1)
        return fail(c, -EUCLEAN, "%s: its list is damaged.", k->path);
    k->nr++;
    return 0;
}

static int read_lists(struct ckpt *c, struct kept *k, struct pair *area)
{
    const uint64_t per_area = k->chunk_bytes / sizeof(*area);
    uint64_t chunk = 1;
    int rc;

    for (;; chunk += per_area + 1) {
        /* So they are fewer than the file has chunks. */
        rc = read_all(c, k, area, k->chunk_bytes, chunk * k->chunk_bytes);
        for (uint64_t i = 0; !rc && i < per_area; i++) {
            if (!area[i].kept)
                return 0;
            rc = add(c, k, &area[i]);
        }
        if (!rc)
            rc = check_cancel(c);
        if (rc)
            return rc;
    }
}

static int by_place(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

static int kept_open(struct ckpt *c, const char *path, struct kept *k)
{
    struct pair *area;
    struct stat st;
    int rc;

    k->path = path;
    k->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (k->fd < 0 || fstat(k->fd, &st) < 0)
        return fail(c, -errno, "%s", path);
    k->size_bytes = (uint64_t)st.st_size;
    rc = read_header(c, k);
    if (rc)
        return rc;
    area = malloc(k->chunk_bytes);
    rc = area ? read_lists(c, k, area) : fail(c, -ENOMEM, "%s", path);
    free(area);
    if (!rc && k->nr)
        qsort(k->list, k->nr, sizeof(*k->list), by_place);
    return rc;
}

static void kept_close(struct kept *k)
{
    if (k->fd >= 0)
        close(k->fd);
    free(k->list);
}

/* --- both ------------------------------------------------------------------ */

struct both {
    struct kept a, b;
    char *chunk_a, *chunk_b; /* owned */
    uint64_t disk_bytes;
    struct disk_extents found;
};

static int is_different(struct ckpt *c, const struct both *w,
                        const struct pair *p, const struct pair *q,
                        bool *is_out)
{
    const uint64_t len = w->a.chunk_bytes;
    int rc = read_all(c, &w->a, w->chunk_a, len, p->kept * len);

    if (!rc)
        rc = read_all(c, &w->b, w->chunk_b, len, q->kept * len);
    *is_out = !rc && memcmp(w->chunk_a, w->chunk_b, len);
    return rc;
}

static int found(struct ckpt *c, struct both *w, uint64_t at)
{
    const uint64_t begin = at * w->a.chunk_bytes;
    uint64_t len = w->a.chunk_bytes;
    int rc;

    if (begin >= w->disk_bytes)
        return fail(c, -EUCLEAN, "%s: its list is damaged.", w->a.path);
    if (len > w->disk_bytes - begin)
        len = w->disk_bytes - begin;
    rc = disk_extents_add(&w->found, begin, len);
    return rc ? fail(c, rc, "%s: the list of changed blocks", w->b.path) : 0;
}

static int merge(struct ckpt *c, struct both *w)
{
    size_t i = 0, j = 0;
    bool is_new = true;
    int rc = 0;

    while (!rc && (i < w->a.nr || j < w->b.nr)) {
        const struct pair *p = i < w->a.nr ? &w->a.list[i] : NULL;
        const struct pair *q = j < w->b.nr ? &w->b.list[j] : NULL;
        const uint64_t at = !q || (p && p->at < q->at) ? p->at : q->at;

        is_new = true;
        if (p && q && p->at == q->at)
            rc = is_different(c, w, p, q, &is_new);
        if (!rc && is_new)
            rc = found(c, w, at);
        i += p && p->at == at;
        j += q && q->at == at;
    }
    return rc;
}

int dmsnap_changed_files(struct ckpt *c, const char *from, const char *to,
                         uint64_t disk_bytes, disk_extent_fn *fn, void *arg)
{
    struct both w = {.a.fd = -1, .b.fd = -1, .disk_bytes = disk_bytes};
    struct disk_extents none = {.nr = 0};
    int rc = kept_open(c, from, &w.a);

    if (!rc)
        rc = kept_open(c, to, &w.b);
    if (!rc && w.a.chunk_bytes != w.b.chunk_bytes)
        rc = fail(c, -EUCLEAN, "%s and %s are not of one device.", from, to);
    if (!rc) {
        w.chunk_a = malloc(w.a.chunk_bytes);
        w.chunk_b = malloc(w.a.chunk_bytes);
        rc = w.chunk_a && w.chunk_b ? merge(c, &w)
                                    : fail(c, -ENOMEM, "%s", from);
    }
    if (!rc)
        rc = disk_extents_either(&w.found, &none, fn, arg);
    disk_extents_fini(&w.found);
    free(w.chunk_a);
    free(w.chunk_b);
    kept_close(&w.a);
    kept_close(&w.b);
    return rc;
}

int dmsnap_changed(struct ckpt *c, const char *from, const char *to,
                   disk_extent_fn *fn, void *arg)
{
    struct dmsnap_snapshot a, b;
    int dm_fd, rc;

    rc = dm_open(&dm_fd);
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = dmsnap_find_whole(c, dm_fd, from, &a);
    if (!rc)
        rc = dmsnap_find_whole(c, dm_fd, to, &b);
    close(dm_fd);
    if (!rc && a.table.origin != b.table.origin)
        rc = fail(c, -EUCLEAN, "%s and %s are not of one device.", from, to);
    return rc ? rc
              : dmsnap_changed_files(c, from, to, a.table.size_bytes, fn, arg);
}
