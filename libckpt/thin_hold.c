/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The pool is looked at before its volume is held: writes to a full one would
 * keep the suspension waiting.
 */
#include "thin_hold.h"

#include <string.h>
#include <unistd.h>

#include "ctx.h"

void thin_hold_init(struct thin_hold *h)
{
    memset(&h->thin, 0, sizeof(h->thin));
    dm_hold_init(&h->dm);
}

void thin_hold_close(struct thin_hold *h)
{
    dm_hold_close(&h->dm);
}

int thin_hold_arm(struct disk *d, struct thin_hold *h)
{
    int rc = thin_check_pool(d->c, h->dm.fd, h->thin.pool, THIN_FULL_PERCENT);

    h->dm.device = h->thin.device;
    return rc ? rc : dm_hold_arm(d, &h->dm);
}

int thin_hold_begin(struct disk *d, struct thin_hold *h, int lock_fd)
{
    int rc = thin_check_pool(d->c, h->dm.fd, h->thin.pool, 100.0);

    if (!rc)
        return dm_hold_begin(d, &h->dm, lock_fd);
    if (lock_fd >= 0)
        close(lock_fd);
    return rc;
}

int thin_hold_end(struct disk *d, struct thin_hold *h,
                  const char *const *messages)
{
    int rc = dm_hold_check(d, &h->dm);

    for (; !rc && *messages; messages++) {
        rc = dm_message(h->dm.fd, h->thin.pool, *messages);
        if (rc)
            fail(d->c, rc, "the pool of %s: %s", h->thin.device.name,
                 *messages);
    }
    if (!rc)
        rc = dm_hold_check(d, &h->dm);
    return rc ? rc : dm_hold_end(d, &h->dm);
}
