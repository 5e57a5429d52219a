/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An archive (docs/specs/archive.md) becomes a checkpoint, its disks new files
 * and volumes where the operator wants them.
 *
 * It may come from anybody.  What it says of itself first, how many pages,
 * blobs and disks it has, is the limit for what follows; the records come in
 * one order; lengths are checked before there is room for anything.  Until the
 * last octet was read and believed there is no checkpoint, and what was made
 * of disks is taken back when that does not happen.
 */
#include "archive_read.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "guard.h"
#include "machine.h"
#include "steps.h"
#include "store.h"

#define CONFIG_BLOB "config"

/* --- records --------------------------------------------------------------- */

static int bad(struct import_archive *a, const char *what)
{
    return fail(a->c, -EUCLEAN, "The archive: %s.", what);
}

static int get(struct import_archive *a, void *data, size_t len_bytes)
{
    return archive_get(a->in, data, len_bytes);
}

static int skip(struct import_archive *a, uint64_t len_bytes)
{
    size_t here;
    int rc = 0;

    while (!rc && len_bytes) {
        here =
            len_bytes < sizeof(a->data) ? (size_t)len_bytes : sizeof(a->data);
        rc = get(a, a->data, here);
        if (!rc)
            rc = check_cancel(a->c);
        len_bytes -= here;
    }
    return rc;
}

static int get_pad(struct import_archive *a, uint32_t len)
{
    uint64_t zero = 0;
    int rc = get(a, &zero, -(size_t)len & 7);

    return !rc && zero ? bad(a, "what is between records") : rc;
}

/* The next that we know. */
static int get_record(struct import_archive *a, struct archive_record *rec)
{
    int rc;

    for (;;) {
        rc = get(a, rec, sizeof(*rec));
        if (rc || !(rec->type & ARCHIVE_OPTIONAL))
            return rc;
        a->nr_records++;
        rc = skip(a, (rec->len + UINT64_C(7)) & ~UINT64_C(7));
        if (rc)
            return rc;
    }
}

/* --- what there will be ---------------------------------------------------- */

static int get_begin(struct import_archive *a)
{
    struct archive_record rec;
    int rc = get_record(a, &rec);

    if (!rc && (rec.type != ARCHIVE_BEGIN || rec.len != sizeof(a->begin)))
        rc = bad(a, "its first record");
    if (!rc)
        rc = get(a, &a->begin, sizeof(a->begin));
    if (rc)
        return rc;
    a->nr_records++;
    if (a->begin.nr_stored > STORE_GFN_MAX ||
        a->begin.nr_zero > STORE_GFN_MAX - a->begin.nr_stored ||
        a->begin.nr_blobs > STORE_BLOBS_MAX || a->begin.nr_disks > DISKS_MAX)
        return bad(a, "it would hold more than a checkpoint can");
    return 0;
}

/* What it says of a life elsewhere means nothing here. */
static int forget_other_store(struct import_archive *a)
{
    struct ckpt_info *info = &a->info;

    info->parent[0] = info->base[0] = info->base_why[0] = '\0';
    info->tags[0] = '\0';
    info->keep = info->is_head = false;
    free(info->group);
    free(info->group_id);
    info->group = info->group_id = NULL;
    if (info->created_unix_us > now_unix_us())
        info->created_unix_us = now_unix_us();
    if (a->opts->name) {
        free(info->name);
        info->name = strdup(a->opts->name);
        if (!info->name)
            return fail(a->c, -ENOMEM, "import");
    }
    return checkpoint_new_id(a->c, info->id);
}

static int get_manifest(struct import_archive *a)
{
    struct archive_record rec;
    char *json = NULL;
    int rc = get_record(a, &rec);

    if (!rc && (rec.type != ARCHIVE_MANIFEST || !rec.len ||
                rec.len > STORE_MANIFEST_MAX))
        rc = bad(a, "its manifest");
    if (rc)
        return rc;
    json = calloc(1, rec.len + 1ul);
    if (!json)
        return fail(a->c, -ENOMEM, "import");
    rc = get(a, json, rec.len);
    if (!rc)
        rc = get_pad(a, rec.len);
    if (!rc && strlen(json) != rec.len)
        rc = bad(a, "its manifest");
    if (!rc)
        rc = checkpoint_from_json(a->c, "manifest of the archive", json,
                                  &a->info);
    free(json);
    a->nr_records++;
    if (!rc && !a->info.has_memory && (a->begin.nr_stored || a->begin.nr_zero))
        rc = bad(a, "it has pages and no memory");
    return rc ? rc : forget_other_store(a);
}

static int read_head(void *arg)
{
    struct import_archive *a = arg;
    int rc;

    rc = archive_in_open(a->c, a->fd, a->head, sizeof(a->head),
                         a->opts->decrypt_with, a->opts->signed_by, &a->in);
    if (!rc)
        rc = get_begin(a);
    if (!rc)
        rc = get_manifest(a);
    if (!rc)
        rc = checkpoint_name_check(a->c, a->info.domain_uuid, a->info.name);
    if (!rc)
        rc = checkpoint_quota(a->c, a->info.domain_uuid,
                              a->begin.nr_stored * PAGE_SIZE_BYTES);
    return rc;
}

/* --- lock, image ----------------------------------------------------------- */

/* Only disks need somebody to take them back if we die. */
static int lock_domain(void *arg)
{
    struct import_archive *a = arg;
    bool has_disks = false;
    int fd, rc;

    for (size_t i = 0; i < a->nr_places; i++)
        has_disks |= a->places[i].kind != NULL;
    if (!has_disks)
        return 0;
    rc = store_lock(a->c->store, a->info.domain_uuid, &a->lock, &fd);
    return rc ? rc : guard_start(a->c, fd, &a->g);
}

static int create_image(void *arg)
{
    struct import_archive *a = arg;

    return image_create(a->c->store, a->info.id, &a->img);
}

static void drop_image(void *arg)
{
    struct import_archive *a = arg;

    image_abort(a->img);
    a->img = NULL;
}

/* --- blobs ----------------------------------------------------------------- */

/* With disks that are elsewhere now it is another one. */
static int put_config(struct import_archive *a, const char *config, size_t len)
{
    char *other = NULL;
    int rc;

    if (!len || config[len - 1] || strlen(config) != len - 1)
        return bad(a, "its configuration");
    rc = archive_config(a->c, config, a->places, a->nr_places, &other);
    if (!rc)
        rc = image_put_blob(a->img, CONFIG_BLOB, other, strlen(other) + 1);
    free(other);
    return rc;
}

static int get_blob(struct import_archive *a, uint32_t len)
{
    char name[sizeof(((struct archive_blob *)0)->name) + 1] = "";
    struct archive_blob blob;
    char *data;
    int rc;

    if (len < sizeof(blob) || len - sizeof(blob) > ARCHIVE_BLOB_MAX ||
        a->nr_blobs++ == a->begin.nr_blobs)
        return bad(a, "a blob");
    rc = get(a, &blob, sizeof(blob));
    if (rc)
        return rc;
    memcpy(name, blob.name, sizeof(blob.name));
    len -= (uint32_t)sizeof(blob);
    data = malloc(len + 1ul);
    if (!data)
        return fail(a->c, -ENOMEM, "blob %s", name);
    rc = get(a, data, len);
    if (!rc && strcmp(name, CONFIG_BLOB) == 0)
        rc = put_config(a, data, len);
    else if (!rc)
        rc = image_put_blob(a->img, name, data, len);
    free(data);
    if (rc == -EINVAL || rc == -EEXIST || rc == -E2BIG)
        rc = bad(a, "the name of a blob");
    a->has_config |= !rc && !strcmp(name, CONFIG_BLOB);
    a->has_machine |= !rc && !strcmp(name, MACHINE_BLOB_HEAD);
    return rc ? rc : get_pad(a, len);
}

/* --- pages ----------------------------------------------------------------- */

static int add_frame(struct import_archive *a, unsigned i, uint64_t word,
                     const uint8_t **page)
{
    const uint8_t type = (uint8_t)(word >> ARCHIVE_FRAME_TYPE_SHIFT);
    const uint64_t gfn = word &
                         ((UINT64_C(1) << ARCHIVE_FRAME_TYPE_SHIFT) - 1) &
                         ~ARCHIVE_FRAME_ZERO;
    const bool is_zero = word & ARCHIVE_FRAME_ZERO;

    if (gfn > STORE_GFN_MAX || gfn < a->next_gfn || type == PAGE_TYPE_ABSENT ||
        (!is_zero && !page_type_has_data(type)))
        return bad(a, "a frame");
    a->next_gfn = gfn + 1;
    a->batch.gfn[i] = gfn;
    a->batch.type[i] = type;
    a->batch.data[i] = is_zero ? NULL : *page;
    *page += is_zero ? 0 : PAGE_SIZE_BYTES;
    a->nr_zero += is_zero;
    a->nr_stored += !is_zero;
    return 0;
}

static int get_pages(struct import_archive *a, uint32_t len)
{
    uint64_t frame[ARCHIVE_PAGES_MAX];
    const uint8_t *page = a->data;
    struct archive_pages head;
    size_t want;
    int rc;

    if (len < sizeof(head))
        return bad(a, "a record of pages");
    rc = get(a, &head, sizeof(head));
    if (rc)
        return rc;
    if (!head.nr || head.nr > ARCHIVE_PAGES_MAX || head.nr_stored > head.nr)
        return bad(a, "a record of pages");
    want =
        head.nr * sizeof(frame[0]) + (size_t)head.nr_stored * PAGE_SIZE_BYTES;
    if (len - sizeof(head) != want)
        return bad(a, "a record of pages");
    rc = get(a, frame, head.nr * sizeof(frame[0]));
    if (!rc)
        rc = get(a, a->data, (size_t)head.nr_stored * PAGE_SIZE_BYTES);
    a->batch.nr = head.nr;
    for (unsigned i = 0; !rc && i < head.nr; i++) {
        if (page == a->data + (size_t)head.nr_stored * PAGE_SIZE_BYTES &&
            !(frame[i] & ARCHIVE_FRAME_ZERO))
            return bad(a, "a record of pages");
        rc = add_frame(a, i, frame[i], &page);
    }
    if (!rc &&
        (page != a->data + (size_t)head.nr_stored * PAGE_SIZE_BYTES ||
         a->nr_stored > a->begin.nr_stored || a->nr_zero > a->begin.nr_zero))
        rc = bad(a, "it has other pages than it said");
    progress(a->c, "memory imported", a->nr_stored * PAGE_SIZE_BYTES,
             a->begin.nr_stored * PAGE_SIZE_BYTES);
    return rc ? rc : image_put(a->img, &a->batch);
}

/* --- the records in their order -------------------------------------------- */

/* clang-format off */
static const struct row {
    enum archive_type type;
    unsigned rank; /* never falls */
    int (*get)(struct import_archive *a, uint32_t len);
} rows[] = {
    { ARCHIVE_BLOB,  1, get_blob            },
    { ARCHIVE_PAGES, 2, get_pages           },
    { ARCHIVE_DISK,  3, import_archive_disk },
    { ARCHIVE_DATA,  3, import_archive_data },
};
/* clang-format on */

static int get_end(struct import_archive *a, uint32_t len)
{
    struct archive_end end;
    int rc;

    if (len != sizeof(end))
        return bad(a, "its end");
    rc = get(a, &end, sizeof(end));
    if (!rc &&
        (end.nr_records != a->nr_records ||
         a->nr_stored != a->begin.nr_stored || a->nr_zero != a->begin.nr_zero ||
         a->nr_blobs != a->begin.nr_blobs || a->nr_disks != a->begin.nr_disks))
        rc = bad(a, "it has not all that it said");
    if (!rc && a->info.has_memory && (!a->has_config || !a->has_machine))
        rc = bad(a, "it has no machine to its memory");
    return rc ? rc : archive_at_end(a->in);
}

static int read_content(void *arg)
{
    struct import_archive *a = arg;
    const size_t nr_rows = sizeof(rows) / sizeof(rows[0]);
    struct archive_record rec;
    unsigned rank = 0;
    size_t i;
    int rc;

    for (;;) {
        rc = get_record(a, &rec);
        if (!rc)
            rc = check_cancel(a->c);
        if (rc)
            return rc;
        if (rec.type == ARCHIVE_END)
            return get_end(a, rec.len);
        for (i = 0; i < nr_rows && rows[i].type != rec.type; i++)
            ;
        if (i == nr_rows)
            return bad(a, "a record that this program does not know");
        if (rows[i].rank < rank)
            return bad(a, "its records are in another order");
        rank = rows[i].rank;
        rc = rows[i].get(a, rec.len);
        if (rc)
            return rc;
        a->nr_records++;
    }
}

/* --- commit ---------------------------------------------------------------- */

static int fill_info(struct import_archive *a)
{
    struct ckpt_info *info = &a->info;

    image_stats(a->img, &info->pages_stored, &info->pages_zero,
                &info->stored_bytes);
    info->memory_bytes =
        (info->pages_stored + info->pages_zero) * PAGE_SIZE_BYTES;
    info->durable_us = now_us() - a->c->begin_us;
    return import_archive_describe(a);
}

/* From the rename on the disks are the checkpoint's: also the guard knows. */
static int commit(void *arg)
{
    struct import_archive *a = arg;
    char path[GUARD_ARG_MAX];
    char *json = NULL;
    int rc;

    rc = image_sync(a->img);
    if (!rc)
        rc = fill_info(a);
    if (!rc)
        rc = checkpoint_to_json(a->c, &a->info, &json);
    if (!rc && a->g) {
        rc = image_commit_path(a->img, path, sizeof(path));
        if (!rc)
            rc = guard_add(a->g, GUARD_UNLESS_FILE, 0, path, NULL);
    }
    if (!rc) {
        rc = image_commit(a->img, json);
        a->img = NULL;
    }
    free(json);
    if (rc)
        return rc;
    (void)steps_fault(a->c, "import", "published"); /* only to die there */
    import_archive_keep_disks(a);
    return 0;
}

/* clang-format off */
static const struct step import_steps[] = {
    { "archive begun",   read_head,                  NULL                      },
    { "places found",    import_archive_places,      NULL                      },
    { "domain locked",   lock_domain,                NULL                      },
    { "image begun",     create_image,               drop_image                },
    { "content read",    read_content,               import_archive_undo_disks },
    { "disks stored",    import_archive_finish_disks, NULL                     },
    { "committed",       commit,                     NULL                      }, /* one rename */
    { NULL,              NULL,                       NULL                      },
};
/* clang-format on */

int import_archive(struct ckpt *c, int fd, const void *magic,
                   const struct ckpt_import_opts *opts,
                   struct ckpt_info *info_out)
{
    struct import_archive *a;
    int rc;

    a = calloc(1, sizeof(*a));
    if (!a)
        return fail(c, -ENOMEM, "import");
    a->c = c;
    a->fd = fd;
    a->opts = opts;
    memcpy(a->head, magic, sizeof(a->head));
    rc = steps_run(c, "import", import_steps, a);
    guard_stop(a->g);
    store_unlock(a->lock);
    for (size_t i = 0; i < a->nr_places; i++)
        place_fini(&a->places[i]);
    free(a->places);
    archive_in_free(a->in);
    if (rc || !info_out)
        ckpt_info_fini(&a->info);
    else
        *info_out = a->info;
    free(a);
    return rc;
}
