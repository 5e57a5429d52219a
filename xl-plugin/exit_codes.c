/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * One table.  Several errnos may share a status, where a script does the same
 * about them; each row still has a name of its own.  xen-ckpt(7) repeats the
 * table and a test compares them.
 */
#include "exit_codes.h"

#include <errno.h>
#include <stddef.h>

struct row {
    int err; /* positive errno; -1: every errno without a row */
    struct exit_code code;
};

/* clang-format off */
static const struct row rows[] = {
    { 0,         { 0, "ok",            "success" } },
    { -1,        { 1, "failed",        "any other failure" } },
    { EINVAL,    { 2, "usage",         "bad option or argument" } },
    { ENOENT,    { 3, "not-found",     "no such domain or checkpoint" } },
    { EEXIST,    { 4, "name-taken",    "the name is already in use" } },
    { EBUSY,     { 4, "busy",          "another operation is under way" } },
    { ENOTSUP,   { 5, "not-supported", "this domain or disk cannot do it" } },
    { ENOSPC,    { 6, "no-space",      "the store or a disk pool is full" } },
    { ENOMEM,    { 6, "no-memory",     "not enough memory" } },
    { ENOBUFS,   { 6, "ring-full",     "the guest outran the store" } },
    { ETIMEDOUT, { 7, "timed-out",     "the guest did not suspend in time" } },
    { EUCLEAN,   { 8, "damaged",       "the checkpoint is damaged" } },
    { ECANCELED, { 9, "cancelled",     "stopped by a signal" } },
    { EACCES,    { 10, "not-permitted", "the caller may not do it" } },
    { EPERM,     { 10, "not-permitted", "the caller may not do it" } },
};
/* clang-format on */
#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

const struct exit_code *exit_code_of(int rc)
{
    const struct exit_code *other = NULL;
    size_t i;

    for (i = 0; i < NR_ROWS; i++) {
        if (rows[i].err == -rc)
            return &rows[i].code;
        if (rows[i].err == -1)
            other = &rows[i].code;
    }
    return other;
}

void exit_code_print(FILE *f)
{
    size_t i;

    for (i = 0; i < NR_ROWS; i++) {
        if (rows[i].err == EPERM)
            continue; /* the row before says the same */
        fprintf(f, " %2d  %-15s%s\n", rows[i].code.status, rows[i].code.name,
                rows[i].code.meaning);
    }
}
