/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reads one checkpoint.  Opening costs its head and its manifest, whatever
 * its size and however many came before it:
 *
 *     gfn --radix.c--> where its page is --packs.c--> page, checked
 *
 * The pages of a batch are read in the order in which they lie, those that
 * are adjacent as one run, each to where it belongs in the batch; many runs by
 * one call, which a disk may do in any order.  Where the packs are in memory they
 * are not read at all, but handed out as they lie.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "pack_sum.h"
#include "radix.h"
#include "ring.h"
#include "safe_io.h"
#include "store_dir.h"

#define RUNS_MAX 128u /* that are read at a time */

struct entry {
    uint64_t gfn;
    store_ref ref;
};

struct dir_reader {
    struct image base;
    struct dir_store *st; /* borrowed */
    int fd;               /* the pack, pinned */
    char name[DIR_NAME_LEN + 1];
    struct pack_head head;
    struct packs packs;
    struct radix_walk walk;
    char *batch;                  /* owned, PAGE_BATCH pages, or NULL */
    const char *page[PAGE_BATCH]; /* where each is: there, or lent by packs.c */
    struct entry entry[PAGE_BATCH];
    bool is_good[PAGE_BATCH];
    unsigned order[PAGE_BATCH];   /* of those stored, as they lie */
    struct ring *ring;            /* owned; NULL: there is none */
    unsigned nr_begun;            /* runs being read */
    unsigned run[PAGE_BATCH];     /* where one begins in `order`: its length */
    struct iovec iov[PAGE_BATCH]; /* from there on: where its pages go */
};

static const struct image_reader reader_verbs;

static struct dir_reader *reader_of(struct image *img)
{
    return (struct dir_reader *)img;
}

static int dir_get(struct image *img, uint64_t gfn, void *page,
                   uint8_t *type_out)
{
    struct dir_reader *r = reader_of(img);
    store_ref ref;
    int rc;

    rc = radix_get(&r->walk, gfn, &ref);
    if (rc)
        return rc;
    if (!ref)
        return fail(img->c, -ENOENT, "Checkpoint %s has no frame %#llx.",
                    img->id, (unsigned long long)gfn);
    if (type_out)
        *type_out = ref_type(ref);
    if (ref_is_stored(ref))
        return packs_read_page(&r->packs, ref, gfn, page);
    memset(page, 0, PAGE_SIZE_BYTES);
    return 0;
}

static int dir_seek(struct image *img, uint64_t *gfn)
{
    struct dir_reader *r = reader_of(img);
    const struct store_node *leaf;
    uint64_t key;
    int rc;

    while (*gfn < img->nr_gfns) {
        key = *gfn >> NODE_SHIFT;
        rc = radix_next(&r->walk, &key, &leaf, NULL);
        if (rc)
            return rc;
        if (!leaf)
            break;
        if (key != *gfn >> NODE_SHIFT)
            *gfn = key << NODE_SHIFT;
        for (; *gfn >> NODE_SHIFT == key; ++*gfn)
            if (leaf->ref[*gfn & (NODE_REFS - 1)])
                return 0;
    }
    *gfn = img->nr_gfns;
    return 0;
}

static int dir_home(struct image *img, uint64_t gfn, struct image_home *home)
{
    struct dir_reader *r = reader_of(img);
    struct pack_file *pf;
    store_ref ref;
    int rc;

    memset(home, 0, sizeof(*home));
    home->fd = -1;
    rc = radix_get(&r->walk, gfn, &ref);
    if (rc)
        return rc;
    if (!ref)
        return fail(img->c, -ENOENT, "Checkpoint %s has no frame %#llx.",
                    img->id, (unsigned long long)gfn);
    home->type = ref_type(ref);
    if (!ref_is_stored(ref))
        return 0;
    rc = packs_open(&r->packs, ref_pack(ref), &pf);
    if (rc)
        return rc;
    if (ref_place(ref) > pf->head.nr_pages ||
        pf->head.mandatory & PACK_COMPRESSED)
        return fail(img->c, -ENOTSUP, "Frame %#llx cannot be mapped.",
                    (unsigned long long)gfn);
    home->fd = pf->fd;
    home->offset = (uint64_t)ref_place(ref) * PAGE_SIZE_BYTES;
    return 0;
}

/* --- walking ------------------------------------------------------------- */

/* Entries from *cursor on, as many as fit. */
static int collect(struct dir_reader *r, uint64_t *cursor,
                   struct page_batch *out)
{
    const struct store_node *leaf;
    uint64_t gfn = *cursor, key, hidden = 0;
    unsigned nr = 0;
    int rc;

    for (;;) {
        key = gfn >> NODE_SHIFT;
        rc = radix_next(&r->walk, &key, &leaf, &hidden);
        if (rc && nr)
            rc = 0; /* the next call fails, not this one */
        else if (rc)
            break;
        if (!leaf || nr == PAGE_BATCH)
            break;
        if (key != gfn >> NODE_SHIFT)
            gfn = key << NODE_SHIFT;
        for (; gfn >> NODE_SHIFT == key && nr < PAGE_BATCH; gfn++) {
            const store_ref ref = leaf->ref[gfn & (NODE_REFS - 1)];

            if (ref)
                r->entry[nr++] = (struct entry){.gfn = gfn, .ref = ref};
        }
    }
    out->nr = nr;
    if (rc != -EUCLEAN)
        return rc;
    /* What a damaged node hides may be as many frames as it can hold. */
    hidden <<= NODE_SHIFT;
    if (hidden > r->base.nr_gfns - *cursor)
        hidden = r->base.nr_gfns - *cursor;
    out->gfn[0] = *cursor;
    out->nr = hidden < UINT32_MAX ? (unsigned)hidden : UINT32_MAX;
    *cursor = key << NODE_SHIFT;
    return rc;
}

static int by_place(const void *a, const void *b, void *arg)
{
    const struct entry *entry = arg;
    const store_ref mask = (REF_PRESENT << 1) - 1;
    const store_ref x = entry[*(const unsigned *)a].ref & mask;
    const store_ref y = entry[*(const unsigned *)b].ref & mask;

    return (x > y) - (x < y);
}

/* Where the page of entry @i goes when it has to be read. */
static char *room_for(struct dir_reader *r, unsigned i)
{
    return r->batch + ((size_t)i << PAGE_SHIFT_BITS);
}

static bool is_good(struct dir_reader *r, unsigned i)
{
    enum sum_kind kind;
    uint64_t sum;

    return !packs_sum(&r->packs, r->entry[i].ref, &sum, &kind) &&
           sum_of(kind, r->page[i], PAGE_SIZE_BYTES, 0) == sum;
}

/* How many of the entries r->order[i .. end) lie one after the other, to be
 * read. */
static unsigned run_length(struct dir_reader *r, unsigned i, unsigned end)
{
    const store_ref first = r->entry[r->order[i]].ref;
    unsigned n;

    for (n = 0; i + n < end; n++) {
        const store_ref ref = r->entry[r->order[i + n]].ref;

        if (ref_pack(ref) != ref_pack(first) ||
            ref_place(ref) != ref_place(first) + n)
            break;
        r->page[r->order[i + n]] = room_for(r, r->order[i + n]);
    }
    return n;
}

/* Those of the first @nr entries that are stored, in the order in which they
 * lie; how many. */
static unsigned sort(struct dir_reader *r, unsigned nr)
{
    unsigned nr_stored = 0;
    bool is_sorted = true;

    for (unsigned i = 0; i < nr; i++) {
        r->is_good[i] = !ref_is_stored(r->entry[i].ref);
        if (r->is_good[i])
            continue;
        if (nr_stored && by_place(&r->order[nr_stored - 1], &i, r->entry) > 0)
            is_sorted = false;
        r->order[nr_stored++] = i;
    }
    if (!is_sorted)
        qsort_r(r->order, nr_stored, sizeof(r->order[0]), by_place, r->entry);
    return nr_stored;
}

/* The pages of the run at @i have been read, or are where they lie. */
static void look_at_run(struct dir_reader *r, unsigned i, unsigned n)
{
    for (unsigned j = i; j < i + n; j++)
        r->is_good[r->order[j]] = is_good(r, r->order[j]);
}

/* Waits for one of the runs; one that failed is read again page by page, later:
 * to find which.  Without an answer nothing more may come into the batch. */
static void end_run(struct dir_reader *r)
{
    unsigned i;
    int done;

    if (ring_wait(r->ring, &i, &done)) {
        ring_close(r->ring);
        r->ring = NULL;
        r->nr_begun = 0;
        return;
    }
    r->nr_begun--;
    if (done == (int)(r->run[i] << PAGE_SHIFT_BITS))
        look_at_run(r, i, r->run[i]);
}

/* Is it being read? */
static bool begin_run(struct dir_reader *r, unsigned i, unsigned n)
{
    const store_ref ref = r->entry[r->order[i]].ref;
    const uint64_t at = (uint64_t)ref_place(ref) << PAGE_SHIFT_BITS;
    int fd, nr_iov = 0;

    if (!r->ring || packs_source(&r->packs, ref, n, &fd))
        return false;
    for (unsigned j = i; j < i + n; j++)
        nr_iov = safe_iov_add(&r->iov[i], nr_iov, room_for(r, r->order[j]),
                              PAGE_SIZE_BYTES);
    r->run[i] = n;
    if (r->nr_begun == RUNS_MAX)
        end_run(r);
    if (!r->ring ||
        ring_readv(r->ring, fd, &r->iov[i], (unsigned)nr_iov, at, i))
        return false;
    r->nr_begun++;
    return true;
}

static bool read_run(struct dir_reader *r, unsigned i, unsigned n)
{
    void *pages[PAGE_BATCH];

    for (unsigned j = 0; j < n; j++)
        pages[j] = room_for(r, r->order[i + j]);
    return !packs_readv(&r->packs, r->entry[r->order[i]].ref, n, pages);
}

/* Reads what is stored of the first @nr entries and looks whether it is good,
 * both in the order in which it lies, or comes. */
static void load(struct dir_reader *r, unsigned nr)
{
    const unsigned nr_stored = sort(r, nr);
    unsigned n;

    packs_take_back(&r->packs);
    r->packs.is_for_all = true;
    r->packs.is_at_once = r->ring;
    for (unsigned i = 0; i < nr_stored; i += n) {
        const unsigned at = r->order[i];

        n = 1;
        if (packs_page(&r->packs, r->entry[at].ref, &r->page[at]))
            continue;
        if (r->page[at]) {
            look_at_run(r, i, 1);
            continue;
        }
        n = run_length(r, i, nr_stored);
        if (!begin_run(r, i, n) && read_run(r, i, n))
            look_at_run(r, i, n);
    }
    while (r->nr_begun)
        end_run(r);
}

/* The words are of the first that is bad. */
static bool is_bad(struct dir_reader *r, unsigned i)
{
    if (r->is_good[i])
        return false;
    r->page[i] = room_for(r, i);
    return packs_read_page(&r->packs, r->entry[i].ref, r->entry[i].gfn,
                           room_for(r, i));
}

static int dir_next(struct image *img, uint64_t *cursor, struct page_batch *b)
{
    struct dir_reader *r = reader_of(img);
    unsigned good;
    int rc;

    if (*cursor >= img->nr_gfns)
        return 0;
    if (!r->batch) {
        r->batch = malloc((size_t)PAGE_BATCH << PAGE_SHIFT_BITS);
        if (!r->batch)
            return fail(img->c, -ENOMEM, "checkpoint %s", img->id);
        r->ring = ring_open(RUNS_MAX, NULL, 0);
    }
    rc = collect(r, cursor, b);
    if (rc || !b->nr) {
        if (!rc)
            *cursor = img->nr_gfns;
        return rc;
    }
    img->c->error[0] = '\0';
    load(r, b->nr);
    for (good = 0; good < b->nr && !is_bad(r, good);)
        good++;
    if (!good) {
        b->nr = 1;
        b->gfn[0] = r->entry[0].gfn;
        *cursor = r->entry[0].gfn + 1;
        return -EUCLEAN;
    }
    img->c->error[0] = '\0'; /* the next call fails, not this one */
    b->nr = good;
    for (unsigned i = 0; i < good; i++) {
        b->gfn[i] = r->entry[i].gfn;
        b->type[i] = ref_type(r->entry[i].ref);
        b->data[i] = ref_is_stored(r->entry[i].ref) ? r->page[i] : NULL;
    }
    *cursor = r->entry[good - 1].gfn + 1;
    return 0;
}

/* --- blobs --------------------------------------------------------------- */

static int dir_blob(struct image *img, unsigned n, void **data_out)
{
    struct dir_reader *r = reader_of(img);
    const struct pack_blob *row = &r->head.blobs[n];
    char *data;
    int rc;

    /* Its length was compared with the file's. */
    data = malloc(row->len_bytes + 1);
    if (!data)
        return fail(img->c, -ENOMEM, "blob %s", img->blobs[n].name);
    rc = safe_pread_all(r->fd, data, row->len_bytes, (off_t)row->offset);
    if (rc)
        fail(img->c, rc, "%s: pack %s: blob %s", r->st->path, r->name,
             img->blobs[n].name);
    else if (sum_of((enum sum_kind)r->head.sum_kind, data, row->len_bytes, 0) !=
             row->sum)
        rc = fail(img->c, -EUCLEAN, "%s: pack %s: blob %s: checksum.",
                  r->st->path, r->name, img->blobs[n].name);
    if (rc) {
        free(data);
        return rc;
    }
    data[row->len_bytes] = '\0';
    *data_out = data;
    return 0;
}

/* --- opening ------------------------------------------------------------- */

/* Is what @fd has open still the file of that name? */
static bool is_same_file(int fd, int dirfd, const char *name)
{
    struct stat a, b;

    return !fstat(fd, &a) && !fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Opened, then locked: it may have been dropped in between, or compressed, which
 * makes it another file. */
int dir_pin(struct dir_store *st, const char *id, int *fd_out,
            struct dir_name *name_out, struct pack_head *head_out)
{
    char text[DIR_NAME_LEN + 1];
    int fd = -1;
    int rc;

    for (;;) {
        rc = dir_open_id(st, id, &fd, name_out);
        if (rc)
            return rc;
        if (!name_out->number)
            break;
        dir_name_print(text, name_out);
        if (flock(fd, LOCK_SH | LOCK_NB) < 0 ||
            faccessat(st->place_fds[DIR_LIVE], text, F_OK,
                      AT_SYMLINK_NOFOLLOW) < 0)
            rc = fail(st->base.c, -ENOENT, "No checkpoint %s in %s.", id,
                      st->path);
        else if (!is_same_file(fd, st->place_fds[DIR_LIVE], text)) {
            close(fd);
            continue;
        } else
            rc = pack_file_head(st, fd, text, head_out);
        break;
    }
    if (rc)
        close(fd);
    else
        *fd_out = fd;
    return rc;
}

static void fill(struct dir_reader *r)
{
    r->base.nr_gfns = r->head.nr_gfns;
    r->base.pages_stored = r->head.nr_stored;
    r->base.pages_zero = r->head.nr_zero;
    r->base.nr_blobs = r->head.nr_blobs;
    for (unsigned i = 0; i < r->head.nr_blobs; i++) {
        memcpy(r->base.blobs[i].name, r->head.blobs[i].name,
               STORE_BLOB_NAME_MAX);
        r->base.blobs[i].len_bytes = r->head.blobs[i].len_bytes;
        r->base.blobs[i].sum = r->head.blobs[i].sum;
    }
    radix_init(&r->walk, &r->packs, r->head.root, r->head.height);
}

static int open_v1(struct dir_store *st, const char *id, int fd,
                   const struct dir_name *name, struct image **img_out)
{
    char *manifest;
    int rc;

    rc = dir_manifest(st, fd, name, &manifest);
    if (rc) {
        close(fd);
        return rc;
    }
    rc = v1_image(&st->base, id, fd, img_out);
    if (rc)
        free(manifest);
    else
        (*img_out)->manifest = manifest;
    return rc;
}

int dir_image(struct store *base, const char *id, struct image **img_out)
{
    struct dir_store *st = dir_of(base);
    struct dir_name name;
    struct dir_reader *r;
    int rc;

    r = calloc(1, sizeof(*r));
    if (!r)
        return fail(base->c, -ENOMEM, "checkpoint %s", id);
    r->base.r = &reader_verbs;
    r->base.c = base->c;
    r->st = st;
    memcpy(r->base.id, id, CKPT_ID_LEN);
    rc = dir_pin(st, id, &r->fd, &name, &r->head);
    if (rc || !name.number) {
        if (!rc)
            rc = open_v1(st, id, r->fd, &name, img_out);
        free(r);
        return rc;
    }
    dir_name_print(r->name, &name);
    rc = packs_init(&r->packs, st);
    if (!rc)
        rc = dir_manifest(st, r->fd, &name, &r->base.manifest);
    if (rc) {
        reader_verbs.close(&r->base);
        return rc;
    }
    fill(r);
    *img_out = &r->base;
    return 0;
}

static void dir_image_close(struct image *img)
{
    struct dir_reader *r = reader_of(img);

    close(r->fd);
    packs_fini(&r->packs);
    ring_close(r->ring);
    free(r->base.manifest);
    free(r->batch);
    free(r);
}

static const struct image_reader reader_verbs = {
    .get = dir_get,
    .seek = dir_seek,
    .home = dir_home,
    .next = dir_next,
    .blob = dir_blob,
    .close = dir_image_close,
};
