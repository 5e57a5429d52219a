/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * yajl keeps the state and escapes; this file adds keys, keeps the first
 * failure and makes every string valid UTF-8, which yajl does not.
 */
#include "json_out.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_gen.h>

#include "text.h"

struct json {
    yajl_gen gen;
    bool has_failed;
};

static void check(struct json *j, yajl_gen_status status)
{
    if (status != yajl_gen_status_ok)
        j->has_failed = true;
}

static struct json *make(bool is_beautiful)
{
    struct json *j = calloc(1, sizeof(*j));

    if (!j)
        return NULL;
    j->gen = yajl_gen_alloc(NULL);
    if (!j->gen) {
        free(j);
        return NULL;
    }
    if (is_beautiful &&
        (!yajl_gen_config(j->gen, yajl_gen_beautify, 1) ||
         !yajl_gen_config(j->gen, yajl_gen_indent_string, "    ")))
        j->has_failed = true;
    check(j, yajl_gen_map_open(j->gen));
    return j;
}

struct json *json_new(void)
{
    return make(true);
}

struct json *json_new_line(void)
{
    return make(false);
}

void json_free(struct json *j)
{
    if (!j)
        return;
    yajl_gen_free(j->gen);
    free(j);
}

int json_write(struct json *j, FILE *f)
{
    const unsigned char *text;
    size_t len;

    check(j, yajl_gen_map_close(j->gen));
    if (j->has_failed ||
        yajl_gen_get_buf(j->gen, &text, &len) != yajl_gen_status_ok)
        return -ENOMEM;
    errno = 0;
    if (fwrite(text, 1, len, f) != len || fflush(f) != 0)
        return errno ? -errno : -EIO;
    return 0;
}

static void put_text(struct json *j, const char *s)
{
    static const char bad[] = "\xef\xbf\xbd"; /* U+FFFD */
    char *clean = malloc(strlen(s) * (sizeof(bad) - 1) + 1);
    size_t len, nr = 0;
    uint32_t cp;

    if (!clean) {
        j->has_failed = true;
        return;
    }
    for (; (len = text_decode(s, &cp)) > 0; s += len) {
        if (cp == TEXT_INVALID) {
            memcpy(clean + nr, bad, sizeof(bad) - 1);
            nr += sizeof(bad) - 1;
        } else {
            memcpy(clean + nr, s, len);
            nr += len;
        }
    }
    check(j, yajl_gen_string(j->gen, (const unsigned char *)clean, nr));
    free(clean);
}

static void put_key(struct json *j, const char *key)
{
    if (key)
        put_text(j, key);
}

void json_open_object(struct json *j, const char *key)
{
    put_key(j, key);
    check(j, yajl_gen_map_open(j->gen));
}

void json_close_object(struct json *j)
{
    check(j, yajl_gen_map_close(j->gen));
}

void json_open_array(struct json *j, const char *key)
{
    put_key(j, key);
    check(j, yajl_gen_array_open(j->gen));
}

void json_close_array(struct json *j)
{
    check(j, yajl_gen_array_close(j->gen));
}

void json_text(struct json *j, const char *key, const char *value)
{
    put_key(j, key);
    if (value)
        put_text(j, value);
    else
        check(j, yajl_gen_null(j->gen));
}

void json_number(struct json *j, const char *key, uint64_t value)
{
    char s[24]; /* yajl's own integers are signed */
    int len = snprintf(s, sizeof(s), "%" PRIu64, value);

    put_key(j, key);
    check(j, yajl_gen_number(j->gen, s, (size_t)len));
}

void json_signed(struct json *j, const char *key, int64_t value)
{
    put_key(j, key);
    check(j, yajl_gen_integer(j->gen, value));
}

void json_bool(struct json *j, const char *key, bool value)
{
    put_key(j, key);
    check(j, yajl_gen_bool(j->gen, value));
}
