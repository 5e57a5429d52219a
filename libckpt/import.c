/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The file of `xl save` becomes a checkpoint; what is an archive, by its first
 * octets, is left to archive_read.c.  It may come from anywhere: every length
 * is checked before anything is allocated or skipped.
 *
 *     head | configuration | libxl head | LIBXC_CONTEXT, a libxc stream |
 *     EMULATOR_... | END
 */
#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive_read.h"
#include "checkpoint.h"
#include "ctx.h"
#include "export.h"
#include "json.h"
#include "libxc_stream.h"
#include "machine.h"
#include "safe_io.h"
#include "store.h"
#include "stream_read.h"

#define EMULATOR_MAX (32u << 20)
#define IMPORT "import"

struct import {
    struct ckpt *c;
    int fd;
    char magic[ARCHIVE_MAGIC_BYTES]; /* the first octets, read already */
    char *config; /* owned, with its NUL */
    struct image *img;
    struct machine machine;
    struct ckpt_info info;
};

static int get(struct import *im, void *data, size_t len_bytes)
{
    int rc = safe_read_all(im->fd, data, len_bytes);

    return rc ? fail(im->c, rc == -EPIPE ? -EUCLEAN : rc,
                     "reading the file of xl save")
              : 0;
}

static int bad(struct import *im, const char *what)
{
    return fail(im->c, -EUCLEAN, "The file of xl save: %s.", what);
}

/* --- head and configuration ---------------------------------------------- */

static int read_head(struct import *im)
{
    struct xl_save_head head;
    uint32_t len;
    int rc;

    memcpy(&head, im->magic, sizeof(im->magic));
    rc = get(im, (char *)&head + sizeof(im->magic),
             sizeof(head) - sizeof(im->magic));
    if (rc)
        return rc;
    if (memcmp(head.magic, XL_SAVE_MAGIC, sizeof(head.magic)))
        return bad(im, "it does not begin like one");
    if (head.byteorder != XL_SAVE_BYTEORDER ||
        head.mandatory != (XL_SAVE_JSON | XL_SAVE_STREAM_V2))
        return bad(im, "it is of another version of Xen");
    if (head.optional_data_len < sizeof(len) ||
        head.optional_data_len > XL_SAVE_OPTIONAL_MAX)
        return bad(im, "it has no configuration");
    im->config = calloc(1, head.optional_data_len + 1ul);
    if (!im->config)
        return fail(im->c, -ENOMEM, IMPORT);
    rc = get(im, &len, sizeof(len));
    if (!rc)
        rc = get(im, im->config, head.optional_data_len - sizeof(len));
    if (rc)
        return rc;
    if (!len || len > head.optional_data_len - sizeof(len))
        return bad(im, "the length of its configuration");
    im->config[len] = '\0'; /* what may follow it is not ours */
    return 0;
}

static int copy_text(struct import *im, char **to, const char *from)
{
    *to = strdup(from);
    return *to ? 0 : fail(im->c, -ENOMEM, IMPORT);
}

static bool is_set(yajl_val object, const char *key)
{
    yajl_val v = json_member(object, key);

    return v && YAJL_IS_INTEGER(v) && YAJL_GET_INTEGER(v);
}

/* libxl leaves out what is 0 or empty. */
static const char *why_none(yajl_val disk)
{
    if (is_set(disk, "is_cdrom"))
        return json_member(disk, "pdev_path") ? "cdrom" : "empty";
    return is_set(disk, "readwrite") ? "imported" : "read-only";
}

static int read_disks(struct import *im, yajl_val config)
{
    struct ckpt_info *info = &im->info;
    yajl_val disks = json_member(config, "disks");
    int rc = 0;

    if (!disks || !YAJL_IS_ARRAY(disks) || !disks->u.array.len)
        return 0;
    if (disks->u.array.len > 256)
        return bad(im, "it has more than 256 disks");
    info->disks = calloc(disks->u.array.len, sizeof(*info->disks));
    if (!info->disks)
        return fail(im->c, -ENOMEM, IMPORT);
    info->nr_disks = disks->u.array.len;
    for (size_t i = 0; !rc && i < info->nr_disks; i++) {
        struct ckpt_disk *d = &info->disks[i];
        yajl_val v = disks->u.array.values[i];

        rc = json_get_string(im->c, "configuration", v, "vdev", 64, &d->vdev);
        if (!rc && json_member(v, "pdev_path"))
            rc = json_get_string(im->c, "configuration", v, "pdev_path", 4096,
                                 &d->target);
        else if (!rc)
            rc = copy_text(im, &d->target, "");
        if (!rc)
            rc = copy_text(im, &d->driver, "none");
        if (!rc)
            rc = copy_text(im, &d->why_none, why_none(v));
    }
    return rc;
}

/* Who it was. */
static int read_config(struct import *im)
{
    struct ckpt_info *info = &im->info;
    char *uuid = NULL;
    yajl_val config, who;
    int rc;

    rc = json_parse(im->c, "configuration", im->config, XL_SAVE_OPTIONAL_MAX,
                    &config);
    if (rc)
        return rc;
    who = json_member(config, "c_info");
    if (!who || !YAJL_IS_OBJECT(who))
        rc = bad(im, "its configuration tells of no domain");
    if (!rc)
        rc = json_get_string(im->c, "configuration", who, "name", 256,
                             &info->domain_name);
    if (!rc)
        rc = json_get_string(im->c, "configuration", who, "type", 16,
                             &info->domain_type);
    if (!rc)
        rc = json_get_string(im->c, "configuration", who, "uuid", 36, &uuid);
    if (!rc)
        snprintf(info->domain_uuid, sizeof(info->domain_uuid), "%s", uuid);
    if (!rc)
        rc = read_disks(im, config);
    free(uuid);
    yajl_tree_free(config);
    return rc;
}

/* --- the stream ---------------------------------------------------------- */

static int read_libxc(struct import *im)
{
    struct stream_reader *r;
    bool is_end = false;
    int rc;

    rc = stream_reader_new(im->c, im->fd, im->img, &im->machine, &r);
    if (rc)
        return rc;
    rc = stream_read_head(r);
    while (!rc && !is_end) {
        rc = stream_read_record(r, &is_end);
        if (!rc)
            rc = check_cancel(im->c);
        progress(im->c, "memory imported", stream_reader_pages(r) *
                                               PAGE_SIZE_BYTES, 0);
    }
    stream_reader_free(r);
    return rc;
}

/* The body of a record: kept in @b, or, if that is NULL, passed over. */
static int read_emulator(struct import *im, uint32_t length, struct blob *b)
{
    const size_t padded = (length + 7ul) & ~7ul;
    struct xl_emulator head;
    uint8_t *body;
    int rc;

    if (length < sizeof(head) || length > EMULATOR_MAX)
        return bad(im, "the length of the device model's state");
    body = malloc(padded);
    if (!body)
        return fail(im->c, -ENOMEM, IMPORT);
    rc = get(im, body, padded);
    if (!rc) {
        memcpy(&head, body, sizeof(head));
        if (b && head.id != XL_EMULATOR_QEMU)
            rc = bad(im, "its device model is not upstream QEMU");
    }
    if (!rc && b && b->len_bytes)
        rc = bad(im, "two device models");
    if (!rc && b)
        rc = blob_add(im->c, b, body + sizeof(head), length - sizeof(head));
    free(body);
    return rc;
}

static int read_stream(struct import *im)
{
    struct xl_header header;
    struct xc_record rec;
    bool has_memory = false;
    int rc;

    rc = get(im, &header, sizeof(header));
    if (!rc && (be64toh(header.ident) != XL_IDENT ||
                ntohl(header.version) != XL_VERSION || header.options))
        rc = bad(im, "a stream this program does not know");
    while (!rc && !(rc = get(im, &rec, sizeof(rec)))) {
        if (rec.type == XL_REC_END)
            return rec.length || !has_memory ? bad(im, "its end is not one")
                                             : 0;
        if (rec.type == XL_REC_LIBXC_CONTEXT && !rec.length && !has_memory) {
            has_memory = true;
            rc = read_libxc(im);
        } else if (rec.type == XL_REC_EMULATOR_CONTEXT) {
            rc = read_emulator(im, rec.length, &im->machine.emulator);
        } else if (rec.type == XL_REC_EMULATOR_XENSTORE_DATA) {
            rc = read_emulator(im, rec.length, NULL);
        } else {
            rc = bad(im, "a record this program does not know");
        }
    }
    return rc;
}

/* --- the checkpoint ------------------------------------------------------ */

static int fill_info(struct import *im, const char *name)
{
    struct ckpt_info *info = &im->info;
    int rc;

    info->created_unix_us = now_unix_us();
    info->has_memory = true;
    info->consistency = CKPT_CONSISTENCY_GUEST_SUSPENDED;
    rc = copy_text(im, &info->name, name);
    if (!rc)
        rc = copy_text(im, &info->description, "");
    if (!rc)
        rc = copy_text(im, &info->mem_driver, IMPORT);
    if (!rc)
        rc = copy_text(im, &info->mem_why, "");
    if (!rc)
        rc = copy_text(im, &info->xen_version, "");
    if (!rc)
        rc = copy_text(im, &info->base_why, "");
    return rc ? rc : copy_text(im, &info->tags, "");
}

static int commit(struct import *im)
{
    struct ckpt_info *info = &im->info;
    char *json = NULL;
    int rc;

    rc = machine_store(&im->machine, im->img);
    if (!rc)
        rc = image_put_blob(im->img, "config", im->config,
                            strlen(im->config) + 1);
    if (!rc)
        rc = image_sync(im->img);
    image_stats(im->img, &info->pages_stored, &info->pages_zero,
                &info->stored_bytes);
    info->memory_bytes =
        (info->pages_stored + info->pages_zero) * PAGE_SIZE_BYTES;
    info->durable_us = now_us() - im->c->begin_us;
    if (!rc)
        rc = checkpoint_to_json(im->c, info, &json);
    if (!rc) {
        rc = image_commit(im->img, json);
        im->img = NULL;
    }
    free(json);
    return rc;
}

static int import_xl(struct import *im, const char *name,
                     struct ckpt_info *info_out)
{
    int rc;

    rc = read_head(im);
    if (!rc)
        rc = read_config(im);
    if (!rc)
        rc = checkpoint_name_check(im->c, im->info.domain_uuid, name);
    if (!rc)
        rc = fill_info(im, name);
    if (!rc)
        rc = checkpoint_new_id(im->c, im->info.id);
    if (!rc)
        rc = image_create(im->c->store, im->info.id, &im->img);
    if (!rc)
        rc = read_stream(im);
    if (!rc)
        rc = commit(im);
    image_abort(im->img);
    machine_fini(&im->machine);
    free(im->config);
    if (rc || !info_out)
        ckpt_info_fini(&im->info);
    else
        *info_out = im->info;
    return rc;
}

/* Its first octets tell what it is. */
int ckpt_import_with(ckpt *c, int fd, const struct ckpt_import_opts *opts,
                     struct ckpt_info *info_out)
{
    struct import im = {.c = c, .fd = fd};
    int rc;

    ctx_begin(c);
    rc = get(&im, im.magic, sizeof(im.magic));
    if (rc)
        return rc;
    if (!memcmp(im.magic, ARCHIVE_MAGIC, sizeof(im.magic)))
        return import_archive(c, fd, im.magic, opts, info_out);
    if ((opts->decrypt_with && *opts->decrypt_with) ||
        (opts->signed_by && *opts->signed_by))
        return fail(c, -EPERM, "It is no archive, and not signed or encrypted.");
    if (opts->disks && *opts->disks)
        return fail(c, -EINVAL, "It is no archive, and has no disks.");
    return import_xl(&im, opts->name ? opts->name : "imported", info_out);
}

int ckpt_import(ckpt *c, int fd, const char *name, struct ckpt_info *info_out)
{
    const struct ckpt_import_opts opts = {.name = name};

    return ckpt_import_with(c, fd, &opts, info_out);
}
