/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the dmthin driver does to a pool and to devices, each with the words
 * that take it back:
 *
 *   thin POOL ID                 a volume was made: delete it
 *   device NAME POOL ID          a device was made: remove it
 *   rename NOW BEFORE POOL ID    it was renamed: give the old name back
 *   settle NAME POOL O N SECTORS UUID
 *                                the rollback stays: NAME, which shows volume
 *                                N, is to show volume O again, with N's content
 *
 * The last is for what knows the disk by its id, as the script that makes the
 * devices at boot.  While NAME is suspended, O is deleted and made anew as a
 * snapshot of N, and NAME's table switched to it.
 *
 * A device is known by its name and by what it shows, so that what is renamed
 * or removed is what we made, whatever an administrator did in between.
 */
#include "disk_dmthin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "dmsetup.h"

#define NR_TRIES 256u

void dmthin_target(const struct dmthin_pool *pool, uint32_t id,
                   uint64_t size_bytes, struct dm_target *out)
{
    memset(out, 0, sizeof(*out));
    out->size_bytes = size_bytes;
    snprintf(out->type, sizeof(out->type), "thin");
    snprintf(out->params, sizeof(out->params), "/dev/mapper/%s %" PRIu32,
             pool->name, id);
}

int dmthin_exists(int dm_fd, const struct dmthin_pool *pool, uint32_t id)
{
    struct dm_target t;
    char name[48];

    dmthin_target(pool, id, 512, &t);
    snprintf(name, sizeof(name), "ckpt-look-%d-%" PRIu32, (int)getpid(), id);
    return dm_try(dm_fd, name, &t);
}

int dmthin_find_pool(struct ckpt *c, int dm_fd, const char *name,
                     struct dmthin_pool *pool)
{
    struct dm_device device;
    struct dm_target table;
    int rc = dm_is_plain_name(name) ? dm_find(dm_fd, name, &device) : -EINVAL;

    if (rc == -ENXIO)
        return fail(c, -EUCLEAN, "thin pool %s: there is none; is it active?",
                    name);
    if (!rc)
        rc = dm_table(dm_fd, device.dev, &table);
    if (rc)
        return fail(c, rc, "thin pool %s", name);
    if (strcmp(table.type, "thin-pool") || !strncmp(device.uuid, "LVM-", 4))
        return fail(c, -EUCLEAN, "%s is no thin pool, or it is LVM's.", name);
    memcpy(pool->name, device.name, sizeof(pool->name));
    pool->dev = device.dev;
    return 0;
}

int dmthin_find(struct ckpt *c, int dm_fd, const char *snapshot,
                struct dmthin_snapshot *out)
{
    const char *slash = strchr(snapshot, '/');
    char name[DM_NAME_MAX];
    uint64_t sectors = 0;
    int n = 0;

    memset(out, 0, sizeof(*out));
    if (slash && slash - snapshot < DM_NAME_MAX)
        sscanf(slash, "/%" SCNu32 "/%" SCNu64 "%n", &out->id, &sectors, &n);
    if (!n || slash[n] || !sectors || sectors > UINT64_MAX / 512)
        return fail(c, -EINVAL, "%s: not of the form POOL/ID/SECTORS.",
                    snapshot);
    if (out->id < DMTHIN_FIRST_ID || out->id - DMTHIN_FIRST_ID >= DMTHIN_NR_IDS)
        return fail(c, -EPERM,
                    "%s: ids of our volumes begin with %u, so it is left "
                    "alone.",
                    snapshot, DMTHIN_FIRST_ID);
    out->size_bytes = sectors * 512;
    snprintf(name, sizeof(name), "%.*s", (int)(slash - snapshot), snapshot);
    return dmthin_find_pool(c, dm_fd, name, &out->pool);
}

/* --- volumes --------------------------------------------------------------- */

static int delete_volume(struct ckpt *c, int dm_fd,
                         const struct dmthin_pool *pool, uint32_t id)
{
    char message[32];
    int rc;

    snprintf(message, sizeof(message), "delete %" PRIu32, id);
    rc = dm_message(dm_fd, pool->dev, message);
    if (!rc || rc == -ENODATA)
        return 0;
    return fail(c, rc, "thin pool %s: volume %" PRIu32 " is not deleted",
                pool->name, id);
}

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    while (*s)
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

/* -EEXIST without words: the id is another's. */
static int try_id(struct disk *d, int dm_fd, enum guard_harm harm,
                  const struct dmthin_pool *pool, uint32_t id,
                  const uint32_t *of)
{
    char words[DM_NAME_MAX + 32], message[48];
    int rc = dmthin_exists(dm_fd, pool, id);

    if (!rc)
        return -EEXIST;
    if (rc != -ENODATA)
        return fail(d->c, rc, "thin pool %s: a look at volume %" PRIu32,
                    pool->name, id);
    snprintf(words, sizeof(words), "thin %s %" PRIu32, pool->name, id);
    rc = disk_deed_words(d, harm, words);
    if (rc)
        return rc;
    if (of)
        snprintf(message, sizeof(message), "create_snap %" PRIu32 " %" PRIu32,
                 id, *of);
    else
        snprintf(message, sizeof(message), "create_thin %" PRIu32, id);
    rc = dm_message(dm_fd, pool->dev, message);
    if (rc == -EEXIST) {
        disk_deed_strike(d); /* it is not to be deleted */
        return rc;
    }
    return rc ? fail(d->c, rc, "thin pool %s: %s", pool->name, message) : 0;
}

int dmthin_make_volume(struct disk *d, int dm_fd, enum guard_harm harm,
                       const struct dmthin_pool *pool, const char *seed,
                       const uint32_t *of, uint32_t *id_out)
{
    const uint32_t begin = hash(seed);
    int rc = -EEXIST;

    for (uint32_t n = 0; n < NR_TRIES && rc == -EEXIST; n++) {
        *id_out = DMTHIN_FIRST_ID + (begin + n) % DMTHIN_NR_IDS;
        rc = try_id(d, dm_fd, harm, pool, *id_out, of);
    }
    return rc == -EEXIST
               ? fail(d->c, rc, "thin pool %s: no id is free.", pool->name)
               : rc;
}

/* --- devices --------------------------------------------------------------- */

int dmthin_make_device(struct disk *d, enum guard_harm harm,
                       const struct dmthin_pool *pool, uint32_t id,
                       uint64_t size_bytes, const char *name)
{
    char words[GUARD_ARG_MAX];
    struct dm_target t;
    int rc;

    snprintf(words, sizeof(words), "device %s %s %" PRIu32, name, pool->name,
             id);
    rc = disk_deed_words(d, harm, words);
    if (rc)
        return rc;
    dmthin_target(pool, id, size_bytes, &t);
    return dmsetup_create(d->c, name, &t, false);
}

int dmthin_rename(struct disk *d, const struct dmthin_pool *pool, uint32_t id,
                  const char *from, const char *to)
{
    char words[GUARD_ARG_MAX];
    int rc;

    snprintf(words, sizeof(words), "rename %s %s %s %" PRIu32, to, from,
             pool->name, id);
    rc = disk_deed_words(d, GUARD_DISK_MOVED, words);
    return rc ? rc : dmsetup_rename(d->c, from, to);
}

int dmthin_settle_after(struct disk *d, const struct dmthin_pool *pool,
                        const struct thin *old, uint32_t new_id,
                        uint64_t size_bytes)
{
    char words[GUARD_ARG_MAX];

    if ((size_t)snprintf(
            words, sizeof(words),
            "settle %s %s %" PRIu32 " %" PRIu32 " %" PRIu64 " %s",
            old->device.name, pool->name, old->id, new_id, size_bytes / 512,
            old->device.uuid[0] ? old->device.uuid : "-") >= sizeof(words))
        return fail(d->c, -ENAMETOOLONG, "%s", old->device.name);
    return disk_deed_words_after(d, words);
}

/* 1: the device @name shows volume @id of @pool; 0: it is not there, or shows
 * something else. */
static int shows(struct ckpt *c, int dm_fd, const char *name,
                 const struct dmthin_pool *pool, uint32_t id,
                 struct dm_device *device)
{
    struct dm_target table;
    uint32_t its_id;
    dev_t its_pool;
    int rc = dm_find(dm_fd, name, device);

    if (!rc)
        rc = dm_table(dm_fd, device->dev, &table);
    if (rc == -ENXIO || rc == -ENOTSUP)
        return 0;
    if (rc)
        return fail(c, rc, "device-mapper: %s", name);
    return !strcmp(table.type, "thin") &&
           thin_parse(table.params, &its_pool, &its_id) &&
           its_pool == pool->dev && its_id == id;
}

/* --- taking back ----------------------------------------------------------- */

struct words {
    char name[DM_NAME_MAX], other[DM_NAME_MAX], pool[DM_NAME_MAX];
    char uuid[DM_UUID_MAX];
    uint32_t id, new_id;
    uint64_t sectors;
};

static int take_back_device(struct ckpt *c, int dm_fd, const struct words *w,
                            const struct dmthin_pool *pool)
{
    struct dm_device device;
    int rc = shows(c, dm_fd, w->name, pool, w->id, &device);

    return rc > 0 ? dmsetup_remove(c, w->name) : rc;
}

static int take_back_rename(struct ckpt *c, int dm_fd, const struct words *w,
                            const struct dmthin_pool *pool)
{
    struct dm_device device;
    int rc = shows(c, dm_fd, w->name, pool, w->id, &device);

    return rc > 0 ? dmsetup_rename(c, w->name, w->other) : rc;
}

/* The table switch; @device shows w->new_id.  I/O flows again, come what
 * may. */
static int switch_table(struct ckpt *c, int dm_fd, const struct words *w,
                        const struct dmthin_pool *pool,
                        const struct dm_device *device)
{
    char message[48];
    struct dm_target t;
    int rc, r;

    dmthin_target(pool, w->id, w->sectors * 512, &t);
    snprintf(message, sizeof(message), "create_snap %" PRIu32 " %" PRIu32,
             w->id, w->new_id);
    rc = dm_clear(dm_fd, device->dev); /* of an attempt that died */
    if (!rc)
        rc = thin_check_pool(c, dm_fd, pool->dev, 100.0);
    if (rc)
        return rc;
    rc = dm_suspend(dm_fd, device->dev);
    if (rc)
        return fail(c, rc, "suspending %s", w->name);
    rc = delete_volume(c, dm_fd, pool, w->id);
    if (!rc && (rc = dm_message(dm_fd, pool->dev, message)))
        fail(c, rc, "thin pool %s: %s", pool->name, message);
    if (!rc && (rc = dm_load(dm_fd, device->dev, &t, false)))
        fail(c, rc, "%s: its new table", w->name);
    r = dm_resume(dm_fd, device->dev);
    return rc ? rc : r ? fail(c, r, "resuming %s", w->name) : 0;
}

static int settle(struct ckpt *c, int dm_fd, const struct words *w,
                  const struct dmthin_pool *pool)
{
    char old_name[DM_NAME_MAX + sizeof(DMTHIN_OLD)];
    struct dm_device device, old;
    int rc;

    snprintf(old_name, sizeof(old_name), "%s" DMTHIN_OLD, w->name);
    rc = shows(c, dm_fd, old_name, pool, w->id, &old);
    if (rc > 0)
        rc = dmsetup_remove(c, old_name);
    if (rc)
        return rc;
    rc = shows(c, dm_fd, w->name, pool, w->new_id, &device);
    if (rc > 0)
        rc = switch_table(c, dm_fd, w, pool, &device);
    else if (!rc && (rc = shows(c, dm_fd, w->name, pool, w->id, &device)) <= 0)
        return rc; /* gone, or another's: what it showed is not ours to throw
                    * away */
    else
        rc = rc < 0 ? rc : 0;
    if (!rc && strcmp(w->uuid, "-") && !device.uuid[0] &&
        (rc = dm_set_uuid(dm_fd, w->name, w->uuid)))
        fail(c, rc, "%s: its uuid", w->name);
    return rc ? rc : delete_volume(c, dm_fd, pool, w->new_id);
}

static int take_back(struct ckpt *c, int dm_fd, const char *words)
{
    struct dmthin_pool pool;
    struct words w = {.name = ""};
    int (*undo)(struct ckpt * c, int dm_fd, const struct words *w,
                const struct dmthin_pool *pool) = NULL;
    int n = 0, rc;

    sscanf(words, "thin %127s %" SCNu32 "%n", w.pool, &w.id, &n);
    if (!n && sscanf(words, "device %127s %127s %" SCNu32 "%n", w.name, w.pool,
                     &w.id, &n) == 3)
        undo = take_back_device;
    if (!n && sscanf(words, "rename %127s %127s %127s %" SCNu32 "%n", w.name,
                     w.other, w.pool, &w.id, &n) == 4)
        undo = take_back_rename;
    if (!n &&
        sscanf(words,
               "settle %127s %127s %" SCNu32 " %" SCNu32 " %" SCNu64 " %128s%n",
               w.name, w.pool, &w.id, &w.new_id, &w.sectors, w.uuid, &n) == 6)
        undo = settle;
    if (!n || words[n])
        return fail(c, -EINVAL, "dmthin: no deed: %s.", words);
    rc = dmthin_find_pool(c, dm_fd, w.pool, &pool);
    if (rc)
        return rc;
    return undo ? undo(c, dm_fd, &w, &pool)
                : delete_volume(c, dm_fd, &pool, w.id);
}

int dmthin_take_back(struct ckpt *c, const char *words)
{
    int dm_fd, rc = dm_open(&dm_fd);

    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = take_back(c, dm_fd, words);
    close(dm_fd);
    return rc;
}
