/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the devices are that a guest's disk and its snapshots consist of:
 *
 *   NAME                  snapshot-origin   the guest's, of a number for ever
 *   NAME.ckpt-real        what NAME was     its blocks
 *   NAME.ckpt-ID-VDEV     snapshot          of NAME.ckpt-real, with a file
 *
 * A snapshot is worth something only while every write to the blocks comes
 * through its origin.  The kernel forgets all of them when the host restarts,
 * so one that is there has been there without a break; and an origin whose
 * table another program has replaced is found by looking at it.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_dmsnap.h"

#define DEV_MAPPER "/dev/mapper/"
#define FOLDER_DEFAULT "/var/lib/xen/ckpt-dmsnap"
#define CHUNK_SECTORS_MIN 32u
/* Blocks of a snapshot are known to the kernel one by one, in 32 bytes of
 * dom0's memory each: this bounds what a guest can make it take. */
#define NR_CHUNKS_MAX (1u << 22)

/* Tables that may be there twice, since they keep nothing of their own. */
static const char *const plain_types[] = {"linear", "striped", "crypt", NULL};

int dmsnap_folder(struct ckpt *c, char out[DISK_FILE_MAX])
{
    const char *dir = getenv("CKPT_DMSNAP_DIR");
    struct stat st;

    dir = dir ? dir : FOLDER_DEFAULT;
    if (*dir != '/' || strlen(dir) + 64 > DISK_FILE_MAX)
        return fail(c, -EINVAL, "CKPT_DMSNAP_DIR: %s: no short absolute path.",
                    dir);
    strcpy(out, dir);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return fail(c, -errno, "%s", dir);
    if (stat(dir, &st) < 0)
        return fail(c, -errno, "%s", dir);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 022)
        return fail(c, -EPERM,
                    "%s: must be a folder of root's that nobody else can "
                    "write to (chown root, chmod 700).",
                    dir);
    return 0;
}

/* --- sizes ----------------------------------------------------------------- */

unsigned dmsnap_chunk_sectors(uint64_t size_bytes)
{
    unsigned sectors = CHUNK_SECTORS_MIN;

    while (size_bytes / 512 / sectors >= NR_CHUNKS_MAX)
        sectors *= 2;
    return sectors;
}

/* A header, the chunks, and 16 bytes for each in chunks of their own, of which
 * there is always one that waits. */
uint64_t dmsnap_file_bytes(uint64_t size_bytes, unsigned chunk_sectors)
{
    const uint64_t chunk = chunk_sectors * UINT64_C(512);
    const uint64_t nr = size_bytes / chunk + 1;

    return (1 + nr + nr / (chunk / 16) + 2) * chunk;
}

/* --- tables ---------------------------------------------------------------- */

static void parse(const struct dm_target *from, struct dmsnap_table *to)
{
    unsigned origin[2], cow[2], chunk;

    to->size_bytes = from->size_bytes;
    if (!strcmp(from->type, "snapshot-origin") &&
        dm_parse_dev(from->params, &to->origin))
        strcpy(to->type, from->type);
    if ((strcmp(from->type, "snapshot") &&
         strcmp(from->type, "snapshot-merge")) ||
        sscanf(from->params, "%u:%u %u:%u %*s %u", &origin[0], &origin[1],
               &cow[0], &cow[1], &chunk) != 5 ||
        !chunk)
        return;
    strcpy(to->type, from->type);
    to->origin = makedev(origin[0], origin[1]);
    to->cow = makedev(cow[0], cow[1]);
    to->chunk_sectors = chunk;
}

int dmsnap_read_table(int dm_fd, dev_t dev, struct dmsnap_table *out)
{
    struct dm_lines *lines = NULL;
    struct dm_target t;
    int rc = dm_table(dm_fd, dev, &t);

    memset(out, 0, sizeof(*out));
    if (!rc)
        parse(&t, out);
    if (rc != -ENOTSUP)
        return rc;
    rc = dm_lines_read(dm_fd, dev, &lines);
    out->is_empty = rc == -ENODATA;
    dm_lines_free(lines);
    return rc == -ENODATA || rc == -ENOTSUP ? 0 : rc;
}

bool dmsnap_is(const struct dmsnap_table *t, const char *type, dev_t origin)
{
    return !strcmp(t->type, type) && t->origin == origin;
}

int dmsnap_holders(struct ckpt *c, dev_t dev, dev_t but, unsigned *nr_out)
{
    char path[64], not_this[32];
    struct dirent *e;
    DIR *dir;

    *nr_out = 0;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(dev),
             minor(dev));
    snprintf(not_this, sizeof(not_this), "dm-%u", minor(but));
    dir = opendir(path);
    if (!dir)
        return fail(c, -errno, "%s", path);
    while ((e = readdir(dir)))
        if (e->d_name[0] != '.' && (!but || strcmp(e->d_name, not_this)))
            ++*nr_out;
    closedir(dir);
    return 0;
}

/* --- a guest's disk -------------------------------------------------------- */

int dmsnap_join(struct ckpt *c, const char *name, const char *suffix,
                char out[DM_NAME_MAX])
{
    if ((size_t)snprintf(out, DM_NAME_MAX, "%s%s", name, suffix) < DM_NAME_MAX)
        return 0;
    return fail(c, -ENOTSUP,
                "%s%s would be a longer name than device-mapper can take.",
                name, suffix);
}

static int look_device(struct ckpt *c, int dm_fd, const char *path,
                       struct dm_device *out)
{
    struct stat st;
    int rc;

    if (*path != '/')
        return fail(c, -ENOTSUP, "no path of a device.");
    if (stat(path, &st) < 0)
        return fail(c, -errno, "%s", path);
    rc = S_ISBLK(st.st_mode) ? dm_info(dm_fd, st.st_rdev, out) : -ENXIO;
    if (rc == -ENXIO || (!rc && !strncmp(out->uuid, "LVM-", 4)))
        return fail(c, -ENOTSUP, "no device of device-mapper alone.");
    return rc ? fail(c, rc, "device-mapper: %s", path) : 0;
}

/* A name that can be moved, and room in it for what is made of it. */
static int check_name(struct ckpt *c, const char *path,
                      const struct dm_device *dev)
{
    char by_dm[DM_NAME_MAX + 16], longest[DM_NAME_MAX];

    snprintf(by_dm, sizeof(by_dm), DEV_MAPPER "%s", dev->name);
    if (strcmp(path, by_dm) || !dm_is_plain_name(dev->name))
        return fail(c, -ENOTSUP,
                    "it is the device %s, but by a name that cannot be moved "
                    "to another one; call it %s.",
                    dev->name, by_dm);
    if (strpbrk(dev->uuid, " \t\n"))
        return fail(c, -ENOTSUP, "the uuid of %s is too odd.", dev->name);
    return dmsnap_join(c, dev->name, DMSNAP_MERGE, longest);
}

static int look_snapshotted(struct ckpt *c, const struct dmsnap_table *t,
                            const struct dmsnap_origin *o)
{
    const bool is_ours = o->real.name[0] && t->origin == o->real.dev;

    if (is_ours && !strcmp(t->type, "snapshot-origin"))
        return 0;
    if (is_ours && !strcmp(t->type, "snapshot-merge"))
        return fail(c, -EBUSY, "%s is still being put back to a checkpoint.",
                    o->device.name);
    return fail(c, -ENOTSUP,
                "%s is a %s of device-mapper already, and not of ours.",
                o->device.name, t->type);
}

static int look_plain(struct ckpt *c, int dm_fd, struct dmsnap_origin *o)
{
    const char *name = o->device.name, *type;
    int rc = dm_lines_read(dm_fd, o->device.dev, &o->lines);

    if (rc == -ENODATA || rc == -ENOTSUP)
        return fail(c, -ENOTSUP, "%s has no table, or too long a one.", name);
    if (rc)
        return fail(c, rc, "device-mapper: %s", name);
    type = dm_lines_other_type(o->lines, plain_types);
    if (type)
        return fail(c, -ENOTSUP,
                    "%s is of type %s, which cannot be there twice. A linear "
                    "device over it could be snapshotted.",
                    name, type);
    o->size_bytes = dm_lines_size(o->lines);
    return 0;
}

/* The host went down while the blocks were being put back. */
static int check_not_half(struct ckpt *c, const struct dmsnap_origin *o)
{
    char folder[DISK_FILE_MAX], path[DISK_FILE_MAX + DM_NAME_MAX + 16];
    int rc = dmsnap_folder(c, folder);

    if (rc)
        return rc;
    snprintf(path, sizeof(path), "%s/%s" DMSNAP_MERGE, folder, o->device.name);
    if (access(path, F_OK))
        return 0;
    return fail(c, -EUCLEAN,
                "%s was being put back to a checkpoint when the host went "
                "down, and is neither that nor what it was: see dmsnap in "
                "xen-ckpt(7), for the file %s.",
                o->device.name, path);
}

int dmsnap_look(struct ckpt *c, int dm_fd, const char *target,
                struct dmsnap_origin *o)
{
    const char *path = strncmp(target, "phy:", 4) ? target : target + 4;
    char real[DM_NAME_MAX];
    struct dmsnap_table t;
    int rc;

    rc = look_device(c, dm_fd, path, &o->device);
    if (!rc)
        rc = check_name(c, path, &o->device);
    if (!rc)
        rc = dmsnap_join(c, o->device.name, DMSNAP_REAL, real);
    if (rc)
        return rc;
    rc = dm_find(dm_fd, real, &o->real);
    if (rc == -ENXIO)
        rc = 0;
    if (!rc)
        rc = dmsnap_read_table(dm_fd, o->device.dev, &t);
    if (rc)
        return fail(c, rc, "device-mapper: %s", o->device.name);
    o->size_bytes = t.size_bytes;
    rc = t.type[0] ? look_snapshotted(c, &t, o) : look_plain(c, dm_fd, o);
    return rc ? rc : check_not_half(c, o);
}

void dmsnap_origin_fini(struct dmsnap_origin *o)
{
    dm_lines_free(o->lines);
    o->lines = NULL;
}

/* --- a snapshot ------------------------------------------------------------ */

int dmsnap_split(struct ckpt *c, const char *snapshot,
                 struct dmsnap_snapshot *out)
{
    const char *name = strrchr(snapshot, '/'), *mark = NULL;
    int rc = disk_file_check_ours(c, snapshot);

    memset(out, 0, sizeof(*out));
    if (rc)
        return rc;
    name++;
    for (const char *s = name; (s = strstr(s, ".ckpt-")); s++)
        mark = s;
    snprintf(out->name, sizeof(out->name), "%s", name);
    snprintf(out->origin_name, sizeof(out->origin_name), "%.*s",
             (int)(mark - name), name);
    if (strlen(name) >= DM_NAME_MAX || !dm_is_plain_name(out->origin_name))
        return fail(c, -EINVAL, "%s: no name of a device of device-mapper.",
                    snapshot);
    return 0;
}

int dmsnap_check_status(struct ckpt *c, int dm_fd, dev_t dev, const char *what)
{
    unsigned long long used, all;
    struct dm_target t;
    int rc = dm_status(dm_fd, dev, &t);

    if (rc)
        return fail(c, rc, "%s: its status", what);
    if (sscanf(t.params, "%llu/%llu", &used, &all) == 2)
        return 0;
    return fail(c, -EUCLEAN,
                "%s: the kernel has given it up (%s): what it keeps had no "
                "room in its folder, or could not be read or written; see the "
                "kernel's log.",
                what, t.params);
}

/* Some device is the origin of what lies in @real: under the name that it has,
 * or has while it is being exchanged. */
static int check_origin(struct ckpt *c, int dm_fd,
                        const struct dmsnap_snapshot *s, dev_t real)
{
    static const char *const suffixes[] = {"", DMSNAP_OLD};
    char name[DM_NAME_MAX];
    struct dm_device dev;
    struct dmsnap_table t;
    int rc = 0;

    for (size_t i = 0; i < 2; i++) {
        rc = dmsnap_join(c, s->origin_name, suffixes[i], name);
        if (rc)
            return rc;
        rc = dm_find(dm_fd, name, &dev);
        if (!rc)
            rc = dmsnap_read_table(dm_fd, dev.dev, &t);
        if (!rc && (dmsnap_is(&t, "snapshot-origin", real) ||
                    dmsnap_is(&t, "snapshot-merge", real)))
            return 0;
        if (rc && rc != -ENXIO)
            return fail(c, rc, "device-mapper: %s", name);
    }
    return fail(c, -EUCLEAN,
                "the snapshot %s is stale: another program replaced the table "
                "of %s, and what was written since has gone past it.",
                s->name, s->origin_name);
}

int dmsnap_find_whole(struct ckpt *c, int dm_fd, const char *snapshot,
                      struct dmsnap_snapshot *s)
{
    struct dm_device real = {.name = ""};
    char name[DM_NAME_MAX];
    int rc = dmsnap_split(c, snapshot, s);

    if (!rc)
        rc = dmsnap_join(c, s->origin_name, DMSNAP_REAL, name);
    if (rc)
        return rc;
    rc = dm_find(dm_fd, s->name, &s->device);
    if (!rc)
        rc = dm_find(dm_fd, name, &real);
    if (rc == -ENXIO)
        return fail(c, -EUCLEAN,
                    "the snapshot %s is gone: those of this driver end when "
                    "the host restarts.",
                    snapshot);
    if (!rc)
        rc = dmsnap_read_table(dm_fd, s->device.dev, &s->table);
    if (rc)
        return fail(c, rc, "the snapshot %s", snapshot);
    if (!dmsnap_is(&s->table, "snapshot", real.dev))
        return fail(c, -EUCLEAN, "the device %s is no snapshot of %s.", s->name,
                    s->origin_name);
    rc = check_origin(c, dm_fd, s, real.dev);
    return rc ? rc : dmsnap_check_status(c, dm_fd, s->device.dev, s->name);
}
