/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Compresses packs, where nobody waits for it: the pages of a pack, 16 at a
 * time, each group where its first page was.  All places stay what they are,
 * so no tree, count or table changes; the room behind a group is a hole.
 *
 *     raw          | head | p1 p2 ... p16 | p17 ... p32 | nodes | sums | ...
 *     compressed   | head | zz            | zzz         | nodes | sums | ... | lengths
 *
 * The new file is written in tmp/ and exchanged for the old one, if that is still
 * where it was.  Both mean the same, so takes and readers go on meanwhile; whoever
 * has the old one open has all of it until it is closed.  Only removals, which
 * make holes in what was copied, wait: DIR_USE_LOCK is held, shared.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "ctx.h"
#include "pack_sum.h"
#include "packs.h"
#include "safe_io.h"
#include "steps.h"
#include "store_dir.h"
#include "store_group.h"

#define LEVEL 3
#define ALONE_LOCK ".compress" /* two at a time would do it twice */

struct compress {
    struct dir_store *st;
    struct dir_name name;
    char text[DIR_NAME_LEN + 1];
    int from, to;
    struct pack_head head;
    struct groups_block *lengths; /* owned */
    uint64_t nr_blocks;           /* of them */
    ZSTD_CCtx *zstd;              /* owned */
    ZSTD_DCtx *unzstd;            /* owned */
    char page[GROUP_BYTES];
    char again[GROUP_BYTES];
    char out[ZSTD_COMPRESSBOUND(GROUP_BYTES)];
};

/* Blocks of zeros stay holes. */
static int put_blocks(struct compress *z, const char *data, size_t len_bytes,
                      uint64_t block)
{
    int rc = 0;

    for (size_t at = 0; !rc && at < len_bytes; at += PAGE_SIZE_BYTES, block++) {
        if (page_is_zero(data + at))
            continue;
        rc = safe_pwrite_all(z->to, data + at, PAGE_SIZE_BYTES,
                             (off_t)(block * PAGE_SIZE_BYTES));
    }
    return rc;
}

/* 0: not worth it.  What cannot be had back as it was is not taken. */
static uint32_t compress(struct compress *z, size_t len_bytes)
{
    size_t n;

    n = ZSTD_compressCCtx(z->zstd, z->out, sizeof(z->out), z->page, len_bytes,
                          LEVEL);
    if (ZSTD_isError(n) || n > len_bytes - PAGE_SIZE_BYTES)
        return 0;
    if (ZSTD_decompressDCtx(z->unzstd, z->again, len_bytes, z->out, n) !=
            len_bytes || memcmp(z->again, z->page, len_bytes))
        return 0;
    return (uint32_t)n;
}

static int put_group(struct compress *z, uint64_t n)
{
    struct groups_block *b = &z->lengths[n / BLOCK_GROUPS];
    const size_t len_bytes =
        (size_t)pack_group_pages(&z->head, n) * PAGE_SIZE_BYTES;
    const uint64_t block = 1 + n * GROUP_PAGES;
    uint32_t bytes;
    int rc;

    rc = safe_pread_all(z->from, z->page, len_bytes,
                        (off_t)(block * PAGE_SIZE_BYTES));
    if (rc)
        return rc;
    bytes = compress(z, len_bytes);
    b->bytes[n % BLOCK_GROUPS] = bytes;
    return bytes ? safe_pwrite_all(z->to, z->out, bytes,
                                   (off_t)(block * PAGE_SIZE_BYTES))
                 : put_blocks(z, z->page, len_bytes, block);
}

/* Nodes, checksums, blobs, manifest: as they are, where they are. */
static int put_rest(struct compress *z)
{
    uint64_t block = 1 + z->head.nr_pages;
    int rc = 0;

    while (!rc && block < z->head.file_blocks) {
        const uint64_t left = z->head.file_blocks - block;
        const size_t nr = left < GROUP_PAGES ? (size_t)left : GROUP_PAGES;

        rc = safe_pread_all(z->from, z->page, nr * PAGE_SIZE_BYTES,
                            (off_t)(block * PAGE_SIZE_BYTES));
        if (!rc)
            rc = put_blocks(z, z->page, nr * PAGE_SIZE_BYTES, block);
        block += nr;
    }
    return rc;
}

static int put_head(struct compress *z)
{
    int rc;

    z->head.mandatory |= PACK_COMPRESSED;
    z->head.codec = PACK_CODEC_ZSTD;
    z->head.groups_block = z->head.file_blocks;
    z->head.file_blocks += z->nr_blocks;
    for (uint64_t i = 0; i < z->nr_blocks; i++)
        groups_block_seal(&z->head, &z->lengths[i], i);
    pack_head_seal(&z->head);
    rc = safe_pwrite_all(z->to, z->lengths, z->nr_blocks * PAGE_SIZE_BYTES,
                         (off_t)(z->head.groups_block * PAGE_SIZE_BYTES));
    return rc ? rc : safe_pwrite_all(z->to, &z->head, sizeof(z->head), 0);
}

/* Copied, compressed and safe on the disk; all but the name. */
static int fill(struct compress *z)
{
    const uint64_t nr_groups = pack_nr_groups(&z->head);
    int rc = 0;

    for (uint64_t n = 0; !rc && n < nr_groups; n++) {
        rc = put_group(z, n);
        if (!rc && n % 256 == 0 && check_cancel(z->st->base.c))
            return -ECANCELED;
    }
    if (!rc)
        rc = put_rest(z);
    if (!rc)
        rc = put_head(z);
    if (!rc && fdatasync(z->to) < 0)
        rc = -errno;
    return rc ? safe_fail(z->st->base.c, rc, "compress", z->st->tmp_fd,
                          z->text) : 0;
}

/* A file in tmp/ that nobody sweeps while we live. */
static int make_file(struct compress *z)
{
    struct dir_store *st = z->st;
    int lock_fd;
    int rc;

    rc = dir_tmp_lock(st, true, &lock_fd);
    if (rc)
        return rc;
    dir_sweep(st, z->text); /* of one who died here */
    z->to = openat(st->tmp_fd, z->text,
                   O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (z->to < 0 || flock(z->to, LOCK_SH | LOCK_NB) < 0)
        rc = safe_fail(st->base.c, -errno, "create", st->tmp_fd, z->text);
    close(lock_fd);
    return rc;
}

static int replace(struct compress *z, uint64_t *saved_bytes)
{
    const int place_fd = z->st->place_fds[z->name.place];
    struct stat before, after;
    int rc;

    if (fstat(z->from, &before) < 0 || fstat(z->to, &after) < 0)
        return safe_fail(z->st->base.c, -errno, "look at", z->st->tmp_fd,
                         z->text);
    if (renameat2(z->st->tmp_fd, z->text, place_fd, z->text,
                  RENAME_EXCHANGE) < 0) {
        rc = errno == ENOENT ? 0 /* deleted meanwhile */
                             : safe_fail(z->st->base.c, -errno, "exchange",
                                         place_fd, z->text);
        unlinkat(z->st->tmp_fd, z->text, 0);
        return rc;
    }
    if (fsync(place_fd) < 0)
        return safe_fail(z->st->base.c, -errno, "fsync of the folder", place_fd,
                         z->text);
    unlinkat(z->st->tmp_fd, z->text, 0); /* the old one; else it is swept */
    if (before.st_blocks > after.st_blocks)
        *saved_bytes += (uint64_t)(before.st_blocks - after.st_blocks) * 512;
    return 0;
}

static int compress_open(struct compress *z, uint64_t *saved_bytes)
{
    int rc;

    z->nr_blocks = pack_nr_group_blocks(&z->head);
    z->lengths = calloc(z->nr_blocks, sizeof(*z->lengths));
    z->zstd = ZSTD_createCCtx();
    z->unzstd = ZSTD_createDCtx();
    if (z->lengths && z->zstd && z->unzstd)
        rc = make_file(z);
    else
        rc = fail(z->st->base.c, -ENOMEM, "compress %s", z->text);
    if (!rc) {
        rc = fill(z);
        if (!rc)
            rc = steps_fault(z->st->base.c, "compress", "filled");
        if (!rc)
            rc = replace(z, saved_bytes);
        else
            unlinkat(z->st->tmp_fd, z->text, 0);
    }
    if (z->to >= 0)
        close(z->to);
    ZSTD_freeDCtx(z->unzstd);
    ZSTD_freeCCtx(z->zstd);
    free(z->lengths);
    return rc;
}

static bool is_kept(const struct dir_name *n, const char *const *ids)
{
    for (; *ids; ids++) {
        if (n->id == strtoull(*ids, NULL, 16))
            return true;
    }
    return false;
}

/* One that is being removed, or that is damaged, is left as it is. */
static int compress_one(struct compress *z, const struct dir_name *n,
                        uint64_t *saved_bytes)
{
    struct dir_store *st = z->st;
    int rc = 0;

    z->name = *n;
    z->to = -1;
    dir_name_print(z->text, n);
    z->from = openat(st->place_fds[n->place], z->text,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (z->from < 0 && errno == ENOENT)
        return 0;
    if (z->from < 0)
        return safe_fail(st->base.c, -errno, "open", st->place_fds[n->place],
                         z->text);
    if (flock(z->from, LOCK_SH | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            rc = safe_fail(st->base.c, -errno, "lock",
                           st->place_fds[n->place], z->text);
        goto out;
    }
    rc = pack_file_head(st, z->from, z->text, &z->head);
    if (!rc && !(z->head.mandatory & PACK_COMPRESSED) &&
        z->head.nr_pages >= GROUP_PAGES)
        rc = compress_open(z, saved_bytes);
    if (rc == -EUCLEAN) {
        st->base.c->error[0] = '\0';
        rc = 0;
    }
out:
    close(z->from);
    return rc;
}

/* No removal, and no other of us; takes go on. */
static int lock(struct dir_store *st, int *use_fd, int *alone_fd)
{
    int rc;

    rc = dir_lock_file(st, DIR_USE_LOCK, LOCK_SH | LOCK_NB, use_fd);
    if (!rc)
        rc = dir_lock_file(st, ALONE_LOCK, LOCK_EX | LOCK_NB, alone_fd);
    return rc == -EWOULDBLOCK
               ? fail(st->base.c, -EBUSY,
                      "A removal from %s, or a compression of it, is under "
                      "way: try again when it is over.",
                      st->path)
               : rc;
}

int dir_compress(struct store *base, const char *const *raw_ids,
                 uint64_t *saved_bytes)
{
    struct dir_store *st = dir_of(base);
    int use_fd = -1, alone_fd = -1;
    struct compress *z = NULL;
    int rc;

    rc = dir_upgrade(st);
    if (!rc)
        rc = lock(st, &use_fd, &alone_fd);
    if (rc)
        goto out;
    z = calloc(1, sizeof(*z));
    if (!z) {
        rc = fail(base->c, -ENOMEM, "store %s", st->path);
        goto out;
    }
    z->st = st;
    rc = dir_scan(st);
    for (size_t i = 0; !rc && i < st->nr_names; i++) {
        const struct dir_name n = st->names[i];

        if (n.number && n.place != DIR_DROPPED && !is_kept(&n, raw_ids))
            rc = compress_one(z, &n, saved_bytes);
    }
out:
    free(z);
    if (alone_fd >= 0)
        close(alone_fd);
    if (use_fd >= 0)
        close(use_fd);
    return rc;
}
