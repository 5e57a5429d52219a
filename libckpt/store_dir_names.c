/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which pack is where.  A pack's file is named ID.NUMBER and lies in one of
 * three folders; their names are all that is read to know every pack there
 * is.  What was read is kept, and read again when a name leads nowhere: a
 * file may move down one folder, and new ones appear, at any time.
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
#include "store_ref.h"

/* Between a scan and an open a pack can move so often. */
#define OPEN_TRIES (DIR_NR_PLACES + 1)

void dir_name_print(char text[DIR_NAME_LEN + 1], const struct dir_name *n)
{
    int len = snprintf(text, DIR_NAME_LEN + 1, "%016llx",
                       (unsigned long long)n->id);

    if (n->number)
        snprintf(text + len, DIR_NAME_LEN + 1 - (size_t)len, ".%08x",
                 n->number);
}

bool dir_name_parse(const char *text, struct dir_name *n_out)
{
    char id[CKPT_ID_LEN + 1], again[DIR_NAME_LEN + 1];
    size_t len = strlen(text);

    if (len != CKPT_ID_LEN && len != DIR_NAME_LEN)
        return false;
    memcpy(id, text, CKPT_ID_LEN);
    id[CKPT_ID_LEN] = '\0';
    if (!store_is_id(id))
        return false;
    n_out->id = strtoull(id, NULL, 16);
    n_out->number = len == CKPT_ID_LEN
                        ? 0
                        : (uint32_t)strtoul(text + CKPT_ID_LEN + 1, NULL, 16);
    if (n_out->number > PACK_NUMBER_MAX)
        return false;
    dir_name_print(again, n_out);
    return !strcmp(text, again);
}

static int by_number(const void *a, const void *b)
{
    const struct dir_name *x = a, *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (int)x->place - (int)y->place;
}

struct scan {
    struct dir_name *names;
    size_t nr, room;
};

static int scan_folder(struct scan *s, int folder_fd, enum dir_place place)
{
    struct dirent *e;
    int rc = 0;
    DIR *dir;
    int fd;

    fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (!rc && (errno = 0, e = readdir(dir))) {
        if (s->nr == s->room) {
            struct dir_name *more = realloc(
                s->names, (2 * s->room + 64) * sizeof(*s->names));

            if (!more) {
                rc = -ENOMEM;
                break;
            }
            s->names = more;
            s->room = 2 * s->room + 64;
        }
        if (!dir_name_parse(e->d_name, &s->names[s->nr]))
            continue;
        s->names[s->nr++].place = place;
    }
    if (!rc)
        rc = -errno;
    closedir(dir);
    return rc;
}

static const struct dir_name *known_number(const struct dir_store *st,
                                           uint32_t number)
{
    size_t low = 0, high = st->nr_names;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (st->names[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low < st->nr_names && st->names[low].number == number
               ? &st->names[low]
               : NULL;
}

bool dir_is_known(const struct dir_store *st, uint32_t number)
{
    return known_number(st, number) != NULL;
}

/* From the top down, so that one that moves meanwhile is seen twice rather
 * than not at all; the lower place is then the true one. */
int dir_scan(struct dir_store *st)
{
    struct scan s = {.names = NULL};
    size_t kept = 0;
    int rc = 0;

    for (int place = 0; !rc && place < DIR_NR_PLACES; place++) {
        if (st->place_fds[place] >= 0)
            rc = scan_folder(&s, st->place_fds[place], (enum dir_place)place);
    }
    if (rc) {
        free(s.names);
        return fail(st->base.c, rc, "store %s: list", st->path);
    }
    if (s.nr)
        qsort(s.names, s.nr, sizeof(*s.names), by_number);
    for (size_t i = 0; i < s.nr; i++) {
        if (i + 1 < s.nr && s.names[i].number == s.names[i + 1].number &&
            s.names[i].id == s.names[i + 1].id)
            continue;
        s.names[kept++] = s.names[i];
    }
    free(st->names);
    st->names = s.names;
    st->nr_names = kept;
    return 0;
}

const struct dir_name *dir_by_number(struct dir_store *st, uint32_t number)
{
    const struct dir_name *n = known_number(st, number);

    if (n || dir_scan(st))
        return n;
    return known_number(st, number);
}

static const struct dir_name *known_id(const struct dir_store *st, uint64_t id)
{
    for (size_t i = 0; i < st->nr_names; i++) {
        if (st->names[i].id == id && st->names[i].place == DIR_LIVE)
            return &st->names[i];
    }
    return NULL;
}

const struct dir_name *dir_by_id(struct dir_store *st, const char *id)
{
    const uint64_t n = strtoull(id, NULL, 16);
    const struct dir_name *name = known_id(st, n);

    if (name || dir_scan(st))
        return name;
    return known_id(st, n);
}

/* Numbers lead from tree to tree, so none is given twice while anything may
 * still have it: one more than the highest, until there is none higher. */
static uint32_t free_number(const struct scan *s)
{
    uint32_t number = s->nr ? s->names[s->nr - 1].number + 1 : 1;

    if (number <= PACK_NUMBER_MAX)
        return number;
    number = 1;
    for (size_t i = 0; i < s->nr; i++) {
        if (s->names[i].number == number)
            number++;
        else if (s->names[i].number > number)
            break;
    }
    return number;
}

int dir_new_name(struct dir_store *st, const char *id, struct dir_name *n_out)
{
    struct scan s = {.names = NULL};
    int rc = 0;

    n_out->id = strtoull(id, NULL, 16);
    n_out->place = DIR_LIVE;
    for (int place = 0; !rc && place < DIR_NR_PLACES; place++)
        rc = scan_folder(&s, st->place_fds[place], (enum dir_place)place);
    if (!rc)
        rc = scan_folder(&s, st->tmp_fd, DIR_LIVE);
    if (rc)
        rc = fail(st->base.c, rc, "store %s: list", st->path);
    for (size_t i = 0; !rc && i < s.nr; i++) {
        if (s.names[i].id == n_out->id && s.names[i].place == DIR_LIVE)
            rc = fail(st->base.c, -EEXIST, "checkpoint %s", id);
    }
    if (!rc) {
        if (s.nr)
            qsort(s.names, s.nr, sizeof(*s.names), by_number);
        n_out->number = free_number(&s);
        if (n_out->number > PACK_NUMBER_MAX)
            rc = fail(st->base.c, -ENOSPC, "Store %s: no number is free.",
                      st->path);
    }
    free(s.names);
    return rc;
}

static int open_name(const struct dir_store *st, const struct dir_name *n,
                     int *fd_out)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
                      (n->number ? 0 : O_DIRECTORY);
    char text[DIR_NAME_LEN + 1];

    dir_name_print(text, n);
    /* Nobody asks when a pack was read; only its owner may not be asked. */
    *fd_out = openat(st->place_fds[n->place], text, flags | O_NOATIME);
    if (*fd_out < 0 && errno == EPERM)
        *fd_out = openat(st->place_fds[n->place], text, flags);
    if (*fd_out < 0 && errno != ENOENT)
        return safe_fail(st->base.c, -errno, "open", st->place_fds[n->place],
                         text);
    return *fd_out < 0 ? -ENOENT : 0;
}

int dir_open_number(struct dir_store *st, uint32_t number, int *fd_out,
                    struct dir_name *name_out)
{
    const struct dir_name *n;
    int rc = -ENOENT;

    for (unsigned i = 0; rc == -ENOENT && i < OPEN_TRIES; i++) {
        if (i)
            rc = dir_scan(st);
        if (i && rc)
            return rc;
        n = dir_by_number(st, number);
        if (!n)
            return -ENOENT;
        rc = open_name(st, n, fd_out);
        if (!rc && name_out)
            *name_out = *n;
    }
    return rc;
}

int dir_open_id(struct dir_store *st, const char *id, int *fd_out,
                struct dir_name *name_out)
{
    const struct dir_name *n;
    int rc = -ENOENT;

    for (unsigned i = 0; rc == -ENOENT && i < 2; i++) {
        if (i && (rc = dir_scan(st)))
            return rc;
        n = dir_by_id(st, id);
        rc = n ? open_name(st, n, fd_out) : -ENOENT;
        if (!rc && name_out)
            *name_out = *n;
    }
    if (rc == -ENOENT)
        return fail(st->base.c, rc, "No checkpoint %s in %s.", id, st->path);
    return rc;
}
