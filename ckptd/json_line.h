/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_JSON_LINE_H
#define CKPTD_JSON_LINE_H
/* What json.h lacks for messages: strings from elsewhere, times, jobs. */
#include "json.h"
#include "wire.h"

/* Any bytes: what is no UTF-8 or a control character becomes '?'. */
void line_put_text(struct json *j, const char *key, const char *value);
/* "2026-11-21T00:45:10.000000Z", or null when @unix_us is 0. */
void line_put_time(struct json *j, const char *key, int64_t unix_us);
/* An array of the texts in @words, each ended by @end. */
void line_put_words(struct json *j, const char *key, const char *words,
                    char end);
/* A job as docs/specs/socket.md has it. */
void line_put_job(struct json *j, const char *key, const struct wire_job *job);
void line_put_policy(struct json *j, const char *key, const struct policy *p);
/* The code of an error in words, as `xl checkpoint --json` has them. */
const char *line_code(int rc);
#endif
