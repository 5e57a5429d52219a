/* SPDX-License-Identifier: LGPL-2.1-only */
/* Counted from the newest; both limits hold, and the newest of a domain never
 * goes for its age: an idle host keeps one to go back to. */
#include "retain.h"

#include <ctype.h>
#include <string.h>

bool retain_is_ours(const struct ckpt_info *info, const char *prefix)
{
    size_t len = strlen(prefix);

    return len && info->name && !strncmp(info->name, prefix, len) &&
           isdigit((unsigned char)info->name[len]);
}

static bool is_counted(const struct retain *r, const struct ckpt_info *info)
{
    return retain_is_ours(info, r->prefix) &&
           (!r->domain_uuid || !strcmp(info->domain_uuid, r->domain_uuid));
}

/* How many of the same domain are newer. */
static size_t rank(const struct retain *r, const struct ckpt_info *list,
                   size_t nr, size_t i)
{
    size_t newer = 0;

    for (size_t j = i + 1; j < nr; j++)
        if (is_counted(r, &list[j]) &&
            !strcmp(list[j].domain_uuid, list[i].domain_uuid))
            newer++;
    return newer;
}

size_t retain_choose(const struct retain *r, const struct ckpt_info *list,
                     size_t nr, bool *is_old)
{
    const int64_t oldest_us = r->now_us - (int64_t)r->keep_age_s * 1000000;
    size_t chosen = 0, newer;

    for (size_t i = 0; i < nr; i++) {
        is_old[i] = false;
        if (!is_counted(r, &list[i]))
            continue;
        newer = rank(r, list, nr, i);
        if (r->keep_count && newer >= r->keep_count)
            is_old[i] = true;
        if (r->keep_age_s && newer && list[i].created_unix_us < oldest_us)
            is_old[i] = true;
        chosen += is_old[i];
    }
    return chosen;
}

uint64_t retain_bytes(const struct retain *r, const struct ckpt_info *list,
                      size_t nr)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < nr; i++)
        if (is_counted(r, &list[i]))
            bytes += list[i].stored_bytes;
    return bytes;
}
