/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A target of a domain's configuration is followed from its path to the
 * device, from the device to LVM's names, and from its table to the pool.
 * The pool's status is read without making it commit.
 */
#include "thin.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "ctx.h"

/* --- what a target is ------------------------------------------------------ */

/* "phy:vg0/web", "/dev/vg0/web": the path, as libxl reads it. */
static int target_path(struct ckpt *c, const char *target, char *path,
                       size_t room_bytes)
{
    if (!strncmp(target, "phy:", 4))
        target += 4;
    if ((size_t)snprintf(path, room_bytes, "%s%s",
                         *target == '/' ? "" : "/dev/", target) >= room_bytes)
        return fail(c, -ENOTSUP, "a name too long for a device.");
    return 0;
}

/* Only these two follow when the volume is renamed. */
static int check_path(struct ckpt *c, const struct thin *t, const char *path)
{
    char by_lvm[LVM_PATH_MAX + 16], by_dm[DM_NAME_MAX + 16];

    snprintf(by_lvm, sizeof(by_lvm), "/dev/%s/%s", t->vg, t->lv);
    snprintf(by_dm, sizeof(by_dm), "/dev/mapper/%s", t->device.name);
    if (!strcmp(path, by_lvm) || !strcmp(path, by_dm))
        return 0;
    return fail(c, -ENOTSUP,
                "it is the thin volume %s, but by a name that "
                "cannot be moved to another one; call it %s in the domain's "
                "configuration.",
                by_lvm + 5, by_lvm);
}

bool thin_parse(const char *params, dev_t *pool_out, uint32_t *id_out)
{
    const char *id = strchr(params, ' ');
    int n = 0;

    return id && dm_parse_dev(params, pool_out) &&
           sscanf(id, " %" SCNu32 "%n", id_out, &n) == 1 &&
           (!id[n] || id[n] == ' ');
}

bool thin_has_origin(const char *params)
{
    const char *id = strchr(params, ' ');

    return id && strchr(id + 1, ' ');
}

static int read_table(struct ckpt *c, int dm_fd, struct thin *t)
{
    struct dm_target table;
    int rc;

    rc = dm_table(dm_fd, t->device.dev, &table);
    if (rc && rc != -ENOTSUP)
        return fail(c, rc, "device-mapper: %s", t->device.name);
    if (rc || strcmp(table.type, "thin"))
        return fail(c, -ENOTSUP, "it is an LVM volume, but not a thin one%s%s.",
                    rc ? "" : ": ", rc ? "" : table.type);
    if (!thin_parse(table.params, &t->pool, &t->id))
        return fail(c, -EIO, "device-mapper: %s: no thin device: %s.",
                    t->device.name, table.params);
    t->size_bytes = table.size_bytes;
    return 0;
}

int thin_look(struct ckpt *c, int dm_fd, const char *target, struct thin *t)
{
    char path[512];
    struct stat st;
    int rc;

    memset(t, 0, sizeof(*t));
    rc = target_path(c, target, path, sizeof(path));
    if (rc)
        return rc;
    if (stat(path, &st) < 0)
        return fail(c, errno == ENOENT && *target != '/' ? -ENOTSUP : -errno,
                    "%s: if it is a volume of LVM, is it active "
                    "(lvchange -ay)?",
                    path);
    if (!S_ISBLK(st.st_mode))
        return fail(c, -ENOTSUP, "it is no block device.");
    rc = dm_info(dm_fd, st.st_rdev, &t->device);
    if (rc == -ENXIO || (!rc && strncmp(t->device.uuid, "LVM-", 4)))
        return fail(c, -ENOTSUP, "it is no volume of LVM.");
    if (rc)
        return fail(c, rc, "device-mapper: %s", path);
    rc = read_table(c, dm_fd, t);
    if (rc)
        return rc;
    if (!dm_split_name(t->device.name, t->vg, t->lv))
        return fail(c, -ENOTSUP, "it is an inner volume of LVM (%s).",
                    t->device.name);
    return check_path(c, t, path);
}

/* --- the pool -------------------------------------------------------------- */

struct pool {
    char name[LVM_PATH_MAX]; /* "vg0/pool" */
    double data_percent;
    double meta_percent;
    bool is_writable;
    bool has_room;
};

static void name_pool(int dm_fd, dev_t dev, struct pool *p)
{
    static const char tail[] = "-tpool";
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    struct dm_device device;
    size_t len;

    snprintf(p->name, sizeof(p->name), "%u:%u", major(dev), minor(dev));
    if (dm_info(dm_fd, dev, &device))
        return;
    snprintf(p->name, sizeof(p->name), "%s", device.name);
    if (strncmp(device.uuid, "LVM-", 4))
        return;
    len = strlen(device.name);
    if (len > sizeof(tail) &&
        !strcmp(device.name + len - (sizeof(tail) - 1), tail))
        device.name[len - (sizeof(tail) - 1)] = '\0';
    if (dm_split_name(device.name, vg, lv))
        snprintf(p->name, sizeof(p->name), "%s/%s", vg, lv);
}

static int read_pool(struct ckpt *c, int dm_fd, dev_t dev, struct pool *p)
{
    unsigned long long meta[2], data[2];
    struct dm_target status;
    char mode[32], check[32] = "";
    int rc;

    memset(p, 0, sizeof(*p));
    name_pool(dm_fd, dev, p);
    rc = dm_status(dm_fd, dev, &status);
    if (rc)
        return fail(c, rc, "thin pool %s: its status", p->name);
    if (sscanf(status.params, "%*u %llu/%llu %llu/%llu %*s %31s %*s %*s %31s",
               &meta[0], &meta[1], &data[0], &data[1], mode, check) < 5)
        return fail(c, -EIO,
                    "thin pool %s has failed (%s): repair it "
                    "(lvconvert --repair).",
                    p->name, status.params);
    p->is_writable = !strcmp(mode, "rw") && strcmp(check, "needs_check");
    p->has_room = data[0] < data[1] && meta[0] < meta[1] &&
                  strcmp(mode, "out_of_data_space");
    p->meta_percent = meta[1] ? 100.0 * (double)meta[0] / (double)meta[1] : 0;
    p->data_percent = data[1] ? 100.0 * (double)data[0] / (double)data[1] : 0;
    return 0;
}

static int judge_pool(struct ckpt *c, const struct pool *p, double limit)
{
    if (!p->has_room || p->data_percent >= limit || p->meta_percent >= limit)
        return fail(c, -ENOSPC,
                    "thin pool %s: data %.1f %%, metadata %.1f %% "
                    "full; the limit is %.0f %%. Extend it (lvextend), or "
                    "delete checkpoints.",
                    p->name, p->data_percent, p->meta_percent, limit);
    if (!p->is_writable)
        return fail(c, -EIO,
                    "thin pool %s is read-only or needs a check: "
                    "repair it (lvconvert --repair).",
                    p->name);
    return 0;
}

int thin_check_pool(struct ckpt *c, int dm_fd, dev_t dev, double limit)
{
    struct pool p;
    int rc = read_pool(c, dm_fd, dev, &p);

    return rc ? rc : judge_pool(c, &p, limit);
}

bool thin_is_zeroing(const char *params)
{
    return !strstr(params, " skip_block_zeroing");
}

uint64_t thin_block_bytes(const char *params)
{
    unsigned long long sectors = 0;

    return sscanf(params, "%*s %*s %llu", &sectors) == 1 ? sectors * 512 : 0;
}

int thin_stale_bytes(struct ckpt *c, dev_t volume, uint64_t *bytes_out)
{
    struct dm_target table;
    uint32_t id;
    dev_t pool;
    int fd, rc;

    *bytes_out = 0;
    rc = dm_open(&fd);
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = dm_table(fd, volume, &table);
    if (!rc && !thin_parse(table.params, &pool, &id))
        rc = -EIO;
    if (!rc)
        rc = dm_table(fd, pool, &table);
    close(fd);
    if (rc)
        return fail(c, rc, "the table of a thin volume and its pool");
    if (!thin_is_zeroing(table.params))
        *bytes_out = thin_block_bytes(table.params);
    return 0;
}
