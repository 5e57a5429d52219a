/* SPDX-License-Identifier: LGPL-2.1-only */
/* A table of fields, as in json_ckpt.c, the other way round. */
#include "daemon_fill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    STRING,
    U64,
    UNSIGNED,
    BOOL
};
static const struct field {
    const char *key;
    enum kind kind;
    size_t offset;
} fields[] = {
#define FIELD(name, kind)                                                      \
    {                                                                          \
#name, kind, offsetof(struct ckpt_info, name)                          \
    }
    FIELD(name, STRING),        FIELD(description, STRING),
    FIELD(domain_name, STRING), FIELD(domain_type, STRING),
    FIELD(mem_driver, STRING),  FIELD(mem_why, STRING),
    FIELD(base_why, STRING),    FIELD(tags, STRING),
    FIELD(keep, BOOL),          FIELD(io_drained, BOOL),
    FIELD(xen_version, STRING), FIELD(created_unix_us, U64),
    FIELD(has_memory, BOOL),    FIELD(is_head, BOOL),
    FIELD(memory_bytes, U64),   FIELD(stored_bytes, U64),
    FIELD(pages_stored, U64),   FIELD(pages_zero, U64),
    FIELD(pages_in_pause, U64), FIELD(passes, UNSIGNED),
    FIELD(pause_us, U64),       FIELD(pause_disks_us, U64),
    FIELD(still_us, U64),       FIELD(durable_us, U64),
};

yajl_val fill_member(yajl_val object, const char *key)
{
    const char *path[] = {key, NULL};

    return object ? yajl_tree_get(object, path, yajl_t_any) : NULL;
}

const char *fill_text(yajl_val object, const char *key)
{
    yajl_val v = fill_member(object, key);

    return YAJL_IS_STRING(v) ? v->u.string : "";
}

uint64_t fill_number(yajl_val object, const char *key)
{
    yajl_val v = fill_member(object, key);

    return YAJL_IS_INTEGER(v) ? (uint64_t)v->u.number.i : 0;
}

static void copy(char *to, size_t size, const char *from)
{
    size_t len = strnlen(from, size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

/* NULL for null. */
static int take_text(yajl_val object, const char *key, char **out)
{
    yajl_val v = fill_member(object, key);

    *out = YAJL_IS_STRING(v) ? strdup(v->u.string) : NULL;
    return YAJL_IS_STRING(v) && !*out ? -ENOMEM : 0;
}

static int fill_disk(yajl_val v, struct ckpt_disk *d)
{
    int rc;

    rc = take_text(v, "vdev", &d->vdev);
    if (!rc)
        rc = take_text(v, "driver", &d->driver);
    if (!rc)
        rc = take_text(v, "target", &d->target);
    if (!rc)
        rc = take_text(v, "snapshot", &d->snapshot);
    if (!rc)
        rc = take_text(v, "why_none", &d->why_none);
    d->size_bytes = fill_number(v, "size_bytes");
    return rc;
}

/* It is null when the driver has none. */
static void fill_capture(yajl_val v, struct ckpt_capture *capture)
{
    *capture = (struct ckpt_capture){
        .ring_bytes = fill_number(v, "ring_bytes"),
        .hypercalls = fill_number(v, "hypercalls"),
        .pages_by_write = fill_number(v, "pages_by_write"),
        .pages_by_read = fill_number(v, "pages_by_read"),
        .copied_bytes = fill_number(v, "copied_bytes"),
        .waits = fill_number(v, "waits"),
        .waits_us = fill_number(v, "waits_us"),
    };
}

static int fill_disks(yajl_val v, struct ckpt_info *info)
{
    int rc = 0;

    if (!YAJL_IS_ARRAY(v))
        return -EPROTO;
    info->disks = calloc(v->u.array.len + 1, sizeof(*info->disks));
    if (!info->disks)
        return -ENOMEM;
    for (size_t i = 0; !rc && i < v->u.array.len; i++) {
        info->nr_disks++;
        rc = fill_disk(v->u.array.values[i], &info->disks[i]);
    }
    return rc;
}

static int fill_field(yajl_val object, const struct field *f, void *at)
{
    yajl_val v = fill_member(object, f->key);

    switch (f->kind) {
    case STRING:
        if (take_text(object, f->key, at))
            return -ENOMEM;
        if (!*(char **)at)
            *(char **)at = strdup("");
        return *(char **)at ? 0 : -ENOMEM;
    case U64:
        *(uint64_t *)at = fill_number(object, f->key);
        break;
    case UNSIGNED:
        *(unsigned *)at = (unsigned)fill_number(object, f->key);
        break;
    case BOOL:
        *(bool *)at = YAJL_IS_TRUE(v);
        break;
    }
    return v ? 0 : -EPROTO;
}

int fill_info(yajl_val object, struct ckpt_info *info)
{
    const char *consistency = fill_text(object, "consistency");
    int rc;

    memset(info, 0, sizeof(*info));
    rc = take_text(object, "group", &info->group);
    if (!rc)
        rc = take_text(object, "group_id", &info->group_id);
    for (size_t i = 0; !rc && i < sizeof(fields) / sizeof(fields[0]); i++)
        rc = fill_field(object, &fields[i], (char *)info + fields[i].offset);
    fill_capture(fill_member(object, "capture"), &info->capture);
    copy(info->base, sizeof(info->base), fill_text(object, "base"));
    copy(info->id, sizeof(info->id), fill_text(object, "id"));
    copy(info->parent, sizeof(info->parent), fill_text(object, "parent"));
    copy(info->domain_uuid, sizeof(info->domain_uuid),
         fill_text(object, "domain_uuid"));
    for (int c = CKPT_CONSISTENCY_CRASH; c <= CKPT_CONSISTENCY_FS_FROZEN; c++)
        if (!strcmp(consistency,
                    ckpt_consistency_name((enum ckpt_consistency)c)))
            info->consistency = (enum ckpt_consistency)c;
    return rc ? rc : fill_disks(fill_member(object, "disks"), info);
}

int fill_domain(yajl_val object, struct ckpt_domain *d)
{
    memset(d, 0, sizeof(*d));
    copy(d->uuid, sizeof(d->uuid), fill_text(object, "uuid"));
    d->domid = (uint32_t)fill_number(object, "domid");
    d->down_us = fill_number(object, "down_us");
    d->name = strdup(fill_text(object, "name"));
    return !d->name ? -ENOMEM : d->name[0] ? 0 : -EPROTO;
}
