/* SPDX-License-Identifier: LGPL-2.1-only */
/* Any bytes as the begin of a qcow2 file.  What is taken is within bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    struct qcow2_head head;
    int rc = qcow2_parse(data, len_bytes, &head);

    if (!rc && (strnlen(head.backing, sizeof(head.backing)) ==
                    sizeof(head.backing) ||
                strnlen(head.backing_format, sizeof(head.backing_format)) ==
                    sizeof(head.backing_format)))
        abort();
    return 0;
}
