/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the kernel gives out as a table it takes as one, but for one number:
 * a line says where the next one begins, counted from the first line when it
 * is given out and from itself when it is taken.
 */
#include "dm_lines.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dm_call.h"

#define ROOM_BYTES 65536u

struct dm_lines {
    struct dm_ioctl io;
    _Alignas(8) char data[ROOM_BYTES];
};

/* Fewer bytes than a line has: out of what the kernel wrote. */
static struct dm_target_spec *line_at(struct dm_lines *l, size_t at)
{
    const size_t size = sizeof(struct dm_target_spec);

    return at % 8 || at > ROOM_BYTES - size
               ? NULL
               : (struct dm_target_spec *)(void *)(l->data + at);
}

/* Each with its text ended, and `next` counted from itself. */
static int make_loadable(struct dm_lines *l)
{
    struct dm_target_spec *spec;
    size_t at = 0, next;

    for (uint32_t i = 0; i < l->io.target_count; i++) {
        spec = line_at(l, at);
        if (!spec)
            return -EIO;
        next = spec->next;
        if (next <= at + sizeof(*spec) || next > ROOM_BYTES)
            return -EIO;
        if (!memchr(spec + 1, 0, next - at - sizeof(*spec)))
            return -EIO;
        spec->target_type[sizeof(spec->target_type) - 1] = '\0';
        spec->next = (uint32_t)(next - at);
        at = next;
    }
    memset(l->data + at, 0, ROOM_BYTES - at);
    return 0;
}

int dm_lines_read(int fd, dev_t dev, struct dm_lines **out)
{
    struct dm_lines *l = malloc(sizeof(*l));
    int rc = 0;

    if (!l)
        return -ENOMEM;
    dm_call_prepare(&l->io, sizeof(*l), offsetof(struct dm_lines, data),
                    DM_STATUS_TABLE_FLAG | DM_SECURE_DATA_FLAG);
    l->io.dev = dm_call_encode(dev);
    if (ioctl(fd, DM_TABLE_STATUS, l) < 0)
        rc = -errno;
    else if (l->io.flags & DM_BUFFER_FULL_FLAG)
        rc = -ENOTSUP;
    else if (!l->io.target_count)
        rc = -ENODATA;
    else if (l->io.data_start != offsetof(struct dm_lines, data))
        rc = -EIO;
    else
        rc = make_loadable(l);
    if (rc)
        dm_lines_free(l);
    else
        *out = l;
    return rc;
}

void dm_lines_free(struct dm_lines *l)
{
    if (l)
        explicit_bzero(l, sizeof(*l));
    free(l);
}

/* The @i-th, of a table that was read. */
static const struct dm_target_spec *line_nr(const struct dm_lines *l,
                                            uint32_t i)
{
    const char *at = l->data;

    while (i--)
        at += ((const struct dm_target_spec *)(const void *)at)->next;
    return (const struct dm_target_spec *)(const void *)at;
}

uint64_t dm_lines_size(const struct dm_lines *l)
{
    const struct dm_target_spec *last = line_nr(l, l->io.target_count - 1);

    return (last->sector_start + last->length) * 512;
}

static bool is_among(const char *type, const char *const *types)
{
    while (*types && strcmp(*types, type))
        types++;
    return *types;
}

const char *dm_lines_other_type(const struct dm_lines *l,
                                const char *const *types)
{
    for (uint32_t i = 0; i < l->io.target_count; i++) {
        const struct dm_target_spec *spec = line_nr(l, i);

        if (!is_among(spec->target_type, types))
            return spec->target_type;
    }
    return NULL;
}

static bool is_line_equal(const struct dm_target_spec *a,
                          const struct dm_target_spec *b)
{
    return a->sector_start == b->sector_start && a->length == b->length &&
           !strcmp(a->target_type, b->target_type) &&
           !strcmp((const char *)(a + 1), (const char *)(b + 1));
}

bool dm_lines_are_equal(const struct dm_lines *a, const struct dm_lines *b)
{
    if (a->io.target_count != b->io.target_count)
        return false;
    for (uint32_t i = 0; i < a->io.target_count; i++)
        if (!is_line_equal(line_nr(a, i), line_nr(b, i)))
            return false;
    return true;
}

int dm_lines_load(int fd, dev_t dev, const struct dm_lines *l)
{
    struct dm_lines *call = malloc(sizeof(*call));
    int rc = 0;

    if (!call)
        return -ENOMEM;
    dm_call_prepare(&call->io, sizeof(*call), offsetof(struct dm_lines, data),
                    DM_SECURE_DATA_FLAG);
    call->io.dev = dm_call_encode(dev);
    call->io.target_count = l->io.target_count;
    memcpy(call->data, l->data, ROOM_BYTES);
    if (ioctl(fd, DM_TABLE_LOAD, call) < 0)
        rc = -errno;
    dm_lines_free(call);
    return rc;
}
