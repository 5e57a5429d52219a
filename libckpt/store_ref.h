/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STORE_REF_H
#define CKPT_STORE_REF_H
/* Frames, and references to where their pages and the tree's nodes are. */
#include <stdbool.h>
#include <stdint.h>

#include "page.h"

#define PACK_NUMBER_MAX ((1u << 26) - 1)

/* No guest frame lies higher: 48 bits of address. */
#define STORE_GFN_MAX ((UINT64_C(1) << 36) - 1)

/*
 * Where something is.  Of a page: its type in bits 63-60, then whether it is
 * all zero and nowhere.  Of a page and of a node: there is one; the pack's
 * number in bits 57-32, the place in it in bits 31-0.
 */
typedef uint64_t store_ref;
#define REF_TYPE_SHIFT 60
#define REF_ZERO (UINT64_C(1) << 59)
#define REF_PRESENT (UINT64_C(1) << 58)
#define REF_PACK_SHIFT 32

static inline uint8_t ref_type(store_ref r)
{
    return (uint8_t)(r >> REF_TYPE_SHIFT);
}

static inline uint32_t ref_pack(store_ref r)
{
    return (uint32_t)(r >> REF_PACK_SHIFT) & PACK_NUMBER_MAX;
}

static inline uint32_t ref_place(store_ref r)
{
    return (uint32_t)r;
}

static inline store_ref ref_make(uint32_t pack, uint32_t place)
{
    return REF_PRESENT | (store_ref)pack << REF_PACK_SHIFT | place;
}

/* A page that is stored, so that it has a pack and a place. */
static inline bool ref_is_stored(store_ref r)
{
    return r & REF_PRESENT && !(r & REF_ZERO);
}

/* A leaf's entry: is it one that can be? */
static inline bool ref_page_is_sound(store_ref r)
{
    const uint8_t type = ref_type(r);

    if (!r)
        return true;
    if (type == PAGE_TYPE_ABSENT || !(r & REF_PRESENT))
        return false;
    if (r & REF_ZERO)
        return !ref_pack(r) && !ref_place(r);
    return page_type_has_data(type) && ref_pack(r) && ref_place(r);
}

/* Another node's. */
static inline bool ref_node_is_sound(store_ref r)
{
    return !r || (r & REF_PRESENT && r >> REF_TYPE_SHIFT == 0 &&
                  !(r & REF_ZERO) && ref_pack(r));
}

#endif
