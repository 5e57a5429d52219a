/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A small strict UTF-8 decoder (no overlong forms, no surrogates) and what
 * is built on it.  Nothing here allocates.
 */
#include "text.h"

#include <langinfo.h>
#include <string.h>
#include <wchar.h>

bool text_locale_is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

size_t text_decode(const char *s, uint32_t *cp_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)s;
    uint32_t cp;
    size_t len, i;

    *cp_out = TEXT_INVALID;
    if (p[0] < 0x80) {
        *cp_out = p[0];
        return p[0] ? 1 : 0;
    }
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 1;
    len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    cp = p[0] & (0x7fu >> len);
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 1;
    *cp_out = cp;
    return len;
}

size_t text_print(FILE *f, const char *s)
{
    const bool is_utf8 = text_locale_is_utf8();
    size_t columns = 0, len;
    uint32_t cp;
    int width;

    if (!s)
        return 0;
    for (; (len = text_decode(s, &cp)) > 0; s += len) {
        width = -1;
        if (cp != TEXT_INVALID && (is_utf8 || cp < 0x80))
            width = wcwidth((wchar_t)cp);
        if (f && width < 0)
            putc('?', f);
        else if (f)
            fwrite(s, 1, len, f);
        columns += width < 0 ? 1 : (size_t)width;
    }
    return columns;
}
