/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_OWED_H
#define CKPT_OWED_H
/*
 * Disk snapshots of deleted checkpoints that are to go: of a deletion under way
 * or one that died, or since guests still read through them, or somebody else
 * does (DISK_CAP_OWED).  They are written down in the store before the
 * checkpoint leaves it, and collected by later deletions and prunes.
 */
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"

struct owed {
    uint64_t nr;
    uint64_t bytes; /* of those that are files */
};

/* Disk @n of @info.  Nothing is removed on its account while the store has
 * @info.  The caller holds the domain's lock, for both. */
int owed_add(struct ckpt *c, const struct ckpt_info *info, size_t n);
int owed_strike(struct ckpt *c, const struct ckpt_info *info, size_t n);
/* Removes what can be removed by now; *left_out (may be NULL) is the rest.
 * Takes the locks of the domains, and passes over those that are held. */
int owed_collect(struct ckpt *c, struct owed *left_out);
/* Only counts. */
int owed_count(struct ckpt *c, struct owed *left_out);

#endif
