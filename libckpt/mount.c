/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A disk of a checkpoint mounted in this host, read-only, to look into it and
 * take files out.  What the guest's filesystem had in its journal is seen: it
 * is replayed, into the view's layer (disk_view.h), and nothing of the snapshot
 * is written.
 *
 * "mount.ID.N" in the store is "DIR": disk N of checkpoint ID.  It is written
 * before anything is done and struck out after all is undone, so that it can
 * be undone whoever died.
 */
#include "mount.h"

#include <ctype.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "checkpoint.h"
#include "ctx.h"
#include "disk_view.h"
#include "spawn.h"
#include "store_driver.h"

#define PREFIX "mount."
#define TAG_MAX 48

struct mounting {
    const struct ckpt_disk *disk; /* borrowed */
    unsigned partition;           /* 0: the whole disk */
    char tag[TAG_MAX];            /* "ID-N" */
    char key[STORE_NAME_MAX];
};

static void name_it(struct mounting *m, const struct ckpt_info *info, size_t n)
{
    m->disk = &info->disks[n];
    snprintf(m->tag, sizeof(m->tag), "%s-%zu", info->id, n);
    snprintf(m->key, sizeof(m->key), PREFIX "%s.%zu", info->id, n);
}

static bool has_snapshot(const struct ckpt_disk *d)
{
    return d->snapshot && d->snapshot[0];
}

/* "xvda", or "xvda2"; NULL: the only one. */
static int pick(struct ckpt *c, const struct ckpt_info *info, const char *vdev,
                struct mounting *m)
{
    size_t nr = 0;

    memset(m, 0, sizeof(*m));
    for (size_t i = 0; i < info->nr_disks; i++) {
        const size_t len = strlen(info->disks[i].vdev);
        char *end = NULL;
        unsigned long number = 0;

        if (!has_snapshot(&info->disks[i]) ||
            (vdev && strncmp(vdev, info->disks[i].vdev, len)))
            continue;
        if (vdev && vdev[len]) {
            number = isdigit((unsigned char)vdev[len])
                         ? strtoul(vdev + len, &end, 10)
                         : 0;
            if (!number || *end || number > 1000)
                continue;
        }
        m->partition = (unsigned)number;
        name_it(m, info, i);
        nr++;
    }
    if (nr == 1)
        return 0;
    if (nr)
        return fail(c, -EINVAL,
                    "checkpoint %s has %zu disks: say which one (xvda), or "
                    "which partition (xvda1).",
                    info->id, nr);
    return fail(c, -ENOENT, "checkpoint %s has no snapshot of a disk %s.",
                info->id, vdev ? vdev : "");
}

/* --- the filesystem -------------------------------------------------------- */

static bool is_mounted(const char *dir)
{
    FILE *f = setmntent("/proc/self/mounts", "re");
    struct mntent *e;
    bool found = false;

    while (f && !found && (e = getmntent(f)))
        found = !strcmp(e->mnt_dir, dir);
    if (f)
        endmntent(f);
    return found;
}

static int probe(struct ckpt *c, const char *device, const char *what,
                 char out[32])
{
    const char *argv[] = {"blkid", "-p", "-o",   "value",
                          "-s",    what, device, NULL};
    char *text = NULL;
    int rc = spawn_run(c, argv, 60000, &text);

    out[0] = '\0';
    if (!rc)
        snprintf(out, 32, "%.*s", (int)strcspn(text, "\n"), text);
    free(text);
    c->error[0] = '\0'; /* 2: nothing is known there */
    return out[0] ? 0 : -ENOENT;
}

static int mount_device(struct ckpt *c, const char *device, const char *dir)
{
    char type[32], table[32];

    if (probe(c, device, "TYPE", type)) {
        if (!probe(c, device, "PTTYPE", table))
            return fail(c, -EINVAL,
                        "it has partitions (%s): name one, as in xvda1.",
                        table);
        return fail(c, -EINVAL, "no filesystem is found on it.");
    }
    /* The kernel reads what a guest wrote: no devices, no set-user-id. */
    if (mount(device, dir, type, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              strcmp(type, "xfs") ? NULL : "nouuid") < 0)
        return fail(c, -errno, "mounting its %s at %s", type, dir);
    return 0;
}

static int mount_it(struct ckpt *c, const struct mounting *m, const char *dir)
{
    char device[DISK_VIEW_MAX], words[sizeof(c->error)];
    int rc;

    rc = store_set(c->store, m->key, dir);
    if (rc)
        return rc;
    rc = disk_view_open(c, m->disk->driver, m->disk->snapshot, m->tag, device);
    if (!rc && m->partition)
        rc = disk_view_partition(c, device, m->partition, device);
    if (!rc)
        rc = mount_device(c, device, dir);
    if (!rc)
        return 0;
    memcpy(words, c->error, sizeof(words));
    if (disk_view_close(c, m->disk->driver, m->disk->snapshot, m->tag))
        warn(c, "not taken back: %s", c->error);
    else
        store_set(c->store, m->key, NULL);
    memcpy(c->error, words, sizeof(words));
    return rc;
}

static int release(struct ckpt *c, const struct mounting *m)
{
    int rc = disk_view_close(c, m->disk->driver, m->disk->snapshot, m->tag);

    return rc ? rc : store_set(c->store, m->key, NULL);
}

/* --- the operations -------------------------------------------------------- */

static int lock_it(struct ckpt *c, const struct ckpt_info *info,
                   struct store_lock **lock)
{
    return store_lock(c->store, info->domain_uuid, lock, NULL);
}

/* One mount a disk: more of them are bind mounts. */
static int check_record(struct ckpt *c, const struct mounting *m)
{
    char *dir = NULL;
    int rc = store_get(c->store, m->key, &dir);

    if (rc == -ENOENT) {
        c->error[0] = '\0';
        return 0;
    }
    if (!rc && is_mounted(dir))
        rc = fail(c, -EBUSY,
                  "its disk %s is mounted at %s (xl checkpoint-umount %s).",
                  m->disk->vdev, dir, dir);
    else if (!rc)
        rc = release(c, m); /* unmounted without us, or before a reboot */
    free(dir);
    return rc;
}

int mount_check_none(struct ckpt *c, const struct ckpt_info *info)
{
    struct mounting m;
    int rc = 0;

    for (size_t i = 0; !rc && i < info->nr_disks; i++) {
        if (!has_snapshot(&info->disks[i]))
            continue;
        name_it(&m, info, i);
        rc = check_record(c, &m);
    }
    return rc ? fail_prefix(c, rc, "checkpoint %s", info->id) : 0;
}

static int check_dir(struct ckpt *c, const char *dir, char **real_out)
{
    struct stat st;

    *real_out = realpath(dir, NULL);
    if (!*real_out || stat(*real_out, &st) < 0)
        return fail(c, -errno, "%s", dir);
    if (!S_ISDIR(st.st_mode))
        return fail(c, -ENOTDIR, "%s", dir);
    if (strlen(*real_out) >= STORE_VALUE_MAX)
        return fail(c, -ENAMETOOLONG, "%s", dir);
    return 0;
}

int ckpt_mount(ckpt *c, const char *checkpoint, const char *vdev,
               const char *dir)
{
    struct store_lock *lock = NULL;
    struct ckpt_info info = {.parent = ""};
    struct mounting m;
    char *real = NULL;
    int rc;

    ctx_begin(c);
    rc = checkpoint_find(c, NULL, checkpoint, &info);
    if (!rc)
        rc = check_dir(c, dir, &real);
    if (!rc)
        rc = pick(c, &info, vdev, &m);
    if (!rc)
        rc = lock_it(c, &info, &lock);
    if (!rc)
        rc = check_record(c, &m);
    if (!rc && is_mounted(real))
        rc = fail(c, -EBUSY, "%s: something is mounted there.", real);
    if (!rc && (rc = mount_it(c, &m, real)))
        fail_prefix(c, rc, "disk %s of %s", m.disk->vdev, info.id);
    store_unlock(lock);
    ckpt_info_fini(&info);
    free(real);
    return rc;
}

/* The checkpoint and the disk of the record @key. */
static int find_record(struct ckpt *c, const char *key, struct ckpt_info *info,
                       struct mounting *m)
{
    char id[CKPT_ID_LEN + 1];
    unsigned long n;
    int rc;

    snprintf(id, sizeof(id), "%s", key + strlen(PREFIX));
    rc = checkpoint_find(c, NULL, id, info);
    if (rc)
        return rc;
    n = strtoul(key + strlen(PREFIX) + CKPT_ID_LEN + 1, NULL, 10);
    if (n >= info->nr_disks || !has_snapshot(&info->disks[n]))
        return fail(c, -EUCLEAN, "checkpoint %s has no disk %lu.", id, n);
    name_it(m, info, n);
    return 0;
}

static int unmount(struct ckpt *c, const char *key, const char *dir)
{
    struct ckpt_info info = {.parent = ""};
    struct store_lock *lock = NULL;
    struct mounting m;
    int rc;

    rc = find_record(c, key, &info, &m);
    if (!rc)
        rc = lock_it(c, &info, &lock);
    if (!rc && is_mounted(dir) && umount2(dir, UMOUNT_NOFOLLOW) < 0)
        rc = fail(c, -errno, "%s", dir);
    if (!rc)
        rc = release(c, &m);
    store_unlock(lock);
    ckpt_info_fini(&info);
    return rc;
}

/* Of a mount that is there, or that another is about, nothing is touched. */
static int collect_one(struct ckpt *c, const char *key)
{
    struct ckpt_info info = {.parent = ""};
    struct store_lock *lock = NULL;
    struct mounting m;
    char *dir = NULL;
    int rc;

    rc = find_record(c, key, &info, &m);
    if (!rc)
        rc = lock_it(c, &info, &lock);
    if (!rc)
        rc = store_get(c->store, key, &dir);
    if (!rc && !is_mounted(dir))
        rc = release(c, &m);
    store_unlock(lock);
    ckpt_info_fini(&info);
    free(dir);
    return rc;
}

int mount_collect(struct ckpt *c)
{
    char **keys = NULL;
    int rc, r;

    rc = store_keys(c->store, &keys);
    for (size_t i = 0; !rc && keys[i]; i++) {
        if (strncmp(keys[i], PREFIX, strlen(PREFIX)))
            continue;
        r = collect_one(c, keys[i]);
        if (r && r != -EBUSY && r != -ENOENT)
            warn(c, "what is left of a mount (%s) stays: %s", keys[i],
                 c->error);
        c->error[0] = '\0';
        rc = check_cancel(c);
    }
    free(keys);
    return rc;
}

int ckpt_unmount(ckpt *c, const char *dir)
{
    char **keys = NULL, *real, *at;
    int rc;

    ctx_begin(c);
    real = realpath(dir, NULL);
    if (!real)
        return fail(c, -errno, "%s", dir);
    rc = store_keys(c->store, &keys);
    for (size_t i = 0; !rc && keys[i]; i++) {
        if (strncmp(keys[i], PREFIX, strlen(PREFIX)) ||
            store_get(c->store, keys[i], &at))
            continue;
        if (!strcmp(at, real)) {
            rc = unmount(c, keys[i], real);
            free(at);
            goto out;
        }
        free(at);
    }
    if (!rc)
        rc = fail(c, -ENOENT, "no checkpoint's disk is mounted at %s.", real);
out:
    free(keys);
    free(real);
    return rc;
}
