/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_QUIESCE_H
#define CKPT_QUIESCE_H
/*
 * A guest's filesystems, frozen for the cut by whoever can ask it to
 * (ckpt_set_quiesce()).
 */
#include <stdbool.h>
#include <stdint.h>

struct ckpt;

#define QUIESCE_TIMEOUT_MS 10000u

struct quiesce {
    bool is_asked;  /* thaw() is owed */
    bool is_frozen;
    uint64_t begin_us;
    unsigned deadline_ms;
};

/* Before anything is done: -ENOTSUP when it is @wanted and nobody can. */
int quiesce_check(struct ckpt *c, bool wanted);
/* Right before the guest is asked to stand still.  Says as a warning why it
 * could not; that is no failure.  @deadline_ms 0: QUIESCE_TIMEOUT_MS. */
void quiesce_freeze(struct ckpt *c, struct quiesce *q, uint32_t domid,
                    const char *domain_uuid, unsigned deadline_ms);
/* Right after it runs again, and on every way out; harmless twice.  True: the
 * filesystems were frozen from freeze to now. */
bool quiesce_thaw(struct ckpt *c, struct quiesce *q, uint32_t domid,
                  const char *domain_uuid);

#endif
