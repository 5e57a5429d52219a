/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_QCOW2_NODE_H
#define CKPT_QCOW2_NODE_H
/*
 * qcow2 files that a running QEMU has open: its block nodes, and the commands
 * that change them.  All but qcow2_node_switch() belong outside a pause.
 */
#include <sys/stat.h>

#include "disk_file.h"
#include "qmp.h"

#define QCOW2_NODE_NAME_MAX 64

struct qcow2_node {
    char name[QCOW2_NODE_NAME_MAX];
    char file[DISK_FILE_MAX]; /* with symbolic links followed */
    char format[16];
    unsigned depth; /* files beneath it */
    bool is_direct, is_no_flush;
    bool has_snapshots; /* internal ones */
    uint64_t size_bytes;
};
struct qcow2_nodes {
    struct qcow2_node *list; /* owned */
    size_t nr;
};

int qcow2_nodes_read(struct qmp *q, struct qcow2_nodes *out);
/* The same of what QEMU answered.  qcow2_nodes_fini() also on failure. */
int qcow2_nodes_parse(struct ckpt *c, yajl_val list, struct qcow2_nodes *out);
void qcow2_nodes_fini(struct qcow2_nodes *n);
const struct qcow2_node *qcow2_node_named(const struct qcow2_nodes *n,
                                          const char *name);
/* Any that has @path open; NULL: none. */
const struct qcow2_node *qcow2_node_of(const struct qcow2_nodes *n,
                                       const char *path);
/* Any that has the file of @st open, by whichever name; NULL: none. */
const struct qcow2_node *qcow2_node_having(const struct qcow2_nodes *n,
                                           const struct stat *st);
/* After a switch QEMU has the image beneath the overlay open under the name
 * that is now the overlay's.  Opens every such image under its own name, in
 * the place of the old node.  To be called before any of them is written to
 * or made an end of a stream.  -EBUSY: the names are in between, as they are
 * for a moment in a take or a rollback. */
int qcow2_node_mend(struct qmp *q);
/* Opens the file of @image, beneath @overlay, as @path, in the place of that
 * node; *name_out is the new one's, of the overlay's with @suffix. */
int qcow2_node_reopen(struct qmp *q, const struct qcow2_nodes *n,
                      const struct qcow2_node *overlay,
                      const struct qcow2_node *image, const char *path,
                      const char *suffix, char name_out[QCOW2_NODE_NAME_MAX]);
/* The one through which @path is written.  -ENOENT: this QEMU has it not.
 * -EBUSY: two have. */
int qcow2_node_active(struct ckpt *c, const struct qcow2_nodes *n,
                      const char *path, const struct qcow2_node **out);

/* Opens the overlay @path as node @name, on top of nothing yet; @like says
 * how. */
int qcow2_node_add(struct qmp *q, const char *name, const char *path,
                   const struct qcow2_node *like);
/* The node @name, and the nodes of its file @path that nothing needs then. */
int qcow2_node_del(struct qmp *q, const char *name, const char *path);
/* What wrote to @node writes to @overlay, above it, from now on. */
int qcow2_node_switch(struct qmp *q, const char *node, const char *overlay);
/* What @overlay has goes down into @base, which is written to again. */
int qcow2_node_commit(struct qmp *q, const char *overlay, const char *base);
/* What lies between them goes up into @top, which is then above @base, of the
 * file @backing; NULL and "" for all that is beneath, and nothing. */
int qcow2_node_stream(struct qmp *q, const char *top, const char *base,
                      const char *backing);

#endif
