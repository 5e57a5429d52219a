/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The same for every driver, from the image that it shows:
 *
 *   snapshot       show()         read-only: a device, a file, rbd:...
 *   + a layer      qemu-nbd -s    a file without a name takes what is written
 *   = /dev/nbdN    by the kernel
 *   partition      a loop device upon that
 *
 * The layer has room for ROOM_MAX_BYTES, and for half of what is free where it
 * lies; beyond that writing fails.  It goes with qemu-nbd, however that ends.
 * Nothing else is remembered: the process is found by the tag among its words,
 * so that the view can be closed whoever died in between.
 */
#include "disk_view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "spawn.h"

#define TIMEOUT_MS 60000u
#define NR_NBD 64u
#define ROOM_MAX_BYTES (UINT64_C(4) << 30)
#define NBD_MAX 32 /* "/dev/nbdN" */
#define MARK "--description=xen-ckpt-view-"
#define MARK_MAX 128

/* --- partitions ------------------------------------------------------------ */

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

/* The kernel would take it from beneath who has it mounted. */
static int see_unused(struct ckpt *c, const char *device)
{
    const int fd = open(device, O_RDONLY | O_EXCL | O_CLOEXEC);

    if (fd < 0 && errno == EBUSY)
        return fail(c, -EBUSY, "%s is in use: is it mounted still?", device);
    if (fd >= 0)
        close(fd);
    return 0;
}

static int close_loops(struct ckpt *c, const char *backing)
{
    const char *list[] = {"losetup", "-n", "-O", "NAME", "-j", backing, NULL};
    const char *detach[] = {"losetup", "-d", NULL, NULL};
    char *text = NULL, *save, *name;
    int rc = spawn_run(c, list, TIMEOUT_MS, &text);

    if (rc)
        return rc;
    for (name = strtok_r(text, " \n", &save); name && !rc;
         name = strtok_r(NULL, " \n", &save)) {
        detach[2] = name;
        rc = see_unused(c, name);
        if (!rc)
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
    const char *loop[] = {"losetup",     "-f", "--show", "-o", offset,
                          "--sizelimit", size, device,   NULL};
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

/* --- who serves what ------------------------------------------------------- */

/* The thread that /dev/nbdN hangs on, or 0: it is free. */
static int nbd_thread(unsigned n)
{
    char path[64];
    int thread = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/block/nbd%u/pid", n);
    f = fopen(path, "re");
    if (f && fscanf(f, "%d", &thread) != 1)
        thread = 0;
    if (f)
        fclose(f);
    return thread;
}

/* Whether @mark is one of the words the process of @thread was started with. */
static bool has_word(int thread, const char *mark)
{
    char path[64], words[4096];
    size_t len, at;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", thread);
    f = fopen(path, "re");
    if (!f)
        return false;
    len = fread(words, 1, sizeof(words) - 1, f);
    fclose(f);
    words[len] = '\0';
    for (at = 0; at < len; at += strlen(words + at) + 1)
        if (!strcmp(words + at, mark))
            return true;
    return false;
}

/* -1: it is gone. */
static int open_process(int thread)
{
    char path[64], line[128];
    int pid = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", thread);
    f = fopen(path, "re");
    while (f && !pid && fgets(line, sizeof(line), f))
        if (sscanf(line, "Tgid: %d", &pid) != 1)
            pid = 0;
    if (f)
        fclose(f);
    return pid > 0 ? pidfd_open(pid, 0) : -1;
}

static void name_mark(const char *tag, char out[MARK_MAX])
{
    snprintf(out, MARK_MAX, MARK "%.64s", tag);
}

/* --- the layer ------------------------------------------------------------- */

static int find_free(struct ckpt *c, char device[NBD_MAX])
{
    const char *load[] = {"modprobe", "nbd", NULL};
    int rc;

    if (access("/dev/nbd0", F_OK) &&
        (rc = spawn_run(c, load, TIMEOUT_MS, NULL)))
        return rc;
    for (unsigned n = 0; n < NR_NBD; n++) {
        snprintf(device, NBD_MAX, "/dev/nbd%u", n);
        if (access(device, F_OK))
            break;
        if (!nbd_thread(n))
            return 0;
    }
    return fail(c, -EBUSY, "no device /dev/nbd* is free.");
}

/* Where QEMU puts the file without a name. */
static int find_room(struct ckpt *c, uint64_t *bytes_out)
{
    const char *dir = getenv("TMPDIR");
    struct statvfs s;

    dir = dir ? dir : "/var/tmp";
    if (statvfs(dir, &s) < 0)
        return fail(c, -errno, "%s", dir);
    *bytes_out = (uint64_t)s.f_bavail * s.f_frsize / 2;
    if (*bytes_out > ROOM_MAX_BYTES)
        *bytes_out = ROOM_MAX_BYTES;
    return 0;
}

static int serve(struct ckpt *c, const struct disk_shown *shown,
                 const char *tag, char device[NBD_MAX])
{
    char limit[48], mark[MARK_MAX];
    const char *argv[] = {"prlimit", limit,         "qemu-nbd",   "-s",
                          "-f",      shown->format, mark,         "-c",
                          device,    "--",          shown->image, NULL};
    uint64_t room = 0;
    int rc;

    name_mark(tag, mark);
    rc = find_room(c, &room);
    if (!rc)
        rc = find_free(c, device);
    if (rc)
        return rc;
    snprintf(limit, sizeof(limit), "--fsize=%" PRIu64, room);
    return spawn_run(c, argv, TIMEOUT_MS, NULL);
}

/* Returns when the process is gone, and with it what it had open. */
static int disconnect(struct ckpt *c, const char *device, int thread)
{
    const char *argv[] = {"qemu-nbd", "-d", device, NULL};
    struct pollfd p = {.fd = open_process(thread), .events = POLLIN};
    int rc = close_loops(c, device);

    if (!rc)
        rc = see_unused(c, device);
    if (!rc)
        rc = spawn_run(c, argv, TIMEOUT_MS, NULL);
    if (!rc && p.fd >= 0 && poll(&p, 1, (int)TIMEOUT_MS) <= 0)
        rc = fail(c, -EBUSY, "%s: its qemu-nbd does not end.", device);
    if (p.fd >= 0)
        close(p.fd);
    return rc;
}

/* --- open, close ----------------------------------------------------------- */

int disk_view_open(struct ckpt *c, const char *driver, const char *snapshot,
                   const char *tag, char device_out[DISK_VIEW_MAX])
{
    const struct disk_driver *drv;
    struct disk_shown shown;
    int rc;

    rc = disk_driver_by_name(c, driver, &drv);
    if (!rc)
        rc = drv->show(c, snapshot, tag, &shown);
    return rc ? rc : serve(c, &shown, tag, device_out);
}

int disk_view_close(struct ckpt *c, const char *driver, const char *snapshot,
                    const char *tag)
{
    char device[NBD_MAX], mark[MARK_MAX];
    const struct disk_driver *drv;
    int thread, rc;

    rc = disk_driver_by_name(c, driver, &drv);
    name_mark(tag, mark);
    for (unsigned n = 0; n < NR_NBD && !rc; n++) {
        thread = nbd_thread(n);
        snprintf(device, sizeof(device), "/dev/nbd%u", n);
        if (thread && has_word(thread, mark))
            rc = disconnect(c, device, thread);
    }
    return rc ? rc : drv->hide(c, snapshot, tag);
}
