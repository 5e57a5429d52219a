/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What changed between two snapshots of one qcow2 disk: what the files above
 * the last one that both have in common hold, on either side.
 *
 *      to:    S3 -> S2 -> S1 -> base           from S1 to S3: S3, S2
 *      from:  R1 -------> S1                   from R1 to S3: S3, S2, and R1
 *
 * qemu-img map says for each run of bytes how deep in the chain it is found.
 */
#include "disk_qcow2.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_tree.h>

#include "ctx.h"
#include "disk_extents.h"
#include "json.h"
#include "qcow2_file.h"
#include "spawn.h"

#define TIMEOUT_MS 600000u
#define MAP_MAX_BYTES (1u << 20)   /* what spawn_run() takes in at most */
#define SLICE_MIN_BYTES (4u << 20) /* whose map always fits */

static int read_run(yajl_val v, size_t depth_below, struct disk_extents *out)
{
    yajl_val start = json_member(v, "start"), len = json_member(v, "length");
    yajl_val depth = json_member(v, "depth");

    if (!YAJL_IS_INTEGER(start) || !YAJL_IS_INTEGER(len) ||
        !YAJL_IS_INTEGER(depth) || start->u.number.i < 0 ||
        len->u.number.i < 0 || depth->u.number.i < 0)
        return -EUCLEAN;
    if (YAJL_IS_FALSE(json_member(v, "present")) ||
        (uint64_t)depth->u.number.i >= depth_below)
        return 0;
    return disk_extents_add(out, (uint64_t)start->u.number.i,
                            (uint64_t)len->u.number.i);
}

int qcow2_read_map(struct ckpt *c, const char *text, size_t depth_below,
                   struct disk_extents *out)
{
    yajl_val tree;
    int rc;

    rc = json_parse(c, "qemu-img map", text, MAP_MAX_BYTES, &tree);
    if (rc)
        return rc;
    rc = YAJL_IS_ARRAY(tree) ? 0 : -EUCLEAN;
    for (size_t i = 0; !rc && i < tree->u.array.len; i++)
        rc = read_run(tree->u.array.values[i], depth_below, out);
    yajl_tree_free(tree);
    return rc ? fail(c, rc, "qemu-img map: its report is not understood") : 0;
}

static int map_slice(struct ckpt *c, const char *path, uint64_t offset,
                     uint64_t len, size_t depth_below, struct disk_extents *out)
{
    char from[48], max[48], *text;
    const char *argv[] = {"qemu-img",      "map", "-U", "-f", "qcow2",
                          "--output=json", from,  max,  path, NULL};
    int rc;

    snprintf(from, sizeof(from), "--start-offset=%" PRIu64, offset);
    snprintf(max, sizeof(max), "--max-length=%" PRIu64, len);
    rc = spawn_run(c, argv, TIMEOUT_MS, &text);
    if (rc)
        return rc;
    rc = qcow2_read_map(c, text, depth_below, out);
    free(text);
    return rc;
}

/* What the first @depth_below files of the chain of @path hold. */
static int map(struct ckpt *c, const char *path, uint64_t size_bytes,
               size_t depth_below, struct disk_extents *out)
{
    uint64_t offset = 0, slice = size_bytes, len;
    int rc = 0;

    while (offset < size_bytes && !rc) {
        len = size_bytes - offset < slice ? size_bytes - offset : slice;
        rc = map_slice(c, path, offset, len, depth_below, out);
        if (rc == -EFBIG && slice > SLICE_MIN_BYTES) {
            slice = (slice / 4 + 65535) & ~(uint64_t)65535;
            rc = 0;
            continue;
        }
        offset += len;
    }
    return rc;
}

static size_t index_in(const struct qcow2_chain *chain, const char *path)
{
    size_t i;

    for (i = 0; i < chain->nr && strcmp(chain->path[i], path); i++)
        ;
    return i;
}

int qcow2_changed(struct ckpt *c, const char *from, const char *to,
                  disk_extent_fn *fn, void *arg)
{
    struct qcow2_chain from_chain = {.nr = 0}, to_chain = {.nr = 0};
    struct disk_extents in_from = {.nr = 0}, in_to = {.nr = 0};
    struct qcow2_head from_head, to_head;
    size_t above = 0, common;
    int rc;

    rc = qcow2_chain_read(c, from, &from_chain);
    if (!rc)
        rc = qcow2_chain_read(c, to, &to_chain);
    if (!rc)
        rc = qcow2_read(c, from, &from_head);
    if (!rc)
        rc = qcow2_read(c, to, &to_head);
    if (rc)
        goto out;
    do
        common = index_in(&to_chain, from_chain.path[above]);
    while (common == to_chain.nr && ++above < from_chain.nr);
    if (above)
        rc = map(c, from, from_head.size_bytes, above, &in_from);
    if (!rc && common)
        rc = map(c, to, to_head.size_bytes, common, &in_to);
    if (!rc)
        rc = disk_extents_either(&in_from, &in_to, fn, arg);
out:
    disk_extents_fini(&in_from);
    disk_extents_fini(&in_to);
    qcow2_chain_fini(&from_chain);
    qcow2_chain_fini(&to_chain);
    return rc;
}
