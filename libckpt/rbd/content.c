/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What a snapshot holds, read; and a new image, filled.
 *
 *   open, read, read, ...          a snapshot; the bytes follow the answer
 *   make, write, write, ..., made  an image; the bytes follow the line
 *
 * One of both at a time.  What was not read or written to its end is let go of
 * with the session.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

static uint8_t data[DATA_MAX_BYTES];

void content_end(struct session *s)
{
    if (s->content)
        rbd_close(s->content);
    s->content = NULL;
    s->is_filled = false;
}

/* "OFFSET BYTES" */
static int read_range(struct session *s, char *const args[], uint64_t *offset,
                      size_t *len)
{
    char *end[2];

    *offset = strtoull(args[0], &end[0], 10);
    *len = strtoull(args[1], &end[1], 10);
    if (*end[0] || *end[1] || !*len || *len > sizeof(data))
        return no(s, -EINVAL, "%s bytes at %s", args[1], args[0]);
    return 0;
}

/* --- reading --------------------------------------------------------------- */

/* What is emptied is as what never was: zero. */
static int print_data(uint64_t offset, size_t len, int exists, void *arg)
{
    struct session *s = arg;

    return exists && fprintf(s->out, "- %" PRIu64 " %zu\n", offset, len) < 0
               ? -EPIPE
               : 0;
}

int content_open(struct session *s, char *const args[])
{
    uint64_t size;
    int rc;

    content_end(s);
    rc = image_open(s, args[0], false, &s->content);
    if (!rc)
        rc = rbd_snap_set(s->content, args[1]);
    if (rc == -ENOENT)
        rc = -EUCLEAN;
    if (!rc)
        rc = rbd_get_size(s->content, &size);
    if (!rc)
        rc = rbd_diff_iterate2(s->content, NULL, 0, size, 1, 0, print_data, s);
    if (rc) {
        content_end(s);
        return no(s, rc, "the snapshot %s", args[1]);
    }
    snprintf(s->result, sizeof(s->result), "%" PRIu64, size);
    return 0;
}

int content_read(struct session *s, char *const args[])
{
    uint64_t offset;
    ssize_t n;
    size_t len;
    int rc = read_range(s, args, &offset, &len);

    if (rc || !s->content || s->is_filled)
        return rc ? rc : no(s, -EINVAL, "read");
    n = rbd_read(s->content, offset, len, (char *)data);
    if (n != (ssize_t)len)
        return no(s, n < 0 ? (int)n : -EIO, "reading at %" PRIu64, offset);
    s->payload = data;
    s->payload_bytes = len;
    return 0;
}

int content_name(struct session *s, char *const args[])
{
    char name[NAME_MAX_BYTES];
    rbd_image_t image;
    int rc;

    rc = image_open(s, args[0], false, &image);
    if (rc)
        return no(s, rc == -ENOENT ? -EUCLEAN : rc, "the image %s", args[0]);
    rc = image_name(s, image, name);
    rbd_close(image);
    if (!rc && (size_t)snprintf(s->result, sizeof(s->result), "%s", name) >=
                   sizeof(s->result))
        rc = no(s, -ENAMETOOLONG, "%s", name);
    return rc;
}

/* --- filling --------------------------------------------------------------- */

static bool is_made_name(const char *name)
{
    return strstr(name, MADE_INFIX) != NULL;
}

int content_make(struct session *s, char *const args[])
{
    rbd_image_options_t options;
    char *end;
    const uint64_t size = strtoull(args[1], &end, 10);
    int rc;

    content_end(s);
    if (*end || !size || !is_made_name(args[0]))
        return no(s, -EINVAL, "making an image %s of %s bytes", args[0],
                  args[1]);
    rbd_image_options_create(&options);
    rc = rbd_create4(s->io, args[0], size, options);
    rbd_image_options_destroy(options);
    if (!rc)
        rc = rbd_open(s->io, args[0], &s->content, NULL);
    if (rc) {
        s->content = NULL;
        return no(s, rc, "making the image %s", args[0]);
    }
    s->is_filled = true;
    return image_look(s, args);
}

int content_write(struct session *s, char *const args[])
{
    uint64_t offset;
    ssize_t n;
    size_t len;
    int rc = read_range(s, args, &offset, &len);

    if (rc)
        return rc;
    if (fread(data, 1, len, s->in) != len)
        return no(s, -EPIPE, "write");
    if (!s->content || !s->is_filled)
        return no(s, -EINVAL, "write");
    n = rbd_write(s->content, offset, len, (const char *)data);
    return n == (ssize_t)len
               ? 0
               : no(s, n < 0 ? (int)n : -EIO, "writing at %" PRIu64, offset);
}

int content_made(struct session *s, char *const args[])
{
    int rc;

    (void)args;
    if (!s->content || !s->is_filled)
        return no(s, -EINVAL, "made");
    rc = rbd_flush(s->content);
    if (!rc)
        rc = rbd_close(s->content);
    if (!rc)
        s->content = NULL;
    content_end(s);
    return rc ? no(s, rc, "flushing the image") : 0;
}

int content_unmake(struct session *s, char *const args[])
{
    int rc;

    if (!is_made_name(args[0]))
        return no(s, -EPERM, "the image %s is not one of our making.", args[0]);
    rc = rbd_remove(s->io, args[0]);
    return rc && rc != -ENOENT ? no(s, rc, "removing the image %s", args[0])
                               : 0;
}
