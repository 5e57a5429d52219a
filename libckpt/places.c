/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * HOT PATH, but for growing.  The hash is open-addressed and at most half
 * full; a place that is used again for another page leaves a stale entry at
 * its old sum, which is told by the sum it has now and goes away when the
 * hash grows.
 */
#include "places.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "large.h"

#define ROOM_MIN 1024u
#define HASH_MIN 4096u
/* Entries at first, if there may be as many: 16 MiB, of which only what is used
 * is memory, and 4 MiB. */
#define ROOM_HINT_MAX (1u << 20)
#define HASH_HINT_MAX (1u << 19)

static void free_hash(struct places *p)
{
    if (p->hash)
        large_free(p->hash, (p->hash_mask + (size_t)1) * sizeof(*p->hash));
}

void places_fini(struct places *p)
{
    large_free(p->place, p->room * sizeof(*p->place));
    free_hash(p);
    free(p->freed);
    memset(p, 0, sizeof(*p));
}

static uint32_t home_of(const struct places *p, uint64_t sum)
{
    return (uint32_t)(sum >> 32) & p->hash_mask;
}

static void enter(struct places *p, uint32_t place)
{
    uint32_t at = home_of(p, p->place[place].sum);

    while (p->hash[at])
        at = (at + 1) & p->hash_mask;
    p->hash[at] = p->place[place].sum << 32 | place;
    p->nr_hashed++;
}

static bool grow_hash(struct places *p)
{
    uint32_t nr = p->hash ? p->hash_mask + 1 : HASH_MIN;
    uint64_t *hash;

    while ((nr / 4 < p->nr_used && nr < 1u << 31) ||
           (nr / 2 < p->hint && nr < HASH_HINT_MAX))
        nr *= 2;
    hash = large_alloc(nr * sizeof(*hash));
    if (!hash)
        return false;
    free_hash(p);
    p->hash = hash;
    p->hash_mask = nr - 1;
    p->nr_hashed = 0;
    for (uint32_t i = 1; i < p->nr; i++) {
        if (p->place[i].uses)
            enter(p, i);
    }
    return true;
}

static bool grow_places(struct places *p)
{
    uint32_t room = p->room ? p->room * 2 : ROOM_MIN;
    struct place *more;

    if (p->room > UINT32_MAX / 2)
        return false;
    while (!p->room && room < p->hint && room < ROOM_HINT_MAX)
        room *= 2;
    more = large_alloc(room * sizeof(*more));
    if (!more)
        return false;
    if (p->nr)
        memcpy(more, p->place, p->nr * sizeof(*more));
    else
        p->nr = 1;
    large_free(p->place, p->room * sizeof(*more));
    p->place = more;
    p->room = room;
    return true;
}

void places_hint(struct places *p, uint64_t nr)
{
    p->hint = nr;
}

uint32_t places_take(struct places *p, uint64_t sum)
{
    uint32_t place;

    if (!p->nr_freed && p->nr == p->room && !grow_places(p))
        return 0;
    if ((!p->hash || p->nr_hashed >= p->hash_mask / 2) && !grow_hash(p))
        return 0;
    if (p->nr_freed) {
        place = p->freed[p->freed_at];
        p->freed_at = (p->freed_at + 1) & p->freed_mask;
        p->nr_freed--;
    } else {
        place = p->nr++;
    }
    p->place[place].sum = sum;
    p->place[place].uses = 1;
    p->nr_used++;
    enter(p, place);
    return place;
}

void places_use(struct places *p, uint32_t place)
{
    p->place[place].uses++;
}

static int grow_freed(struct places *p)
{
    const uint32_t nr = p->freed ? (p->freed_mask + 1) * 2 : ROOM_MIN;
    uint32_t *more = malloc((size_t)nr * sizeof(*more));

    if (!more)
        return -ENOMEM;
    for (uint32_t i = 0; i < p->nr_freed; i++)
        more[i] = p->freed[(p->freed_at + i) & p->freed_mask];
    free(p->freed);
    p->freed = more;
    p->freed_mask = nr - 1;
    p->freed_at = 0;
    return 0;
}

int places_release(struct places *p, uint32_t place)
{
    if (p->place[place].uses == 1 &&
        (!p->freed || p->nr_freed > p->freed_mask)) {
        int rc = grow_freed(p);

        if (rc)
            return rc;
    }
    if (--p->place[place].uses)
        return 0;
    p->nr_used--;
    p->freed[(p->freed_at + p->nr_freed++) & p->freed_mask] = place;
    return 0;
}

uint32_t places_find(const struct places *p, uint64_t sum, uint32_t *cursor)
{
    uint64_t entry;
    uint32_t at;

    if (!p->hash)
        return 0;
    at = (home_of(p, sum) + *cursor) & p->hash_mask;
    while ((entry = p->hash[at])) {
        const uint32_t place = (uint32_t)entry;

        at = (at + 1) & p->hash_mask;
        ++*cursor;
        if (entry >> 32 == (uint32_t)sum && p->place[place].uses && p->place[place].sum == sum)
            return place;
    }
    return 0;
}
