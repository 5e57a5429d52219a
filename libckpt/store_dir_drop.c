/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Removes checkpoints, and gives back what they alone needed:
 *
 *     checkpoints/ --rename--> dropped/ --counts down--> packs/ or gone
 *          it is none any more      its blocks are punched out of the packs
 *
 * Nothing is merged and nothing is copied.  What takes under way may refer
 * to, or somebody reads, is left for the next time.  Whatever dies between
 * two steps leaves its pack in dropped/; the next removal, or a prune, goes
 * on from there, with counts made anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "safe_io.h"
#include "store_dir.h"
#include "store_dir_refs.h"

static uint64_t blocks_of(int fd)
{
    struct stat sb;

    return fstat(fd, &sb) < 0 ? 0 : (uint64_t)sb.st_blocks * 512;
}

static int open_to_write(struct dir_store *st, const struct dir_name *n)
{
    char text[DIR_NAME_LEN + 1];

    dir_name_print(text, n);
    return openat(st->place_fds[n->place], text,
                  O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* --- blocks -------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Punches the blocks of one pack, [i, end) of r->freed, run by run. */
static void punch_pack(struct refs *r, int fd, size_t i, size_t end)
{
    const uint64_t block_mask = (UINT64_C(1) << 36) - 1;
    size_t first = i;

    for (; i < end; i++) {
        if (i + 1 < end && r->freed[i + 1] <= r->freed[i] + 1)
            continue;
        /* Where it cannot be done the space comes back with the pack. */
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)((r->freed[first] & block_mask) * PAGE_SIZE_BYTES),
                  (off_t)((r->freed[i] - r->freed[first] + 1) *
                          PAGE_SIZE_BYTES));
        first = i + 1;
    }
}

/* All of r->freed; packs without anything left go as a whole. */
static int release(struct refs *r, struct store_space *space)
{
    struct dir_store *st = r->st;
    const struct dir_name *n;
    char text[DIR_NAME_LEN + 1];
    uint64_t before;
    bool is_live;
    int rc = 0;
    int fd;

    if (r->nr_freed)
        qsort(r->freed, r->nr_freed, sizeof(*r->freed), by_value);
    for (size_t i = 0, end; !rc && i < r->nr_freed; i = end) {
        const uint32_t number = (uint32_t)(r->freed[i] >> 36);

        for (end = i; end < r->nr_freed && r->freed[end] >> 36 == number;)
            end++;
        n = dir_by_number(st, number);
        if (!n)
            continue;
        rc = refs_is_live(r, number, &is_live);
        if (rc)
            break;
        fd = open_to_write(st, n);
        if (fd < 0)
            continue;
        before = blocks_of(fd);
        dir_name_print(text, n);
        if (is_live || n->place == DIR_LIVE) {
            punch_pack(r, fd, i, end);
            space->freed_bytes += before - blocks_of(fd);
        } else if (n->place == DIR_PACKS &&
                   !unlinkat(st->place_fds[DIR_PACKS], text, 0)) {
            refs_forget(r, number);
            space->freed_bytes += before;
        }
        close(fd);
    }
    r->nr_freed = 0;
    return rc;
}

/* --- packs --------------------------------------------------------------- */

/* Nobody reads it: locked, and so it stays until *fd_out is closed. */
static bool is_unused(struct dir_store *st, const struct dir_name *n,
                      int *fd_out)
{
    *fd_out = open_to_write(st, n);
    if (*fd_out < 0)
        return false;
    if (!flock(*fd_out, LOCK_EX | LOCK_NB))
        return true;
    close(*fd_out);
    return false;
}

/* From dropped/ to where it belongs, with no count of its own tree left. */
static int settle(struct refs *r, const struct dir_name *n,
                  struct store_space *space)
{
    struct dir_store *st = r->st;
    const int from = st->place_fds[DIR_DROPPED];
    char text[DIR_NAME_LEN + 1];
    struct stat sb;
    bool is_live;
    int rc;

    dir_name_print(text, n);
    rc = refs_is_live(r, n->number, &is_live);
    if (rc == -EUCLEAN) {
        /* Its head is damaged, so nobody can read what it has. */
        st->base.c->error[0] = '\0';
        is_live = false;
        rc = 0;
    }
    if (rc)
        return rc;
    if (is_live) {
        if (renameat(from, text, st->place_fds[DIR_PACKS], text) < 0 ||
            fsync(st->place_fds[DIR_PACKS]) < 0)
            return safe_fail(st->base.c, -errno, "rename", from, text);
        return 0;
    }
    if (!fstatat(from, text, &sb, AT_SYMLINK_NOFOLLOW))
        space->freed_bytes += (uint64_t)sb.st_blocks * 512;
    if (unlinkat(from, text, 0) < 0)
        return safe_fail(st->base.c, -errno, "remove", from, text);
    refs_forget(r, n->number);
    return 0;
}

/* A copy of the names in one place: they are read anew as things move. */
static size_t names_in(struct dir_store *st, enum dir_place place,
                       struct dir_name **names_out)
{
    size_t nr = 0;

    *names_out = malloc((st->nr_names + 1) * sizeof(**names_out));
    for (size_t i = 0; *names_out && i < st->nr_names; i++) {
        if (st->names[i].place == place && st->names[i].number)
            (*names_out)[nr++] = st->names[i];
    }
    return nr;
}

/* And not gone from there meanwhile. */
static bool dir_is_dropped(struct dir_store *st, const struct dir_name *n)
{
    char text[DIR_NAME_LEN + 1];

    dir_name_print(text, n);
    return !faccessat(st->place_fds[DIR_DROPPED], text, F_OK,
                      AT_SYMLINK_NOFOLLOW);
}

static int count_live(struct refs *r)
{
    struct dir_name *names;
    size_t nr = names_in(r->st, DIR_LIVE, &names);
    int rc = names ? 0 : fail(r->st->base.c, -ENOMEM, "references");

    for (size_t i = 0; !rc && i < nr; i++)
        rc = refs_count(r, names[i].number);
    free(names);
    if (rc == -EUCLEAN)
        fail_prefix(r->st->base.c, rc,
                    "Space cannot be given back while a checkpoint is damaged "
                    "(delete it)");
    return rc;
}

static int drop_one(struct refs *r, const struct dir_name *n, bool *fast,
                    struct store_space *space)
{
    int fd = -1;
    int rc = 0;

    if (!is_unused(r->st, n, &fd)) {
        if (dir_is_dropped(r->st, n))
            rc = refs_count(r, n->number); /* as one of the living */
        return rc;
    }
    if (*fast) {
        rc = refs_count(r, n->number);
        if (!rc)
            rc = refs_uncount(r, n->number);
        if (rc == -EUCLEAN) {
            *fast = false; /* its tree does not tell: by elimination, then */
            rc = 0;
        }
        if (!rc && *fast)
            rc = release(r, space);
    }
    if (!rc && *fast)
        rc = settle(r, n, space);
    close(fd);
    return rc;
}

/* By elimination: what no count leads to, anywhere. */
static int sweep(struct refs *r, struct store_space *space)
{
    static const enum dir_place places[] = {DIR_DROPPED, DIR_PACKS, DIR_LIVE};
    struct dir_store *st = r->st;
    int rc = 0;

    for (unsigned p = 0; !rc && p < 3; p++) {
        struct dir_name *names;
        size_t nr;
        int fd;

        rc = dir_scan(st); /* what was settled is in the next place */
        if (rc)
            break;
        nr = names_in(st, places[p], &names);
        if (!names)
            return fail(st->base.c, -ENOMEM, "references");
        for (size_t i = 0; !rc && i < nr; i++) {
            if (names[i].place == DIR_DROPPED) {
                if (!is_unused(st, &names[i], &fd))
                    continue;
                rc = settle(r, &names[i], space);
                close(fd);
                continue;
            }
            rc = refs_dead_blocks(r, names[i].number);
            if (!rc)
                rc = release(r, space);
            if (rc == -EUCLEAN && names[i].place == DIR_PACKS)
                rc = 0; /* it says so when it is read */
        }
        free(names);
    }
    return rc;
}

/* Anew: not with counts that a damaged tree touched, nor, for a prune, with any
 * that were kept. */
static int recount(struct refs *r, const struct dir_name *dropped, size_t nr)
{
    struct dir_store *st = r->st;
    int rc;

    refs_close(r, false);
    rc = refs_open(r, st);
    if (!rc)
        rc = count_live(r);
    for (size_t i = 0; !rc && i < nr; i++) {
        int fd;

        if (is_unused(st, &dropped[i], &fd))
            close(fd);
        else if (dir_is_dropped(st, &dropped[i]))
            rc = refs_count(r, dropped[i].number);
    }
    return rc;
}

/* The work of a removal; @everything: of a prune. */
static int reclaim(struct dir_store *st, bool everything,
                   struct store_space *space)
{
    struct dir_name *names = NULL;
    struct refs r;
    bool fast;
    size_t nr = 0;
    int rc;

    rc = refs_open(&r, st);
    if (rc)
        return rc;
    fast = r.is_known && !everything;
    rc = dir_scan(st);
    if (!rc)
        rc = count_live(&r);
    if (!rc)
        nr = names_in(st, DIR_DROPPED, &names);
    for (size_t i = 0; !rc && i < nr; i++)
        rc = drop_one(&r, &names[i], &fast, space);
    if (!rc && r.is_known && !fast)
        rc = recount(&r, names, nr);
    if (!rc && !fast)
        rc = sweep(&r, space);
    free(names);
    refs_close(&r, !rc);
    return rc;
}

/* Manifests of what is no checkpoint any more. */
static void forget_manifest(struct dir_store *st, const char *id)
{
    if (st->manifests_fd >= 0)
        unlinkat(st->manifests_fd, id, 0); /* harmless if it stays */
}

int dir_use_alone(struct dir_store *st, int *fd_out)
{
    int rc = dir_lock_file(st, DIR_USE_LOCK, LOCK_EX | LOCK_NB, fd_out);

    return rc == -EWOULDBLOCK
               ? fail(st->base.c, -EBUSY,
                      "A take into %s, or a compression of it, is under way: "
                      "try again when it is over.",
                      st->path)
               : rc;
}

static int with_lock(struct dir_store *st, bool everything,
                     struct store_space *space)
{
    int fd;
    int rc;

    rc = dir_use_alone(st, &fd);
    if (rc)
        return rc;
    rc = reclaim(st, everything, space);
    close(fd);
    return rc;
}

static uint64_t pending_bytes(struct dir_store *st)
{
    uint64_t sum = 0;
    struct stat sb;

    if (dir_scan(st))
        return 0;
    for (size_t i = 0; i < st->nr_names; i++) {
        char text[DIR_NAME_LEN + 1];

        dir_name_print(text, &st->names[i]);
        if (st->names[i].place == DIR_DROPPED &&
            !fstatat(st->place_fds[DIR_DROPPED], text, &sb,
                     AT_SYMLINK_NOFOLLOW))
            sum += (uint64_t)sb.st_blocks * 512;
    }
    return sum;
}

/* --- the verbs ----------------------------------------------------------- */

static int drop_v1(struct dir_store *st, const char *id)
{
    const int from = st->place_fds[DIR_LIVE];
    char gone[64];
    int rc;

    snprintf(gone, sizeof(gone), "%s.%ld.drop", id, (long)getpid());
    rc = safe_remove_tree(st->base.c, st->tmp_fd, gone);
    if (rc)
        return rc;
    if (renameat(from, id, st->tmp_fd, gone) < 0)
        return safe_fail(st->base.c, -errno, "remove", from, id);
    if (fsync(from) < 0)
        return safe_fail(st->base.c, -errno, "fsync of the folder", from, id);
    forget_manifest(st, id);
    /* It is gone for all readers; its space may come back later. */
    if (safe_remove_tree(st->base.c, st->tmp_fd, gone)) {
        warn(st->base.c, "%s (its space is freed when the store is next "
                         "opened)", st->base.c->error);
        st->base.c->error[0] = '\0';
    }
    return 0;
}

int dir_drop(struct store *base, const char *id, struct store_space *space)
{
    struct dir_store *st = dir_of(base);
    char text[DIR_NAME_LEN + 1];
    const struct dir_name *n;
    int rc;

    rc = dir_upgrade(st);
    if (!rc)
        rc = dir_scan(st);
    if (rc)
        return rc;
    n = dir_by_id(st, id);
    if (!n)
        return fail(base->c, -ENOENT, "No checkpoint %s in %s.", id, st->path);
    if (!n->number)
        return drop_v1(st, id);
    dir_name_print(text, n);
    if (renameat(st->place_fds[DIR_LIVE], text, st->place_fds[DIR_DROPPED],
                 text) < 0)
        return safe_fail(base->c, -errno, "remove", st->place_fds[DIR_LIVE],
                         text);
    /* The new name lasts first: others may need the pack. */
    if (fsync(st->place_fds[DIR_DROPPED]) < 0 ||
        fsync(st->place_fds[DIR_LIVE]) < 0)
        return safe_fail(base->c, -errno, "fsync of the folder",
                         st->place_fds[DIR_LIVE], text);
    forget_manifest(st, id);
    rc = with_lock(st, false, space);
    /* It is gone for all readers; its space may come back later. */
    if (rc && rc != -EBUSY)
        warn(base->c, "%s (its space is freed by 'xl checkpoint-prune')",
             base->c->error);
    base->c->error[0] = '\0';
    space->pending_bytes = pending_bytes(st);
    return 0;
}

int dir_prune(struct store *base, struct store_space *space)
{
    struct dir_store *st = dir_of(base);
    int rc;

    rc = dir_upgrade(st);
    if (!rc)
        rc = with_lock(st, true, space);
    if (rc)
        return rc;
    space->pending_bytes = pending_bytes(st);
    return 0;
}

/* Counts it down and up again: what would go is what went to zero. */
int dir_space(struct store *base, const char *id, struct store_space *space)
{
    struct dir_store *st = dir_of(base);
    const struct dir_name *n;
    struct pack_file *pf;
    struct refs r;
    uint32_t number;
    int fd;
    int rc;

    n = dir_by_id(st, id);
    if (!n)
        return fail(base->c, -ENOENT, "No checkpoint %s in %s.", id, st->path);
    number = n->number;
    if (st->is_read_only || !number)
        return fail(base->c, -ENOTSUP, "What %s alone needs is not known.", id);
    rc = dir_lock_file(st, DIR_USE_LOCK, LOCK_EX | LOCK_NB, &fd);
    if (rc)
        return fail(base->c, -EBUSY, "A take into %s is under way.", st->path);
    rc = refs_open(&r, st);
    if (rc)
        goto out;
    rc = dir_scan(st);
    if (!rc)
        rc = count_live(&r);
    if (!rc)
        rc = refs_uncount(&r, number);
    if (!rc) {
        space->freed_bytes = r.nr_freed * PAGE_SIZE_BYTES;
        rc = refs_count(&r, number);
    }
    if (!rc)
        rc = packs_open(&r.packs, number, &pf);
    if (!rc)
        space->shared_bytes =
            (pf->head.nr_stored > r.pages_freed
                 ? pf->head.nr_stored - r.pages_freed : 0) * PAGE_SIZE_BYTES;
    refs_close(&r, !rc);
out:
    close(fd);
    return rc;
}
