/* SPDX-License-Identifier: LGPL-2.1-only */
/* Loop devices that leave nothing behind. */
#include "loop.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"

#define NR_TRIES 16u

/* -EBUSY: another was quicker. */
static int try_one(int control_fd, const struct loop_config *config,
                   int *fd_out)
{
    const int nr = ioctl(control_fd, LOOP_CTL_GET_FREE);
    char path[32];
    int fd, rc;

    if (nr < 0)
        return -errno;
    snprintf(path, sizeof(path), "/dev/loop%d", nr);
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (!ioctl(fd, LOOP_CONFIGURE, config)) {
        *fd_out = fd;
        return 0;
    }
    rc = -errno;
    close(fd);
    return rc;
}

int loop_attach(struct ckpt *c, int file_fd, const char *name, int *loop_fd_out,
                dev_t *dev_out)
{
    struct loop_config config = {.fd = (uint32_t)file_fd};
    int control_fd, rc = -EBUSY;
    struct stat st;

    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    snprintf((char *)config.info.lo_file_name, LO_NAME_SIZE, "%s", name);
    control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control_fd < 0)
        return fail(c, -errno, "/dev/loop-control");
    for (unsigned n = 0; n < NR_TRIES && rc == -EBUSY; n++)
        rc = try_one(control_fd, &config, loop_fd_out);
    close(control_fd);
    if (rc == -EINVAL || rc == -ENOTTY)
        return fail(c, -ENOTSUP,
                    "%s: no loop device; Linux 5.8 or newer is needed.", name);
    if (rc)
        return fail(c, rc, "%s: a loop device", name);
    if (fstat(*loop_fd_out, &st) < 0) {
        rc = fail(c, -errno, "%s: its loop device", name);
        close(*loop_fd_out);
        return rc;
    }
    *dev_out = st.st_rdev;
    return 0;
}
