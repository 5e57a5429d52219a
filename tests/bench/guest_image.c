/* SPDX-License-Identifier: LGPL-2.1-only */
#include "guest_image.h"

#include <string.h>

#define PAGE 4096u
#define RUN 64u /* pages that are zero, or not, together */

static uint64_t next(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void fill_text(char *to, uint64_t *state)
{
    static const char *const words[] = {
        "static ", "struct ", "return ", "the ", "of ", "error: ", "kernel ",
        "/usr/lib/", "x86_64", "\n    ", "0x", "page ", "device ", "=", "; ",
        "memory ", "domain ", "int ", "NULL", "(", ")", "{\n", "}\n", "if ",
        "a ", "to ", "init", "2026-11-21 ", "INFO ", "user ", "- ", ", "};
    unsigned at = 0;

    while (at < PAGE) {
        uint64_t r = next(state);

        for (unsigned i = 0; i < 8 && at < PAGE; i++, r >>= 8) {
            const char *w = words[r % 32];
            unsigned len = (unsigned)strlen(w);

            if (len > PAGE - at)
                len = PAGE - at;
            memcpy(to + at, w, len);
            at += len;
        }
    }
}

/* Kernel objects and heaps: small numbers, flags, pointers into one region. */
static void fill_records(char *to, uint64_t *state)
{
    const uint64_t base = UINT64_C(0xffff888000000000) + (next(state) >> 30);

    for (unsigned i = 0; i < PAGE / 8; i++) {
        const uint64_t r = next(state);
        uint64_t v = 0;

        if (r % 8 < 3)
            v = base + (r >> 44) * 8;
        else if (r % 8 < 5)
            v = r >> 56;
        else if (r % 8 == 5)
            v = r >> 32;
        memcpy(to + i * 8, &v, sizeof(v));
    }
}

static void fill_noise(char *to, uint64_t *state)
{
    for (unsigned i = 0; i < PAGE / 8; i++) {
        const uint64_t v = next(state);

        memcpy(to + i * 8, &v, sizeof(v));
    }
}

void guest_page_fill(void *to, uint64_t seed)
{
    uint64_t state = seed * 2 + 1;

    switch (next(&state) % 10) {
    case 0:
    case 1:
    case 2:
    case 3:
        fill_text(to, &state);
        break;
    case 4:
    case 5:
    case 6:
        fill_records(to, &state);
        break;
    default:
        fill_noise(to, &state);
        break;
    }
    memcpy(to, &state, sizeof(state)); /* no two alike */
}

void guest_image_fill(void *to, uint64_t nr_pages, uint64_t seed)
{
    uint64_t state = seed;
    char *page = to, *copied = NULL;
    int is_zero = 0;

    for (uint64_t i = 0; i < nr_pages; i++, page += PAGE) {
        if (i % RUN == 0)
            is_zero = (i / RUN) % 2 ? !is_zero : (int)(next(&state) & 1);
        if (is_zero) {
            memset(page, 0, PAGE);
        } else if (copied && next(&state) % 20 == 0) {
            memcpy(page, copied, PAGE);
        } else {
            guest_page_fill(page, seed ^ (i + 1) << 8);
            if (next(&state) % 4 == 0)
                copied = page;
        }
    }
}
