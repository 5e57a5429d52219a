/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * QEMU knows a file by the name it opened it under, and opens it once more by
 * that name whenever it turns from read-only to writable or back.  So a node
 * must never be left with the name of another file.  disk_qcow2.c sees to
 * that; here a name is taken for the file.
 */
#include "qcow2_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "json.h"
#include "qcow2_file.h"

#define FILE_NODE_MAX (QCOW2_NODE_NAME_MAX + 4) /* "-s", "-f" */
#define NODES_MAX 8192u
#define NAME_MAX_BYTES (1u << 20)
#define NAME_DEPTH_MAX 1024u

/* --- what there is --------------------------------------------------------- */

static uint64_t number_in(yajl_val v, const char *key)
{
    v = json_member(v, key);
    return YAJL_IS_INTEGER(v) && v->u.number.i > 0 ? (uint64_t)v->u.number.i
                                                   : 0;
}

/* "json:{...}" is how QEMU calls what was not opened by a mere name. */
static void read_file(struct ckpt *c, yajl_val v, char out[DISK_FILE_MAX])
{
    const char *file = json_text_in(v, "file"), *name = file;
    yajl_val tree = NULL;
    char *real;

    out[0] = '\0';
    if (!strncmp(file, "json:", 5)) {
        if (json_parse_deep(c, "QMP", file + 5, NAME_MAX_BYTES, NAME_DEPTH_MAX,
                            &tree))
            return;
        name = json_text_in(json_member(tree, "file"), "filename");
    }
    real = *name == '/' ? realpath(name, NULL) : NULL;
    if (*name == '/' && strlen(real ? real : name) < DISK_FILE_MAX)
        strcpy(out, real ? real : name);
    free(real);
    yajl_tree_free(tree);
}

/* False: not one of ours to look at. */
static bool read_node(struct ckpt *c, yajl_val v, struct qcow2_node *n)
{
    yajl_val cache = json_member(v, "cache"), image = json_member(v, "image");
    yajl_val snapshots = json_member(image, "snapshots");
    const char *name = json_text_in(v, "node-name"),
               *format = json_text_in(v, "drv");

    memset(n, 0, sizeof(*n));
    if (strlen(name) >= sizeof(n->name) ||
        strlen(format) >= sizeof(n->format) ||
        (strcmp(format, "qcow2") && strcmp(format, "raw")))
        return false;
    read_file(c, v, n->file);
    strcpy(n->name, name);
    strcpy(n->format, format);
    n->depth = (unsigned)number_in(v, "backing_file_depth");
    n->is_direct = YAJL_IS_TRUE(json_member(cache, "direct"));
    n->is_no_flush = YAJL_IS_TRUE(json_member(cache, "no-flush"));
    n->has_snapshots = YAJL_IS_ARRAY(snapshots) && snapshots->u.array.len;
    n->size_bytes = number_in(image, "virtual-size");
    return n->file[0];
}

int qcow2_nodes_parse(struct ckpt *c, yajl_val list, struct qcow2_nodes *out)
{
    memset(out, 0, sizeof(*out));
    if (!YAJL_IS_ARRAY(list) || list->u.array.len > NODES_MAX)
        return fail(c, -EPROTO, "QMP: the list of block nodes is none.");
    out->list = calloc(list->u.array.len + 1, sizeof(*out->list));
    if (!out->list)
        return fail(c, -ENOMEM, "QMP");
    for (size_t i = 0; i < list->u.array.len; i++)
        out->nr += read_node(c, list->u.array.values[i], &out->list[out->nr]);
    return 0;
}

int qcow2_nodes_read(struct qmp *q, struct qcow2_nodes *out)
{
    yajl_val list;
    int rc;

    memset(out, 0, sizeof(*out));
    /* Not "flat": that leaves the depth out. */
    rc = qmp_call(q, "{\"execute\":\"query-named-block-nodes\"}", &list);
    if (rc)
        return rc;
    rc = qcow2_nodes_parse(qmp_ctx(q), list, out);
    yajl_tree_free(list);
    return rc;
}

void qcow2_nodes_fini(struct qcow2_nodes *n)
{
    free(n->list);
    memset(n, 0, sizeof(*n));
}

const struct qcow2_node *qcow2_node_named(const struct qcow2_nodes *n,
                                          const char *name)
{
    for (size_t i = 0; i < n->nr; i++)
        if (!strcmp(n->list[i].name, name))
            return &n->list[i];
    return NULL;
}

const struct qcow2_node *qcow2_node_of(const struct qcow2_nodes *n,
                                       const char *path)
{
    for (size_t i = 0; i < n->nr; i++)
        if (!strcmp(n->list[i].file, path))
            return &n->list[i];
    return NULL;
}

int qcow2_node_active(struct ckpt *c, const struct qcow2_nodes *n,
                      const char *path, const struct qcow2_node **out)
{
    const struct qcow2_node *top = NULL;
    bool is_twice = false;

    for (size_t i = 0; i < n->nr; i++) {
        const struct qcow2_node *node = &n->list[i];

        if (strcmp(node->file, path) || (top && node->depth < top->depth))
            continue;
        is_twice = top && node->depth == top->depth;
        top = node;
    }
    *out = top;
    if (!top)
        return fail(c, -ENOENT, "%s: the device model does not have it open.",
                    path);
    return is_twice ? fail(c, -EBUSY,
                           "%s: the device model has it open twice, as the "
                           "emulated disk too: the guest has yet to use its "
                           "PV driver.",
                           path)
                    : 0;
}

/* --- commands -------------------------------------------------------------- */

static void put_cache(struct json *j, const struct qcow2_node *like)
{
    json_open_object(j, "cache");
    json_put_bool(j, "direct", like->is_direct);
    json_put_bool(j, "no-flush", like->is_no_flush);
    json_close_object(j);
}

static void put_file(struct json *j, const char *file_name, const char *path,
                     const struct qcow2_node *like)
{
    json_put_string(j, "driver", "file");
    json_put_string(j, "node-name", file_name);
    json_put_string(j, "filename", path);
    json_put_string(j, "discard", "unmap");
    put_cache(j, like);
}

static void name_file(char out[FILE_NODE_MAX], const char *name)
{
    snprintf(out, FILE_NODE_MAX, "%.*s-f", FILE_NODE_MAX - 3, name);
}

/* The same words whenever it is opened again. */
static void put_overlay(struct json *j, const char *name,
                        const struct qcow2_node *like)
{
    json_put_string(j, "driver", "qcow2");
    json_put_string(j, "node-name", name);
    json_put_string(j, "discard", "unmap");
    put_cache(j, like);
}

/*
 * What is beneath it is told by the switch.  Its file is a node of its own
 * making, not one within the overlay's: an inner one is reopened with the
 * overlay (set_backing()), QEMU (7.2) then forgets with what flags it has the
 * file open, and opens it anew at the next change of permissions, as a block
 * job makes them.  The guest's writes under way fail with EBADF.
 */
int qcow2_node_add(struct qmp *q, const char *name, const char *path,
                   const struct qcow2_node *like)
{
    char file_name[FILE_NODE_MAX], words[sizeof(qmp_ctx(q)->error)];
    struct json j;
    int rc;

    name_file(file_name, name);
    qmp_begin(&j, "blockdev-add");
    put_file(&j, file_name, path, like);
    rc = qmp_end(q, &j);
    if (rc)
        return rc;
    qmp_begin(&j, "blockdev-add");
    put_overlay(&j, name, like);
    json_put_null(&j, "backing");
    json_put_string(&j, "file", file_name);
    rc = qmp_end(q, &j);
    if (!rc)
        return 0;
    memcpy(words, qmp_ctx(q)->error, sizeof(words));
    qmp_call_1(q, "blockdev-del", "node-name", file_name);
    memcpy(qmp_ctx(q)->error, words, sizeof(words));
    return rc;
}

/* Read-only, above the node @backing ("": none).  Its file is an inner node: it
 * becomes writable with it, when a stream ends there. */
static int add_snapshot(struct qmp *q, const char *name, const char *path,
                        const char *backing, const struct qcow2_node *like)
{
    char file_name[FILE_NODE_MAX];
    struct json j;

    name_file(file_name, name);
    qmp_begin(&j, "blockdev-add");
    json_put_string(&j, "driver", "qcow2");
    json_put_string(&j, "node-name", name);
    json_put_bool(&j, "read-only", true);
    put_cache(&j, like);
    if (*backing)
        json_put_string(&j, "backing", backing);
    else
        json_put_null(&j, "backing");
    json_open_object(&j, "file");
    put_file(&j, file_name, path, like);
    json_close_object(&j);
    return qmp_end(q, &j);
}

/* @overlay, of qcow2_node_add(), lies above the node @backing from now on. */
static int set_backing(struct qmp *q, const char *overlay, const char *backing,
                       const struct qcow2_node *like)
{
    char file_name[FILE_NODE_MAX];
    struct json j;

    name_file(file_name, overlay);
    qmp_begin(&j, "blockdev-reopen");
    json_open_array(&j, "options");
    json_open_object(&j, NULL);
    put_overlay(&j, overlay, like);
    json_put_string(&j, "backing", backing);
    json_put_string(&j, "file", file_name);
    json_close_object(&j);
    json_close_array(&j);
    return qmp_end(q, &j);
}

/* Files that were opened as nodes of their own stay open without an image
 * above them, and so would their blocks.  One that is in use QEMU keeps. */
static void del_files(struct qmp *q, const char *path)
{
    struct ckpt *c = qmp_ctx(q);
    char words[sizeof(c->error)], file[DISK_FILE_MAX];
    yajl_val list, v;

    memcpy(words, c->error, sizeof(words));
    if (!qmp_call(q, "{\"execute\":\"query-named-block-nodes\"}", &list)) {
        for (size_t i = 0; YAJL_IS_ARRAY(list) && i < list->u.array.len; i++) {
            v = list->u.array.values[i];
            read_file(c, v, file);
            if (!strcmp(json_text_in(v, "drv"), "file") && !strcmp(file, path))
                qmp_call_1(q, "blockdev-del", "node-name",
                           json_text_in(v, "node-name"));
        }
        yajl_tree_free(list);
    }
    memcpy(c->error, words, sizeof(words));
}

int qcow2_node_del(struct qmp *q, const char *name, const char *path)
{
    int rc = qmp_call_1(q, "blockdev-del", "node-name", name);

    if (!rc)
        del_files(q, path);
    return rc;
}

int qcow2_node_switch(struct qmp *q, const char *node, const char *overlay)
{
    struct json j;

    qmp_begin(&j, "blockdev-snapshot");
    json_put_string(&j, "node", node);
    json_put_string(&j, "overlay", overlay);
    return qmp_end(q, &j);
}

/* --- names ----------------------------------------------------------------- */

/* What the image beneath an overlay of ours is called once the names are
 * exchanged: web.qcow2 and ckpt-ID-xvda make web.qcow2.ckpt-ID-xvda. */
static bool name_beneath(const struct qcow2_node *overlay,
                         char out[DISK_FILE_MAX])
{
    return !strncmp(overlay->name, "ckpt-", 5) &&
           (size_t)snprintf(out, DISK_FILE_MAX, "%s.%s", overlay->file,
                            overlay->name) < DISK_FILE_MAX;
}

/* The image beneath @overlay, if it goes by the overlay's name. */
static const struct qcow2_node *misnamed(const struct qcow2_nodes *n,
                                         const struct qcow2_node *overlay)
{
    const struct qcow2_node *found = NULL, *node;
    char snapshot[DISK_FILE_MAX];

    if (!name_beneath(overlay, snapshot))
        return NULL;
    for (size_t i = 0; i < n->nr; i++) {
        node = &n->list[i];
        if (node == overlay || node->depth + 1 != overlay->depth)
            continue;
        if (!strcmp(node->file, snapshot))
            return NULL; /* mended; the other is the next take's overlay */
        if (!strcmp(node->file, overlay->file))
            found = node;
    }
    return found;
}

static bool is_file(const char *path, const struct stat *st)
{
    struct stat s;

    return !stat(path, &s) && disk_file_is_same(&s, st);
}

const struct qcow2_node *qcow2_node_having(const struct qcow2_nodes *n,
                                           const struct stat *st)
{
    const struct qcow2_node *image;
    char snapshot[DISK_FILE_MAX];

    for (size_t i = 0; i < n->nr; i++) {
        if (is_file(n->list[i].file, st))
            return &n->list[i];
        image = misnamed(n, &n->list[i]);
        if (image && name_beneath(&n->list[i], snapshot) &&
            is_file(snapshot, st))
            return image;
    }
    return NULL;
}

int qcow2_node_reopen(struct qmp *q, const struct qcow2_nodes *n,
                      const struct qcow2_node *overlay,
                      const struct qcow2_node *image, const char *path,
                      const char *suffix, char name_out[QCOW2_NODE_NAME_MAX])
{
    char beneath[DISK_FILE_MAX], format[16], words[sizeof(qmp_ctx(q)->error)];
    const struct qcow2_node *backing = NULL;
    struct ckpt *c = qmp_ctx(q);
    int rc;

    snprintf(name_out, QCOW2_NODE_NAME_MAX, "%.*s%s", QCOW2_NODE_NAME_MAX - 4,
             overlay->name, suffix);
    rc = qcow2_backing(c, path, beneath, format);
    if (rc)
        return rc;
    if (beneath[0] && !(backing = qcow2_node_of(n, beneath)))
        return fail(c, -EIO,
                    "%s: the device model does not have it open, and %s is "
                    "above it.",
                    beneath, path);
    rc = add_snapshot(q, name_out, path, backing ? backing->name : "", overlay);
    if (!rc)
        rc = set_backing(q, overlay->name, name_out, overlay);
    if (rc)
        return rc;
    /* One that QEMU itself made goes by itself. */
    memcpy(words, c->error, sizeof(words));
    if (qcow2_node_del(q, image->name, image->file))
        memcpy(c->error, words, sizeof(words));
    return 0;
}

static int mend(struct qmp *q, const struct qcow2_nodes *n,
                const struct qcow2_node *overlay,
                const struct qcow2_node *image)
{
    char snapshot[DISK_FILE_MAX], own[DISK_FILE_MAX], format[16];
    char name[QCOW2_NODE_NAME_MAX];
    int rc;

    rc = qcow2_backing(qmp_ctx(q), overlay->file, snapshot, format);
    if (rc)
        return rc;
    /* Else another file has the name, and what is beneath that is not what is
     * beneath the overlay. */
    if (!name_beneath(overlay, own) || strcmp(own, snapshot))
        return fail(qmp_ctx(q), -EBUSY,
                    "%s: the disk is just being snapshotted or rolled back.",
                    overlay->file);
    return qcow2_node_reopen(q, n, overlay, image, snapshot, "-s", name);
}

int qcow2_node_mend(struct qmp *q)
{
    const struct qcow2_node *image;
    struct qcow2_nodes n;
    int rc;

    rc = qcow2_nodes_read(q, &n);
    for (size_t i = 0; !rc && i < n.nr; i++) {
        image = misnamed(&n, &n.list[i]);
        if (image)
            rc = mend(q, &n, &n.list[i], image);
    }
    qcow2_nodes_fini(&n);
    return rc;
}
