/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as a manifest.  What is taken must survive being written and read
 * again.  The first byte picks: the JSON alone, or the file around it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "ctx.h"
#include "store_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void take(struct ckpt *c, const char *json)
{
    struct ckpt_info info;
    char *text, *again;

    if (checkpoint_from_json(c, "manifest", json, &info))
        return;
    if (checkpoint_to_json(c, &info, &text))
        abort();
    ckpt_info_fini(&info);
    if (checkpoint_from_json(c, "manifest", text, &info) ||
        checkpoint_to_json(c, &info, &again) || strcmp(text, again))
        abort();
    ckpt_info_fini(&info);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    struct ckpt c = {.log = NULL};
    char *text, *wrapped;

    if (!len_bytes)
        return 0;
    text = malloc(len_bytes);
    if (!text)
        return 0;
    memcpy(text, data + 1, len_bytes - 1);
    text[len_bytes - 1] = '\0';
    switch (data[0] & 3) {
    case 0: /* as it is: the checksum will hardly ever fit */
        if (!store_text_unwrap(STORE_MANIFEST, text, len_bytes - 1))
            take(&c, text);
        break;
    case 1:
        store_text_unwrap(STORE_VALUE, text, len_bytes - 1);
        break;
    case 2: /* a value goes through whatever it is */
        wrapped = store_text_wrap(STORE_VALUE, text);
        if (!wrapped ||
            store_text_unwrap(STORE_VALUE, wrapped, strlen(wrapped)) ||
            strcmp(wrapped, text))
            abort();
        free(wrapped);
        break;
    default:
        take(&c, text);
    }
    free(text);
    return 0;
}
