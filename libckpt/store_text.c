/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Texts stay texts.  A manifest lies inside one more JSON object, whose first
 * member is the checksum of the bytes of the second:
 *
 *     {"xxh64":"0123456789abcdef","manifest":
 *     { ... }
 *     }
 *
 * A value has its checksum in a last line of its own.
 */
#include "store_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pack_sum.h"

#define MANIFEST_HEAD "{\"xxh64\":\"%016" PRIx64 "\",\"manifest\":\n"
#define MANIFEST_TAIL "\n}\n"
#define VALUE_TAIL "\nxxh64:%016" PRIx64 "\n"

char *store_text_wrap(enum store_text what, const char *text)
{
    size_t len = strlen(text);
    uint64_t sum = sum_xxh64(text, len, 0);
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

    sum = sum_xxh64(text + head_len, body_len, 0);
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
