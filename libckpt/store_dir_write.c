/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Takes the pages of one checkpoint into tmp/ID.NUMBER:
 *
 *     batch --> look.c: zero? sum --> stored already? --> pack.c --> the file
 *                 \                       |  \               |
 *                  \                      |   compare       places.c: who is where
 *                   \_____________________|__________________|
 *                                         v
 *                                   gfn_table.c  frame -> where its page is
 *
 * A page put again for the same frame gets another place; one that no frame
 * uses any more is used for the next page, or given back at the end.
 */
#include "store_dir_writer.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"

/* Equal sums of different pages: a hostile guest can make as many as it
 * likes, and shall not make us compare them all. */
#define COMPARED_MAX 4u

/* In memory only: the frame is to be forgotten. */
#define REF_GONE ((store_ref)PAGE_TYPE_ABSENT << REF_TYPE_SHIFT)

static const struct image_writer writer_verbs;

/* --- beginning ----------------------------------------------------------- */

#define LARGE_PAGE_BYTES (2u << 20)

/* Past the page cache: to memory nothing is gained by it, and filesystems may
 * refuse.  A tmpfs tells as its block size that it has large pages: those it
 * clears before a write() that is less than one. */
static enum pack_way choose_way(struct dir_writer *w)
{
    struct statfs sf;
    struct stat sb;

    if (w->st->is_mapped)
        return PACK_MAPPED;
    if (fstatfs(w->fd, &sf) < 0 || fstat(w->fd, &sb) < 0)
        return PACK_CACHED;
    if (sf.f_type == TMPFS_MAGIC)
        return sb.st_blksize < LARGE_PAGE_BYTES ? PACK_CACHED : PACK_MAPPED;
    w->direct_fd = openat(w->st->tmp_fd, w->temp,
                          O_WRONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
    return w->direct_fd < 0 ? PACK_CACHED : PACK_DIRECT;
}

static int begin_pack(struct dir_writer *w)
{
    struct ckpt *c = w->base.c;
    const enum pack_way way = choose_way(w);
    int rc;

    rc = pack_init(&w->pack, way, w->fd, w->direct_fd);
    if (rc == -EOPNOTSUPP)
        return fail(c, rc,
                    "Store pmem:%s: it must be on ext4 or XFS, mounted with "
                    "dax; for other filesystems there is dir:%s.",
                    w->st->path, w->st->path);
    if (rc)
        return safe_fail(c, rc, "begin", w->st->tmp_fd, w->temp);
    /* One processor alone is faster than a disk. */
    look_init(&w->looks, (enum sum_kind)w->head.sum_kind, way != PACK_DIRECT);
    if (w->st->is_mapped && !mapped_is_memory(&w->pack.mapped))
        warn(c,
             "store pmem:%s is not on persistent memory (a filesystem mounted "
             "with dax): a disk is slower to map than to write to",
             w->st->path);
    return 0;
}

/* A file in tmp/ with a number of its own, locked. */
static int make_file(struct dir_writer *w)
{
    struct dir_store *st = w->st;
    struct ckpt *c = w->base.c;
    struct dir_name name;
    int lock_fd;
    int rc;

    rc = dir_tmp_lock(st, true, &lock_fd);
    if (rc)
        return rc;
    rc = dir_new_name(st, w->base.id, &name);
    if (rc)
        goto out;
    w->head.number = name.number;
    dir_name_print(w->temp, &name);
    w->fd = openat(st->tmp_fd, w->temp,
                   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->fd < 0 || flock(w->fd, LOCK_SH | LOCK_NB) < 0) {
        rc = safe_fail(c, -errno, "create", st->tmp_fd, w->temp);
        if (w->fd < 0)
            w->temp[0] = '\0'; /* not ours */
    }
out:
    close(lock_fd);
    return rc;
}

int dir_create(struct store *base, const char *id, struct image **img_out)
{
    struct dir_store *st = dir_of(base);
    struct dir_writer *w;
    int rc;

    rc = dir_upgrade(st);
    if (rc)
        return rc;
    w = calloc(1, sizeof(*w));
    if (!w)
        return fail(base->c, -ENOMEM, "checkpoint %s", id);
    w->base.w = &writer_verbs;
    w->base.c = base->c;
    w->st = st;
    memcpy(w->base.id, id, CKPT_ID_LEN);
    w->fd = w->direct_fd = w->use_fd = w->base_fd = -1;
    w->head.sum_kind = sum_kind_here();

    rc = dir_lock_file(st, DIR_USE_LOCK, LOCK_SH, &w->use_fd);
    if (!rc)
        rc = dir_scan(st);
    if (!rc)
        rc = make_file(w);
    if (!rc)
        rc = packs_init(&w->packs, st);
    if (rc)
        goto out;
    if (st->nr_names) /* else all that is in it is of packs that are gone */
        equals_open(&w->equals, st);
    posix_fadvise(w->fd, 0, 0, POSIX_FADV_RANDOM); /* advice */
    rc = begin_pack(w);
    w->base.stored_bytes = sizeof(struct pack_head);
    *img_out = &w->base;
out:
    if (rc)
        writer_verbs.abort(&w->base);
    return rc;
}

static int dir_base(struct image *img, const char *id)
{
    struct dir_writer *w = dir_writer_of(img);
    struct pack_head head;
    struct dir_name name;
    int fd;
    int rc;

    rc = dir_pin(w->st, id, &fd, &name, &head);
    if (rc)
        return rc;
    if (!name.number) {
        close(fd);
        return fail(img->c, -ENOTSUP, "Checkpoint %s has format 1.", id);
    }
    w->base_fd = fd;
    w->head.root = head.root;
    w->head.height = head.height;
    w->head.nr_gfns = head.nr_gfns;
    w->head.nr_stored = head.nr_stored;
    w->head.nr_zero = head.nr_zero;
    return 0;
}

/* Room on the disk that nobody else gets.  What a filesystem cannot reserve is
 * at least looked for. */
static int dir_reserve(struct image *img, uint64_t bytes)
{
    struct dir_writer *w = dir_writer_of(img);
    uint64_t have;
    int rc;

    rc = w->st->base.drv->free_bytes(&w->st->base, &have);
    if (rc)
        return rc;
    if (have < bytes)
        rc = -ENOSPC;
    else if ((w->direct_fd >= 0 || w->st->is_mapped) &&
             fallocate(w->fd, 0, 0, (off_t)bytes) < 0)
        rc = errno == EOPNOTSUPP || errno == EINTR ? 0 : -errno;
    if (!rc)
        w->reserved_bytes = bytes;
    places_hint(&w->places, bytes >> PAGE_SHIFT_BITS);
    return rc == -ENOSPC
               ? fail(img->c, rc,
                      "%s has %llu MiB free; the checkpoint may need %llu MiB. "
                      "Free some ('xl checkpoint-prune'), or use another store",
                      w->st->path, (unsigned long long)have >> 20,
                      (unsigned long long)bytes >> 20)
           : rc ? safe_fail(img->c, rc, "reserve", w->st->tmp_fd, w->temp)
                : 0;
}

/* --- HOT PATH ------------------------------------------------------------ */

/* What @ref counts for in the statistics. */
static void count(struct image *img, store_ref ref, uint64_t by)
{
    if (!(ref & REF_PRESENT))
        return;
    if (ref & REF_ZERO)
        img->pages_zero += by;
    else
        img->pages_stored += by;
}

static bool is_own(const struct dir_writer *w, store_ref ref)
{
    return ref_is_stored(ref) && ref_pack(ref) == w->head.number;
}

/* Content, not checksums: guests are hostile. */
static bool is_equal_own(struct dir_writer *w, uint32_t place, const void *page)
{
    const void *stored = pack_find(&w->pack, place);

    if (stored)
        return !memcmp(stored, page, PAGE_SIZE_BYTES);
    return !safe_pread_all(w->fd, w->page, PAGE_SIZE_BYTES,
                           (off_t)place << PAGE_SHIFT_BITS) &&
           !memcmp(w->page, page, PAGE_SIZE_BYTES);
}

/* Where a page like this is already, with a use more; 0: nowhere. */
static store_ref find_equal(struct dir_writer *w, const void *page,
                            uint64_t sum)
{
    store_ref refs[COMPARED_MAX];
    uint32_t place, cursor = 0;
    unsigned nr;

    for (nr = 0; nr < COMPARED_MAX; nr++) {
        place = places_find(&w->places, sum, &cursor);
        if (!place)
            break;
        if (is_equal_own(w, place, page)) {
            places_use(&w->places, place);
            return ref_make(w->head.number, place);
        }
    }
    nr = equals_find(&w->equals,
                     equal_sum((enum sum_kind)w->head.sum_kind, sum), refs,
                     COMPARED_MAX);
    for (unsigned i = 0; i < nr; i++) {
        if (!dir_is_known(w->st, ref_pack(refs[i])))
            continue;
        if (!packs_read(&w->packs, refs[i], w->page) &&
            !memcmp(w->page, page, PAGE_SIZE_BYTES))
            return ref_make(ref_pack(refs[i]), ref_place(refs[i]));
        w->base.c->error[0] = '\0'; /* a table's bad advice is no error */
    }
    return 0;
}

static int put_page(struct dir_writer *w, struct gfn_slot *slot,
                    const void *page, uint8_t type, const struct look *look)
{
    const store_ref flags = (store_ref)type << REF_TYPE_SHIFT;
    const store_ref old = slot->ref;
    store_ref ref;
    uint32_t place;
    int rc = 0;

    if (type == PAGE_TYPE_ABSENT) {
        ref = REF_GONE;
    } else if (look->is_zero) {
        ref = flags | REF_ZERO | REF_PRESENT;
    } else {
        ref = find_equal(w, page, look->sum);
        ref |= ref ? flags : 0;
    }
    if (is_own(w, old))
        rc = places_release(&w->places, ref_place(old));
    slot->ref = ref;
    if (rc || ref)
        return rc;
    place = places_take(&w->places, look->sum);
    if (!place)
        return -ENOMEM;
    slot->ref = flags | ref_make(w->head.number, place);
    return pack_put(&w->pack, page, place);
}

static unsigned nr_in(const struct page_batch *b, unsigned part)
{
    const unsigned left = b->nr - part * LOOK_PAGES;

    return left < LOOK_PAGES ? left : LOOK_PAGES;
}

/* Looks at it before it is put, so that what that needs is on its way. */
static void expect(struct dir_writer *w, const struct page_batch *b,
                   unsigned part)
{
    const struct look *look;
    unsigned nr;

    if (part * LOOK_PAGES >= b->nr)
        return;
    look = look_part(&w->looks, part);
    nr = nr_in(b, part);
    for (unsigned i = 0; i < nr; i++) {
        if (look[i].is_zero)
            continue;
        places_expect(&w->places, look[i].sum);
        equals_expect(&w->equals, equal_sum(w->looks.kind, look[i].sum));
    }
}

/* Pages LOOK_PAGES * @part ... */
static int put_part(struct dir_writer *w, const struct page_batch *b,
                    unsigned part)
{
    const unsigned first = part * LOOK_PAGES;
    const unsigned nr = nr_in(b, part);
    const struct look *look = &w->looks.look[first];
    struct image *img = &w->base;
    int rc;

    for (unsigned i = 0; i < nr; i++) {
        const uint64_t gfn = b->gfn[first + i];
        const uint8_t type = b->type[first + i];
        struct gfn_slot *slot;

        if (gfn > STORE_GFN_MAX || type > PAGE_TYPE_ABSENT)
            return fail(img->c, -EINVAL, "Frame %#llx of type %u.",
                        (unsigned long long)gfn, type);
        slot = gfn_table_at(&w->table, gfn);
        if (!slot)
            return fail(img->c, -ENOMEM, "checkpoint %s: index", img->id);
        count(img, slot->ref, -UINT64_C(1));
        rc = put_page(w, slot, b->data[first + i], type, &look[i]);
        if (rc)
            return safe_fail(img->c, rc, "write", w->st->tmp_fd, w->temp);
        count(img, slot->ref, 1);
    }
    return 0;
}

static int dir_put(struct image *img, const struct page_batch *b)
{
    struct dir_writer *w = dir_writer_of(img);
    const uint32_t used = w->places.nr_used;
    int rc = 0;

    look_begin(&w->looks, b);
    expect(w, b, 0);
    for (unsigned part = 0; !rc && part * LOOK_PAGES < b->nr; part++) {
        expect(w, b, part + 1);
        rc = put_part(w, b, part);
    }
    look_end(&w->looks);
    if (rc)
        return rc;
    rc = pack_flush(&w->pack);
    if (rc)
        return safe_fail(img->c, rc, "write", w->st->tmp_fd, w->temp);
    img->stored_bytes +=
        ((uint64_t)w->places.nr_used - used) * PAGE_SIZE_BYTES;
    return 0;
}

/* --- the rest ------------------------------------------------------------ */

/* Kept until the end, where they lie together. */
static int dir_put_blob(struct image *img, const char *name, const void *data,
                        size_t len_bytes)
{
    struct dir_writer *w = dir_writer_of(img);
    void *copy = malloc(len_bytes ? len_bytes : 1);

    if (!copy)
        return fail(img->c, -ENOMEM, "checkpoint %s: blob %s", img->id, name);
    if (len_bytes)
        memcpy(copy, data, len_bytes);
    w->blob[img->nr_blobs] = copy;
    img->stored_bytes += len_bytes;
    return 0;
}

/* Only brings the pages on their way: to be durable is one call, later. */
static int dir_sync(struct image *img)
{
    struct dir_writer *w = dir_writer_of(img);
    int rc;

    rc = pack_drain(&w->pack);
    if (rc)
        return safe_fail(img->c, rc, "write", w->st->tmp_fd, w->temp);
    if (w->direct_fd < 0)
        sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* advice */
    return 0;
}

static int dir_commit_path(struct image *img, char *path, size_t path_bytes)
{
    const struct dir_writer *w = dir_writer_of(img);
    const int n = snprintf(path, path_bytes, "%s/checkpoints/%s",
                           w->st->base.root, w->temp);

    if (n < 0 || (size_t)n >= path_bytes)
        return fail(img->c, -ENAMETOOLONG, "store %s", w->st->base.root);
    return 0;
}

/* After a commit nothing is left under the temporary name. */
static void dir_abort(struct image *img)
{
    struct dir_writer *w = dir_writer_of(img);
    const int fds[] = {w->direct_fd, w->base_fd, w->use_fd, w->fd};

    look_fini(&w->looks);
    pack_fini(&w->pack);
    if (w->temp[0] && w->fd >= 0)
        unlinkat(w->st->tmp_fd, w->temp, 0); /* else it is swept one day */
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    for (unsigned i = 0; i < STORE_BLOBS_MAX; i++)
        free(w->blob[i]);
    packs_fini(&w->packs);
    equals_close(&w->equals);
    places_fini(&w->places);
    gfn_table_fini(&w->table);
    free(w);
}

static const struct image_writer writer_verbs = {
    .base = dir_base,
    .reserve = dir_reserve,
    .put = dir_put,
    .put_blob = dir_put_blob,
    .sync = dir_sync,
    .commit_path = dir_commit_path,
    .commit = dir_commit,
    .abort = dir_abort,
};
