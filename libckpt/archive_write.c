/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A checkpoint with its disks as one archive (docs/specs/archive.md): the
 * records, into the chunks of archive_out.c.
 *
 *     BEGIN | MANIFEST | BLOB ... | PAGES ... | (DISK | DATA ...) ... | END
 *
 * Of the pages those that are zero, and of the disks what is zero or was never
 * written, are not there.  Every page is compared with its checksum when it is
 * read.  Reading needs no lock: what is read is held by being open.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive_pipe.h"
#include "checkpoint.h"
#include "ctx.h"
#include "disk.h"
#include "disk_content.h"
#include "safe_io.h"
#include "store.h"

#define BLOCK_BYTES 4096u /* of a disk: zero, or not */

struct archive {
    struct ckpt *c;
    const struct ckpt_export_opts *opts;
    struct archive_out *out;
    struct image *img;
    struct ckpt_info info;
    uint64_t nr_records;
    struct ckpt_export_result result;
    struct page_batch batch;
    uint8_t data[ARCHIVE_DATA_MAX];
};

/* --- records --------------------------------------------------------------- */

/* The head and the first part of a record's body. */
static int put_begin(struct archive *a, enum archive_type type, size_t len,
                     const void *first, size_t first_len)
{
    const struct archive_record rec = {type, (uint32_t)len};
    int rc = archive_put(a->out, &rec, sizeof(rec));

    a->nr_records++;
    return rc ? rc : archive_put(a->out, first, first_len);
}

static int put_pad(struct archive *a, size_t len)
{
    static const uint8_t zeros[8];

    return archive_put(a->out, zeros, -len & 7);
}

static int put_record(struct archive *a, enum archive_type type,
                      const void *first, size_t first_len, const void *second,
                      size_t second_len)
{
    const size_t len = first_len + second_len;
    int rc = put_begin(a, type, len, first, first_len);

    if (!rc)
        rc = archive_put(a->out, second, second_len);
    return rc ? rc : put_pad(a, len);
}

/* --- manifest and blobs ---------------------------------------------------- */

static bool has_content(const struct ckpt_disk *d)
{
    return d->snapshot && d->snapshot[0];
}

static int put_head(struct archive *a)
{
    struct archive_begin begin = {.nr_blobs = 0};
    char *json = NULL;
    int rc;

    image_stats(a->img, &begin.nr_stored, &begin.nr_zero, NULL);
    while (image_blob_name(a->img, begin.nr_blobs))
        begin.nr_blobs++;
    for (size_t i = 0; i < a->info.nr_disks; i++)
        begin.nr_disks += has_content(&a->info.disks[i]);
    rc = put_record(a, ARCHIVE_BEGIN, &begin, sizeof(begin), NULL, 0);
    if (!rc)
        rc = checkpoint_to_json(a->c, &a->info, &json);
    if (!rc)
        rc = put_record(a, ARCHIVE_MANIFEST, json, strlen(json), NULL, 0);
    free(json);
    return rc;
}

static int put_blobs(struct archive *a)
{
    const char *name;
    int rc = 0;

    for (unsigned i = 0; !rc && (name = image_blob_name(a->img, i)); i++) {
        struct archive_blob blob = {.name = ""};
        void *data;
        size_t len;

        rc = image_blob(a->img, name, &data, &len);
        if (rc)
            break;
        memcpy(blob.name, name, strlen(name)); /* at most 32 */
        if (len > ARCHIVE_BLOB_MAX)
            rc = fail(a->c, -EFBIG, "blob %s", name);
        else
            rc = put_record(a, ARCHIVE_BLOB, &blob, sizeof(blob), data, len);
        free(data);
    }
    return rc;
}

/* --- pages ----------------------------------------------------------------- */

static int put_some_pages(struct archive *a, unsigned first, unsigned nr)
{
    const struct page_batch *b = &a->batch;
    struct archive_pages head = {.nr = nr};
    uint64_t frame[ARCHIVE_PAGES_MAX];
    size_t len;
    int rc;

    for (unsigned i = 0; i < nr; i++) {
        frame[i] = b->gfn[first + i] | (uint64_t)b->type[first + i]
                                           << ARCHIVE_FRAME_TYPE_SHIFT;
        if (b->data[first + i])
            head.nr_stored++;
        else
            frame[i] |= ARCHIVE_FRAME_ZERO;
    }
    len = sizeof(head) + nr * sizeof(frame[0]) +
          (size_t)head.nr_stored * PAGE_SIZE_BYTES;
    rc = put_begin(a, ARCHIVE_PAGES, len, &head, sizeof(head));
    if (!rc)
        rc = archive_put(a->out, frame, nr * sizeof(frame[0]));
    for (unsigned i = 0; !rc && i < nr; i++)
        if (b->data[first + i])
            rc = archive_put(a->out, b->data[first + i], PAGE_SIZE_BYTES);
    a->result.memory_bytes += (uint64_t)head.nr_stored * PAGE_SIZE_BYTES;
    return rc;
}

static int put_pages(struct archive *a)
{
    struct page_batch *b = &a->batch;
    uint64_t cursor = 0;
    unsigned nr;
    int rc;

    do {
        rc = check_cancel(a->c);
        if (!rc)
            rc = image_next(a->img, &cursor, b);
        for (unsigned i = 0; !rc && i < b->nr; i += nr) {
            nr = b->nr - i < ARCHIVE_PAGES_MAX ? b->nr - i : ARCHIVE_PAGES_MAX;
            rc = put_some_pages(a, i, nr);
        }
        progress(a->c, "memory exported", cursor * PAGE_SIZE_BYTES,
                 image_nr_gfns(a->img) * PAGE_SIZE_BYTES);
    } while (!rc && b->nr);
    return rc;
}

/* --- disks ----------------------------------------------------------------- */

static bool is_zero(const uint8_t *data, size_t len)
{
    return !data[0] && !memcmp(data, data + 1, len - 1);
}

/* @len bytes of a->data, from @offset of the disk: what is not zero of them. */
static int put_data(struct archive *a, uint64_t offset, size_t len)
{
    size_t begin = 0, end, step;
    int rc = 0;

    while (!rc && begin < len) {
        for (end = begin; end < len; end += step) {
            step = len - end < BLOCK_BYTES ? len - end : BLOCK_BYTES;
            if (is_zero(a->data + end, step))
                break;
        }
        if (end > begin) {
            const struct archive_data head = {offset + begin};

            rc = put_record(a, ARCHIVE_DATA, &head, sizeof(head),
                            a->data + begin, end - begin);
            a->result.disk_bytes += end - begin;
            begin = end;
        } else {
            begin += step;
        }
    }
    return rc;
}

/* Extents begin where a block does, and end so, or with the disk. */
static int put_extent(struct archive *a, const struct ckpt_disk *d,
                      const struct disk_driver *drv,
                      struct disk_content *content, const struct disk_extent *e)
{
    uint64_t at = e->offset_bytes;
    const uint64_t end = at + e->len_bytes;
    size_t len;
    int rc = 0;

    while (!rc && at < end) {
        len = end - at < sizeof(a->data) ? (size_t)(end - at) : sizeof(a->data);
        rc = check_cancel(a->c);
        if (!rc) {
            rc = drv->read(a->c, content, a->data, len, at);
            if (rc)
                fail_prefix(a->c, rc, "reading %s", d->snapshot);
        }
        if (!rc)
            rc = put_data(a, at, len);
        at += len;
        progress(a->c, "disks exported", at, d->size_bytes);
    }
    return rc;
}

/* An extent of a filesystem that does not begin or end at a sector is widened:
 * what is around it is zeros, and read as such. */
static void align(struct disk_content *content)
{
    struct disk_extents *e = &content->data;

    for (size_t i = 0; i < e->nr; i++) {
        struct disk_extent *x = &e->list[i];
        const uint64_t begin = x->offset_bytes & ~(uint64_t)(BLOCK_BYTES - 1);
        uint64_t end = x->offset_bytes + x->len_bytes;

        end = (end + BLOCK_BYTES - 1) & ~(uint64_t)(BLOCK_BYTES - 1);
        if (end > content->size_bytes)
            end = content->size_bytes;
        if (i && begin < e->list[i - 1].offset_bytes + e->list[i - 1].len_bytes)
            x->offset_bytes =
                e->list[i - 1].offset_bytes + e->list[i - 1].len_bytes;
        else
            x->offset_bytes = begin;
        x->len_bytes = end > x->offset_bytes ? end - x->offset_bytes : 0;
    }
}

static int put_content(struct archive *a, const struct ckpt_disk *d,
                       const struct disk_driver *drv,
                       struct disk_content *content)
{
    struct archive_disk head = {.size_bytes = content->size_bytes};
    int rc;

    align(content);
    head.data_bytes = disk_content_bytes(content);
    if (strlen(d->vdev) > sizeof(head.vdev))
        return fail(a->c, -ENAMETOOLONG, "disk %s", d->vdev);
    memcpy(head.vdev, d->vdev, strlen(d->vdev));
    rc = put_record(a, ARCHIVE_DISK, &head, sizeof(head), NULL, 0);
    for (size_t i = 0; !rc && i < content->data.nr; i++)
        rc = put_extent(a, d, drv, content, &content->data.list[i]);
    return rc;
}

/* A descriptor keeps what it reads.  Elsewhere the checkpoint may have been
 * deleted since, and zeros or what came later were read. */
static int put_disk(struct archive *a, const struct ckpt_disk *d,
                    const struct disk_driver *drv)
{
    struct disk_content content = {.fd = -1};
    int rc;

    rc = drv->open(a->c, d->snapshot, &content);
    if (rc)
        return rc;
    rc = put_content(a, d, drv, &content);
    if (!rc && content.fd < 0)
        rc = drv->check(a->c, d->snapshot);
    drv->close(a->c, &content);
    return rc;
}

static int put_disks(struct archive *a)
{
    const struct disk_driver *drv;
    int rc = 0;

    for (size_t i = 0; !rc && i < a->info.nr_disks; i++) {
        const struct ckpt_disk *d = &a->info.disks[i];

        if (!has_content(d))
            continue;
        rc = disk_driver_by_name(a->c, d->driver, &drv);
        if (!rc)
            rc = put_disk(a, d, drv);
        if (rc)
            fail_prefix(a->c, rc, "disk %s", d->vdev);
        a->result.nr_disks++;
    }
    return rc;
}

/* --- what is in it --------------------------------------------------------- */

static int leave_out(struct ckpt *c, struct ckpt_disk *d)
{
    free(d->driver);
    free(d->snapshot);
    free(d->why_none);
    d->snapshot = NULL;
    d->driver = strdup("none");
    d->why_none = strdup("excluded");
    return d->driver && d->why_none ? 0 : fail(c, -ENOMEM, "disk %s", d->vdev);
}

static int exclude(struct archive *a, const char *vdev)
{
    for (size_t i = 0; i < a->info.nr_disks; i++)
        if (!strcmp(a->info.disks[i].vdev, vdev))
            return leave_out(a->c, &a->info.disks[i]);
    return fail(a->c, -EINVAL, "checkpoint %s has no disk \"%s\" to exclude.",
                a->info.id, vdev);
}

/* A disk that cannot be had is told before anything is written. */
static int check_disks(struct archive *a)
{
    const char *const *vdev = a->opts->exclude_disks;
    const struct disk_driver *drv;
    int rc = 0;

    for (; !rc && vdev && *vdev; vdev++)
        rc = exclude(a, *vdev);
    for (size_t i = 0; !rc && i < a->info.nr_disks; i++) {
        const struct ckpt_disk *d = &a->info.disks[i];

        if (!has_content(d))
            continue;
        rc = disk_driver_by_name(a->c, d->driver, &drv);
        if (!rc && drv->open == disk_no_content)
            rc = drv->open(a->c, d->snapshot, NULL);
        else if (!rc)
            rc = drv->check(a->c, d->snapshot);
        if (rc)
            fail_prefix(a->c, rc, "disk %s", d->vdev);
    }
    return rc;
}

static int put_all(struct archive *a)
{
    struct archive_end end;
    int rc;

    rc = put_head(a);
    if (!rc)
        rc = put_blobs(a);
    if (!rc)
        rc = put_pages(a);
    if (!rc)
        rc = put_disks(a);
    end.nr_records = a->nr_records;
    if (!rc)
        rc = put_record(a, ARCHIVE_END, &end, sizeof(end), NULL, 0);
    return rc ? rc : archive_finish(a->out);
}

int ckpt_export_archive(ckpt *c, const char *checkpoint,
                        const struct ckpt_export_opts *opts, int fd,
                        struct ckpt_export_result *result_out)
{
    static const struct ckpt_export_opts none;
    struct archive *a;
    int rc;

    ctx_begin(c);
    a = calloc(1, sizeof(*a));
    if (!a)
        return fail(c, -ENOMEM, "export");
    a->c = c;
    a->opts = opts ? opts : &none;
    rc = checkpoint_find(c, NULL, checkpoint, &a->info);
    if (!rc)
        rc = check_disks(a);
    if (!rc)
        rc = image_open(c->store, a->info.id, &a->img);
    if (!rc)
        rc = archive_out_open(c, fd, a->opts->encrypt_to, a->opts->sign_with,
                              &a->out);
    if (!rc) {
        rc = put_all(a);
        a->result.archive_bytes = archive_out_bytes(a->out);
    }
    if (!rc && result_out)
        *result_out = a->result;
    archive_out_free(a->out);
    image_close(a->img);
    ckpt_info_fini(&a->info);
    free(a);
    return rc;
}
