/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A thin skin over yajl.  yajl_tree frees by recursion and cuts strings at an
 * escaped NUL, so both are looked for in the text before it is parsed.
 */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "ctx.h"

/* --- reading ------------------------------------------------------------- */

/* NULL, or what in the text is more than we take. */
static const char *scan(const char *text, unsigned max_depth)
{
    unsigned depth = 0;
    bool in_string = false;

    for (const char *p = text; *p; p++) {
        if (in_string && *p == '\\') {
            if (!strncmp(p + 1, "u0000", 5))
                return "a NUL in a string";
            if (p[1])
                p++;
        } else if (*p == '"') {
            in_string = !in_string;
        } else if (!in_string && (*p == '{' || *p == '[')) {
            if (++depth > max_depth)
                return "nested too deep";
        } else if (!in_string && (*p == '}' || *p == ']')) {
            if (depth)
                depth--;
        }
    }
    return NULL;
}

/* Members twice, in @v and below; the depth is bounded by scan(). */
static const char *check_members(yajl_val v)
{
    const char *wrong = NULL;

    if (YAJL_IS_ARRAY(v)) {
        for (size_t i = 0; !wrong && i < v->u.array.len; i++)
            wrong = check_members(v->u.array.values[i]);
        return wrong;
    }
    if (!YAJL_IS_OBJECT(v))
        return NULL;
    if (v->u.object.len > JSON_MEMBERS_MAX)
        return "too many members";
    for (size_t i = 0; !wrong && i < v->u.object.len; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!strcmp(v->u.object.keys[i], v->u.object.keys[j]))
                return "a member twice";
        }
        wrong = check_members(v->u.object.values[i]);
    }
    return wrong;
}

int json_parse(struct ckpt *c, const char *what, const char *text,
               size_t max_bytes, yajl_val *tree_out)
{
    return json_parse_deep(c, what, text, max_bytes, JSON_DEPTH_MAX, tree_out);
}

int json_parse_deep(struct ckpt *c, const char *what, const char *text,
                    size_t max_bytes, unsigned max_depth, yajl_val *tree_out)
{
    char error[160] = "";
    const char *wrong;
    yajl_val tree;

    *tree_out = NULL;
    if (strnlen(text, max_bytes + 1) > max_bytes)
        return fail(c, -EUCLEAN, "%s: longer than %zu bytes.", what, max_bytes);
    wrong = scan(text, max_depth);
    if (wrong)
        return fail(c, -EUCLEAN, "%s: %s.", what, wrong);
    tree = yajl_tree_parse(text, error, sizeof(error));
    if (!tree) {
        /* yajl's first line is the reason, the others draw an arrow. */
        error[strcspn(error, "\n")] = '\0';
        return fail(c, -EUCLEAN, "%s: not JSON (%s).", what, error);
    }
    wrong = check_members(tree);
    if (wrong) {
        yajl_tree_free(tree);
        return fail(c, -EUCLEAN, "%s: %s.", what, wrong);
    }
    *tree_out = tree;
    return 0;
}

yajl_val json_member(yajl_val object, const char *key)
{
    if (!YAJL_IS_OBJECT(object))
        return NULL;
    for (size_t i = 0; i < object->u.object.len; i++) {
        if (!strcmp(object->u.object.keys[i], key))
            return object->u.object.values[i];
    }
    return NULL;
}

const char *json_text_in(yajl_val object, const char *key)
{
    const char *s = YAJL_GET_STRING(json_member(object, key));

    return s ? s : "";
}

static int fail_member(struct ckpt *c, const char *what, const char *key,
                       const char *wanted)
{
    return fail(c, -EUCLEAN, "%s: \"%s\" is not %s.", what, key, wanted);
}

int json_get_string(struct ckpt *c, const char *what, yajl_val object,
                    const char *key, size_t max_len, char **value_out)
{
    yajl_val v = json_member(object, key);
    char *value;

    if (!YAJL_IS_STRING(v))
        return fail_member(c, what, key, "a string");
    if (strlen(v->u.string) > max_len)
        return fail_member(c, what, key, "short enough");
    value = strdup(v->u.string);
    if (!value)
        return fail(c, -ENOMEM, "%s", what);
    *value_out = value;
    return 0;
}

int json_get_u64(struct ckpt *c, const char *what, yajl_val object,
                 const char *key, uint64_t max, uint64_t *value_out)
{
    yajl_val v = json_member(object, key);

    if (!YAJL_IS_INTEGER(v) || v->u.number.i < 0 ||
        (uint64_t)v->u.number.i > max)
        return fail_member(c, what, key, "a number in range");
    *value_out = (uint64_t)v->u.number.i;
    return 0;
}

int json_get_i64(struct ckpt *c, const char *what, yajl_val object,
                 const char *key, int64_t *value_out)
{
    yajl_val v = json_member(object, key);

    if (!YAJL_IS_INTEGER(v))
        return fail_member(c, what, key, "a number in range");
    *value_out = v->u.number.i;
    return 0;
}

int json_get_bool(struct ckpt *c, const char *what, yajl_val object,
                  const char *key, bool *value_out)
{
    yajl_val v = json_member(object, key);

    if (!YAJL_IS_TRUE(v) && !YAJL_IS_FALSE(v))
        return fail_member(c, what, key, "true or false");
    *value_out = YAJL_IS_TRUE(v);
    return 0;
}

int json_get_array(struct ckpt *c, const char *what, yajl_val object,
                   const char *key, size_t max_len, yajl_val *array_out)
{
    yajl_val v = json_member(object, key);

    if (!YAJL_IS_ARRAY(v))
        return fail_member(c, what, key, "an array");
    if (v->u.array.len > max_len)
        return fail_member(c, what, key, "short enough");
    *array_out = v;
    return 0;
}

/* --- writing ------------------------------------------------------------- */

static bool is_ok(const struct json *j)
{
    return j->gen && j->status == yajl_gen_status_ok;
}

static void note(struct json *j, const char *key, yajl_gen_status status)
{
    size_t len = key ? strnlen(key, sizeof(j->key) - 1) : 0;

    j->status = status;
    if (status == yajl_gen_status_ok)
        return;
    memcpy(j->key, key ? key : "", len);
    j->key[len] = '\0';
}

static yajl_gen_status gen_text(yajl_gen gen, const char *text)
{
    return yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

/* The member's name, where there is one. True: go on. */
static bool put_key(struct json *j, const char *key)
{
    if (is_ok(j) && key)
        note(j, key, gen_text(j->gen, key));
    return is_ok(j);
}

static void begin(struct json *j, bool is_beautiful)
{
    memset(j, 0, sizeof(*j));
    j->status = yajl_gen_status_ok;
    j->gen = yajl_gen_alloc(NULL);
    if (!j->gen)
        return;
    if (is_beautiful) {
        yajl_gen_config(j->gen, yajl_gen_beautify, 1);
        yajl_gen_config(j->gen, yajl_gen_indent_string, "  ");
    }
    yajl_gen_config(j->gen, yajl_gen_validate_utf8, 1);
    note(j, NULL, yajl_gen_map_open(j->gen));
}

void json_begin(struct json *j)
{
    begin(j, true);
}

void json_begin_line(struct json *j)
{
    begin(j, false);
}

void json_open_object(struct json *j, const char *key)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_map_open(j->gen));
}

void json_close_object(struct json *j)
{
    if (is_ok(j))
        note(j, NULL, yajl_gen_map_close(j->gen));
}

void json_open_array(struct json *j, const char *key)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_array_open(j->gen));
}

void json_close_array(struct json *j)
{
    if (is_ok(j))
        note(j, NULL, yajl_gen_array_close(j->gen));
}

void json_put_string(struct json *j, const char *key, const char *value)
{
    if (put_key(j, key))
        note(j, key, gen_text(j->gen, value));
}

void json_put_i64(struct json *j, const char *key, int64_t value)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_integer(j->gen, value));
}

void json_put_u64(struct json *j, const char *key, uint64_t value)
{
    if (is_ok(j) && value > INT64_MAX)
        note(j, key, yajl_gen_invalid_number);
    json_put_i64(j, key, (int64_t)value);
}

void json_put_bool(struct json *j, const char *key, bool value)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_bool(j->gen, value));
}

void json_put_null(struct json *j, const char *key)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_null(j->gen));
}

/* yajl takes a number as text and copies it as it is. */
void json_put_raw(struct json *j, const char *key, const char *value)
{
    if (put_key(j, key))
        note(j, key, yajl_gen_number(j->gen, value, strlen(value)));
}

int json_end(struct ckpt *c, struct json *j, const char *what, char **text_out)
{
    const unsigned char *text;
    size_t len;
    int rc;

    json_close_object(j);
    if (!j->gen)
        return fail(c, -ENOMEM, "%s", what);
    if (is_ok(j))
        note(j, NULL, yajl_gen_get_buf(j->gen, &text, &len));
    if (is_ok(j)) {
        *text_out = strndup((const char *)text, len);
        rc = *text_out ? 0 : fail(c, -ENOMEM, "%s", what);
    } else {
        rc = fail(c, -EINVAL, "%s: \"%s\" is not %s.", what, j->key,
                  j->status == yajl_gen_invalid_number ? "a number in range"
                                                       : "UTF-8");
    }
    yajl_gen_free(j->gen);
    j->gen = NULL;
    return rc;
}
