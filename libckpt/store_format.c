/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Seals and checks what lies in a directory store.  Nothing here opens or
 * allocates by a number it read: the checks come first, and what they let
 * through cannot lead a reader outside its file or its memory.
 *
 * Texts stay texts.  A manifest lies inside one more JSON object, whose first
 * member is the checksum of the bytes of the second:
 *
 *     {"xxh64":"0123456789abcdef","manifest":
 *     { ... }
 *     }
 *
 * A value has its checksum in a last line of its own.
 */
#include "store_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack.h"

#define MANIFEST_HEAD "{\"xxh64\":\"%016" PRIx64 "\",\"manifest\":\n"
#define MANIFEST_TAIL "\n}\n"
#define VALUE_TAIL "\nxxh64:%016" PRIx64 "\n"

static bool is_zero(const uint8_t *p, size_t len_bytes)
{
    for (size_t i = 0; i < len_bytes; i++) {
        if (p[i])
            return false;
    }
    return true;
}

/* --- heads --------------------------------------------------------------- */

void store_head_fill(struct store_head *h, const char *magic, const char *id,
                     uint64_t count, uint64_t extra)
{
    memset(h, 0, sizeof(*h));
    memcpy(h->magic, magic, sizeof(h->magic));
    h->version = STORE_FORMAT_VERSION;
    memcpy(h->id, id, sizeof(h->id));
    h->count = count;
    h->extra = extra;
    h->sum = pack_sum(h, offsetof(struct store_head, sum), 0);
}

const char *store_head_check(const struct store_head *h, const char *magic,
                             const char *id)
{
    if (memcmp(h->magic, magic, sizeof(h->magic)))
        return "not a file of this kind";
    if (h->sum != pack_sum(h, offsetof(struct store_head, sum), 0))
        return "checksum of the head";
    if (h->version != STORE_FORMAT_VERSION || h->mandatory)
        return "written by a newer xen-ckpt";
    if (h->pad)
        return "head";
    if (memcmp(h->id, id, sizeof(h->id)))
        return "belongs to another checkpoint";
    return NULL;
}

const char *store_pages_head_check(const void *page, const char *id)
{
    struct store_head head;

    memcpy(&head, page, sizeof(head));
    if (!is_zero((const uint8_t *)page + sizeof(head),
                 PAGE_SIZE_BYTES - sizeof(head)))
        return "first page";
    return store_head_check(&head, STORE_PAGES_MAGIC, id);
}

/* --- index --------------------------------------------------------------- */

uint64_t store_index_nr_blocks(const struct store_index_head *h)
{
    return h->head.count / STORE_BLOCK_ENTRIES +
           (h->head.count % STORE_BLOCK_ENTRIES != 0);
}

static bool is_blob_row(const struct store_blob_row *row)
{
    size_t len = strnlen(row->name, sizeof(row->name));

    for (size_t i = 0; i < len; i++) {
        if (!strchr("abcdefghijklmnopqrstuvwxyz.-", row->name[i]))
            return false;
    }
    return len &&
           is_zero((const uint8_t *)row->name + len, sizeof(row->name) - len);
}

const char *store_index_head_check(const struct store_index_head *h,
                                   const char *id, uint64_t file_bytes)
{
    const char *wrong = store_head_check(&h->head, STORE_INDEX_MAGIC, id);
    static const struct store_blob_row none;

    if (wrong)
        return wrong;
    if (h->sum != pack_sum(h, offsetof(struct store_index_head, sum), 0))
        return "checksum of the first page";
    if (h->head.count > STORE_GFN_MAX + 1 ||
        h->head.extra > STORE_HOME_PAGE_MASK || h->nr_blobs > STORE_BLOBS_MAX)
        return "counts";
    if (file_bytes / 4096 != 1 + store_index_nr_blocks(h) || file_bytes % 4096)
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

static const char *entry_check(const struct store_entry *e, uint64_t nr_pages)
{
    const uint64_t page = store_home_page(e->home);
    const uint8_t type = store_home_type(e->home);

    if (e->gfn > STORE_GFN_MAX || e->home & ~STORE_HOME_KNOWN ||
        type == PAGE_TYPE_ABSENT)
        return "an entry";
    if (e->home & STORE_HOME_ZERO)
        return page || e->sum ? "an entry" : NULL;
    if (!page_type_has_data(type) || page == 0 || page > nr_pages)
        return "an entry";
    return NULL;
}

const char *store_index_block_check(const struct store_index_head *h,
                                    const struct store_index_block *b,
                                    uint64_t n)
{
    uint64_t left = h->head.count - n * STORE_BLOCK_ENTRIES;
    const char *wrong;

    if (b->sum != pack_sum(b, offsetof(struct store_index_block, sum), n))
        return "checksum";
    if (b->pad ||
        b->nr != (left < STORE_BLOCK_ENTRIES ? left : STORE_BLOCK_ENTRIES))
        return "number of entries";
    for (unsigned i = 0; i < b->nr; i++) {
        wrong = entry_check(&b->entries[i], h->head.extra);
        if (wrong)
            return wrong;
        if (i && b->entries[i].gfn <= b->entries[i - 1].gfn)
            return "order of entries";
    }
    if (!is_zero((const uint8_t *)&b->entries[b->nr],
                 (STORE_BLOCK_ENTRIES - b->nr) * sizeof(b->entries[0])))
        return "padding";
    return NULL;
}

void store_index_head_seal(struct store_index_head *h)
{
    h->sum = pack_sum(h, offsetof(struct store_index_head, sum), 0);
}

void store_index_block_seal(struct store_index_block *b, uint64_t n)
{
    b->sum = pack_sum(b, offsetof(struct store_index_block, sum), n);
}

/* --- texts --------------------------------------------------------------- */

char *store_text_wrap(enum store_text what, const char *text)
{
    size_t len = strlen(text);
    uint64_t sum = pack_sum(text, len, 0);
    char *wrapped;
    int rc;

    if (what == STORE_MANIFEST)
        rc = asprintf(&wrapped, MANIFEST_HEAD "%s" MANIFEST_TAIL, sum, text);
    else
        rc = asprintf(&wrapped, "%s" VALUE_TAIL, text, sum);
    return rc < 0 ? NULL : wrapped;
}

const char *store_text_unwrap(enum store_text what, char *text,
                              size_t len_bytes)
{
    size_t head_len = 0, tail_len, body_len;
    char head[64], tail[64];
    uint64_t sum;

    /* The lengths do not depend on the checksum. */
    tail_len = (size_t)snprintf(tail, sizeof(tail), VALUE_TAIL, UINT64_C(0));
    if (what == STORE_MANIFEST) {
        head_len =
            (size_t)snprintf(head, sizeof(head), MANIFEST_HEAD, UINT64_C(0));
        tail_len = strlen(MANIFEST_TAIL);
    }
    if (len_bytes < head_len + tail_len)
        return "length";
    body_len = len_bytes - head_len - tail_len;
    if (memchr(text, '\0', len_bytes))
        return "not a text";

    sum = pack_sum(text + head_len, body_len, 0);
    snprintf(tail, sizeof(tail), VALUE_TAIL, sum);
    snprintf(head, sizeof(head), MANIFEST_HEAD, sum);
    if (what == STORE_MANIFEST)
        snprintf(tail, sizeof(tail), MANIFEST_TAIL);
    if (memcmp(text, head, head_len) ||
        memcmp(text + len_bytes - tail_len, tail, tail_len))
        return "checksum";
    memmove(text, text + head_len, body_len);
    text[body_len] = '\0';
    return NULL;
}
