/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Others may resume a volume behind our back (LVM's commands do, and an
 * administrator may), and let writes through that are not of the instant of
 * the cut.  So the end looks whether it is still suspended and has completed
 * no write since, before and after the snapshot is made, and fails otherwise.
 */
#include "thin_hold.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "dm.h"

void thin_hold_init(struct thin_hold *h)
{
    memset(h, 0, sizeof(*h));
    h->dm_fd = -1;
    h->stat_fd = -1;
}

void thin_hold_close(struct thin_hold *h)
{
    if (h->dm_fd >= 0)
        close(h->dm_fd);
    if (h->stat_fd >= 0)
        close(h->stat_fd);
    h->dm_fd = -1;
    h->stat_fd = -1;
    disk_deed_free(h->deed);
    h->deed = NULL;
}

int thin_hold_arm(struct disk *d, struct thin_hold *h)
{
    int rc;

    rc = thin_check_pool(d->c, h->dm_fd, h->thin.pool, THIN_FULL_PERCENT);
    if (!rc)
        rc = thin_open_stat(d->c, &h->thin, &h->stat_fd);
    if (!rc && !(h->deed = disk_deed_new(d)))
        rc = -ENOMEM; /* has its words */
    return rc;
}

/* LVM suspends a volume for moments. Suspending it "too" would do nothing. */
static int wait_foreign_suspend(struct disk *d, const struct thin_hold *h)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t begin = now_us();
    struct dm_device now;
    int rc;

    do {
        rc = dm_info(h->dm_fd, h->thin.device.dev, &now);
        if (rc)
            return fail(d->c, rc, "%s", h->thin.device.name);
        if (!now.is_suspended)
            return 0;
        nanosleep(&pause, NULL);
    } while (now_us() - begin < THIN_FOREIGN_WAIT_US);
    return fail(d->c, -EBUSY, "%s is held suspended by another program.",
                h->thin.device.name);
}

int thin_hold_begin(struct disk *d, struct thin_hold *h, int lock_fd)
{
    char arg[DM_UUID_MAX + DM_NAME_MAX];
    struct disk_deed *deed = h->deed;
    int rc;

    h->deed = NULL;
    deed->fd = lock_fd;
    /* Writes to a full pool would keep the suspension waiting. */
    rc = thin_check_pool(d->c, h->dm_fd, h->thin.pool, 100.0);
    if (!rc)
        rc = wait_foreign_suspend(d, h);
    if (rc) {
        disk_deed_free(deed);
        return rc;
    }
    dm_suspend_arg(&h->thin.device, arg);
    rc = disk_deed_add(d, deed, GUARD_DM_SUSPEND, dm_undo_suspend, arg);
    if (rc)
        return rc;
    while ((rc = dm_suspend(h->dm_fd, h->thin.device.dev)) == -EINTR) {
        rc = check_cancel(d->c);
        if (rc)
            return rc;
    }
    if (rc)
        return fail(d->c, rc, "suspending %s", h->thin.device.name);
    return thin_writes(d->c, &h->thin, h->stat_fd, &h->writes);
}

static int check_still(struct disk *d, const struct thin_hold *h)
{
    struct dm_device now;
    uint64_t writes;
    int rc;

    rc = dm_info(h->dm_fd, h->thin.device.dev, &now);
    if (rc)
        return fail(d->c, rc, "%s", h->thin.device.name);
    rc = thin_writes(d->c, &h->thin, h->stat_fd, &writes);
    if (rc)
        return rc;
    if (!now.is_suspended || writes != h->writes)
        return fail(d->c, -EBUSY,
                    "%s was resumed by another program (LVM?) "
                    "while we held it, so its snapshot would not be of one "
                    "instant. Try again.",
                    h->thin.device.name);
    return 0;
}

int thin_hold_end(struct disk *d, struct thin_hold *h,
                  const char *const *messages)
{
    int rc = check_still(d, h);

    for (; !rc && *messages; messages++) {
        rc = dm_message(h->dm_fd, h->thin.pool, *messages);
        if (rc)
            fail(d->c, rc, "the pool of %s: %s", h->thin.device.name,
                 *messages);
    }
    if (!rc)
        rc = check_still(d, h);
    if (rc)
        return rc;
    rc = dm_resume(h->dm_fd, h->thin.device.dev);
    if (rc)
        return fail(d->c, rc, "resuming %s", h->thin.device.name);
    return disk_deed_strike(d);
}
