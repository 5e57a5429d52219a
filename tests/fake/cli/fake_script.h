/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef FAKE_SCRIPT_H
#define FAKE_SCRIPT_H
/* The script that fake_ckpt.c describes, for all that answer from it. */
#include <stddef.h>
#include <stdint.h>

#include "ckpt.h"

_Noreturn void script_broken(const char *what);
/* The value of a key; NULL: it has none. */
const char *script_get(const char *key);
/* The @n-th part of A|B|C, on the heap, or as a number. */
char *script_part(const char *s, unsigned n);
uint64_t script_part_num(const char *s, unsigned n);
__attribute__((format(printf, 1, 2))) void script_note(const char *fmt, ...);
/* What the script says a call returns; the long ones report and wait, too. */
int script_answer(ckpt *c, const char *call, const char *arg);
int script_long_answer(ckpt *c, const char *call, const char *arg);
/* A take that stands by; `stale=-116 changed` is an answer. */
int script_stand_by(ckpt *c, const char *domain,
                    const struct ckpt_take_opts *opts);
/* The line at which a checkpoint begins, from @i on; then what it tells. */
size_t script_next_checkpoint(size_t i);
size_t script_fill(size_t i, struct ckpt_info *info);

#endif
