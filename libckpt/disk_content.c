/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Content that is a file, as far as its drivers have that in common.  Holes of
 * a sparse file are found by asking the filesystem (SEEK_DATA); one that does
 * not know calls all of it data, which costs time and no more.
 */
#include "disk_content.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"

static int size_of(int fd, uint64_t *size_out)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    *size_out = (uint64_t)st.st_size;
    if (S_ISREG(st.st_mode))
        return 0;
    return S_ISBLK(st.st_mode)
               ? ioctl(fd, BLKGETSIZE64, size_out) < 0 ? -errno : 0
               : -EINVAL;
}

static int find_data(struct disk_content *out)
{
    off_t begin = 0, end = 0;
    int rc = 0;

    while (!rc && (uint64_t)end < out->size_bytes) {
        begin = lseek(out->fd, end, SEEK_DATA);
        if (begin < 0 && errno == ENXIO)
            return 0; /* a hole up to the end */
        if (begin < 0)
            return -errno;
        end = lseek(out->fd, begin, SEEK_HOLE);
        if (end <= begin)
            return end < 0 ? -errno : -EIO;
        rc = disk_extents_add(&out->data, (uint64_t)begin,
                              (uint64_t)(end - begin));
    }
    return rc;
}

int disk_content_whole(struct ckpt *c, struct disk_content *out)
{
    int rc;

    disk_extents_fini(&out->data);
    rc = disk_extents_add(&out->data, 0, out->size_bytes);
    return rc ? fail(c, rc, "a snapshot's content") : 0;
}

int disk_content_of_file(struct ckpt *c, int fd, const char *path,
                         struct disk_content *out)
{
    int rc;

    out->fd = fd;
    rc = size_of(fd, &out->size_bytes);
    if (!rc) {
        rc = find_data(out);
        if (rc == -EINVAL) /* a device */
            rc = disk_content_whole(c, out);
    }
    if (!rc)
        return 0;
    disk_content_close(c, out);
    return fail(c, rc, "%s", path);
}

uint64_t disk_content_bytes(const struct disk_content *content)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < content->data.nr; i++)
        bytes += content->data.list[i].len_bytes;
    return bytes;
}

void disk_content_close(struct ckpt *c, struct disk_content *content)
{
    (void)c;
    if (content->fd >= 0)
        close(content->fd);
    disk_extents_fini(&content->data);
    free(content->volume);
    memset(content, 0, sizeof(*content));
    content->fd = -1;
}

int disk_content_read(struct ckpt *c, struct disk_content *content, void *out,
                      size_t len_bytes, uint64_t offset_bytes)
{
    int rc = safe_pread_all(content->fd, out, len_bytes, (off_t)offset_bytes);

    return rc ? fail(c, rc, "at byte %" PRIu64, offset_bytes) : 0;
}

int disk_no_content(struct ckpt *c, const char *snapshot,
                    struct disk_content *out)
{
    (void)out;
    return fail(c, -ENOTSUP,
                "%s: this driver cannot read its snapshots; --exclude-disk "
                "leaves the disk out.",
                snapshot);
}

int disk_show_file(struct ckpt *c, const char *snapshot, const char *format,
                   struct disk_shown *out)
{
    out->format = format;
    return (size_t)snprintf(out->image, sizeof(out->image), "%s", snapshot) <
                   sizeof(out->image)
               ? 0
               : fail(c, -ENAMETOOLONG, "%s", snapshot);
}

int disk_no_show(struct ckpt *c, const char *snapshot, const char *tag,
                 struct disk_shown *out)
{
    (void)tag, (void)out;
    return fail(c, -ENOTSUP,
                "%s: this driver cannot show its snapshots on this host.",
                snapshot);
}

int disk_no_hide(struct ckpt *c, const char *snapshot, const char *tag)
{
    (void)c, (void)snapshot, (void)tag;
    return 0;
}
