/* SPDX-License-Identifier: LGPL-2.1-only */
/* One run of dmsetup each. */
#include "dmsetup.h"

#include <inttypes.h>
#include <stdio.h>

#include "ctx.h"
#include "dm.h"
#include "spawn.h"

#define TIMEOUT_MS 60000u

int dmsetup_create(struct ckpt *c, const char *name, const struct dm_target *t,
                   bool is_read_only)
{
    char table[sizeof(t->params) + sizeof(t->type) + 48];
    const char *argv[] = {"dmsetup", "create", name, "--table",
                          table,     NULL,     NULL};

    if (is_read_only)
        argv[5] = "--readonly";
    snprintf(table, sizeof(table), "0 %" PRIu64 " %s %s", t->size_bytes / 512,
             t->type, t->params);
    return spawn_run(c, argv, TIMEOUT_MS, NULL);
}

int dmsetup_rename(struct ckpt *c, const char *from, const char *to)
{
    const char *argv[] = {"dmsetup", "rename", from, to, NULL};

    return spawn_run(c, argv, TIMEOUT_MS, NULL);
}

int dmsetup_remove(struct ckpt *c, const char *name)
{
    const char *argv[] = {"dmsetup", "remove", "--retry", name, NULL};

    return spawn_run(c, argv, TIMEOUT_MS, NULL);
}

int dmsetup_remove_closed(struct ckpt *c, const char *name)
{
    const char *argv[] = {"dmsetup", "remove", "--deferred", name, NULL};

    return spawn_run(c, argv, TIMEOUT_MS, NULL);
}
