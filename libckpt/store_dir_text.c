/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Lists of names and small texts of the directory store: manifests, in their
 * checkpoint's folder, and values.  A text is replaced through tmp/, so a
 * reader has the old or the new one, and each carries its checksum.
 */
#include "store_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store_format.h"
#include "store_text.h"
#include "pack_sum.h"
#include "packs.h"
#include "store_v1.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One allocation: the pointers, then the names. */
static char **pack_names(const char *names, size_t nr, size_t len_bytes)
{
    char **array = malloc((nr + 1) * sizeof(*array) + len_bytes);
    char *at;

    if (!array)
        return NULL;
    at = (char *)&array[nr + 1];
    if (len_bytes)
        memcpy(at, names, len_bytes);
    for (size_t i = 0; i < nr; i++) {
        array[i] = at;
        at += strlen(at) + 1;
    }
    array[nr] = NULL;
    qsort(array, nr, sizeof(*array), by_name);
    return array;
}

/* All names of a folder that satisfy @is_name, each with its NUL. */
static int read_names(DIR *dir, bool (*is_name)(const char *), char **names_out,
                      size_t *nr_out, size_t *len_out)
{
    char *names = NULL;
    size_t room = 0, len = 0, nr = 0;
    struct dirent *e;

    while (errno = 0, e = readdir(dir)) {
        size_t n = strlen(e->d_name) + 1;

        if (!is_name(e->d_name))
            continue;
        if (len + n > room) {
            char *more = realloc(names, 2 * room + 4096);

            if (!more) {
                free(names);
                return -ENOMEM;
            }
            names = more;
            room = 2 * room + 4096;
        }
        memcpy(names + len, e->d_name, n);
        len += n;
        nr++;
    }
    if (errno) {
        int err = errno;

        free(names);
        return -err;
    }
    *names_out = names;
    *nr_out = nr;
    *len_out = len;
    return 0;
}

/* The ids of what is live, with their NULs. */
static int read_ids(struct dir_store *st, char **names_out, size_t *nr_out,
                    size_t *len_out)
{
    size_t nr = 0;
    char *ids;
    int rc;

    rc = dir_scan(st);
    if (rc)
        return rc;
    ids = malloc(st->nr_names * (CKPT_ID_LEN + 1) + 1);
    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; i < st->nr_names; i++) {
        if (st->names[i].place == DIR_LIVE)
            snprintf(ids + nr++ * (CKPT_ID_LEN + 1), CKPT_ID_LEN + 1, "%016llx",
                     (unsigned long long)st->names[i].id);
    }
    *names_out = ids;
    *nr_out = nr;
    *len_out = nr * (CKPT_ID_LEN + 1);
    return 0;
}

static int read_keys(struct dir_store *st, char **names_out, size_t *nr_out,
                     size_t *len_out)
{
    DIR *dir;
    int fd;
    int rc;

    *nr_out = *len_out = 0;
    if (st->values_fd < 0)
        return 0; /* open to read, and not there */
    fd = openat(st->values_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    rc = read_names(dir, store_is_key, names_out, nr_out, len_out);
    closedir(dir);
    return rc;
}

int dir_list(struct store *base, enum store_text what, char ***names_out)
{
    struct dir_store *st = dir_of(base);
    char *names = NULL;
    size_t nr = 0, len = 0;
    int rc;

    *names_out = NULL;
    rc = what == STORE_MANIFEST ? read_ids(st, &names, &nr, &len)
                                : read_keys(st, &names, &nr, &len);
    if (!rc) {
        *names_out = pack_names(names, nr, len);
        rc = *names_out ? 0 : -ENOMEM;
        free(names);
    }
    return rc ? fail(base->c, rc, "store %s: list", st->path) : 0;
}

int dir_text_read(struct ckpt *c, enum store_text what, int dirfd,
                  const char *name, char **text_out)
{
    const size_t max =
        what == STORE_MANIFEST ? STORE_MANIFEST_MAX : STORE_VALUE_MAX;
    char words[64], *text;
    const char *wrong;
    size_t len;
    int rc;

    rc = safe_slurp(c, dirfd, name, max + 256, &text, &len);
    if (rc)
        return rc;
    wrong = store_text_unwrap(what, text, len);
    if (wrong) {
        free(text);
        snprintf(words, sizeof(words), "damaged (%s).", wrong);
        return safe_fail(c, -EUCLEAN, words, dirfd, name);
    }
    *text_out = text;
    return 0;
}

/* Where it was put at the take. */
static int read_packed(struct dir_store *st, int fd,
                       const struct dir_name *name, char **text_out)
{
    char file[DIR_NAME_LEN + 1], *text;
    struct pack_head head;
    int rc;

    if (!name->number)
        return dir_text_read(st->base.c, STORE_MANIFEST, fd, V1_MANIFEST,
                             text_out);
    dir_name_print(file, name);
    rc = pack_file_head(st, fd, file, &head);
    if (rc)
        return rc;
    if (head.manifest.len_bytes > STORE_MANIFEST_MAX)
        return fail(st->base.c, -EUCLEAN, "%s: pack %s: length of the manifest.",
                    st->path, file);
    text = malloc(head.manifest.len_bytes + 1);
    if (!text)
        return fail(st->base.c, -ENOMEM, "store %s", st->path);
    rc = safe_pread_all(fd, text, head.manifest.len_bytes,
                        (off_t)head.manifest.offset);
    text[head.manifest.len_bytes] = '\0';
    if (rc)
        fail(st->base.c, rc, "%s: pack %s: manifest", st->path, file);
    else if (sum_of((enum sum_kind)head.sum_kind, text, head.manifest.len_bytes,
                    0) != head.manifest.sum ||
             strlen(text) != head.manifest.len_bytes)
        rc = fail(st->base.c, -EUCLEAN, "%s: pack %s: damaged (manifest).",
                  st->path, file);
    if (rc)
        free(text);
    else
        *text_out = text;
    return rc;
}

int dir_manifest(struct dir_store *st, int fd, const struct dir_name *name,
                 char **text_out)
{
    char id[CKPT_ID_LEN + 1];
    int rc = -ENOENT;

    snprintf(id, sizeof(id), "%016llx", (unsigned long long)name->id);
    if (st->manifests_fd >= 0)
        rc = dir_text_read(st->base.c, STORE_MANIFEST, st->manifests_fd, id,
                           text_out);
    if (rc != -ENOENT)
        return rc;
    st->base.c->error[0] = '\0';
    return read_packed(st, fd, name, text_out);
}

int dir_text_get(struct store *base, enum store_text what, const char *name,
                 char **text_out)
{
    struct dir_store *st = dir_of(base);
    struct dir_name found;
    int fd = -1;
    int rc;

    *text_out = NULL;
    if (what == STORE_VALUE && st->values_fd < 0)
        return fail(base->c, -ENOENT, "store %s: %s", st->path, name);
    if (what == STORE_VALUE)
        return dir_text_read(base->c, what, st->values_fd, name, text_out);
    rc = dir_open_id(st, name, &fd, &found);
    if (rc)
        return rc;
    rc = dir_manifest(st, fd, &found, text_out);
    close(fd);
    return rc;
}

static int dir_value_remove(struct dir_store *st, const char *key)
{
    if (unlinkat(st->values_fd, key, 0) < 0 && errno != ENOENT)
        return safe_fail(st->base.c, -errno, "remove", st->values_fd, key);
    if (fsync(st->values_fd) < 0)
        return safe_fail(st->base.c, -errno, "fsync of the folder",
                         st->values_fd, key);
    return 0;
}

int dir_text_set(struct store *base, enum store_text what, const char *name,
                 const char *text)
{
    struct dir_store *st = dir_of(base);
    char *wrapped;
    int fd;
    int rc;

    rc = dir_upgrade(st);
    if (rc)
        return rc;
    if (!text)
        return dir_value_remove(st, name);
    if (what == STORE_MANIFEST) {
        rc = dir_open_id(st, name, &fd, NULL);
        if (rc)
            return rc;
        close(fd);
    }
    wrapped = store_text_wrap(what, text);
    if (!wrapped)
        return fail(base->c, -ENOMEM, "store %s", st->path);
    rc = safe_replace_via(base->c, st->tmp_fd,
                          what == STORE_MANIFEST ? st->manifests_fd
                                                 : st->values_fd,
                          name, wrapped, strlen(wrapped));
    free(wrapped);
    return rc;
}
