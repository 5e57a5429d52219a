/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as the index of a checkpoint of format 1, in a store of its own.  Checksums would
 * stop all but one in 2^64 of them, so unless the first byte says otherwise
 * they are made right first: what is behind them is to be tested.
 *
 * The rest of the input: entries and heads as they lie in the file.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "fake/golden.h"
#include "fake/scratch.h"
#include "pack_sum.h"
#include "store.h"
#include "store_v1.h"

#define ID "00000000000000a1"
#define FILE_MAX_BYTES (64u * 4096)

#define BATCHES UINT_MAX

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static struct ckpt *c;
static char *dir;
static int index_fd = -1;
static union {
    char bytes[FILE_MAX_BYTES];
    struct v1_index_head head;
    struct v1_index_block blocks[FILE_MAX_BYTES / 4096];
} file;

static void clean_up(void)
{
    close(index_fd);
    ckpt_close(c);
    scratch_remove(dir);
}

static void set_up(void)
{
    dir = scratch_dir();
    golden_unpack("tests/golden/store/format-1.hex",
                  scratch_path(dir, "store"));
    c = scratch_open(dir);
    index_fd = open(scratch_path(dir, "store/checkpoints/" ID "/index"),
                    O_RDWR | O_CLOEXEC);
    if (index_fd < 0)
        exit(99);
    atexit(clean_up);
}

/* Bit 0: checksums. Bit 1: what is fixed in a head. Bit 2: the counts, so
 * that entries are reached. */
static void make_right(uint8_t how, size_t len_bytes)
{
    struct v1_head *h = &file.head.head;
    const size_t nr_blocks = len_bytes / 4096 ? len_bytes / 4096 - 1 : 0;

    if (how & 2) {
        memcpy(h->magic, V1_INDEX_MAGIC, sizeof(h->magic));
        memcpy(h->id, ID, sizeof(h->id));
        h->version = V1_FORMAT_VERSION;
        h->pad = 0;
        h->mandatory = 0;
        h->extra = 4;
        file.head.pad = 0;
        file.head.nr_blobs %= STORE_BLOBS_MAX + 1;
        memset(file.head.zero, 0, sizeof(file.head.zero));
    }
    if (how & 4 && nr_blocks) {
        uint32_t *nr = &file.blocks[nr_blocks].nr;

        *nr = *nr % V1_BLOCK_ENTRIES + 1;
        for (size_t i = 1; i < nr_blocks; i++)
            file.blocks[i].nr = V1_BLOCK_ENTRIES;
        h->count = (nr_blocks - 1) * V1_BLOCK_ENTRIES + *nr;
    }
    if (how & 1) {
        h->sum = sum_xxh64(h, offsetof(struct v1_head, sum), 0);
        v1_index_head_seal(&file.head);
        for (size_t i = 1; i <= nr_blocks; i++)
            v1_index_block_seal(&file.blocks[i], i - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    if (index_fd < 0)
        set_up();
    if (!len_bytes || --len_bytes > sizeof(file))
        return 0;
    memset(&file, 0, sizeof(file));
    memcpy(&file, data + 1, len_bytes);
    make_right(data[0], len_bytes);
    if (ftruncate(index_fd, (off_t)len_bytes) ||
        pwrite(index_fd, &file, len_bytes, 0) != (ssize_t)len_bytes)
        exit(99);
    scratch_read_all(c, ID, BATCHES);
    return 0;
}
