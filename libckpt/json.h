/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_JSON_H
#define CKPT_JSON_H
/*
 * JSON in and out, over yajl.  Reading is strict: bounded size and depth, no
 * member twice, no NUL in a string, and each getter takes one type only.  A
 * getter's failure is -EUCLEAN, with @what (the document) and the member
 * named.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yajl/yajl_gen.h>
#include <yajl/yajl_tree.h>

struct ckpt;

#define JSON_DEPTH_MAX 8u
#define JSON_MEMBERS_MAX 256u /* of one object */

/* The document, owned, released with yajl_tree_free(). */
int json_parse(struct ckpt *c, const char *what, const char *text,
               size_t max_bytes, yajl_val *tree_out);
/* The same with another limit than JSON_DEPTH_MAX, for what others write. */
int json_parse_deep(struct ckpt *c, const char *what, const char *text,
                    size_t max_bytes, unsigned max_depth, yajl_val *tree_out);

/* The member, borrowed from @object; NULL when there is none. */
yajl_val json_member(yajl_val object, const char *key);
/* Borrowed; "" when it is none, or not there. */
const char *json_text_in(yajl_val object, const char *key);

/* *value_out is owned by the caller, at most @max_len bytes long. */
int json_get_string(struct ckpt *c, const char *what, yajl_val object,
                    const char *key, size_t max_len, char **value_out);
int json_get_u64(struct ckpt *c, const char *what, yajl_val object,
                 const char *key, uint64_t max, uint64_t *value_out);
int json_get_i64(struct ckpt *c, const char *what, yajl_val object,
                 const char *key, int64_t *value_out);
int json_get_bool(struct ckpt *c, const char *what, yajl_val object,
                  const char *key, bool *value_out);
/* *array_out is borrowed from @object: u.array.len of u.array.values. */
int json_get_array(struct ckpt *c, const char *what, yajl_val object,
                   const char *key, size_t max_len, yajl_val *array_out);

/*
 * Writing: begin, any number of calls, end.  The first failure is kept and
 * told by json_end(); the calls in between need no check.  @key NULL is for
 * elements of an array.
 */
struct json {
    yajl_gen gen;
    yajl_gen_status status;
    char key[32]; /* of the call that failed */
};
void json_begin(struct json *j); /* opens the outermost object */
void json_begin_line(struct json *j); /* the same, all on one line */
void json_open_object(struct json *j, const char *key);
void json_close_object(struct json *j);
void json_open_array(struct json *j, const char *key);
void json_close_array(struct json *j);
void json_put_string(struct json *j, const char *key, const char *value);
void json_put_i64(struct json *j, const char *key, int64_t value);
void json_put_u64(struct json *j, const char *key, uint64_t value);
void json_put_bool(struct json *j, const char *key, bool value);
void json_put_null(struct json *j, const char *key);
/* A value that is JSON already; it is not looked at. */
void json_put_raw(struct json *j, const char *key, const char *value);
/* The text, owned by the caller.  -EINVAL names the member that is not
 * UTF-8, or a number too large. */
int json_end(struct ckpt *c, struct json *j, const char *what, char **text_out);

#endif
