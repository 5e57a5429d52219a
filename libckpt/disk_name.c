/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Names for what drivers make: out of the names of domains, which may hold
 * anything, names that any storage takes.
 */
#include "disk_name.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* FNV-1a, so that two names that were cut or changed stay two. */
static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;

    while (*s)
        h = (h ^ (unsigned char)*s++) * 16777619u;
    return h;
}

bool disk_name_is_plain(const char *s)
{
    const char *begin = s;

    while (isalnum((unsigned char)*s))
        s++;
    return s != begin && !*s;
}

void disk_name_fork(const char *domain, const char *vdev, char *out,
                    size_t room_bytes)
{
    char plain[64], suffix[16] = "";
    bool is_changed = strlen(domain) >= sizeof(plain);

    snprintf(plain, sizeof(plain), "%.*s", (int)sizeof(plain) - 1, domain);
    for (char *s = plain; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("+_.-", *s))
            continue;
        *s = '_';
        is_changed = true;
    }
    if (is_changed)
        snprintf(suffix, sizeof(suffix), ".%08" PRIx32, hash(domain));
    snprintf(out, room_bytes, DISK_NAME_FORK "%s%s-%s", plain, suffix, vdev);
}
