/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The disks of an archive.  Each that has content needs a place from the
 * operator, which is looked at before anything is made; the archive itself
 * chooses neither a path nor a name.
 */
#include "archive_read.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "safe_io.h"

static int bad(struct import_archive *a, const char *what)
{
    return fail(a->c, -EUCLEAN, "The archive: %s.", what);
}

static bool has_content(const struct ckpt_disk *d)
{
    return d->snapshot && d->snapshot[0];
}

/* --- places ---------------------------------------------------------------- */

/* What follows "VDEV=" among the operator's words; NULL: nothing does. */
static const char *word_for(const struct import_archive *a, const char *vdev)
{
    const char *const *w = a->opts->disks;
    const size_t len = strlen(vdev);

    for (; w && *w; w++)
        if (!strncmp(*w, vdev, len) && (*w)[len] == '=')
            return *w + len + 1;
    return NULL;
}

static bool is_twice(const struct import_archive *a, const char *vdev)
{
    const char *const *w = a->opts->disks;
    const size_t len = strlen(vdev);
    unsigned nr = 0;

    for (; *w; w++)
        nr += !strncmp(*w, vdev, len) && (*w)[len] == '=';
    return nr > 1;
}

/* A word for a disk that is not there is a slip; so are two for one. */
static int check_words(const struct import_archive *a)
{
    const char *const *w = a->opts->disks;

    for (; w && *w; w++) {
        const size_t len = strcspn(*w, "=");
        const struct ckpt_disk *found = NULL;

        if (!len || !(*w)[len])
            return fail(a->c, -EINVAL, "\"%s\" is not VDEV=PLACE.", *w);
        for (size_t i = 0; !found && i < a->info.nr_disks; i++)
            if (strlen(a->info.disks[i].vdev) == len &&
                !strncmp(a->info.disks[i].vdev, *w, len) &&
                has_content(&a->info.disks[i]))
                found = &a->info.disks[i];
        if (!found)
            return fail(a->c, -EINVAL,
                        "The archive has no content of a disk \"%.*s\".",
                        (int)len, *w);
        if (is_twice(a, found->vdev))
            return fail(a->c, -EINVAL, "Two places for disk %s.", found->vdev);
    }
    return 0;
}

static int open_place(struct import_archive *a, const struct ckpt_disk *d)
{
    const char *word = word_for(a, d->vdev);

    if (!word)
        return fail(a->c, -EINVAL,
                    "disk %s (%" PRIu64 " MiB, it was %s) needs a place: "
                    "--disk %s=FILE, =qcow2:FILE, =thin:VG/POOL/NAME, "
                    "=dmthin:POOL/NAME, =rbd:POOL/IMAGE, or =none.",
                    d->vdev, d->size_bytes >> 20, d->target, d->vdev);
    return place_open(&a->places[a->nr_places++], a->c, d->vdev, word);
}

int import_archive_places(void *arg)
{
    struct import_archive *a = arg;
    int rc = check_words(a);

    if (rc)
        return rc;
    a->places = calloc(a->info.nr_disks + 1, sizeof(*a->places));
    if (!a->places)
        return fail(a->c, -ENOMEM, "the list of disks");
    for (size_t i = 0; !rc && i < a->info.nr_disks; i++) {
        const struct ckpt_disk *d = &a->info.disks[i];

        for (size_t j = 0; !rc && j < i; j++)
            if (!strcmp(d->vdev, a->info.disks[j].vdev))
                rc = bad(a, "it has a disk twice");
        if (!rc && has_content(d))
            rc = open_place(a, d);
    }
    if (!rc && a->nr_places != a->begin.nr_disks)
        rc = bad(a, "it has other disks than it said");
    return rc;
}

/* --- content --------------------------------------------------------------- */

static struct place *place_of(const struct import_archive *a, const char *vdev)
{
    for (size_t i = 0; i < a->nr_places; i++)
        if (!strcmp(a->places[i].disk.vdev, vdev))
            return &a->places[i];
    return NULL;
}

static uint64_t size_of(const struct import_archive *a, const char *vdev)
{
    for (size_t i = 0; i < a->info.nr_disks; i++)
        if (!strcmp(a->info.disks[i].vdev, vdev))
            return a->info.disks[i].size_bytes;
    return 0;
}

/* In the order of the manifest, each once. */
int import_archive_disk(struct import_archive *a, uint32_t len)
{
    char vdev[sizeof(((struct archive_disk *)0)->vdev) + 1] = "";
    struct archive_disk head;
    struct place *p;
    int rc;

    if (len != sizeof(head))
        return bad(a, "a record of a disk");
    rc = archive_get(a->in, &head, sizeof(head));
    if (rc)
        return rc;
    memcpy(vdev, head.vdev, sizeof(head.vdev));
    p = place_of(a, vdev);
    if (!p || p != &a->places[a->nr_disks] || !head.size_bytes ||
        head.size_bytes != size_of(a, vdev) ||
        head.data_bytes > head.size_bytes)
        return bad(a, "a record of a disk");
    a->nr_disks++;
    a->disk = p;
    a->disk_size = head.size_bytes;
    a->disk_left = head.data_bytes;
    a->disk_next = 0;
    if (p->kind)
        rc = place_make(p, a->g, head.size_bytes, head.data_bytes);
    return rc ? fail_prefix(a->c, rc, "disk %s", vdev) : 0;
}

int import_archive_data(struct import_archive *a, uint32_t len)
{
    struct archive_data head;
    uint64_t pad = 0, end;
    int rc;

    if (!a->disk || len <= sizeof(head) ||
        len - sizeof(head) > ARCHIVE_DATA_MAX)
        return bad(a, "a record of data");
    rc = archive_get(a->in, &head, sizeof(head));
    len -= (uint32_t)sizeof(head);
    if (!rc)
        rc = archive_get(a->in, a->data, len);
    if (!rc)
        rc = archive_get(a->in, &pad, -(size_t)len & 7);
    if (rc)
        return rc;
    end = head.offset_bytes + len;
    if (pad || end < len || end > a->disk_size || len > a->disk_left ||
        head.offset_bytes < a->disk_next ||
        head.offset_bytes % ARCHIVE_DATA_ALIGN ||
        (end % ARCHIVE_DATA_ALIGN && end != a->disk_size))
        return bad(a, "a record of data");
    a->disk_left -= len;
    a->disk_next = end;
    progress(a->c, "disks imported", end, a->disk_size);
    return a->disk->kind ? place_write(a->disk, head.offset_bytes, a->data, len)
                         : 0;
}

/* --- the end --------------------------------------------------------------- */

int import_archive_finish_disks(void *arg)
{
    struct import_archive *a = arg;
    int rc = 0;

    for (size_t i = 0; !rc && i < a->nr_places; i++) {
        struct place *p = &a->places[i];

        if (!p->kind)
            continue;
        rc = place_finish(p, a->info.id);
        if (rc)
            fail_prefix(a->c, rc, "disk %s", p->disk.vdev);
        progress(a->c, "disks stored", i + 1, a->nr_places);
    }
    return rc;
}

void import_archive_undo_disks(void *arg)
{
    struct import_archive *a = arg;

    for (size_t i = a->nr_places; i-- > 0;)
        place_undo(&a->places[i]);
}

void import_archive_keep_disks(struct import_archive *a)
{
    for (size_t i = 0; i < a->nr_places; i++)
        if (a->places[i].kind)
            place_keep(&a->places[i]);
}

static int replace(char **at, const char *text)
{
    free(*at);
    *at = text ? strdup(text) : NULL;
    return *at || !text ? 0 : -ENOMEM;
}

static int describe(struct ckpt_disk *to, const struct place *p)
{
    int rc;

    rc = replace(&to->driver, p->kind ? p->disk.drv->name : "none");
    if (!rc)
        rc = replace(&to->snapshot, p->kind ? p->disk.snapshot : NULL);
    if (!rc && p->kind)
        rc = replace(&to->target, p->disk.target);
    if (!rc && p->kind)
        to->size_bytes = p->disk.size_bytes;
    return rc ? rc : replace(&to->why_none, p->kind ? NULL : "excluded");
}

int import_archive_describe(struct import_archive *a)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < a->info.nr_disks; i++) {
        const struct place *p = place_of(a, a->info.disks[i].vdev);

        if (p)
            rc = describe(&a->info.disks[i], p);
    }
    return rc ? fail(a->c, rc, "the list of disks") : 0;
}
