/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checks what a store of format 1 holds.  Nothing here opens or allocates by a
 * number it read: the checks come first, and what they let through cannot
 * lead a reader outside its file or its memory.
 */
#include "store_v1.h"

#include <string.h>

#include "pack_sum.h"

static bool is_zero(const uint8_t *p, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (p[i])
            return false;
    }
    return true;
}

/* --- heads --------------------------------------------------------------- */

void v1_head_fill(struct v1_head *h, const char *magic, const char *id,
                     uint64_t count, uint64_t extra)
{
    memset(h, 0, sizeof(*h));
    memcpy(h->magic, magic, sizeof(h->magic));
    h->version = V1_FORMAT_VERSION;
    memcpy(h->id, id, sizeof(h->id));
    h->count = count;
    h->extra = extra;
    h->sum = sum_xxh64(h, offsetof(struct v1_head, sum), 0);
}

const char *v1_head_check(const struct v1_head *h, const char *magic,
                             const char *id)
{
    if (memcmp(h->magic, magic, sizeof(h->magic)))
        return "not a file of this kind";
    if (h->sum != sum_xxh64(h, offsetof(struct v1_head, sum), 0))
        return "checksum of the head";
    if (h->version != V1_FORMAT_VERSION || h->mandatory)
        return "written by a newer xen-ckpt";
    if (h->pad)
        return "head";
    if (memcmp(h->id, id, sizeof(h->id)))
        return "belongs to another checkpoint";
    return NULL;
}

const char *v1_pages_head_check(const void *page, const char *id)
{
    struct v1_head head;

    memcpy(&head, page, sizeof(head));
    if (!is_zero((const uint8_t *)page + sizeof(head),
                 PAGE_SIZE_BYTES - sizeof(head)))
        return "first page";
    return v1_head_check(&head, V1_PAGES_MAGIC, id);
}

/* --- index --------------------------------------------------------------- */

uint64_t v1_index_nr_blocks(const struct v1_index_head *h)
{
    return h->head.count / V1_BLOCK_ENTRIES +
           (h->head.count % V1_BLOCK_ENTRIES != 0);
}

static bool is_blob_row(const struct v1_blob_row *row)
{
    size_t len = strnlen(row->name, sizeof(row->name));

    for (size_t i = 0; i < len; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz.-", row->name[i]))
            return false;
    }
    return len &&
           is_zero((const uint8_t *)row->name + len, sizeof(row->name) - len);
}

const char *v1_index_head_check(const struct v1_index_head *h,
                                   const char *id, uint64_t file_bytes)
{
    const char *wrong = v1_head_check(&h->head, V1_INDEX_MAGIC, id);
    static const struct v1_blob_row none;

    if (wrong)
        return wrong;
    if (h->sum != sum_xxh64(h, offsetof(struct v1_index_head, sum), 0))
        return "checksum of the first page";
    if (h->head.count > V1_GFN_MAX + 1 ||
        h->head.extra > V1_HOME_PAGE_MASK || h->nr_blobs > STORE_BLOBS_MAX)
        return "counts";
    if (file_bytes / 4096 != 1 + v1_index_nr_blocks(h) || file_bytes % 4096)
        return "length of the file";
    for (unsigned i = 0; i < STORE_BLOBS_MAX; i++) {
        if (i < h->nr_blobs ? !is_blob_row(&h->blobs[i])
                            : memcmp(&h->blobs[i], &none, sizeof(none)) != 0)
            return "table of blobs";
    }
    if (h->pad || !is_zero(h->zero, sizeof(h->zero)))
        return "first page";
    return NULL;
}

static const char *entry_check(const struct v1_entry *e, uint64_t nr_pages)
{
    const uint64_t page = v1_home_page(e->home);
    const uint8_t type = v1_home_type(e->home);

    if (e->gfn > V1_GFN_MAX || e->home & ~V1_HOME_KNOWN ||
        type == PAGE_TYPE_ABSENT)
        return "an entry";
    if (e->home & V1_HOME_ZERO)
        return page || e->sum ? "an entry" : NULL;
    if (!page_type_has_data(type) || page == 0 || page > nr_pages)
        return "an entry";
    return NULL;
}

const char *v1_index_block_check(const struct v1_index_head *h,
                                    const struct v1_index_block *b,
                                    uint64_t n)
{
    uint64_t left = h->head.count - n * V1_BLOCK_ENTRIES;
    const char *wrong;

    if (b->sum != sum_xxh64(b, offsetof(struct v1_index_block, sum), n))
        return "checksum";
    if (b->pad ||
        b->nr != (left < V1_BLOCK_ENTRIES ? left : V1_BLOCK_ENTRIES))
        return "number of entries";
    for (unsigned i = 0; i < b->nr; i++) {
        wrong = entry_check(&b->entries[i], h->head.extra);
        if (wrong)
            return wrong;
        if (i && b->entries[i].gfn <= b->entries[i - 1].gfn)
            return "order of entries";
    }
    if (!is_zero((const uint8_t *)&b->entries[b->nr],
                 (V1_BLOCK_ENTRIES - b->nr) * sizeof(b->entries[0])))
        return "padding";
    return NULL;
}

void v1_index_head_seal(struct v1_index_head *h)
{
    h->sum = sum_xxh64(h, offsetof(struct v1_index_head, sum), 0);
}

void v1_index_block_seal(struct v1_index_block *b, uint64_t n)
{
    b->sum = sum_xxh64(b, offsetof(struct v1_index_block, sum), n);
}

