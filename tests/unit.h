/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef UNIT_H
#define UNIT_H
/* cmocka and what it wants included before it; include this before ours:
 * its fail() is a macro and would eat the one of ctx.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail

#endif
