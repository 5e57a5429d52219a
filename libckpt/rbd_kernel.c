/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The kernel's mappings.  One is of an image by its id, under the name the
 * image had then: renaming the image changes neither the mapping nor its name
 * in /dev.  So after a rollback the image that was put in the place is mapped
 * to another device, to which udev turns the name.
 */
#include "rbd_kernel.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "spawn.h"

#define TIMEOUT_MS 60000u
#define NR_ARGS_MAX 16u

static const char *sysfs(void)
{
    const char *dir = getenv("CKPT_RBD_SYSFS");

    return dir ? dir : "/sys/bus/rbd/devices";
}

static const char *dev(void)
{
    const char *prefix = getenv("CKPT_RBD_DEV");

    return prefix ? prefix : "/dev/rbd";
}

/* The line of /sys/bus/rbd/devices/NR/ATTRIBUTE; "" when there is none. */
static void read_attribute(const char *nr, const char *attribute, char *out,
                           size_t room_bytes)
{
    char path[PATH_MAX];
    FILE *f;

    out[0] = '\0';
    snprintf(path, sizeof(path), "%s/%s/%s", sysfs(), nr, attribute);
    f = fopen(path, "re");
    if (!f)
        return;
    if (!fgets(out, (int)room_bytes, f))
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    fclose(f);
}

/* --- finding --------------------------------------------------------------- */

/* Its number, of a name that leads to /dev/rbdNR. */
static bool find_nr(const char *target, char nr[16])
{
    const size_t prefix_len = strlen(dev());
    char path[PATH_MAX];
    const char *digits;

    if (strncmp(target, dev(), prefix_len) || !realpath(target, path))
        return false;
    digits = path + prefix_len;
    if (strncmp(path, dev(), prefix_len) || !*digits ||
        strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 9)
        return false;
    snprintf(nr, 16, "%.9s", digits);
    return true;
}

static void name_in_dev(const struct rbd_name *n, char *out, size_t room_bytes)
{
    snprintf(out, room_bytes, "%s/%s%s%s/%s", dev(), n->pool,
             n->space[0] ? "/" : "", n->space, n->image);
}

/* ":id=USER", of "ADDRESSES name=USER,... POOL IMAGE -". */
static void read_user(const char *nr, char options[RBD_TEXT_MAX])
{
    char info[1024];
    const char *s;

    read_attribute(nr, "config_info", info, sizeof(info));
    s = strstr(info, "name=");
    if (s && (s == info || s[-1] == ' ' || s[-1] == ',') &&
        strcspn(s + 5, ", ") < 200)
        snprintf(options, RBD_TEXT_MAX, ":id=%.*s", (int)strcspn(s + 5, ", "),
                 s + 5);
}

int rbd_kernel_find(struct ckpt *c, const char *target, struct rbd_name *n_out,
                    struct rbd_kernel *out)
{
    char nr[16], name[PATH_MAX], text[RBD_TEXT_MAX];
    struct rbd_name n;
    int rc;

    if (!find_nr(target, nr))
        return fail(c, -ENOTSUP, "it is no Ceph RBD image.");
    memset(&n, 0, sizeof(n));
    read_attribute(nr, "pool", n.pool, sizeof(n.pool));
    read_attribute(nr, "pool_ns", n.space, sizeof(n.space));
    read_attribute(nr, "name", n.image, sizeof(n.image));
    read_attribute(nr, "current_snap", n.snapshot, sizeof(n.snapshot));
    if (!strcmp(n.snapshot, "-"))
        n.snapshot[0] = '\0';
    read_attribute(nr, "image_id", out->id, sizeof(out->id));
    read_attribute(nr, "cluster_fsid", out->fsid, sizeof(out->fsid));
    read_user(nr, n.options);
    rc = rbd_name_write(c, &n, text);
    if (!rc)
        rc = rbd_name_read(c, text, n_out); /* one that can be handled */
    if (rc)
        return rc;
    name_in_dev(&n, name, sizeof(name));
    if (!n.snapshot[0] && strcmp(name, target))
        return fail(c, -EINVAL,
                    "%s: has to be named %s in the domain's configuration, or "
                    "it could not be rolled back.",
                    target, name);
    return 0;
}

/* --- mapping --------------------------------------------------------------- */

/* "--OPTION=VALUE" of each, in @text; how many. */
static size_t option_args(const struct rbd_name *n, char text[RBD_TEXT_MAX * 2],
                          const char **argv, size_t nr_max)
{
    char *save, *option;
    char copy[RBD_TEXT_MAX];
    size_t nr = 0;

    memcpy(copy, n->options, sizeof(copy));
    for (option = strtok_r(copy, ":", &save); option && nr < nr_max;
         option = strtok_r(NULL, ":", &save)) {
        argv[nr++] = text;
        text += sprintf(text, "--%s", option) + 1;
    }
    return nr;
}

static int check_mapped(struct ckpt *c, const char *target, const char *id)
{
    struct rbd_kernel now;
    struct rbd_name n;
    int rc = rbd_kernel_find(c, target, &n, &now);

    if (!rc && strcmp(now.id, id))
        rc = -ESTALE;
    return rc ? fail(c, -EIO,
                     "%s does not lead to the image that was mapped (are the "
                     "udev rules of ceph-common installed?).",
                     target)
              : 0;
}

int rbd_kernel_map(struct ckpt *c, const struct rbd_name *n, const char *id,
                   char target_out[RBD_TEXT_MAX])
{
    const char *argv[NR_ARGS_MAX] = {"rbd", "device", "map"};
    char options[RBD_TEXT_MAX * 2], spec[RBD_TEXT_MAX], target[PATH_MAX];
    struct rbd_name plain = *n;
    size_t nr = 3;
    int rc;

    plain.options[0] = '\0';
    name_in_dev(n, target, sizeof(target));
    rc = rbd_name_write(c, &plain, spec);
    if (!rc && strlen(target) >= RBD_TEXT_MAX)
        rc = fail(c, -ENAMETOOLONG, "%s", target);
    if (rc)
        return rc;
    nr += option_args(n, options, argv + nr, 8);
    argv[nr] = spec;
    rc = spawn_run(c, argv, TIMEOUT_MS, NULL);
    if (!rc)
        rc = check_mapped(c, target, id);
    memcpy(target_out, target, strlen(target) + 1);
    return rc;
}

static int unmap_one(struct ckpt *c, const char *nr)
{
    char device[PATH_MAX];
    const char *argv[] = {"rbd", "device", "unmap", device, NULL};
    int rc;

    snprintf(device, sizeof(device), "%s%s", dev(), nr);
    rc = spawn_run(c, argv, TIMEOUT_MS, NULL);
    /* It is not said otherwise that it is open. */
    return rc == -EIO && strstr(c->error, "busy") ? -EBUSY : rc;
}

int rbd_kernel_unmap(struct ckpt *c, const char *id)
{
    char its_id[RBD_TEXT_MAX];
    DIR *dir = opendir(sysfs());
    struct dirent *e;
    int rc = 0;

    if (!dir)
        return 0; /* the module is not loaded */
    while (!rc && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        read_attribute(e->d_name, "image_id", its_id, sizeof(its_id));
        if (!strcmp(its_id, id))
            rc = unmap_one(c, e->d_name);
    }
    closedir(dir);
    return rc;
}
