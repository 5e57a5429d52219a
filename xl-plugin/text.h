/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_TEXT_H
#define XL_TEXT_H
/*
 * Strings that came from a store, on their way to a terminal or into JSON.
 * A store may come from another host: what it holds is not trusted to be
 * UTF-8, nor to be free of escape sequences.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Whether the locale's character set is UTF-8 (setlocale() comes first). */
bool text_locale_is_utf8(void);

/* Decodes the character at @s.  Returns its length in bytes, 0 at the end of
 * the string.  An invalid byte has length 1 and *cp_out is TEXT_INVALID. */
#define TEXT_INVALID UINT32_MAX
size_t text_decode(const char *s, uint32_t *cp_out);

/* Prints @s (NULL is fine) with '?' for what the terminal must not see or
 * cannot show.  Returns the number of columns; @f NULL only counts. */
size_t text_print(FILE *f, const char *s);
#endif
