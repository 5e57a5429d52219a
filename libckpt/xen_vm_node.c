/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The xenstore folder /vm/UUID.  libxl keys it by UUID alone, so that of two
 * domains of one UUID (a rollback's old and new) the first to go takes the
 * other's folder along (libxl_domain.c, libxl__destroy_domid).  It is read
 * before and written again after.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xen_dom.h"
#include "xen_private.h"

#define VM_NODE_MAX 256 /* libxl writes a handful */

struct xen_vm_node {
    unsigned nr;
    struct {
        char *path;
        char *value;
        unsigned len_bytes;
    } entry[VM_NODE_MAX];
};

static int save_below(struct xen *x, const char *path, unsigned depth,
                      struct xen_vm_node *node)
{
    char **names = NULL;
    unsigned i, nr = 0;
    int rc = 0;

    if (node->nr == VM_NODE_MAX || depth > 8)
        return fail(x->c, -E2BIG, "xenstore: %s is too large", path);
    node->entry[node->nr].path = strdup(path);
    node->entry[node->nr].value =
        xs_read(x->xsh, XBT_NULL, path, &node->entry[node->nr].len_bytes);
    node->nr++;

    names = xs_directory(x->xsh, XBT_NULL, path, &nr);
    for (i = 0; names && i < nr && !rc; i++) {
        char below[512];

        if (snprintf(below, sizeof(below), "%s/%s", path, names[i]) >=
            (int)sizeof(below))
            rc = fail(x->c, -ENAMETOOLONG, "xenstore: %s", path);
        else
            rc = save_below(x, below, depth + 1, node);
    }
    free(names);
    return rc;
}

int xen_vm_node_save(struct xen *x, const char *uuid,
                     struct xen_vm_node **node_out)
{
    struct xen_vm_node *node;
    char path[64];
    int rc;

    *node_out = NULL;
    node = calloc(1, sizeof(*node));
    if (!node)
        return fail(x->c, -ENOMEM, "reading /vm/%s", uuid);
    snprintf(path, sizeof(path), "/vm/%s", uuid);
    rc = save_below(x, path, 0, node);
    if (rc) {
        xen_vm_node_free(node);
        return rc;
    }
    *node_out = node;
    return 0;
}

int xen_vm_node_write(struct xen *x, const struct xen_vm_node *node)
{
    unsigned i;

    for (i = 0; i < node->nr; i++) {
        if (!node->entry[i].path || !node->entry[i].value)
            continue;
        if (!xs_write(x->xsh, XBT_NULL, node->entry[i].path,
                      node->entry[i].value, node->entry[i].len_bytes))
            return fail(x->c, -errno, "xenstore: writing %s",
                        node->entry[i].path);
    }
    return 0;
}

void xen_vm_node_free(struct xen_vm_node *node)
{
    unsigned i;

    if (!node)
        return;
    for (i = 0; i < node->nr; i++) {
        free(node->entry[i].path);
        free(node->entry[i].value);
    }
    free(node);
}
