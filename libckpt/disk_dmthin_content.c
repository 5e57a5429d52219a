/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Content of thin snapshots without LVM, and new volumes for content from
 * elsewhere.  A read-only device of device-mapper
 * shows a volume.
 *
 *   show, hide   ckpt-view-TAG, from one to the other
 *   open, close  ckpt-read-THREAD-ID, which device-mapper removes by itself when
 *                the descriptor is closed, so that a death leaves nothing
 */
#include "disk_dmthin.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "dmsetup.h"

#define DEV_MAPPER "/dev/mapper/"

static int create(struct ckpt *c, int dm_fd, const char *snapshot,
                  const char *name, struct dmthin_snapshot *s)
{
    struct dm_target t;
    int rc = dmthin_find_whole(c, dm_fd, snapshot, s);

    if (rc)
        return rc;
    dmthin_target(&s->pool, s->id, s->size_bytes, &t);
    return dmsetup_create(c, name, &t, true);
}

/* --- show, hide ------------------------------------------------------------ */

static void name_view(const char *tag, char out[64])
{
    snprintf(out, 64, "ckpt-view-%.48s", tag);
}

int dmthin_show(struct ckpt *c, const char *snapshot, const char *tag,
                struct disk_shown *out)
{
    struct dmthin_snapshot s;
    char name[64];
    int dm_fd, rc;

    name_view(tag, name);
    out->format = "raw";
    snprintf(out->image, sizeof(out->image), DEV_MAPPER "%s", name);
    rc = dm_open(&dm_fd);
    if (rc)
        return fail(c, rc, DEV_MAPPER "control");
    rc = create(c, dm_fd, snapshot, name, &s);
    close(dm_fd);
    return rc;
}

int dmthin_hide(struct ckpt *c, const char *snapshot, const char *tag)
{
    char name[64], path[96];

    (void)snapshot;
    name_view(tag, name);
    snprintf(path, sizeof(path), DEV_MAPPER "%s", name);
    return access(path, F_OK) ? 0 : dmsetup_remove(c, name);
}

/* --- open ------------------------------------------------------------------ */

static int open_device(struct ckpt *c, const char *name, int *fd_out)
{
    char path[96];
    int rc = 0;

    snprintf(path, sizeof(path), DEV_MAPPER "%s", name);
    *fd_out = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd_out < 0)
        rc = fail(c, -errno, "%s", path);
    if (!dmsetup_remove_closed(c, name) || rc)
        return rc;
    close(*fd_out);
    return -EIO;
}

int dmthin_open(struct ckpt *c, const char *snapshot, struct disk_content *out)
{
    struct dmthin_snapshot s;
    char name[64];
    int dm_fd, fd, rc;

    rc = dm_open(&dm_fd);
    if (rc)
        return fail(c, rc, DEV_MAPPER "control");
    rc = dmthin_find(c, dm_fd, snapshot, &s);
    snprintf(name, sizeof(name), "ckpt-read-%d-%" PRIu32, (int)gettid(), s.id);
    if (!rc)
        rc = create(c, dm_fd, snapshot, name, &s);
    if (!rc)
        rc = open_device(c, name, &fd);
    if (!rc)
        rc = disk_content_of_file(c, fd, snapshot, out);
    if (!rc) {
        rc = thin_content(c, dm_fd, s.pool.dev, s.id, snapshot, out);
        if (rc)
            disk_content_close(c, out);
    }
    close(dm_fd);
    return rc;
}

/* --- a new one ------------------------------------------------------------- */

int dmthin_create(struct disk *d, const char *pool_name, const char *name,
                  uint64_t size_bytes)
{
    struct dmthin_pool pool;
    uint32_t id = 0;
    int dm_fd, rc;

    rc = dm_open(&dm_fd);
    if (rc)
        return fail(d->c, rc, DEV_MAPPER "control");
    rc = dmthin_find_pool(d->c, dm_fd, pool_name, &pool);
    if (!rc)
        rc = dmthin_check_free(d->c, dm_fd, name, "choose another name");
    if (!rc)
        rc = thin_check_pool(d->c, dm_fd, pool.dev, THIN_FULL_PERCENT);
    if (!rc)
        rc = dmthin_make_volume(d, dm_fd, GUARD_DISK_MADE, &pool, name, NULL,
                                &id);
    close(dm_fd);
    return rc ? rc
              : dmthin_make_device(d, GUARD_DISK_MADE, &pool, id,
                                   (size_bytes + 511) / 512 * 512, name);
}
