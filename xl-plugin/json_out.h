/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_JSON_OUT_H
#define XL_JSON_OUT_H
/*
 * The JSON a command prints: one object, written only when it is whole, by
 * yajl.  A failure on the way (no memory) is kept and reported by json_write.
 * @key is NULL inside an array.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt.h"

struct json;

struct json *json_new(void); /* the outermost object is open; NULL: no memory */
struct json *json_new_line(void); /* the same, without newlines */
void json_free(struct json *j);   /* NULL is fine */
/* Closes the outermost object and writes the text.  0 or -errno. */
int json_write(struct json *j, FILE *f);

void json_open_object(struct json *j, const char *key);
void json_close_object(struct json *j);
void json_open_array(struct json *j, const char *key);
void json_close_array(struct json *j);
/* NULL becomes null; bytes that are no UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_signed(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);

/* The records of ckpt.h, the fields under their names there. */
void json_checkpoint(struct json *j, const char *key,
                     const struct ckpt_info *info);
void json_domain(struct json *j, const char *key, const struct ckpt_domain *d,
                 bool is_rollback);
/* {"error": {"code": …, "exit": …, "message": …}} */
void json_error(struct json *j, int rc, const char *message);
#endif
