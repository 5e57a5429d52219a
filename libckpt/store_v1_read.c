/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reads one checkpoint of format 1, a folder.  Opening costs the manifest and two pages of the
 * index, whatever its length.  Blocks of the index are read when they are
 * looked at, by position, into a cache of fixed size:
 *
 *     gfn --binary search over blocks--> block --binary search--> entry
 *     entry.home --> page number --> one read for pages adjacent in the file
 *
 * Every block and page is checked against its checksum each time it comes
 * from the file.  Plain reads, not a mapping: a bad sector is then an error,
 * and not a SIGBUS for our caller.
 */
#include "store_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "pack_sum.h"
#include "safe_io.h"
#include "store_v1.h"

#define CACHE_BLOCKS 1024u /* 4 MiB, touched as needed: 680 MiB of a guest */
#define NO_BLOCK UINT64_MAX

struct v1_reader {
    struct image base;
    int dirfd;
    int pages_fd;
    int index_fd;
    uint64_t nr_blocks;
    uint64_t cached[CACHE_BLOCKS];   /* the number of the block held there */
    struct v1_index_block *cache; /* owned, CACHE_BLOCKS */
    char *batch;                     /* owned, PAGE_BATCH pages, or NULL */
    struct v1_index_head head;
};

static const struct image_reader reader_verbs;

static struct v1_reader *reader_of(struct image *img)
{
    return (struct v1_reader *)img;
}

static int fail_damaged(struct v1_reader *r, const char *file,
                        const char *wrong)
{
    char words[256];

    snprintf(words, sizeof(words), "damaged (%s).", wrong);
    return safe_fail(r->base.c, -EUCLEAN, words, r->dirfd, file);
}

/* --- index --------------------------------------------------------------- */

/* The @n-th block, n < nr_blocks; borrowed until the next call. */
static int block_at(struct v1_reader *r, uint64_t n,
                    const struct v1_index_block **b_out)
{
    const size_t at = n % CACHE_BLOCKS;
    struct v1_index_block *b = &r->cache[at];
    const char *wrong;
    char words[128];
    int rc;

    *b_out = b;
    if (r->cached[at] == n)
        return 0;
    r->cached[at] = NO_BLOCK;
    rc = safe_pread_all(r->index_fd, b, sizeof(*b),
                        (off_t)((n + 1) * sizeof(*b)));
    wrong = rc ? strerror(-rc) : v1_index_block_check(&r->head, b, n);
    if (wrong) {
        snprintf(words, sizeof(words), "block %llu: %s", (unsigned long long)n,
                 wrong);
        return fail_damaged(r, V1_INDEX, words);
    }
    r->cached[at] = n;
    return 0;
}

/* The last block that begins at or below @gfn, or 0. */
static int find_block(struct v1_reader *r, uint64_t gfn, uint64_t *n_out)
{
    uint64_t low = 0, high = r->nr_blocks;
    const struct v1_index_block *b;
    int rc;

    while (high - low > 1) {
        const uint64_t mid = low + (high - low) / 2;

        rc = block_at(r, mid, &b);
        if (rc)
            return rc;
        if (b->entries[0].gfn <= gfn)
            low = mid;
        else
            high = mid;
    }
    *n_out = low;
    return 0;
}

/* The first entry of @b not below @gfn; b->nr when there is none. */
static unsigned find_entry(const struct v1_index_block *b, uint64_t gfn)
{
    unsigned low = 0, high = b->nr;

    while (low < high) {
        const unsigned mid = low + (high - low) / 2;

        if (b->entries[mid].gfn < gfn)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* --- pages --------------------------------------------------------------- */

static int fail_page(struct v1_reader *r, const struct v1_entry *e,
                     const char *wrong)
{
    char words[160];

    snprintf(words, sizeof(words), "frame %#llx at offset %llu: %s",
             (unsigned long long)e->gfn,
             (unsigned long long)v1_home_page(e->home) << PAGE_SHIFT_BITS,
             wrong);
    return fail_damaged(r, V1_PAGES, words);
}

static int read_pages(struct v1_reader *r, uint64_t slot, unsigned nr,
                      void *pages)
{
    return safe_pread_all(r->pages_fd, pages, (size_t)nr << PAGE_SHIFT_BITS,
                          (off_t)(slot << PAGE_SHIFT_BITS));
}

static int read_page(struct v1_reader *r, const struct v1_entry *e,
                     void *page)
{
    int rc;

    rc = read_pages(r, v1_home_page(e->home), 1, page);
    if (rc)
        return fail_page(r, e, strerror(-rc));
    if (sum_xxh64(page, PAGE_SIZE_BYTES, 0) != e->sum)
        return fail_page(r, e, "checksum");
    return 0;
}

static int v1_get(struct image *img, uint64_t gfn, void *page,
                   uint8_t *type_out)
{
    struct v1_reader *r = reader_of(img);
    const struct v1_index_block *b;
    const struct v1_entry *e;
    unsigned at = 0;
    uint64_t n = 0;
    int rc;

    if (gfn < img->nr_gfns) {
        rc = find_block(r, gfn, &n);
        if (!rc)
            rc = block_at(r, n, &b);
        if (rc)
            return rc;
        at = find_entry(b, gfn);
    }
    if (gfn >= img->nr_gfns || at == b->nr || b->entries[at].gfn != gfn)
        return fail(img->c, -ENOENT, "Checkpoint %s has no frame %#llx.",
                    img->id, (unsigned long long)gfn);
    e = &b->entries[at];
    if (type_out)
        *type_out = v1_home_type(e->home);
    if (!(e->home & V1_HOME_ZERO))
        return read_page(r, e, page);
    memset(page, 0, PAGE_SIZE_BYTES);
    return 0;
}

static int v1_seek(struct image *img, uint64_t *gfn)
{
    struct v1_reader *r = reader_of(img);
    const struct v1_index_block *b;
    unsigned at = 0;
    uint64_t n = 0;
    int rc = 0;

    if (*gfn < img->nr_gfns)
        rc = find_block(r, *gfn, &n);
    for (; !rc && *gfn < img->nr_gfns && n < r->nr_blocks; n++) {
        rc = block_at(r, n, &b);
        if (rc)
            break;
        at = find_entry(b, *gfn);
        if (at == b->nr)
            continue; /* it is in the next one */
        *gfn = b->entries[at].gfn;
        return 0;
    }
    if (!rc)
        *gfn = img->nr_gfns;
    return rc;
}

/* --- walking ------------------------------------------------------------- */

/* A block that cannot be read hides frames: goes on at the next that can. */
static int skip_block(struct v1_reader *r, uint64_t n, uint64_t *cursor,
                      struct page_batch *out)
{
    char error[sizeof(r->base.c->error)];
    const struct v1_index_block *b;
    const uint64_t first = *cursor;
    uint64_t hit = 0, left;

    memcpy(error, r->base.c->error, sizeof(error));
    *cursor = r->base.nr_gfns;
    for (; n < r->nr_blocks; n++) {
        if (!block_at(r, n, &b)) {
            *cursor = b->entries[0].gfn;
            break;
        }
        left = r->head.head.count - n * V1_BLOCK_ENTRIES;
        hit += left < V1_BLOCK_ENTRIES ? left : V1_BLOCK_ENTRIES;
    }
    /* An order that cannot be must not lead round in a circle. */
    if (*cursor <= first)
        *cursor = r->base.nr_gfns;
    out->nr = hit < UINT32_MAX ? (unsigned)hit : UINT32_MAX;
    out->gfn[0] = first;
    memcpy(r->base.c->error, error, sizeof(error));
    return -EUCLEAN;
}

/* As find_block(), when a block the search needs is damaged. */
static uint64_t find_block_slowly(struct v1_reader *r, uint64_t gfn)
{
    const struct v1_index_block *b;
    uint64_t found = 0;

    for (uint64_t n = 0; n < r->nr_blocks; n++) {
        if (block_at(r, n, &b))
            continue;
        if (b->entries[0].gfn > gfn)
            break;
        found = n;
    }
    return found;
}

/* Entries from *cursor on, as many as fit. */
static int collect(struct v1_reader *r, uint64_t *cursor,
                   struct v1_entry *entries, struct page_batch *out)
{
    const struct v1_index_block *b;
    uint64_t n = 0, next = *cursor;
    unsigned nr = 0;

    if (find_block(r, *cursor, &n))
        n = find_block_slowly(r, *cursor);
    for (; n < r->nr_blocks && nr < PAGE_BATCH; n++) {
        if (block_at(r, n, &b)) {
            if (!nr)
                return skip_block(r, n, cursor, out);
            break;
        }
        for (unsigned i = find_entry(b, next); i < b->nr && nr < PAGE_BATCH;
             i++) {
            entries[nr++] = b->entries[i];
            next = b->entries[i].gfn + 1;
        }
    }
    out->nr = nr;
    return 0;
}

/* How many of the @nr entries from @e on lie one after the other. */
static unsigned run_length(const struct v1_entry *e, unsigned nr)
{
    unsigned n;

    for (n = 0; n < nr; n++) {
        if (e[n].home & V1_HOME_ZERO ||
            v1_home_page(e[n].home) != v1_home_page(e[0].home) + n)
            break;
    }
    return n;
}

/* Reads and checks; returns how many entries are good, from the first on. */
static unsigned load(struct v1_reader *r, const struct v1_entry *e,
                     unsigned nr)
{
    unsigned i = 0, n, run_max = PAGE_BATCH;

    while (i < nr) {
        char *pages = r->batch + ((size_t)i << PAGE_SHIFT_BITS);

        n = run_length(&e[i], nr - i < run_max ? nr - i : run_max);
        if (!n) {
            i++;
            continue;
        }
        if (read_pages(r, v1_home_page(e[i].home), n, pages))
            run_max = n = 1; /* from here one by one, to find which */
        for (unsigned j = 0; j < n; j++, i++, pages += PAGE_SIZE_BYTES) {
            if (sum_xxh64(pages, PAGE_SIZE_BYTES, 0) != e[i].sum &&
                read_page(r, &e[i], pages))
                return i;
        }
    }
    return nr;
}

static int v1_next(struct image *img, uint64_t *cursor, struct page_batch *b)
{
    struct v1_reader *r = reader_of(img);
    struct v1_entry entries[PAGE_BATCH];
    unsigned good;
    int rc;

    if (*cursor >= img->nr_gfns)
        return 0;
    if (!r->batch) {
        r->batch = calloc(PAGE_BATCH, PAGE_SIZE_BYTES);
        if (!r->batch)
            return fail(img->c, -ENOMEM, "checkpoint %s", img->id);
    }
    rc = collect(r, cursor, entries, b);
    if (rc || !b->nr)
        return rc;
    good = load(r, entries, b->nr);
    if (!good) {
        b->nr = 1;
        b->gfn[0] = entries[0].gfn;
        *cursor = entries[0].gfn + 1;
        return -EUCLEAN;
    }
    if (good < b->nr)
        img->c->error[0] = '\0'; /* the next call fails, not this one */
    b->nr = good;
    for (unsigned i = 0; i < good; i++) {
        b->gfn[i] = entries[i].gfn;
        b->type[i] = v1_home_type(entries[i].home);
        b->data[i] = entries[i].home & V1_HOME_ZERO
                         ? NULL
                         : r->batch + ((size_t)i << PAGE_SHIFT_BITS);
    }
    *cursor = entries[good - 1].gfn + 1;
    return 0;
}

/* --- blobs --------------------------------------------------------------- */

static int v1_blob(struct image *img, unsigned n, void **data_out)
{
    struct v1_reader *r = reader_of(img);
    const struct image_blob *blob = &img->blobs[n];
    char file[sizeof(V1_BLOB) + STORE_BLOB_NAME_MAX];
    struct v1_head head;
    const char *wrong;
    char *data;
    size_t len;
    int rc;

    snprintf(file, sizeof(file), V1_BLOB "%s", blob->name);
    if (blob->len_bytes > SIZE_MAX / 2)
        return fail_damaged(r, file, "length");
    /* Its length on disk is looked at before memory is taken for it. */
    rc = safe_slurp(img->c, r->dirfd, file,
                    (size_t)blob->len_bytes + sizeof(head), &data, &len);
    if (rc == -EFBIG)
        return fail_damaged(r, file, "length");
    if (rc == -ENOENT)
        return fail_damaged(r, file, "missing");
    if (rc)
        return rc;
    if (len != blob->len_bytes + sizeof(head)) {
        wrong = "length";
    } else {
        memcpy(&head, data, sizeof(head));
        wrong = v1_head_check(&head, V1_BLOB_MAGIC, img->id);
        len -= sizeof(head);
        memmove(data, data + sizeof(head), len + 1);
        if (!wrong && (head.count != len || head.extra != blob->sum ||
                       sum_xxh64(data, len, 0) != blob->sum))
            wrong = "checksum";
    }
    if (wrong) {
        free(data);
        return fail_damaged(r, file, wrong);
    }
    *data_out = data;
    return 0;
}

/* --- opening ------------------------------------------------------------- */

static int open_file(struct v1_reader *r, const char *name, int *fd_out,
                     uint64_t *bytes_out)
{
    struct stat sb;

    *fd_out =
        openat(r->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*fd_out < 0 && errno == ENOENT)
        return fail_damaged(r, name, "missing");
    if (*fd_out < 0 || fstat(*fd_out, &sb) < 0)
        return safe_fail(r->base.c, -errno, "open", r->dirfd, name);
    if (!S_ISREG(sb.st_mode))
        return fail_damaged(r, name, "not a regular file");
    *bytes_out = (uint64_t)sb.st_size;
    return 0;
}

static int open_pages(struct v1_reader *r)
{
    char page[PAGE_SIZE_BYTES];
    const char *wrong;
    uint64_t bytes;
    int rc;

    rc = open_file(r, V1_PAGES, &r->pages_fd, &bytes);
    if (rc)
        return rc;
    if (bytes != (r->head.head.extra + 1) << PAGE_SHIFT_BITS)
        return fail_damaged(r, V1_PAGES, "length of the file");
    rc = read_pages(r, 0, 1, page);
    wrong = rc ? strerror(-rc) : v1_pages_head_check(page, r->base.id);
    return wrong ? fail_damaged(r, V1_PAGES, wrong) : 0;
}

static int open_index(struct v1_reader *r)
{
    const struct v1_index_block *b;
    const char *wrong;
    uint64_t bytes;
    int rc;

    rc = open_file(r, V1_INDEX, &r->index_fd, &bytes);
    if (rc)
        return rc;
    if (bytes < sizeof(r->head))
        return fail_damaged(r, V1_INDEX, "length of the file");
    rc = safe_pread_all(r->index_fd, &r->head, sizeof(r->head), 0);
    wrong = rc ? strerror(-rc)
               : v1_index_head_check(&r->head, r->base.id, bytes);
    if (wrong)
        return fail_damaged(r, V1_INDEX, wrong);

    r->base.nr_blobs = r->head.nr_blobs;
    for (unsigned i = 0; i < r->head.nr_blobs; i++) {
        const struct v1_blob_row *row = &r->head.blobs[i];

        memcpy(r->base.blobs[i].name, row->name, sizeof(row->name));
        r->base.blobs[i].len_bytes = row->len_bytes;
        r->base.blobs[i].sum = row->sum;
    }
    r->nr_blocks = v1_index_nr_blocks(&r->head);
    if (!r->nr_blocks)
        return 0;
    rc = block_at(r, r->nr_blocks - 1, &b);
    if (!rc)
        r->base.nr_gfns = b->entries[b->nr - 1].gfn + 1;
    return rc;
}

/* @dirfd becomes the image's, also on failure. */
int v1_image(struct store *base, const char *id, int dirfd,
             struct image **img_out)
{
    struct v1_reader *r;
    int rc;

    r = calloc(1, sizeof(*r));
    if (!r) {
        close(dirfd);
        return fail(base->c, -ENOMEM, "checkpoint %s", id);
    }
    r->base.r = &reader_verbs;
    r->base.c = base->c;
    memcpy(r->base.id, id, CKPT_ID_LEN);
    r->dirfd = dirfd;
    r->pages_fd = r->index_fd = -1;
    memset(r->cached, 0xff, sizeof(r->cached)); /* NO_BLOCK everywhere */
    r->cache = malloc(CACHE_BLOCKS * sizeof(*r->cache));
    rc = r->cache ? 0 : fail(base->c, -ENOMEM, "checkpoint %s", id);
    if (!rc)
        rc = open_index(r);
    if (!rc)
        rc = open_pages(r);
    if (rc)
        reader_verbs.close(&r->base);
    else
        *img_out = &r->base;
    return rc;
}

static void v1_image_close(struct image *img)
{
    struct v1_reader *r = reader_of(img);
    const int fds[] = {r->dirfd, r->pages_fd, r->index_fd};

    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(r->base.manifest);
    free(r->cache);
    free(r->batch);
    free(r);
}

static int v1_home(struct image *img, uint64_t gfn, struct image_home *home)
{
    (void)gfn;
    (void)home;
    return fail(img->c, -ENOTSUP, "Checkpoint %s has format 1.", img->id);
}

static const struct image_reader reader_verbs = {
    .seek = v1_seek,
    .home = v1_home,
    .get = v1_get,
    .next = v1_next,
    .blob = v1_blob,
    .close = v1_image_close,
};
