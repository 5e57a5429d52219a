/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Which checkpoints are not there yet: those of a group that is being taken,
 * or that died in the making.  The store has a value "group.ID" for as long.
 */
#include <stdio.h>
#include <stdlib.h>

#include "checkpoint.h"
#include "ctx.h"
#include "store_driver.h"

int checkpoint_set_group_pending(struct ckpt *c, const char *group_id,
                                 const char *uuids)
{
    char key[STORE_NAME_MAX];

    snprintf(key, sizeof(key), CHECKPOINT_GROUP_KEY "%s", group_id);
    return store_set(c->store, key, uuids);
}

bool checkpoint_is_pending(struct ckpt *c, const struct ckpt_info *info)
{
    char key[STORE_NAME_MAX], *value;

    if (!info->group_id || !store_is_id(info->group_id))
        return false;
    snprintf(key, sizeof(key), CHECKPOINT_GROUP_KEY "%s", info->group_id);
    if (store_get(c->store, key, &value)) {
        c->error[0] = '\0';
        return false;
    }
    free(value);
    return true;
}
