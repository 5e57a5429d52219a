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

int dir_list(struct store *base, enum store_text what, char ***names_out)
{
    struct dir_store *st = (struct dir_store *)base;
    const bool is_manifest = what == STORE_MANIFEST;
    size_t nr, len;
    char *names;
    DIR *dir;
    int fd;
    int rc;

    *names_out = NULL;
    fd = openat(is_manifest ? st->checkpoints_fd : st->values_fd, ".",
                O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(base->c, -errno, "store %s: list", st->path);
    dir = fdopendir(fd);
    if (!dir) {
        rc = -errno;
        close(fd);
        return fail(base->c, rc, "store %s: list", st->path);
    }
    rc = read_names(dir, is_manifest ? store_is_id : store_is_key, &names, &nr,
                    &len);
    closedir(dir);
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

int dir_text_get(struct store *base, enum store_text what, const char *name,
                 char **text_out)
{
    struct dir_store *st = (struct dir_store *)base;
    int fd = -1;
    int rc;

    *text_out = NULL;
    if (what == STORE_VALUE)
        return dir_text_read(base->c, what, st->values_fd, name, text_out);
    rc = dir_open_checkpoint(st, name, &fd);
    if (rc)
        return rc;
    rc = dir_text_read(base->c, what, fd, DIR_MANIFEST, text_out);
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
    struct dir_store *st = (struct dir_store *)base;
    int fd = -1;
    char *wrapped;
    int rc = 0;

    if (!text)
        return dir_value_remove(st, name);
    wrapped = store_text_wrap(what, text);
    if (!wrapped)
        return fail(base->c, -ENOMEM, "store %s", st->path);
    if (what == STORE_MANIFEST)
        rc = dir_open_checkpoint(st, name, &fd);
    if (!rc)
        rc = safe_replace_via(base->c, st->tmp_fd, fd < 0 ? st->values_fd : fd,
                              fd < 0 ? name : DIR_MANIFEST, wrapped,
                              strlen(wrapped));
    if (fd >= 0)
        close(fd);
    free(wrapped);
    return rc;
}
