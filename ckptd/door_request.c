/* SPDX-License-Identifier: LGPL-2.1-only */
#include "door_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policy.h"

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '-';
}

/* Whether the rest is exactly @word. */
static bool is_word(const char *at, const char *end, const char *word)
{
    return (size_t)(end - at) == strlen(word) &&
           !memcmp(at, word, (size_t)(end - at));
}

/* All of the rest is a number from 1 to @max. */
static bool take_number(const char *at, const char *end, uint32_t max,
                        uint32_t *out)
{
    uint32_t n = 0;

    if (at == end)
        return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        n = n * 10 + (uint32_t)(*at - '0');
        if (n > max)
            return false;
    }
    *out = n;
    return n > 0;
}

int door_request_parse(const char *value, size_t len_bytes,
                       struct door_request *r)
{
    const char *at = value, *end = value + len_bytes;

    memset(r, 0, sizeof(*r));
    if (!len_bytes)
        return -ENODATA;
    if (len_bytes > DOOR_TEXT_MAX)
        return -E2BIG;
    while (at < end && is_id_char(*at))
        at++;
    if (at == value || at == end || *at != ' ' ||
        (size_t)(at - value) > DOOR_ID_MAX)
        return -EINVAL;
    memcpy(r->id, value, (size_t)(at - value));
    at++;
    if (is_word(at, end, "checkpoint")) {
        r->request = GUEST_CHECKPOINT;
        return 0;
    }
    if (is_word(at, end, "rollback")) {
        r->request = GUEST_ROLLBACK;
        return 0;
    }
    if (end - at < 4 || memcmp(at, "fork", 4))
        return -EINVAL;
    r->request = GUEST_FORK;
    r->count = 1;
    at += 4;
    if (at == end)
        return 0;
    return *at == ' ' && take_number(at + 1, end, FORK_COUNT_MAX, &r->count)
               ? 0
               : -EINVAL;
}

bool door_ack_parse(const char *value, size_t len_bytes, uint32_t seq,
                    bool *frozen_out)
{
    const char *end = value + len_bytes, *at;
    char number[16];
    size_t len;

    len = (size_t)snprintf(number, sizeof(number), "%u ", seq);
    if (len_bytes <= len || len_bytes > DOOR_TEXT_MAX ||
        memcmp(value, number, len))
        return false;
    at = value + len;
    *frozen_out = is_word(at, end, "frozen");
    return *frozen_out || is_word(at, end, "thawed") ||
           is_word(at, end, "failed");
}
