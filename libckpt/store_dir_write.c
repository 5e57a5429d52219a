/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Writes one checkpoint:
 *
 *     batch --> sift --> sum --> pack.c --> tmp/ID.PID/pages
 *                 \________________|
 *                                  v
 *                             gfn_table.c --commit--> tmp/ID.PID/index
 *
 * and then, at the commit, in this order: index, blobs and manifest written,
 * each made durable, the folder made durable, renamed to checkpoints/ID, both
 * parents made durable.  `pages` was made durable before, by image_sync(),
 * and is again if pages came later.
 *
 * While writing, an entry's home also remembers the page's slot when the page
 * is zero or gone for the moment: should it come back, it goes there.
 */
#include "store_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "gfn_table.h"
#include "pack.h"
#include "safe_io.h"
#include "store_format.h"

/* In memory only: the frame is part of the image. */
#define HOME_PRESENT (UINT64_C(1) << 58)

#define INDEX_BUF_BLOCKS 256u /* 1 MiB a write */

struct dir_writer {
    struct image base;
    struct dir_store *st; /* borrowed */
    char temp[64];        /* name in tmp/; "" once published */
    int dirfd;
    int pages_fd;
    int blob_fds[STORE_BLOBS_MAX];
    bool is_synced; /* nothing was written to `pages` since */
    struct pack pack;
    struct gfn_table table;
    struct store_index_head head;
    struct store_index_block blocks[INDEX_BUF_BLOCKS];
};

static const struct image_writer writer_verbs;

static struct dir_writer *writer_of(struct image *img)
{
    return (struct dir_writer *)img;
}

/* --- making the folder --------------------------------------------------- */

/* tmp/ID.PID with an empty, locked `pages`. */
static int make_folder(struct dir_writer *w)
{
    struct dir_store *st = w->st;
    struct ckpt *c = w->base.c;
    int lock_fd;
    int rc;

    rc = dir_tmp_lock(st, true, &lock_fd);
    if (rc)
        return rc;
    rc = mkdirat(st->tmp_fd, w->temp, 0700) < 0 ? -errno : 0;
    if (rc == -EEXIST) {
        dir_sweep(st, w->temp);
        rc = mkdirat(st->tmp_fd, w->temp, 0700) < 0 ? -errno : 0;
    }
    if (rc) {
        safe_fail(c, rc, "mkdir", st->tmp_fd, w->temp);
        w->temp[0] = '\0'; /* another's, if it is there */
        goto out;
    }
    w->dirfd = openat(st->tmp_fd, w->temp,
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (w->dirfd < 0) {
        rc = safe_fail(c, -errno, "open", st->tmp_fd, w->temp);
        goto out;
    }
    w->pages_fd = openat(w->dirfd, DIR_PAGES,
                         O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->pages_fd < 0 || flock(w->pages_fd, LOCK_EX | LOCK_NB) < 0)
        rc = safe_fail(c, -errno, "create", w->dirfd, DIR_PAGES);
out:
    close(lock_fd);
    return rc;
}

static int write_pages_head(struct dir_writer *w)
{
    union {
        struct store_head head;
        char page[PAGE_SIZE_BYTES];
    } u = {.page = {0}};
    int rc;

    store_head_fill(&u.head, STORE_PAGES_MAGIC, w->base.id, 0, 0);
    rc = safe_pwrite_all(w->pages_fd, &u, sizeof(u), 0);
    return rc ? safe_fail(w->base.c, rc, "write", w->dirfd, DIR_PAGES) : 0;
}

int dir_create(struct store *base, const char *id, struct image **img_out)
{
    struct dir_writer *w;
    int rc;

    w = calloc(1, sizeof(*w));
    if (!w)
        return fail(base->c, -ENOMEM, "checkpoint %s", id);
    w->base.w = &writer_verbs;
    w->base.c = base->c;
    w->st = (struct dir_store *)base;
    memcpy(w->base.id, id, CKPT_ID_LEN);
    w->dirfd = w->pages_fd = -1;
    for (unsigned i = 0; i < STORE_BLOBS_MAX; i++)
        w->blob_fds[i] = -1;
    snprintf(w->temp, sizeof(w->temp), "%s.%ld", id, (long)getpid());

    if (!faccessat(w->st->checkpoints_fd, id, F_OK, AT_SYMLINK_NOFOLLOW)) {
        w->temp[0] = '\0';
        rc = fail(base->c, -EEXIST, "checkpoint %s", id);
        goto out;
    }
    rc = make_folder(w);
    if (rc)
        goto out;
    pack_init(&w->pack, w->pages_fd);
    rc = write_pages_head(w);
    if (rc)
        goto out;
    w->base.stored_bytes = PAGE_SIZE_BYTES;
    *img_out = &w->base;
out:
    if (rc)
        writer_verbs.abort(&w->base);
    return rc;
}

/* --- HOT PATH ------------------------------------------------------------ */

/* What @home counts for in the statistics. */
static void count(struct image *img, uint64_t home, uint64_t by)
{
    if (!(home & HOME_PRESENT))
        return;
    if (home & STORE_HOME_ZERO)
        img->pages_zero += by;
    else
        img->pages_stored += by;
}

static int put_page(struct dir_writer *w, struct gfn_slot *slot,
                    const void *data, uint8_t type)
{
    const uint64_t flags = (uint64_t)type << STORE_HOME_TYPE_SHIFT;
    uint64_t page = store_home_page(slot->home);
    int rc;

    if (type == PAGE_TYPE_ABSENT) {
        slot->home = page;
        return 0;
    }
    if (!page_type_has_data(type) || !data || pack_is_zero(data)) {
        slot->home = flags | STORE_HOME_ZERO | HOME_PRESENT | page;
        slot->sum = 0;
        return 0;
    }
    rc = page ? pack_replace(&w->pack, data, page)
              : pack_add(&w->pack, data, &page);
    slot->home = flags | HOME_PRESENT | page;
    slot->sum = pack_sum(data, PAGE_SIZE_BYTES, 0);
    return rc;
}

static int dir_put(struct image *img, const struct page_batch *b)
{
    struct dir_writer *w = writer_of(img);
    const uint64_t next_slot = w->pack.next_slot;
    int rc;

    w->is_synced = false;
    for (unsigned i = 0; i < b->nr; i++) {
        struct gfn_slot *slot;

        if (b->gfn[i] > STORE_GFN_MAX || b->type[i] > PAGE_TYPE_ABSENT)
            return fail(img->c, -EINVAL, "Frame %#llx of type %u.",
                        (unsigned long long)b->gfn[i], b->type[i]);
        slot = gfn_table_at(&w->table, b->gfn[i]);
        if (!slot)
            return fail(img->c, -ENOMEM, "checkpoint %s: index", img->id);
        count(img, slot->home, -UINT64_C(1));
        rc = put_page(w, slot, b->data[i], b->type[i]);
        if (rc)
            goto failed;
        count(img, slot->home, 1);
    }
    rc = pack_flush(&w->pack);
    if (rc)
        goto failed;
    img->stored_bytes += (w->pack.next_slot - next_slot) << PAGE_SHIFT_BITS;
    return 0;
failed:
    return safe_fail(img->c, rc, "write", w->dirfd, DIR_PAGES);
}

/* --- the rest of the image ----------------------------------------------- */

static int dir_put_blob(struct image *img, const char *name, const void *data,
                        size_t len_bytes)
{
    struct dir_writer *w = writer_of(img);
    char file[sizeof(DIR_BLOB) + STORE_BLOB_NAME_MAX];
    struct store_head head;
    struct iovec iov[2];
    int fd;
    int rc;

    snprintf(file, sizeof(file), DIR_BLOB "%s", name);
    img->blobs[img->nr_blobs].sum = pack_sum(data, len_bytes, 0);
    store_head_fill(&head, STORE_BLOB_MAGIC, img->id, len_bytes,
                    img->blobs[img->nr_blobs].sum);
    fd = openat(w->dirfd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return safe_fail(img->c, -errno, "create", w->dirfd, file);
    w->blob_fds[img->nr_blobs] = fd; /* kept for the fsync of the commit */
    iov[0] = (struct iovec){.iov_base = &head, .iov_len = sizeof(head)};
    iov[1] = (struct iovec){.iov_base = (void *)(uintptr_t)data,
                            .iov_len = len_bytes};
    rc = safe_writev_all(fd, iov, 2);
    if (rc)
        return safe_fail(img->c, rc, "write", w->dirfd, file);
    img->stored_bytes += sizeof(head) + len_bytes;
    return 0;
}

static int dir_sync(struct image *img)
{
    struct dir_writer *w = writer_of(img);

    if (w->is_synced)
        return 0;
    if (fdatasync(w->pages_fd) < 0)
        return safe_fail(img->c, -errno, "fsync", w->dirfd, DIR_PAGES);
    w->is_synced = true;
    return 0;
}

/* --- committing ---------------------------------------------------------- */

static int make_durable(struct dir_writer *w, int fd, const char *name)
{
    if (fsync(fd) < 0)
        return safe_fail(w->base.c, -errno, "fsync", w->dirfd, name);
    return 0;
}

static int write_blocks(struct dir_writer *w, int fd, uint64_t first,
                        uint64_t nr)
{
    for (uint64_t i = 0; i < nr; i++)
        store_index_block_seal(&w->blocks[i], first + i);
    return safe_write_all(fd, w->blocks, nr * sizeof(w->blocks[0]));
}

/* Appends to the buffer of blocks, and the buffer to the file. */
static int write_entry(struct dir_writer *w, int fd, uint64_t nth,
                       const struct store_entry *e)
{
    const uint64_t n = nth / STORE_BLOCK_ENTRIES;
    struct store_index_block *b = &w->blocks[n % INDEX_BUF_BLOCKS];
    int rc;

    if (nth && nth % (STORE_BLOCK_ENTRIES * INDEX_BUF_BLOCKS) == 0) {
        rc = write_blocks(w, fd, n - INDEX_BUF_BLOCKS, INDEX_BUF_BLOCKS);
        if (rc)
            return rc;
    }
    if (nth % STORE_BLOCK_ENTRIES == 0)
        memset(b, 0, sizeof(*b));
    b->entries[b->nr++] = *e;
    return 0;
}

/* All entries in order; the first page is written last, with the count. */
static int write_entries(struct dir_writer *w, int fd, uint64_t *nr_out)
{
    uint64_t nr = 0, left;
    int rc;

    rc = gfn_table_sort(&w->table);
    for (uint32_t i = 0; !rc && i < w->table.nr_leaves; i++) {
        const struct gfn_leaf *leaf = gfn_table_leaf(&w->table, i);

        for (unsigned j = 0; !rc && j < GFN_LEAF_SLOTS; j++) {
            struct store_entry e = {
                .gfn = (leaf->key << GFN_LEAF_SHIFT) + j,
                .home = leaf->slots[j].home & ~HOME_PRESENT,
                .sum = leaf->slots[j].sum,
            };

            if (!(leaf->slots[j].home & HOME_PRESENT))
                continue;
            if (e.home & STORE_HOME_ZERO)
                e.home &= ~STORE_HOME_PAGE_MASK;
            rc = write_entry(w, fd, nr++, &e);
        }
    }
    if (rc)
        return rc;
    left = (nr + STORE_BLOCK_ENTRIES - 1) / STORE_BLOCK_ENTRIES;
    if (left)
        rc = write_blocks(w, fd,
                          (left - 1) / INDEX_BUF_BLOCKS * INDEX_BUF_BLOCKS,
                          (left - 1) % INDEX_BUF_BLOCKS + 1);
    *nr_out = nr;
    return rc;
}

static void fill_index_head(struct dir_writer *w, uint64_t nr_entries)
{
    struct store_index_head *h = &w->head;

    memset(h, 0, sizeof(*h));
    store_head_fill(&h->head, STORE_INDEX_MAGIC, w->base.id, nr_entries,
                    w->pack.next_slot - 1);
    h->nr_blobs = w->base.nr_blobs;
    for (unsigned i = 0; i < w->base.nr_blobs; i++) {
        const struct image_blob *blob = &w->base.blobs[i];

        memcpy(h->blobs[i].name, blob->name, strlen(blob->name));
        h->blobs[i].len_bytes = blob->len_bytes;
        h->blobs[i].sum = blob->sum;
    }
    store_index_head_seal(h);
}

static int write_index(struct dir_writer *w)
{
    uint64_t nr;
    int fd;
    int rc;

    fd = openat(w->dirfd, DIR_INDEX, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                0600);
    if (fd < 0)
        return safe_fail(w->base.c, -errno, "create", w->dirfd, DIR_INDEX);
    rc = lseek(fd, sizeof(w->head), SEEK_SET) < 0 ? -errno : 0;
    if (!rc)
        rc = write_entries(w, fd, &nr);
    if (!rc) {
        fill_index_head(w, nr);
        rc = safe_pwrite_all(fd, &w->head, sizeof(w->head), 0);
    }
    if (rc)
        safe_fail(w->base.c, rc, "write", w->dirfd, DIR_INDEX);
    else
        rc = make_durable(w, fd, DIR_INDEX);
    if (close(fd) < 0 && !rc)
        rc = safe_fail(w->base.c, -errno, "close", w->dirfd, DIR_INDEX);
    return rc;
}

static int write_manifest(struct dir_writer *w, const char *manifest)
{
    char *text;
    int fd;
    int rc;

    text = store_text_wrap(STORE_MANIFEST, manifest);
    if (!text)
        return fail(w->base.c, -ENOMEM, "checkpoint %s", w->base.id);
    fd = openat(w->dirfd, DIR_MANIFEST, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                0600);
    if (fd < 0) {
        rc = safe_fail(w->base.c, -errno, "create", w->dirfd, DIR_MANIFEST);
        goto out;
    }
    rc = safe_write_all(fd, text, strlen(text));
    if (rc)
        safe_fail(w->base.c, rc, "write", w->dirfd, DIR_MANIFEST);
    else
        rc = make_durable(w, fd, DIR_MANIFEST);
    if (close(fd) < 0 && !rc)
        rc = safe_fail(w->base.c, -errno, "close", w->dirfd, DIR_MANIFEST);
out:
    free(text);
    return rc;
}

static int sync_blobs(struct dir_writer *w)
{
    char file[sizeof(DIR_BLOB) + STORE_BLOB_NAME_MAX];
    int rc = 0;

    for (unsigned i = 0; !rc && i < w->base.nr_blobs; i++) {
        snprintf(file, sizeof(file), DIR_BLOB "%s", w->base.blobs[i].name);
        rc = make_durable(w, w->blob_fds[i], file);
    }
    return rc;
}

/* A checkpoint whose rename may not last was not taken: it is withdrawn. */
static int publish(struct dir_writer *w)
{
    struct dir_store *st = w->st;
    int rc;

    rc = safe_publish(w->base.c, st->tmp_fd, w->temp, st->checkpoints_fd,
                      w->base.id);
    if (!rc)
        w->temp[0] = '\0';
    else if (rc != -EEXIST)
        renameat2(st->checkpoints_fd, w->base.id, st->tmp_fd, w->temp,
                  RENAME_NOREPLACE);
    return rc;
}

static int dir_commit(struct image *img, const char *manifest)
{
    struct dir_writer *w = writer_of(img);
    int rc;

    rc = dir_sync(img);
    if (!rc)
        rc = write_index(w);
    if (!rc)
        rc = sync_blobs(w);
    if (!rc)
        rc = write_manifest(w, manifest);
    if (!rc)
        rc = make_durable(w, w->dirfd, "");
    return rc ? rc : publish(w);
}

/* After a commit nothing is left under the temporary name. */
static void dir_abort(struct image *img)
{
    struct dir_writer *w = writer_of(img);
    char error[sizeof(img->c->error)];

    memcpy(error, img->c->error, sizeof(error));
    if (w->temp[0] && safe_remove_tree(img->c, w->st->tmp_fd, w->temp))
        warn(img->c, "%s", img->c->error);
    memcpy(img->c->error, error, sizeof(error));
    for (unsigned i = 0; i < STORE_BLOBS_MAX; i++) {
        if (w->blob_fds[i] >= 0)
            close(w->blob_fds[i]);
    }
    if (w->pages_fd >= 0)
        close(w->pages_fd);
    if (w->dirfd >= 0)
        close(w->dirfd);
    gfn_table_fini(&w->table);
    free(w);
}

static const struct image_writer writer_verbs = {
    .put = dir_put,
    .put_blob = dir_put_blob,
    .sync = dir_sync,
    .commit = dir_commit,
    .abort = dir_abort,
};
