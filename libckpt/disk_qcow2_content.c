/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Content of qcow2 snapshots and disks: qemu-img knows what is in a chain, and
 * what of it is compressed.  It writes a raw file that has no name, in the
 * folder of the other, with holes where nothing is; so that what was read can
 * take as much room there as the snapshot's data, until it is closed.  The
 * program gets and gives the raw file as its standard output, reopened.
 */
#include "disk_qcow2.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "qcow2_file.h"
#include "spawn.h"

#define CONVERT_TIMEOUT_MS (24u * 3600 * 1000)

int qcow2_nameless(struct ckpt *c, const char *beside, uint64_t size_bytes,
                   int *fd_out)
{
    const char *slash = strrchr(beside, '/');
    char dir[DISK_FILE_MAX];
    int rc;

    if (!slash || (size_t)(slash - beside) >= sizeof(dir))
        return fail(c, -EINVAL, "%s: its path is not absolute.", beside);
    snprintf(dir, sizeof(dir), "%.*s",
             slash == beside ? 1 : (int)(slash - beside), beside);
    *fd_out = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (*fd_out < 0)
        return fail(c, -errno, "%s: a file without a name", dir);
    if (ftruncate(*fd_out, (off_t)size_bytes) == 0)
        return 0;
    rc = fail(c, -errno, "%s: a file of %llu bytes", dir,
              (unsigned long long)size_bytes);
    close(*fd_out);
    *fd_out = -1;
    return rc;
}

int qcow2_open(struct ckpt *c, const char *snapshot, struct disk_content *out)
{
    const char *argv[] = {"qemu-img", "convert",     "-U",
                          "-n",       "-f",          "qcow2",
                          "-O",       "raw",         "--target-is-zero",
                          snapshot,   "/dev/stdout", NULL};
    struct qcow2_head head;
    int fd = -1, rc;

    rc = disk_qcow2.check(c, snapshot);
    if (!rc)
        rc = qcow2_read(c, snapshot, &head);
    if (!rc)
        rc = qcow2_nameless(c, snapshot, head.size_bytes, &fd);
    if (rc)
        return rc;
    rc = spawn_run_to(c, argv, CONVERT_TIMEOUT_MS, fd);
    if (rc) {
        close(fd);
        return rc;
    }
    return disk_content_of_file(c, fd, snapshot, out);
}

int qcow2_show(struct ckpt *c, const char *snapshot, const char *tag,
               struct disk_shown *out)
{
    int rc = disk_qcow2.check(c, snapshot);

    (void)tag;
    return rc ? rc : disk_show_file(c, snapshot, "qcow2", out);
}

int qcow2_from_raw(struct ckpt *c, int fd, const char *path)
{
    const char *argv[] = {"qemu-img", "convert",     "-f", "raw", "-O",
                          "qcow2",    "/dev/stdout", path, NULL};

    return spawn_run_to(c, argv, CONVERT_TIMEOUT_MS, fd);
}
