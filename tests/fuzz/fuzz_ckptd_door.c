/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a guest writes: taken only when it can be said again in other words. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "door_request.h"
#include "policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    /* of its own size, so that a read past the end is seen */
    char *text = malloc(len + 1);
    struct door_request r;
    bool is_frozen;

    if (!text)
        return 0;
    memcpy(text, data, len);
    if (!door_request_parse(text, len, &r)) {
        if (!r.id[0] || strlen(r.id) > DOOR_ID_MAX || strpbrk(r.id, "/ \n"))
            abort();
        if (r.request == GUEST_FORK ? r.count < 1 || r.count > 256 : r.count)
            abort();
    }
    door_ack_parse(text, len, 7, &is_frozen);
    free(text);
    return 0;
}
