/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Two files are walked side by side through the filesystem's map of them.  At
 * each point both have a run: a hole, or blocks at some place of the device.
 * Where both are holes, or the same blocks, the bytes are the same: a shared
 * block is never written, it is copied first.
 *
 *   from   |--a--|   hole   |----b----|
 *   to     |--a--|--c--|hole|--b--|-d-|
 *   given         |--c--|          |-d-|
 */
#include "disk_extents.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"

/* --- lists ----------------------------------------------------------------- */

int disk_extents_add(struct disk_extents *e, uint64_t offset_bytes,
                     uint64_t len_bytes)
{
    struct disk_extent *last = e->nr ? &e->list[e->nr - 1] : NULL, *list;

    if (offset_bytes + len_bytes < offset_bytes ||
        (last && offset_bytes < last->offset_bytes + last->len_bytes))
        return -EUCLEAN;
    if (!len_bytes)
        return 0;
    if (last && offset_bytes == last->offset_bytes + last->len_bytes) {
        last->len_bytes += len_bytes;
        return 0;
    }
    if (e->nr == e->room) {
        list = reallocarray(e->list, e->room * 2 + 64, sizeof(*list));
        if (!list)
            return -ENOMEM;
        e->list = list;
        e->room = e->room * 2 + 64;
    }
    e->list[e->nr++] = (struct disk_extent){offset_bytes, len_bytes};
    return 0;
}

void disk_extents_fini(struct disk_extents *e)
{
    free(e->list);
    memset(e, 0, sizeof(*e));
}

int disk_extents_either(const struct disk_extents *a,
                        const struct disk_extents *b, disk_extent_fn *fn,
                        void *arg)
{
    struct disk_extent now = {0, 0};
    size_t i = 0, j = 0;
    int rc;

    while (i < a->nr || j < b->nr) {
        const struct disk_extent *next;
        uint64_t end;

        if (j >= b->nr ||
            (i < a->nr && a->list[i].offset_bytes <= b->list[j].offset_bytes))
            next = &a->list[i++];
        else
            next = &b->list[j++];
        end = next->offset_bytes + next->len_bytes;
        if (now.len_bytes &&
            next->offset_bytes <= now.offset_bytes + now.len_bytes) {
            if (end > now.offset_bytes + now.len_bytes)
                now.len_bytes = end - now.offset_bytes;
            continue;
        }
        rc = now.len_bytes ? fn(arg, &now) : 0;
        if (rc)
            return rc;
        now = *next;
    }
    return now.len_bytes ? fn(arg, &now) : 0;
}

/* --- a file's map ---------------------------------------------------------- */

#define NR_AT_ONCE 256u
/* Where it lies is not known, or says nothing of its content. */
#define VAGUE                                                                  \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |                          \
     FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED)

struct map {
    struct ckpt *c;
    const char *path;
    int fd;
    uint64_t size_bytes;
    struct fiemap *fm; /* owned; extents [i..] are still to come */
    uint32_t i;
    bool is_over; /* nothing after those */
};

/* From some point to where the map changes next. */
struct run {
    uint64_t len_bytes;
    bool is_hole;
    bool is_vague;
    bool is_encoded;
    uint64_t physical; /* of the point; of an encoded extent its begin */
    uint64_t from_begin_bytes;
    uint32_t flags;
};

static int map_open(struct map *m, struct ckpt *c, const char *path)
{
    struct stat st;

    m->c = c;
    m->path = path;
    m->fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (m->fd < 0 || fstat(m->fd, &st) < 0)
        return fail(c, -errno, "%s", path);
    m->size_bytes = (uint64_t)st.st_size;
    m->fm =
        calloc(1, sizeof(*m->fm) + NR_AT_ONCE * sizeof(m->fm->fm_extents[0]));
    return m->fm ? 0 : fail(c, -ENOMEM, "%s", path);
}

static void map_close(struct map *m)
{
    if (m->fd >= 0)
        close(m->fd);
    free(m->fm);
}

static int read_more(struct map *m, uint64_t offset)
{
    const struct fiemap_extent *last;
    struct fiemap *fm = m->fm;

    memset(fm, 0, sizeof(*fm));
    fm->fm_start = offset;
    fm->fm_length = FIEMAP_MAX_OFFSET - offset;
    fm->fm_flags = FIEMAP_FLAG_SYNC;
    fm->fm_extent_count = NR_AT_ONCE;
    if (ioctl(m->fd, FS_IOC_FIEMAP, fm) < 0)
        return fail(m->c, errno == EOPNOTSUPP ? -ENOTSUP : -errno, "%s: FIEMAP",
                    m->path);
    m->i = 0;
    last = fm->fm_mapped_extents ? &fm->fm_extents[fm->fm_mapped_extents - 1]
                                 : NULL;
    m->is_over = !last || last->fe_flags & FIEMAP_EXTENT_LAST;
    return 0;
}

/* The extent that holds @offset, or the next one; NULL: none any more. */
static int extent_at(struct map *m, uint64_t offset,
                     const struct fiemap_extent **out)
{
    const struct fiemap_extent *e;
    int rc;

    for (;;) {
        for (; m->i < m->fm->fm_mapped_extents; m->i++) {
            e = &m->fm->fm_extents[m->i];
            if (e->fe_logical + e->fe_length > offset) {
                *out = e;
                return 0;
            }
        }
        *out = NULL;
        if (m->is_over)
            return 0;
        rc = read_more(m, offset);
        if (rc)
            return rc;
    }
}

static int run_at(struct map *m, uint64_t offset, struct run *r)
{
    const struct fiemap_extent *e;
    int rc = extent_at(m, offset, &e);

    memset(r, 0, sizeof(*r));
    if (rc)
        return rc;
    if (!e || e->fe_logical > offset) {
        r->is_hole = true;
        r->len_bytes = e ? e->fe_logical - offset : UINT64_MAX;
        return 0;
    }
    r->from_begin_bytes = offset - e->fe_logical;
    r->len_bytes = e->fe_length - r->from_begin_bytes;
    r->is_vague = e->fe_flags & VAGUE;
    r->is_encoded = e->fe_flags & FIEMAP_EXTENT_ENCODED;
    r->physical = e->fe_physical + (r->is_encoded ? 0 : r->from_begin_bytes);
    r->flags = e->fe_flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_ENCODED);
    return 0;
}

static bool is_same(const struct run *a, const struct run *b)
{
    if (a->is_hole || b->is_hole)
        return a->is_hole && b->is_hole;
    return !a->is_vague && !b->is_vague && a->flags == b->flags &&
           a->physical == b->physical &&
           (!a->is_encoded || a->from_begin_bytes == b->from_begin_bytes);
}

/* --- both ------------------------------------------------------------------ */

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static int compare(struct map *from, struct map *to, struct disk_extents *e)
{
    const uint64_t both = min_of(from->size_bytes, to->size_bytes);
    const uint64_t longer = from->size_bytes + to->size_bytes - both;
    uint64_t offset = 0, len;
    struct run a, b;
    int rc = 0;

    while (offset < both) {
        rc = run_at(from, offset, &a);
        if (!rc)
            rc = run_at(to, offset, &b);
        if (!rc)
            rc = check_cancel(from->c);
        if (rc)
            return rc;
        len = min_of(min_of(a.len_bytes, b.len_bytes), both - offset);
        if (!is_same(&a, &b))
            rc = disk_extents_add(e, offset, len);
        if (rc)
            break;
        offset += len;
    }
    if (!rc)
        rc = disk_extents_add(e, both, longer - both);
    return rc ? fail(from->c, rc, "%s: the list of changed blocks", to->path)
              : 0;
}

int disk_extents_changed_files(struct ckpt *c, const char *from, const char *to,
                               disk_extent_fn *fn, void *arg)
{
    struct disk_extents found = {.nr = 0}, none = {.nr = 0};
    struct map a = {.fd = -1}, b = {.fd = -1};
    int rc;

    rc = map_open(&a, c, from);
    if (!rc)
        rc = map_open(&b, c, to);
    if (!rc)
        rc = compare(&a, &b, &found);
    if (!rc)
        rc = disk_extents_either(&found, &none, fn, arg);
    disk_extents_fini(&found);
    map_close(&a);
    map_close(&b);
    return rc;
}
