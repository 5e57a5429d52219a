/* SPDX-License-Identifier: LGPL-2.1-only */
/* Any bytes as QEMU's list of block nodes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "json.h"
#include "qcow2_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
    const struct qcow2_node *active;
    struct qcow2_nodes nodes;
    struct ckpt c = {.log = NULL};
    char *text = strndup((const char *)data, len_bytes);
    yajl_val tree;

    if (!text)
        return 0;
    if (!json_parse_deep(&c, "QMP", text, 1u << 20, 512, &tree)) {
        if (!qcow2_nodes_parse(&c, tree, &nodes)) {
            for (size_t i = 0; i < nodes.nr; i++)
                if (nodes.list[i].file[0] != '/')
                    abort();
            if (!qcow2_node_active(&c, &nodes, "/srv/web.qcow2", &active) &&
                strcmp(active->file, "/srv/web.qcow2"))
                abort();
        }
        qcow2_nodes_fini(&nodes);
        yajl_tree_free(tree);
    }
    free(text);
    return 0;
}
