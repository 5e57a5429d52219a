/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Freeze and thaw, in pairs.  A guest that cannot be frozen is checkpointed all
 * the same, and the checkpoint says what level was reached; what must never
 * happen is a guest that stays frozen.  So thaw is owed from the moment freeze is
 * called, and the guest has the deadline too, for the case that we die.
 */
#include "quiesce.h"

#include <string.h>

#include "ctx.h"

int quiesce_check(struct ckpt *c, bool wanted)
{
    if (!wanted || c->quiesce)
        return 0;
    return fail(c, -ENOTSUP,
                "nobody here can ask a guest to freeze its filesystems: that "
                "is done by ckptd. Without --quiesce it works.");
}

void quiesce_freeze(struct ckpt *c, struct quiesce *q, uint32_t domid,
                    const char *domain_uuid, unsigned deadline_ms)
{
    int rc;

    q->deadline_ms = deadline_ms ? deadline_ms : QUIESCE_TIMEOUT_MS;
    q->begin_us = now_us();
    q->is_asked = true;
    rc =
        c->quiesce->freeze(c->quiesce->arg, domid, domain_uuid, q->deadline_ms);
    q->is_frozen = !rc;
    if (rc)
        warn(c, "the guest's filesystems were not frozen: %s", strerror(-rc));
}

bool quiesce_thaw(struct ckpt *c, struct quiesce *q, uint32_t domid,
                  const char *domain_uuid)
{
    const uint64_t took_us = now_us() - q->begin_us;
    int rc;

    if (!q->is_asked)
        return false;
    q->is_asked = false;
    rc = c->quiesce->thaw(c->quiesce->arg, domid, domain_uuid);
    if (q->is_frozen && (rc || took_us > q->deadline_ms * (uint64_t)1000)) {
        warn(c, "the guest thawed before the cut was over (%.1f s)",
             (double)took_us / 1e6);
        return false;
    }
    return q->is_frozen;
}
