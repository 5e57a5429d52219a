/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the dmsnap driver does to devices, each with the words that take it
 * back:
 *
 *   release NAME             NAME.ckpt-real was made: NAME gets its own table
 *                            back, unless something is a snapshot of it
 *   device NAME ORIGIN       the device NAME was made, of the device ORIGIN
 *   exchange NAME            NAME.ckpt-new took NAME's name
 *   settle NAME UUID BASE    the rollback stays: what NAME shows is merged into
 *                            the blocks beneath, and NAME is their origin
 *
 * A file's loop device goes with the table that has it, and so with the
 * device: it needs no deed.
 *
 * The merge is the kernel's and takes its time, while the guest runs.  Should
 * the host go down in it the blocks are half of each; so the file, which has
 * the other half, is BASE.ckpt-merge meanwhile, and found by that name.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_dmsnap.h"
#include "dmsetup.h"
#include "loop.h"

/* --- making ---------------------------------------------------------------- */

static int make_real(struct disk *d, int dm_fd, const char *name,
                     struct dmsnap_origin *o)
{
    dev_t dev;
    int rc = dm_create(dm_fd, name, &dev);

    if (rc)
        return fail(d->c, rc, "device-mapper: %s", name);
    rc = dm_lines_load(dm_fd, dev, o->lines);
    if (rc) /* a cipher's key that only the kernel knew */
        return fail(d->c, rc,
                    "a second device with the table of %s (a linear device "
                    "over it could be snapshotted)",
                    o->device.name);
    rc = dm_resume_hidden(dm_fd, dev);
    if (!rc)
        rc = dm_info(dm_fd, dev, &o->real);
    return rc ? fail(d->c, rc, "device-mapper: %s", name) : 0;
}

int dmsnap_make_real(struct disk *d, int dm_fd, struct dmsnap_origin *o)
{
    char name[DM_NAME_MAX], words[GUARD_ARG_MAX];
    int rc = dmsnap_join(d->c, o->device.name, DMSNAP_REAL, name);

    if (rc)
        return rc;
    snprintf(words, sizeof(words), "release %s", o->device.name);
    rc = disk_deed_words(d, GUARD_DISK_MADE, words);
    return rc ? rc : make_real(d, dm_fd, name, o);
}

/* Opened by its name, for that is what losetup shows. */
int dmsnap_make_file(struct disk *d, enum guard_harm harm, const char *path,
                     int *fd_out)
{
    int fd, rc = disk_file_create(d, harm, path, 0600, &fd);

    if (rc)
        return rc;
    close(fd);
    fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(d->c, -errno, "%s", path);
    *fd_out = fd;
    return 0;
}

int dmsnap_deed_device(struct disk *d, enum guard_harm harm, const char *name,
                       const char *origin_name)
{
    char words[GUARD_ARG_MAX];

    snprintf(words, sizeof(words), "device %s %s", name, origin_name);
    return disk_deed_words(d, harm, words);
}

int dmsnap_make_device(struct disk *d, int dm_fd, enum guard_harm harm,
                       const char *name, const char *origin_name,
                       dev_t *dev_out)
{
    struct dm_device there;
    int rc = dm_find(dm_fd, name, &there);

    if (!rc)
        return fail(d->c, -EEXIST, "the device %s is there already.", name);
    rc = dmsnap_deed_device(d, harm, name, origin_name);
    if (rc)
        return rc;
    rc = dm_create(dm_fd, name, dev_out);
    return rc ? fail(d->c, rc, "device-mapper: %s", name) : 0;
}

int dmsnap_load(struct ckpt *c, int dm_fd, dev_t dev, int file_fd,
                const char *path, struct dmsnap_table *t, bool is_read_only)
{
    struct dm_target line = {.size_bytes = t->size_bytes, .type = "snapshot"};
    int loop_fd, rc;

    rc = loop_attach(c, file_fd, path, &loop_fd, &t->cow);
    if (rc)
        return rc;
    snprintf(line.params, sizeof(line.params), "%u:%u %u:%u P %u",
             major(t->origin), minor(t->origin), major(t->cow), minor(t->cow),
             t->chunk_sectors);
    rc = dm_load(dm_fd, dev, &line, is_read_only);
    close(loop_fd); /* the table has it */
    return rc ? fail(c, rc, "a snapshot's table with %s", path) : 0;
}

/* --- exchanging ------------------------------------------------------------ */

int dmsnap_exchange(struct disk *d, const struct dmsnap_origin *o)
{
    char old_name[DM_NAME_MAX], new_name[DM_NAME_MAX], words[GUARD_ARG_MAX];
    const char *name = o->device.name;
    int rc;

    rc = dmsnap_join(d->c, name, DMSNAP_OLD, old_name);
    if (!rc)
        rc = dmsnap_join(d->c, name, DMSNAP_NEW, new_name);
    if (rc)
        return rc;
    snprintf(words, sizeof(words), "exchange %s", name);
    rc = disk_deed_words(d, GUARD_DISK_MOVED, words);
    if (!rc)
        rc = dmsetup_rename(d->c, name, old_name);
    return rc ? rc : dmsetup_rename(d->c, new_name, name);
}

int dmsnap_settle_after(struct disk *d, const struct dmsnap_origin *o,
                        const char *base)
{
    char words[GUARD_ARG_MAX];

    if ((size_t)snprintf(
            words, sizeof(words), "settle %s %s %s", o->device.name,
            o->device.uuid[0] ? o->device.uuid : "-", base) >= sizeof(words))
        return fail(d->c, -ENAMETOOLONG, "%s", base);
    return disk_deed_words_after(d, words);
}

/* --- taking back ----------------------------------------------------------- */

/* 1: it is there, and *t is its table; 0: there is no such device. */
static int find(struct ckpt *c, int dm_fd, const char *name,
                struct dm_device *dev, struct dmsnap_table *t)
{
    int rc = dm_find(dm_fd, name, dev);

    if (!rc)
        rc = dmsnap_read_table(dm_fd, dev->dev, t);
    if (rc == -ENXIO)
        return 0;
    return rc ? fail(c, rc, "device-mapper: %s", name) : 1;
}

static int find_with(struct ckpt *c, int dm_fd, const char *name,
                     const char *suffix, struct dm_device *dev,
                     struct dmsnap_table *t)
{
    char longer[DM_NAME_MAX];
    int rc = dmsnap_join(c, name, suffix, longer);

    return rc ? rc : find(c, dm_fd, longer, dev, t);
}

/* One without a table is one that we had only begun. */
static int take_back_device(struct ckpt *c, int dm_fd, const char *name,
                            const char *origin_name)
{
    struct dmsnap_table t, unused;
    struct dm_device dev, origin;
    int rc = find(c, dm_fd, name, &dev, &t);

    if (rc <= 0)
        return rc;
    if (t.is_empty)
        return dmsetup_remove(c, name);
    rc = find(c, dm_fd, origin_name, &origin, &unused);
    return rc > 0 && dmsnap_is(&t, "snapshot", origin.dev)
               ? dmsetup_remove(c, name)
           : rc < 0 ? rc
                    : 0;
}

static int take_back_exchange(struct ckpt *c, int dm_fd, const char *name)
{
    struct dmsnap_table t, unused;
    struct dm_device now, old, real;
    char new_name[DM_NAME_MAX];
    int rc = find_with(c, dm_fd, name, DMSNAP_OLD, &old, &t);

    if (rc <= 0)
        return rc; /* never moved, or back already */
    rc = find_with(c, dm_fd, name, DMSNAP_REAL, &real, &unused);
    if (rc <= 0 || !dmsnap_is(&t, "snapshot-origin", real.dev))
        return rc < 0 ? rc : 0;
    rc = find(c, dm_fd, name, &now, &t);
    if (rc > 0 && !dmsnap_is(&t, "snapshot", real.dev))
        return fail(c, -EEXIST, "the device %s is another one by now.", name);
    if (rc > 0) {
        rc = dmsnap_join(c, name, DMSNAP_NEW, new_name);
        if (!rc)
            rc = dmsetup_rename(c, name, new_name);
    }
    return rc < 0 ? rc : dmsetup_rename(c, old.name, name);
}

/* --- releasing ------------------------------------------------------------- */

/* In one call, so that nobody can die in between. */
static int give_back(struct ckpt *c, int dm_fd, const struct dm_device *dev,
                     const struct dm_device *real)
{
    struct dm_lines *lines = NULL;
    int rc = dm_lines_read(dm_fd, real->dev, &lines);

    if (!rc)
        rc = dm_lines_load(dm_fd, dev->dev, lines);
    if (!rc)
        rc = dm_resume(dm_fd, dev->dev);
    dm_lines_free(lines);
    return rc ? fail(c, rc, "%s: its own table again", dev->name) : 0;
}

int dmsnap_release(struct ckpt *c, int dm_fd, const char *name)
{
    struct dm_device real, dev = {.dev = 0};
    struct dmsnap_table t, of_real;
    unsigned nr;
    int rc = find_with(c, dm_fd, name, DMSNAP_REAL, &real, &of_real);
    bool is_origin;

    if (rc <= 0)
        return rc;
    rc = find(c, dm_fd, name, &dev, &t);
    if (rc < 0)
        return rc;
    is_origin = rc > 0 && dmsnap_is(&t, "snapshot-origin", real.dev);
    rc = dmsnap_holders(c, real.dev, is_origin ? dev.dev : 0, &nr);
    if (rc || nr)
        return rc;
    if (is_origin)
        rc = give_back(c, dm_fd, &dev, &real);
    return rc ? rc : dmsetup_remove(c, real.name);
}

/* --- settling -------------------------------------------------------------- */

static int switch_table(struct ckpt *c, int dm_fd, const struct dm_device *dev,
                        const struct dm_target *t)
{
    int rc = dm_load(dm_fd, dev->dev, t, false);

    if (!rc)
        rc = dm_resume(dm_fd, dev->dev);
    return rc ? fail(c, rc, "%s: a table of type %s", dev->name, t->type) : 0;
}

static int begin_merge(struct ckpt *c, int dm_fd, const struct dm_device *dev,
                       const struct dmsnap_table *t, const char *base)
{
    struct dm_target line = {.size_bytes = t->size_bytes,
                             .type = "snapshot-merge"};
    char from[DISK_FILE_MAX + 16], to[DISK_FILE_MAX + 16];
    int rc = dmsnap_check_status(c, dm_fd, dev->dev, dev->name);

    if (rc)
        return rc;
    snprintf(from, sizeof(from), "%s" DMSNAP_NEW, base);
    snprintf(to, sizeof(to), "%s" DMSNAP_MERGE, base);
    if (rename(from, to) < 0 && errno != ENOENT) /* there is one already */
        return fail(c, -errno, "%s", to);
    rc = disk_file_sync_dir(c, to);
    if (rc)
        return rc;
    snprintf(line.params, sizeof(line.params), "%u:%u %u:%u P %u",
             major(t->origin), minor(t->origin), major(t->cow), minor(t->cow),
             t->chunk_sectors);
    return switch_table(c, dm_fd, dev, &line);
}

/* Over when no more is in use than what tells that nothing is. */
static int await_merge(struct ckpt *c, int dm_fd, const struct dm_device *dev)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    unsigned long long used, all, metadata;
    struct dm_target t;
    int rc;

    for (;;) {
        rc = dm_status(dm_fd, dev->dev, &t);
        if (rc)
            return fail(c, rc, "%s: its status", dev->name);
        if (sscanf(t.params, "%llu/%llu %llu", &used, &all, &metadata) != 3)
            return fail(c, -EIO,
                        "%s: its blocks could not be put back (%s); see the "
                        "kernel's log.",
                        dev->name, t.params);
        if (used == metadata)
            return 0;
        nanosleep(&pause, NULL);
    }
}

static int end_merge(struct ckpt *c, int dm_fd, const struct dm_device *dev,
                     const struct dmsnap_table *t)
{
    struct dm_target line = {.size_bytes = t->size_bytes,
                             .type = "snapshot-origin"};
    int rc = await_merge(c, dm_fd, dev);

    if (rc)
        return rc;
    snprintf(line.params, sizeof(line.params), "%u:%u", major(t->origin),
             minor(t->origin));
    return switch_table(c, dm_fd, dev, &line);
}

/* Nobody has the old one open any more, or it fails and is tried again. */
static int remove_old(struct ckpt *c, int dm_fd, const char *name, dev_t real)
{
    struct dmsnap_table t;
    struct dm_device old;
    int rc = find_with(c, dm_fd, name, DMSNAP_OLD, &old, &t);

    return rc > 0 && dmsnap_is(&t, "snapshot-origin", real)
               ? dmsetup_remove(c, old.name)
           : rc < 0 ? rc
                    : 0;
}

static int settle(struct ckpt *c, int dm_fd, const char *name, const char *uuid,
                  const char *base)
{
    struct dm_device real, dev;
    struct dmsnap_table t;
    char path[DISK_FILE_MAX + 16];
    int rc = find_with(c, dm_fd, name, DMSNAP_REAL, &real, &t);

    if (rc > 0)
        rc = remove_old(c, dm_fd, name, real.dev) ?: 1;
    if (rc > 0)
        rc = find(c, dm_fd, name, &dev, &t);
    if (rc <= 0)
        return rc; /* another's by now, and what it showed, too */
    rc = 0;
    if (dmsnap_is(&t, "snapshot", real.dev)) {
        rc = begin_merge(c, dm_fd, &dev, &t, base);
        strcpy(t.type, "snapshot-merge");
    } else if (!dmsnap_is(&t, "snapshot-merge", real.dev) &&
               !dmsnap_is(&t, "snapshot-origin", real.dev))
        return 0;
    if (!rc && !strcmp(t.type, "snapshot-merge"))
        rc = end_merge(c, dm_fd, &dev, &t);
    if (!rc && strcmp(uuid, "-") && !dev.uuid[0] &&
        (rc = dm_set_uuid(dm_fd, name, uuid)))
        fail(c, rc, "%s: its uuid", name);
    snprintf(path, sizeof(path), "%s" DMSNAP_MERGE, base);
    if (!rc)
        rc = disk_file_unlink(c, path);
    return rc ? rc : dmsnap_release(c, dm_fd, name);
}

/* --- the words ------------------------------------------------------------- */

struct words {
    char verb[16], name[DM_NAME_MAX];
    char other[DM_UUID_MAX]; /* a name, or a uuid */
    const char *base;        /* borrowed */
};

static int parse(struct ckpt *c, const char *words, struct words *w)
{
    int n = 0, end = 0;
    const int nr = sscanf(words, "%15s %127s%n %128s%n", w->verb, w->name, &n,
                          w->other, &end);

    w->base = words + end;
    if (nr == 2 && !words[n] &&
        (!strcmp(w->verb, "release") || !strcmp(w->verb, "exchange")))
        return 0;
    if (nr == 3 && !*w->base && !strcmp(w->verb, "device"))
        return 0;
    if (nr == 3 && !strcmp(w->verb, "settle") && !strncmp(w->base, " /", 2) &&
        strlen(++w->base) < DISK_FILE_MAX)
        return 0;
    return fail(c, -EINVAL, "dmsnap: no deed: %s.", words);
}

static int take_back(struct ckpt *c, int dm_fd, const struct words *w)
{
    if (!strcmp(w->verb, "release"))
        return dmsnap_release(c, dm_fd, w->name);
    if (!strcmp(w->verb, "device"))
        return take_back_device(c, dm_fd, w->name, w->other);
    if (!strcmp(w->verb, "exchange"))
        return take_back_exchange(c, dm_fd, w->name);
    return settle(c, dm_fd, w->name, w->other, w->base);
}

int dmsnap_take_back(struct ckpt *c, const char *words)
{
    int dm_fd, rc = disk_file_take_back(c, words);
    struct words w;

    if (rc != -ENOENT)
        return rc;
    rc = parse(c, words, &w);
    if (rc)
        return rc;
    rc = dm_open(&dm_fd);
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = take_back(c, dm_fd, &w);
    close(dm_fd);
    return rc;
}
