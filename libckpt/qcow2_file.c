/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An image may have been written by a guest's owner, so its header is read
 * with every length checked, and a backing file that is no plain path of this
 * host is refused: "json:" and "nbd:" names make QEMU open anything.
 *
 * Overlays have QEMU's usual clusters.  With subclusters (extended L2 entries)
 * the first write to a block would copy less, but QEMU before 8.1 dies in
 * block-stream of such an image ("skip_bytes < pnum"), and the guest with it.
 */
#include "qcow2_file.h"

#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctx.h"
#include "spawn.h"

#define QEMU_IMG_TIMEOUT_MS 120000u
#define INCOMPAT_DATA_FILE (1u << 2)
#define EXTENSION_BACKING_FORMAT 0xe2792acau

/* --- the header ------------------------------------------------------------ */

static uint32_t be32(const uint8_t *bytes)
{
    uint32_t v;

    memcpy(&v, bytes, sizeof(v));
    return be32toh(v);
}

static uint64_t be64(const uint8_t *bytes)
{
    uint64_t v;

    memcpy(&v, bytes, sizeof(v));
    return be64toh(v);
}

static int parse_backing(const uint8_t *bytes, size_t len_bytes,
                         struct qcow2_head *out)
{
    const uint64_t offset = be64(bytes + 8);
    const uint32_t len = be32(bytes + 16);

    if (!offset)
        return 0;
    if (!len || len >= sizeof(out->backing) || offset < 72 ||
        offset > len_bytes || len > len_bytes - offset ||
        memchr(bytes + offset, '\0', len))
        return -EUCLEAN;
    memcpy(out->backing, bytes + offset, len);
    out->backing[len] = '\0';
    return 0;
}

/* Header extensions: type, length, bytes padded to 8; type 0 is the last. */
static int parse_extensions(const uint8_t *bytes, size_t len_bytes,
                            size_t offset, struct qcow2_head *out)
{
    uint32_t type, len;

    while (offset <= len_bytes && len_bytes - offset >= 8) {
        type = be32(bytes + offset);
        len = be32(bytes + offset + 4);
        offset += 8;
        if (!type)
            return 0;
        if (len > len_bytes - offset)
            return -EUCLEAN;
        if (type == EXTENSION_BACKING_FORMAT) {
            if (len >= sizeof(out->backing_format) ||
                memchr(bytes + offset, '\0', len))
                return -EUCLEAN;
            memcpy(out->backing_format, bytes + offset, len);
            out->backing_format[len] = '\0';
        }
        offset += ((size_t)len + 7) & ~(size_t)7;
    }
    return 0;
}

int qcow2_parse(const uint8_t *bytes, size_t len_bytes, struct qcow2_head *out)
{
    uint32_t version, head_bytes = 72;
    int rc;

    memset(out, 0, sizeof(*out));
    if (len_bytes < 8 || memcmp(bytes, "QFI\xfb", 4))
        return -ENOTSUP;
    version = be32(bytes + 4);
    if (version != 2 && version != 3)
        return -ENOTSUP;
    if (len_bytes < (version == 2 ? 72 : 104))
        return -EUCLEAN;
    out->size_bytes = be64(bytes + 24);
    out->is_encrypted = be32(bytes + 32);
    out->nr_snapshots = be32(bytes + 60);
    if (version == 3) {
        out->has_data_file = be64(bytes + 72) & INCOMPAT_DATA_FILE;
        head_bytes = be32(bytes + 100);
        if (head_bytes < 104 || head_bytes > len_bytes)
            return -EUCLEAN;
    }
    rc = parse_backing(bytes, len_bytes, out);
    return rc ? rc : parse_extensions(bytes, len_bytes, head_bytes, out);
}

static int read_bytes(struct ckpt *c, const char *path, uint8_t **out,
                      size_t *len_out)
{
    ssize_t n = 0;
    int fd, rc = 0;

    *out = malloc(QCOW2_HEAD_MAX);
    if (!*out)
        return fail(c, -ENOMEM, "%s", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0)
        n = pread(fd, *out, QCOW2_HEAD_MAX, 0);
    if (fd < 0 || n < 0)
        rc = fail(c, -errno, "%s", path);
    else
        *len_out = (size_t)n;
    if (fd >= 0)
        close(fd);
    return rc;
}

int qcow2_read(struct ckpt *c, const char *path, struct qcow2_head *out)
{
    uint8_t *bytes;
    size_t len;
    int rc;

    rc = read_bytes(c, path, &bytes, &len);
    if (!rc) {
        rc = qcow2_parse(bytes, len, out);
        if (rc == -ENOTSUP)
            fail(c, rc, "%s: it is no qcow2 image.", path);
        else if (rc)
            fail(c, rc, "%s: its qcow2 header is damaged.", path);
    }
    free(bytes);
    return rc;
}

int qcow2_mentions(struct ckpt *c, const char *path, const char *name,
                   bool *out)
{
    uint8_t *bytes;
    size_t len;
    int rc;

    rc = read_bytes(c, path, &bytes, &len);
    if (!rc)
        *out = len >= 4 && !memcmp(bytes, "QFI\xfb", 4) &&
               memmem(bytes, len, name, strlen(name));
    free(bytes);
    return rc;
}

/* --- the folder ------------------------------------------------------------ */

int qcow2_names_lock(struct ckpt *c, const char *path, int *fd_out)
{
    const char *slash = strrchr(path, '/');
    char dir[DISK_FILE_MAX];
    int rc;

    snprintf(dir, sizeof(dir), "%.*s",
             slash && slash != path ? (int)(slash - path) : 1, path);
    *fd_out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd_out < 0)
        return fail(c, -errno, "%s", dir);
    while (flock(*fd_out, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        rc = fail(c, -errno, "%s: flock", dir);
        close(*fd_out);
        *fd_out = -1;
        return rc;
    }
    return 0;
}

/* --- the chain ------------------------------------------------------------- */

/* "PROTOCOL:..." is told from a path as QEMU does it. */
static bool is_plain_path(const char *name)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');

    return !colon || (slash && slash < colon);
}

int qcow2_backing(struct ckpt *c, const char *path, char out[DISK_FILE_MAX],
                  char format_out[16])
{
    const char *slash = strrchr(path, '/');
    struct qcow2_head head;
    const char *name;
    int n, rc;

    out[0] = format_out[0] = '\0';
    rc = qcow2_read(c, path, &head);
    if (rc || !head.backing[0])
        return rc;
    if (!is_plain_path(head.backing) || !head.backing_format[0])
        return fail(c, -ENOTSUP,
                    "%s: its backing file (%s) is no local file, or of a "
                    "format that is not said (qemu-img rebase -u -F).",
                    path, head.backing);
    for (name = head.backing; !strncmp(name, "./", 2);)
        name += 2;
    n = *name == '/' ? snprintf(out, DISK_FILE_MAX, "%s", name)
                     : snprintf(out, DISK_FILE_MAX, "%.*s/%s",
                                slash ? (int)(slash - path) : 1,
                                slash ? path : ".", name);
    memcpy(format_out, head.backing_format, sizeof(head.backing_format));
    return n < DISK_FILE_MAX
               ? 0
               : fail(c, -ENAMETOOLONG, "%s: its backing file", path);
}

int qcow2_chain_read(struct ckpt *c, const char *path, struct qcow2_chain *out)
{
    char next[DISK_FILE_MAX], format[16] = "qcow2";
    char(*more)[DISK_FILE_MAX];
    int rc = 0;

    memset(out, 0, sizeof(*out));
    snprintf(next, sizeof(next), "%s", path);
    while (next[0] && !rc) {
        if (out->nr == QCOW2_CHAIN_MAX) {
            rc = fail(c, -EUCLEAN, "%s: more than %u files beneath it.", path,
                      QCOW2_CHAIN_MAX);
            break;
        }
        more = reallocarray(out->path, out->nr + 1, sizeof(*more));
        if (!more) {
            rc = fail(c, -ENOMEM, "%s", path);
            break;
        }
        out->path = more;
        memcpy(out->path[out->nr++], next, sizeof(next));
        if (strcmp(format, "qcow2"))
            break; /* whatever its bytes look like */
        rc = qcow2_backing(c, out->path[out->nr - 1], next, format);
    }
    if (rc)
        qcow2_chain_fini(out);
    return rc;
}

void qcow2_chain_fini(struct qcow2_chain *chain)
{
    free(chain->path);
    memset(chain, 0, sizeof(*chain));
}

/* --- qemu-img -------------------------------------------------------------- */

int qcow2_make_overlay(struct ckpt *c, const char *path, const char *backing,
                       uint64_t size_bytes)
{
    const char *slash = strrchr(backing, '/');
    char size[32], name[DISK_FILE_MAX + 2];
    /* -u: the backing file is in use, and is not to be opened. */
    const char *argv[] = {"qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F",
                          "qcow2",    "-b",     name, path, size, NULL};

    /* Without "./" what is before a ':' in it would be a protocol. */
    snprintf(name, sizeof(name), "./%s", slash ? slash + 1 : backing);
    snprintf(size, sizeof(size), "%" PRIu64, size_bytes);
    return spawn_run(c, argv, QEMU_IMG_TIMEOUT_MS, NULL);
}
