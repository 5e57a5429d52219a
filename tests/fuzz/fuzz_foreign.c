/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Any bytes as what other programs report about disks.  The first byte picks:
 * qemu-img's map, the answer of a hook, or thin_delta's XML.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "disk_extents.h"
#include "disk_manual.h"
#include "disk_qcow2.h"
#include "thin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static int in_order(void *arg, const struct disk_extent *e)
{
    uint64_t *end = arg;

    if (!e->len_bytes || e->offset_bytes < *end)
        abort();
    *end = e->offset_bytes + e->len_bytes;
    return 0;
}

static void read_lines(char *text, struct disk_extents *out)
{
    uint64_t block_bytes = 0;
    char *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save))
        if (thin_read_delta(line, &block_bytes, out))
            return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    struct disk_extents extents = {.nr = 0}, none = {.nr = 0};
    struct ckpt c = {.log = NULL};
    char value[32], *text;
    uint64_t end = 0;

    if (!len_bytes || !(text = strndup((const char *)data + 1, len_bytes - 1)))
        return 0;
    if (data[0] & 1) {
        if (!manual_answer(text, "snapshot", value, sizeof(value)) &&
            (!value[0] || strchr(value, ' ')))
            abort();
    } else {
        if (data[0] & 2)
            read_lines(text, &extents);
        else
            qcow2_read_map(&c, text, 2, &extents);
        disk_extents_either(&extents, &none, in_order, &end);
    }
    disk_extents_fini(&extents);
    free(text);
    return 0;
}
