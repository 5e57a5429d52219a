/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The store as the rest of the library sees it: picks the driver, checks
 * names and the order of calls once for all drivers, forwards.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "ctx.h"
#include "store_driver.h"

const struct store_driver *const store_drivers[] = {
    &store_dir,
    &store_pmem,
    NULL,
};

struct store_lock {
    int fd;
};

/* --- names --------------------------------------------------------------- */

static bool is_made_of(const char *s, size_t len_max, const char *accept)
{
    size_t len = strspn(s, accept);

    return len > 0 && len <= len_max && !s[len];
}

bool store_is_id(const char *id)
{
    return strlen(id) == CKPT_ID_LEN &&
           is_made_of(id, CKPT_ID_LEN, "0123456789abcdef");
}

bool store_is_key(const char *key)
{
    return key[0] != '.' && is_made_of(key, STORE_NAME_MAX,
                                       "abcdefghijklmnopqrstuvwxyz"
                                       "0123456789.-");
}

static int check_id(struct ckpt *c, const char *id)
{
    return store_is_id(id) ? 0 : fail(c, -EINVAL, "\"%s\": not an id.", id);
}

static int check_key(struct ckpt *c, const char *key)
{
    return store_is_key(key) ? 0 : fail(c, -EINVAL, "\"%s\": not a key.", key);
}

/* --- opening ------------------------------------------------------------- */

/* The part before a colon; a path has a slash before any colon. */
static size_t scheme_len(const char *url)
{
    size_t len = strcspn(url, ":/");

    return url[len] == ':' ? len : 0;
}

int store_open(struct ckpt *c, const char *url, unsigned flags,
               struct store **st_out)
{
    size_t len = scheme_len(url);
    const char *path = len ? url + len + 1 : url;

    *st_out = NULL;
    if (!*path)
        return fail(c, -EINVAL, "Store \"%s\": no path.", url);
    if (!len)
        return store_dir.open(c, path, flags, st_out);
    for (unsigned i = 0; store_drivers[i]; i++) {
        const struct store_driver *drv = store_drivers[i];

        if (strlen(drv->scheme) == len && !strncmp(drv->scheme, url, len))
            return drv->open(c, path, flags, st_out);
    }
    return fail(c, -EINVAL,
                "Store \"%s\": kind \"%.*s\" is not known; use dir:PATH, or "
                "pmem:PATH.", url,
                (int)len, url);
}

void store_close(struct store *st)
{
    if (st)
        st->drv->close(st);
}

int store_free_bytes(struct store *st, uint64_t *bytes_out)
{
    return st->drv->free_bytes(st, bytes_out);
}

int store_lock(struct store *st, const char *key, struct store_lock **l_out,
               int *fd_out)
{
    struct store_lock *l;
    int rc;

    rc = check_key(st->c, key);
    if (rc)
        return rc;
    l = malloc(sizeof(*l));
    if (!l)
        return fail(st->c, -ENOMEM, "lock %s", key);
    rc = st->drv->lock(st, key, &l->fd);
    if (rc) {
        free(l);
        return rc;
    }
    *l_out = l;
    if (fd_out)
        *fd_out = l->fd;
    return 0;
}

void store_lock_yield(struct store_lock *l)
{
    flock(l->fd, LOCK_UN);
}

int store_lock_again(struct store_lock *l)
{
    return flock(l->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

void store_unlock(struct store_lock *l)
{
    if (!l)
        return;
    close(l->fd);
    free(l);
}

/* --- writing an image ---------------------------------------------------- */

static int check_writer(struct image *img)
{
    if (!img->w)
        return fail(img->c, -EBADF, "Checkpoint %s is not open for writing.",
                    img->id);
    if (img->error)
        return fail(img->c, img->error,
                    "checkpoint %s: an earlier write failed", img->id);
    return 0;
}

int image_create(struct store *st, const char *id, struct image **img_out)
{
    int rc;

    *img_out = NULL;
    rc = check_id(st->c, id);
    if (rc)
        return rc;
    rc = st->drv->create(st, id, img_out);
    if (!rc)
        memcpy((*img_out)->id, id, CKPT_ID_LEN + 1);
    return rc;
}

int image_base(struct image *img, const char *id)
{
    int rc = check_writer(img);

    if (!rc)
        rc = check_id(img->c, id);
    return rc ? rc : img->w->base(img, id);
}

int image_reserve(struct image *img, uint64_t bytes)
{
    int rc = check_writer(img);

    return rc ? rc : img->w->reserve(img, bytes);
}

int image_put(struct image *img, const struct page_batch *b)
{
    int rc;

    rc = check_writer(img);
    if (rc)
        return rc;
    if (b->nr > PAGE_BATCH)
        rc = fail(img->c, -EINVAL, "A batch of %u pages.", b->nr);
    else
        rc = img->w->put(img, b);
    img->error = rc;
    return rc;
}

int image_put_blob(struct image *img, const char *name, const void *data,
                   size_t len_bytes)
{
    struct ckpt *c = img->c;
    struct image_blob *blob = &img->blobs[img->nr_blobs];
    int rc;

    rc = check_writer(img);
    if (rc)
        return rc;
    if (!is_made_of(name, STORE_BLOB_NAME_MAX, "abcdefghijklmnopqrstuvwxyz.-"))
        return fail(c, -EINVAL, "\"%s\": not a blob's name.", name);
    for (unsigned i = 0; i < img->nr_blobs; i++) {
        if (!strcmp(img->blobs[i].name, name))
            return fail(c, -EEXIST, "checkpoint %s: blob %s", img->id, name);
    }
    if (img->nr_blobs == STORE_BLOBS_MAX)
        return fail(c, -E2BIG, "checkpoint %s: blob %s", img->id, name);
    rc = img->w->put_blob(img, name, data, len_bytes);
    img->error = rc;
    if (rc)
        return rc;
    strcpy(blob->name, name); /* its length is checked above */
    blob->len_bytes = len_bytes;
    img->nr_blobs++;
    return 0;
}

int image_commit_path(struct image *img, char *path, size_t path_bytes)
{
    int rc = check_writer(img);

    return rc ? rc : img->w->commit_path(img, path, path_bytes);
}

void image_stats(const struct image *img, uint64_t *pages_stored_out,
                 uint64_t *pages_zero_out, uint64_t *stored_bytes_out)
{
    if (pages_stored_out)
        *pages_stored_out = img->pages_stored;
    if (pages_zero_out)
        *pages_zero_out = img->pages_zero;
    if (stored_bytes_out)
        *stored_bytes_out = img->stored_bytes;
}

int image_sync(struct image *img)
{
    int rc;

    rc = check_writer(img);
    if (rc)
        return rc;
    rc = img->w->sync(img);
    img->error = rc;
    return rc;
}

int image_commit(struct image *img, const char *manifest)
{
    int rc;

    rc = check_writer(img);
    if (rc && !img->w)
        return rc;
    if (!rc && strlen(manifest) > STORE_MANIFEST_MAX)
        rc = fail(img->c, -EFBIG, "checkpoint %s: manifest", img->id);
    if (!rc)
        rc = img->w->commit(img, manifest);
    img->w->abort(img);
    return rc;
}

void image_abort(struct image *img)
{
    if (img && img->w)
        img->w->abort(img);
}

/* --- reading an image ---------------------------------------------------- */

static int check_reader(struct image *img)
{
    if (!img->r)
        return fail(img->c, -EBADF, "Checkpoint %s is not open for reading.",
                    img->id);
    return 0;
}

int image_open(struct store *st, const char *id, struct image **img_out)
{
    int rc;

    *img_out = NULL;
    rc = check_id(st->c, id);
    return rc ? rc : st->drv->image(st, id, img_out);
}

void image_close(struct image *img)
{
    if (img && img->r)
        img->r->close(img);
}

const char *image_manifest(const struct image *img)
{
    return img->manifest;
}

int image_get(struct image *img, uint64_t gfn, void *page, uint8_t *type_out)
{
    int rc = check_reader(img);

    return rc ? rc : img->r->get(img, gfn, page, type_out);
}

int image_seek(struct image *img, uint64_t *gfn)
{
    int rc = check_reader(img);

    return rc ? rc : img->r->seek(img, gfn);
}

int image_home(struct image *img, uint64_t gfn, struct image_home *home_out)
{
    int rc = check_reader(img);

    return rc ? rc : img->r->home(img, gfn, home_out);
}

int image_next(struct image *img, uint64_t *cursor, struct page_batch *b)
{
    int rc = check_reader(img);

    b->nr = 0;
    return rc ? rc : img->r->next(img, cursor, b);
}

uint64_t image_nr_gfns(const struct image *img)
{
    return img->nr_gfns;
}

int image_blob(struct image *img, const char *name, void **data_out,
               size_t *len_bytes_out)
{
    int rc = check_reader(img);

    *data_out = NULL;
    if (rc)
        return rc;
    for (unsigned i = 0; i < img->nr_blobs; i++) {
        if (strcmp(img->blobs[i].name, name))
            continue;
        rc = img->r->blob(img, i, data_out);
        if (!rc)
            *len_bytes_out = (size_t)img->blobs[i].len_bytes;
        return rc;
    }
    return fail(img->c, -ENOENT, "Checkpoint %s has no \"%s\".", img->id, name);
}

const char *image_blob_name(const struct image *img, unsigned n)
{
    return n < img->nr_blobs ? img->blobs[n].name : NULL;
}

/* --- the store as a whole ------------------------------------------------ */

int store_list(struct store *st, char ***ids_out)
{
    return st->drv->list(st, STORE_MANIFEST, ids_out);
}

int store_drop(struct store *st, const char *id, struct store_space *space_out)
{
    struct store_space space = {.freed_bytes = 0};
    int rc = check_id(st->c, id);

    if (!rc)
        rc = st->drv->drop(st, id, &space);
    if (space_out)
        *space_out = space;
    return rc;
}

int store_prune(struct store *st, struct store_space *space_out)
{
    memset(space_out, 0, sizeof(*space_out));
    return st->drv->prune(st, space_out);
}

int store_compress(struct store *st, const char *const *raw_ids,
                   uint64_t *saved_bytes)
{
    return st->drv->compress(st, raw_ids, saved_bytes);
}

int store_dump(struct store *st, const char *word, store_line_fn *fn,
               void *arg)
{
    return st->drv->dump(st, word, fn, arg);
}

int store_sharers(struct store *st, const char *id,
                  const struct ckpt_frames *lost, size_t nr, char ***ids_out)
{
    int rc = check_id(st->c, id);

    return rc ? rc : st->drv->sharers(st, id, lost, nr, ids_out);
}

int store_space(struct store *st, const char *id,
                struct store_space *space_out)
{
    int rc = check_id(st->c, id);

    memset(space_out, 0, sizeof(*space_out));
    return rc ? rc : st->drv->space(st, id, space_out);
}

int store_manifest(struct store *st, const char *id, char **manifest_out)
{
    int rc = check_id(st->c, id);

    return rc ? rc : st->drv->text_get(st, STORE_MANIFEST, id, manifest_out);
}

int store_set_manifest(struct store *st, const char *id, const char *manifest)
{
    int rc = check_id(st->c, id);

    if (!rc && strlen(manifest) > STORE_MANIFEST_MAX)
        rc = fail(st->c, -EFBIG, "checkpoint %s: manifest", id);
    return rc ? rc : st->drv->text_set(st, STORE_MANIFEST, id, manifest);
}

int store_set(struct store *st, const char *key, const char *value)
{
    int rc = check_key(st->c, key);

    if (!rc && value && strlen(value) > STORE_VALUE_MAX)
        rc = fail(st->c, -EFBIG, "value %s", key);
    return rc ? rc : st->drv->text_set(st, STORE_VALUE, key, value);
}

int store_get(struct store *st, const char *key, char **value_out)
{
    int rc = check_key(st->c, key);

    return rc ? rc : st->drv->text_get(st, STORE_VALUE, key, value_out);
}

int store_keys(struct store *st, char ***keys_out)
{
    return st->drv->list(st, STORE_VALUE, keys_out);
}
