/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Ends one checkpoint: behind its pages come the new nodes of its tree, the
 * pages' checksums, blobs and manifest; the head goes to the front.  Then
 *
 *     hardening of the pack -> rename to checkpoints/ -> fsync of the folder
 *
 * and that is all that anyone waits for.  The table of equal pages is told while
 * the disk is at it: should the checkpoint come to nothing, it has advice that
 * leads nowhere.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "large.h"
#include "pack_sum.h"
#include "radix.h"
#include "safe_io.h"
#include "store_dir_writer.h"

#define SUMS_BUF 16u /* blocks */

static int write_nodes(struct dir_writer *w)
{
    struct radix_build b = {
        .c = w->base.c,
        .table = &w->table,
        .ps = &w->packs,
        .number = w->head.number,
        .pack = &w->pack,
        .head = &w->head,
    };
    int rc;

    w->head.nr_pages = w->places.nr ? w->places.nr - 1 : 0;
    w->head.nodes_block = 1 + w->head.nr_pages;
    rc = radix_build(&b);
    w->head.sums_block = w->head.nodes_block +
                         (w->head.nr_nodes + BLOCK_NODES - 1) / BLOCK_NODES;
    w->head.file_blocks = w->head.sums_block +
                          (w->head.nr_pages + BLOCK_SUMS - 1) / BLOCK_SUMS;
    return rc;
}

static int write_sums(struct dir_writer *w)
{
    struct sums_block *blocks = calloc(SUMS_BUF, sizeof(*blocks));
    const uint64_t nr = w->head.nr_pages;
    uint64_t n = 0;
    int rc = 0;

    if (!blocks)
        return -ENOMEM;
    while (!rc && n < nr) {
        const uint64_t first = n / BLOCK_SUMS;
        unsigned used = 0;

        for (; used < SUMS_BUF && n < nr; used++) {
            struct sums_block *b = &blocks[used];

            memset(b, 0, sizeof(*b));
            for (unsigned i = 0; i < BLOCK_SUMS && n < nr; i++, n++) {
                const struct place *p = &w->places.place[n + 1];

                b->page[i] = p->uses ? p->sum : 0;
            }
            sums_block_seal(&w->head, b, first + used);
        }
        rc = pack_write(&w->pack, blocks, used * sizeof(*blocks),
                        (w->head.sums_block + first) * PAGE_SIZE_BYTES);
    }
    free(blocks);
    return rc;
}

static int write_blob(struct dir_writer *w, struct pack_blob *row,
                      const char *name, const void *data, size_t len_bytes,
                      uint64_t *at)
{
    const uint64_t offset = *at;

    memcpy(row->name, name, strlen(name));
    row->offset = offset;
    row->len_bytes = len_bytes;
    row->sum = sum_of((enum sum_kind)w->head.sum_kind, data, len_bytes, 0);
    *at = (offset + len_bytes + 7) & ~UINT64_C(7);
    return len_bytes ? pack_write(&w->pack, data, len_bytes, offset) : 0;
}

/* Blobs and manifest, and the length of the file. */
static int write_blobs(struct dir_writer *w, const char *manifest)
{
    uint64_t at = w->head.file_blocks * PAGE_SIZE_BYTES;
    int rc = 0;

    w->head.nr_blobs = w->base.nr_blobs;
    for (unsigned i = 0; !rc && i < w->base.nr_blobs; i++)
        rc = write_blob(w, &w->head.blobs[i], w->base.blobs[i].name, w->blob[i],
                        (size_t)w->base.blobs[i].len_bytes, &at);
    if (!rc)
        rc = write_blob(w, &w->head.manifest, "", manifest, strlen(manifest),
                        &at);
    w->head.file_blocks = (at + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES;
    if (!rc &&
        ftruncate(w->fd, (off_t)(w->head.file_blocks * PAGE_SIZE_BYTES)) < 0)
        rc = -errno;
    return rc;
}

static int write_head(struct dir_writer *w)
{
    memcpy(w->head.magic, PACK_MAGIC, sizeof(w->head.magic));
    memcpy(w->head.id, w->base.id, sizeof(w->head.id));
    w->head.version = PACK_VERSION;
    pack_head_seal(&w->head);
    return pack_write(&w->pack, &w->head, sizeof(w->head), 0);
}

/* Places that were used for a while: their room is given back. */
static void punch_unused(struct dir_writer *w)
{
    const struct places *p = &w->places;
    uint32_t first = 1, i;

    if (!p->nr_freed)
        return;
    for (i = 1; i <= p->nr; i++) {
        if (i < p->nr && !p->place[i].uses)
            continue;
        if (i > first)
            fallocate(w->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      (off_t)first << PAGE_SHIFT_BITS,
                      (off_t)(i - first) << PAGE_SHIFT_BITS);
        first = i + 1;
    }
}

/* A checkpoint whose rename may not last was not taken: it is withdrawn.  One
 * that cannot be withdrawn is there for all to see, and needs its disks: who was
 * told that it failed would remove them. */
static int publish(struct dir_writer *w)
{
    struct dir_store *st = w->st;
    const int to = st->place_fds[DIR_LIVE];
    int rc;

    if (renameat2(st->tmp_fd, w->temp, to, w->temp, RENAME_NOREPLACE) < 0)
        return safe_fail(w->base.c, -errno, "rename to", to, w->temp);
    if (fsync(to) < 0) {
        rc = safe_fail(w->base.c, -errno, "fsync of the folder", to, w->temp);
        if (!renameat2(to, w->temp, st->tmp_fd, w->temp, RENAME_NOREPLACE))
            return rc;
        warn(w->base.c, "checkpoint %s is there, but may not outlast a reboot: "
                        "%s", w->base.id, w->base.c->error);
        w->base.c->error[0] = '\0';
    }
    w->temp[0] = '\0';
    return 0;
}

static void tell_equals(struct dir_writer *w)
{
    const struct places *p = &w->places;
    const size_t bytes = ((size_t)p->nr_used + 1) * sizeof(struct equal);
    struct equal *add = large_alloc(bytes);
    size_t nr = 0;

    for (uint32_t i = 1; add && i < p->nr; i++) {
        if (!p->place[i].uses)
            continue;
        add[nr].sum =
            equal_sum((enum sum_kind)w->head.sum_kind, p->place[i].sum);
        add[nr++].ref = ref_make(w->head.number, i);
    }
    equals_close(&w->equals);
    if (add)
        equals_add(w->st, add, nr);
    large_free(add, bytes);
}

int dir_commit(struct image *img, const char *manifest)
{
    struct dir_writer *w = dir_writer_of(img);
    int rc;

    rc = write_nodes(w); /* while the disk is still at the last pages */
    if (rc == -EUCLEAN) /* of another pack: it has its words */
        return rc;
    if (!rc)
        rc = write_sums(w);
    if (!rc)
        rc = write_blobs(w, manifest);
    if (!rc)
        rc = write_head(w);
    if (!rc)
        rc = pack_drain(&w->pack);
    if (rc)
        return safe_fail(img->c, rc, "write", w->st->tmp_fd, w->temp);
    punch_unused(w);
    sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* advice */
    tell_equals(w);
    rc = pack_harden(&w->pack);
    if (rc)
        return safe_fail(img->c, rc, "fsync", w->st->tmp_fd, w->temp);
    return publish(w);
}
