/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_EXIT_CODES_H
#define XL_EXIT_CODES_H
/*
 * What a result of libckpt becomes for a script: an exit status and a name,
 * the same in the man pages, in --help and in --json.  A status once given to
 * a meaning is never given to another.
 */
#include <stdio.h>

struct exit_code {
    int status;
    const char *name; /* as "code" in JSON */
    const char *meaning;
};

/* @rc is 0 or a negative errno.  Never NULL. */
const struct exit_code *exit_code_of(int rc);

/* The whole table, one line a row. */
void exit_code_print(FILE *f);
#endif
