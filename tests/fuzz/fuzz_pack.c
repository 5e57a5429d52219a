/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as a pack, in a store of its own, beside a sound one that it can
 * refer to.  Checksums would stop all but one in 2^64 of them, so unless the
 * first byte says otherwise they are made right first: what is behind them is
 * to be tested.  It is read, built upon, and removed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "fake/scratch.h"
#include "pack_sum.h"
#include "store.h"
#include "store_group.h"

#define GOOD "00000000000000aa"
#define ID "00000000000000bb"
#define NUMBER 2u
#define BLOCKS_MAX 64u

#define BATCHES 64u /* a few nodes can be shared by 2^36 frames */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static struct ckpt *c;
static char *dir;
static char *path;
static union {
    char bytes[BLOCKS_MAX][4096];
    struct pack_head head;
    struct node_block nodes[BLOCKS_MAX];
    struct sums_block sums[BLOCKS_MAX];
    struct groups_block groups[BLOCKS_MAX];
} file;

static void clean_up(void)
{
    ckpt_close(c);
    scratch_remove(dir);
    free(path);
}

static void set_up(void)
{
    dir = scratch_dir();
    c = scratch_open(dir);
    scratch_image(c, GOOD, 3);
    path = strdup(scratch_path(dir, "store/checkpoints/" ID ".00000002"));
    if (!path)
        exit(99);
    atexit(clean_up);
}

/* Of @nr blocks from @first on, how many there are. */
static uint64_t in_file(uint64_t first, uint64_t nr, uint64_t nr_blocks)
{
    if (!first || first >= nr_blocks)
        return 0;
    return nr < nr_blocks - first ? nr : nr_blocks - first;
}

/* Bit 1: what is fixed in a head.  Bit 2: the length of the file.  Bit 0: the
 * checksums, where the head says that they are. */
static void make_right(uint8_t how, uint64_t nr_blocks)
{
    struct pack_head *h = &file.head;
    uint64_t nr;

    if (how & 2) {
        memcpy(h->magic, PACK_MAGIC, sizeof(h->magic));
        memcpy(h->id, ID, sizeof(h->id));
        h->version = PACK_VERSION;
        h->number = NUMBER;
        h->sum_kind = h->sum_kind % 2 + 1;
        h->mandatory &= PACK_MANDATORY_KNOWN;
        h->codec = h->mandatory & PACK_COMPRESSED ? PACK_CODEC_ZSTD : 0;
        if (!h->codec)
            h->groups_block = 0;
        h->nr_blobs %= 4;
        memset(h->zero, 0, sizeof(h->zero));
        memset(&h->blobs[h->nr_blobs], 0,
               (STORE_BLOBS_MAX - h->nr_blobs) * sizeof(h->blobs[0]));
    }
    if (how & 4)
        h->file_blocks = nr_blocks;
    if (!(how & 1))
        return;
    nr = in_file(h->nodes_block, h->nr_nodes / BLOCK_NODES + 1, nr_blocks);
    for (uint64_t i = 0; i < nr; i++)
        node_block_seal(h, &file.nodes[h->nodes_block + i], i);
    nr = in_file(h->sums_block, h->nr_pages / BLOCK_SUMS + 1, nr_blocks);
    for (uint64_t i = 0; i < nr; i++)
        sums_block_seal(h, &file.sums[h->sums_block + i], i);
    nr = in_file(h->groups_block, pack_nr_groups(h) / BLOCK_GROUPS + 1,
                 nr_blocks);
    for (uint64_t i = 0; i < nr; i++)
        groups_block_seal(h, &file.groups[h->groups_block + i], i);
    pack_head_seal(h);
}

static void build_upon(void)
{
    struct image *img;

    if (image_create(c->store, "00000000000000cc", &img))
        exit(99);
    if (!image_base(img, ID)) {
        scratch_put(img, 0, 1);
        scratch_put(img, 100, 2);
        if (!image_commit(img, "{}"))
            store_drop(c->store, "00000000000000cc", NULL);
        return;
    }
    image_abort(img);
}

static void ignore(void *arg, const char *line)
{
    (void)arg, (void)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    static const char *const none[] = {NULL};
    char page[PAGE_SIZE_BYTES];
    uint64_t saved = 0;
    struct image *img;
    int fd;

    if (!dir)
        set_up();
    if (!len_bytes || --len_bytes > sizeof(file))
        return 0;
    memset(&file, 0, sizeof(file));
    memcpy(&file, data + 1, len_bytes);
    make_right(data[0], len_bytes / 4096);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, &file, len_bytes) != (ssize_t)len_bytes)
        exit(99);
    close(fd);
    ckpt_dump(c, ID, ignore, NULL);
    scratch_read_all(c, ID, BATCHES);
    build_upon();
    store_compress(c->store, none, &saved);
    scratch_read_all(c, ID, BATCHES);
    store_drop(c->store, ID, NULL);
    /* Whatever it said, what is good stays good. */
    if (image_open(c->store, GOOD, &img))
        abort();
    for (unsigned i = 0; i < 3; i++) {
        if (image_get(img, i, page, NULL))
            abort();
    }
    image_close(img);
    return 0;
}
