/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Others may resume a device behind our back (LVM's commands do, and an
 * administrator may), and let writes through that are not of the instant of
 * the cut.  So it is looked whether it is still suspended and has completed no
 * write since, before and after a snapshot is made.
 */
#include "dm_hold.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"

void dm_hold_init(struct dm_hold *h)
{
    memset(h, 0, sizeof(*h));
    h->fd = -1;
    h->stat_fd = -1;
}

void dm_hold_close(struct dm_hold *h)
{
    if (h->fd >= 0)
        close(h->fd);
    if (h->stat_fd >= 0)
        close(h->stat_fd);
    h->fd = -1;
    h->stat_fd = -1;
    disk_deed_free(h->deed);
    h->deed = NULL;
}

int dm_hold_arm(struct disk *d, struct dm_hold *h)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat",
             major(h->device.dev), minor(h->device.dev));
    h->stat_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (h->stat_fd < 0)
        return fail(d->c, -errno, "%s", path);
    h->deed = disk_deed_new(d);
    return h->deed ? 0 : -ENOMEM; /* has its words */
}

/* Requests that changed the device since it is there: writes and discards. */
static int read_writes(struct disk *d, const struct dm_hold *h,
                       uint64_t *nr_out)
{
    uint64_t writes = 0, discards = 0;
    char text[512];
    ssize_t n;

    n = pread(h->stat_fd, text, sizeof(text) - 1, 0);
    if (n < 0)
        return fail(d->c, -errno, "%s: its statistics", h->device.name);
    text[n] = '\0';
    /* Linux before 4.18 has no discards here. */
    if (sscanf(text,
               "%*u %*u %*u %*u %" SCNu64 " %*u %*u %*u %*u %*u %*u %" SCNu64,
               &writes, &discards) < 1)
        return fail(d->c, -EIO, "%s: its statistics.", h->device.name);
    *nr_out = writes + discards;
    return 0;
}

/* LVM suspends a volume for moments. Suspending it "too" would do nothing. */
static int wait_foreign_suspend(struct disk *d, const struct dm_hold *h)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t begin = now_us();
    struct dm_device now;
    int rc;

    do {
        rc = dm_info(h->fd, h->device.dev, &now);
        if (rc)
            return fail(d->c, rc, "%s", h->device.name);
        if (!now.is_suspended)
            return 0;
        nanosleep(&pause, NULL);
    } while (now_us() - begin < DM_HOLD_FOREIGN_WAIT_US);
    return fail(d->c, -EBUSY, "%s is held suspended by another program.",
                h->device.name);
}

int dm_hold_begin(struct disk *d, struct dm_hold *h, int lock_fd)
{
    char arg[DM_UUID_MAX + DM_NAME_MAX];
    struct disk_deed *deed = h->deed;
    int rc;

    h->deed = NULL;
    deed->fd = lock_fd;
    rc = wait_foreign_suspend(d, h);
    if (rc) {
        disk_deed_free(deed);
        return rc;
    }
    dm_suspend_arg(&h->device, arg);
    rc = disk_deed_add(d, deed, GUARD_DM_SUSPEND, dm_undo_suspend, arg);
    if (rc)
        return rc;
    while ((rc = dm_suspend(h->fd, h->device.dev)) == -EINTR) {
        rc = check_cancel(d->c);
        if (rc)
            return rc;
    }
    if (rc)
        return fail(d->c, rc, "suspending %s", h->device.name);
    return read_writes(d, h, &h->writes);
}

int dm_hold_check(struct disk *d, const struct dm_hold *h)
{
    struct dm_device now;
    uint64_t writes;
    int rc;

    rc = dm_info(h->fd, h->device.dev, &now);
    if (rc)
        return fail(d->c, rc, "%s", h->device.name);
    rc = read_writes(d, h, &writes);
    if (rc)
        return rc;
    if (!now.is_suspended || writes != h->writes)
        return fail(d->c, -EBUSY,
                    "%s was resumed by another program (LVM?) "
                    "while we held it, so its snapshot would not be of one "
                    "instant. Try again.",
                    h->device.name);
    return 0;
}

int dm_hold_end(struct disk *d, struct dm_hold *h)
{
    int rc = dm_resume(h->fd, h->device.dev);

    if (rc)
        return fail(d->c, rc, "resuming %s", h->device.name);
    return disk_deed_strike(d);
}
