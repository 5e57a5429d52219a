/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as an archive.  The first says what they are: all of it; what is
 * behind a good head; the records, in chunks that are believed; or those behind
 * a good beginning.  (No key is known to a fuzzer, so nothing is signed.)
 */
#include <stdint.h>
#include <stdlib.h>

#include "archive_chain.h"
#include "archive_pipe.h"
#include "stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static const char manifest[] =
    "{\"version\":1,\"mandatory\":[],\"id\":\"00000000000000aa\",\"parent\":"
    "\"\","
    "\"name\":\"one\",\"description\":\"\",\"domain_name\":\"web\","
    "\"domain_uuid\":\"11111111-1111-1111-1111-111111111111\","
    "\"domain_type\":\"pvh\",\"created_unix_us\":1,\"has_memory\":true,"
    "\"consistency\":\"crash\",\"mem_driver\":\"dirty\",\"mem_why\":\"\","
    "\"xen_version\":\"\",\"memory_bytes\":1,\"stored_bytes\":1,"
    "\"pages_stored\":1,\"pages_zero\":1,\"pages_in_pause\":1,\"passes\":1,"
    "\"pause_us\":1,\"pause_disks_us\":1,\"still_us\":1,\"durable_us\":1,"
    "\"disks\":[{\"vdev\":\"xvda\",\"driver\":\"reflink\",\"target\":\"/a\","
    "\"snapshot\":\"/b\",\"size_bytes\":1048576}]}";

static void put_record(struct archive_out *out, uint32_t type, const void *data,
                       size_t len_bytes)
{
    const struct archive_record rec = {type, (uint32_t)len_bytes};
    static const uint8_t zeros[8];

    if (archive_put(out, &rec, sizeof(rec)) ||
        archive_put(out, data, len_bytes) ||
        archive_put(out, zeros, -len_bytes & 7))
        exit(99);
}

static void put_records(const uint8_t *data, size_t len_bytes, int begun)
{
    const struct archive_begin begin = {
        .nr_stored = 4, .nr_zero = 300, .nr_blobs = 3, .nr_disks = 1};
    struct archive_out *out;

    if (archive_out_open(stream.c, stream.fd, NULL, NULL, &out))
        exit(99);
    if (begun) {
        put_record(out, ARCHIVE_BEGIN, &begin, sizeof(begin));
        put_record(out, ARCHIVE_MANIFEST, manifest, sizeof(manifest) - 1);
    }
    if (archive_put(out, data, len_bytes) || archive_finish(out))
        exit(99);
    archive_out_free(out);
}

static void put_head(void)
{
    const struct archive_head h = {.magic = ARCHIVE_MAGIC,
                                   .version = ARCHIVE_VERSION};

    stream_put(&h, sizeof(h));
}

static int import(struct ckpt *c, int fd, struct ckpt_info *info_out)
{
    static const char *const places[] = {"xvda=none", NULL};
    const struct ckpt_import_opts opts = {.name = "x", .disks = places};

    return ckpt_import_with(c, fd, &opts, info_out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    if (!len_bytes)
        return 0;
    stream_begin();
    if ((data[0] & 3) == 1)
        put_head();
    if (data[0] & 2)
        put_records(data + 1, len_bytes - 1, data[0] & 1);
    else
        stream_put(data + 1, len_bytes - 1);
    stream_end(import);
    return 0;
}
