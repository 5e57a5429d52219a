/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Each driver's snapshots by its own means:
 *
 *   lvmthin   the volume is activated; LVM has it read-only
 *   dmthin    a read-only device ckpt-view-TAG
 *   reflink   a read-only loop device
 *   qcow2     qemu-nbd, which takes QEMU's locks: nobody writes the file
 *
 * and a partition by a loop device upon that.  Nothing is remembered: what is
 * to be closed is found by the snapshot's name, also after a death in between.
 */
#include "disk_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_dmthin.h"
#include "disk_file.h"
#include "dmsetup.h"
#include "lvm.h"
#include "spawn.h"

#define TIMEOUT_MS 60000u
#define NR_NBD 64u

/* The first line of what @argv prints. */
static int ask(struct ckpt *c, const char *const argv[], char *out, size_t room)
{
    char *text = NULL;
    int rc = spawn_run(c, argv, TIMEOUT_MS, &text);

    if (rc)
        return rc;
    text[strcspn(text, "\n")] = '\0';
    rc = strlen(text) < room ? 0 : fail(c, -ENAMETOOLONG, "%s", argv[0]);
    if (!rc)
        strcpy(out, text);
    free(text);
    return rc;
}

/* The read-only loop devices upon @backing. */
static int close_loops(struct ckpt *c, const char *backing)
{
    const char *list[] = {"losetup", "-n",    "-O", "NAME,RO",
                          "-j",      backing, NULL};
    const char *detach[] = {"losetup", "-d", NULL, NULL};
    char *text = NULL, *line, *next;
    int rc = spawn_run(c, list, TIMEOUT_MS, &text);

    for (line = text; !rc && line && *line; line = next) {
        char name[64];
        unsigned is_ro;

        next = line + strcspn(line, "\n");
        next += *next == '\n';
        detach[2] = name;
        if (sscanf(line, "%63s %u", name, &is_ro) == 2 && is_ro)
            rc = spawn_run(c, detach, TIMEOUT_MS, NULL);
    }
    free(text);
    return rc;
}

int disk_view_partition(struct ckpt *c, const char *device, unsigned number,
                        char device_out[DISK_VIEW_MAX])
{
    char nr[16], answer[64], offset[32], size[32];
    const char *where[] = {"partx", "-g", "-b",   "-o", "START,SECTORS",
                           "-n",    nr,   device, NULL};
    const char *loop[] = {"losetup", "-r",          "-f", "--show", "-o",
                          offset,    "--sizelimit", size, device,   NULL};
    uint64_t start, sectors;
    int rc;

    snprintf(nr, sizeof(nr), "%u", number);
    rc = ask(c, where, answer, sizeof(answer));
    if (rc)
        return rc;
    if (sscanf(answer, "%" SCNu64 " %" SCNu64, &start, &sectors) != 2 ||
        start > UINT64_MAX / 512 || sectors > UINT64_MAX / 512)
        return fail(c, -ENOENT, "%s has no partition %u.", device, number);
    snprintf(offset, sizeof(offset), "%" PRIu64, start * 512);
    snprintf(size, sizeof(size), "%" PRIu64, sectors * 512);
    return ask(c, loop, device_out, DISK_VIEW_MAX);
}

/* --- lvmthin --------------------------------------------------------------- */

static int lvmthin_open(struct ckpt *c, const char *snapshot, const char *tag,
                        char device[DISK_VIEW_MAX])
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX];
    int rc = lvm_split(c, snapshot, vg, lv);

    (void)tag;
    if (rc)
        return rc;
    snprintf(device, DISK_VIEW_MAX, "/dev/%s/%s", vg, lv);
    return lvm_activate(c, vg, lv, true);
}

static int lvmthin_close(struct ckpt *c, const char *snapshot, const char *tag)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], device[DISK_VIEW_MAX];
    int rc = lvm_split(c, snapshot, vg, lv);

    (void)tag;
    if (rc)
        return rc;
    snprintf(device, sizeof(device), "/dev/%s/%s", vg, lv);
    rc = close_loops(c, device);
    return rc || access(device, F_OK) ? rc : lvm_activate(c, vg, lv, false);
}

/* --- dmthin ---------------------------------------------------------------- */

static int dmthin_open(struct ckpt *c, const char *snapshot, const char *tag,
                       char device[DISK_VIEW_MAX])
{
    struct dmthin_snapshot s;
    struct dm_target t;
    char name[64];
    int dm_fd, rc;

    rc = dm_open(&dm_fd);
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    rc = dmthin_find(c, dm_fd, snapshot, &s);
    close(dm_fd);
    if (rc)
        return rc;
    snprintf(name, sizeof(name), "ckpt-view-%.32s", tag);
    snprintf(device, DISK_VIEW_MAX, "/dev/mapper/%s", name);
    dmthin_target(&s.pool, s.id, s.size_bytes, &t);
    return dmsetup_create(c, name, &t, true);
}

static int dmthin_close(struct ckpt *c, const char *snapshot, const char *tag)
{
    char device[DISK_VIEW_MAX];
    int rc;

    (void)snapshot;
    snprintf(device, sizeof(device), "/dev/mapper/ckpt-view-%.32s", tag);
    if (access(device, F_OK))
        return 0;
    rc = close_loops(c, device);
    return rc ? rc : dmsetup_remove(c, device + strlen("/dev/mapper/"));
}

/* --- reflink --------------------------------------------------------------- */

static int reflink_open(struct ckpt *c, const char *snapshot, const char *tag,
                        char device[DISK_VIEW_MAX])
{
    const char *argv[] = {"losetup", "-r", "-f", "--show", snapshot, NULL};

    (void)tag;
    return ask(c, argv, device, DISK_VIEW_MAX);
}

/* A partition's loop device is upon the snapshot's. */
static int reflink_close(struct ckpt *c, const char *snapshot, const char *tag)
{
    const char *argv[] = {"losetup", "-n", "-O", "NAME", "-j", snapshot, NULL};
    char device[DISK_VIEW_MAX];
    int rc = ask(c, argv, device, sizeof(device));

    (void)tag;
    if (!rc && device[0])
        rc = close_loops(c, device);
    return rc ? rc : close_loops(c, snapshot);
}

/* --- qcow2 ----------------------------------------------------------------- */

/* Its process, or 0: nobody uses it. */
static int nbd_user(unsigned n)
{
    char path[64];
    int pid = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/block/nbd%u/pid", n);
    f = fopen(path, "re");
    if (f && fscanf(f, "%d", &pid) != 1)
        pid = 0;
    if (f)
        fclose(f);
    return pid;
}

static int qcow2_open(struct ckpt *c, const char *snapshot, const char *tag,
                      char device[DISK_VIEW_MAX])
{
    const char *load[] = {"modprobe", "nbd", NULL};
    const char *argv[] = {"qemu-nbd", "-r", "-f",     "qcow2", "-c",
                          device,     "--", snapshot, NULL};
    int rc;

    (void)tag;
    if (access("/dev/nbd0", F_OK) &&
        (rc = spawn_run(c, load, TIMEOUT_MS, NULL)))
        return rc;
    rc = fail(c, -EBUSY, "no device /dev/nbd* is free.");
    for (unsigned n = 0; n < NR_NBD && rc; n++) {
        snprintf(device, DISK_VIEW_MAX, "/dev/nbd%u", n);
        if (access(device, F_OK))
            break;
        if (!nbd_user(n))
            return spawn_run(c, argv, TIMEOUT_MS, NULL);
    }
    return rc;
}

/* Whether that process serves @snapshot, as the last of its words. */
static bool serves(int pid, const char *snapshot)
{
    char path[64], words[4096];
    const char *last;
    size_t len;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    len = fread(words, 1, sizeof(words) - 1, f);
    fclose(f);
    words[len] = '\0';
    if (len < 2)
        return false;
    last = words + len - 2;
    while (last > words && last[-1])
        last--;
    return !strcmp(last, snapshot);
}

static int qcow2_close(struct ckpt *c, const char *snapshot, const char *tag)
{
    char device[DISK_VIEW_MAX];
    const char *argv[] = {"qemu-nbd", "-d", device, NULL};
    int pid, rc = 0;

    (void)tag;
    for (unsigned n = 0; n < NR_NBD && !rc; n++) {
        pid = nbd_user(n);
        snprintf(device, sizeof(device), "/dev/nbd%u", n);
        if (!pid || !serves(pid, snapshot))
            continue;
        rc = close_loops(c, device);
        if (!rc)
            rc = spawn_run(c, argv, TIMEOUT_MS, NULL);
    }
    return rc;
}

/* --- which ----------------------------------------------------------------- */

/* clang-format off */
static const struct view {
    const char *driver;
    int (*open)(struct ckpt *c, const char *snapshot, const char *tag,
                char device[DISK_VIEW_MAX]);
    int (*close)(struct ckpt *c, const char *snapshot, const char *tag);
} views[] = {
    { "lvmthin", lvmthin_open, lvmthin_close },
    { "dmthin",  dmthin_open,  dmthin_close  },
    { "reflink", reflink_open, reflink_close },
    { "qcow2",   qcow2_open,   qcow2_close   },
};
/* clang-format on */

/* NULL with words. */
static const struct view *find_view(struct ckpt *c, const char *driver)
{
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
        if (!strcmp(views[i].driver, driver))
            return &views[i];
    fail(c, -ENOTSUP, "snapshots of driver %s cannot be shown from here.",
         driver);
    return NULL;
}

int disk_view_open(struct ckpt *c, const char *driver, const char *snapshot,
                   const char *tag, char device_out[DISK_VIEW_MAX])
{
    const struct view *v = find_view(c, driver);

    return v ? v->open(c, snapshot, tag, device_out) : -ENOTSUP;
}

int disk_view_close(struct ckpt *c, const char *driver, const char *snapshot,
                    const char *tag)
{
    const struct view *v = find_view(c, driver);

    return v ? v->close(c, snapshot, tag) : -ENOTSUP;
}
