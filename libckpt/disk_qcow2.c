/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that are qcow2 files, served by QEMU (qdisk).  Snapshots are external:
 * what the guest wrote so far becomes the snapshot, and an overlay above it
 * takes what comes, under the name of the configuration:
 *
 *              web.qcow2   .ckpt-ID-xvda   .ckpt-new   QEMU writes to
 *      before  image                                   image
 *      arm     image       image           overlay     image
 *      cut     overlay     image           image       overlay
 *      drain   overlay     image                       overlay
 *
 * The cut is one QMP command, in which QEMU drains what it has, and one
 * exchange of names.  QEMU opens a file again by the name it knows, so it is
 * told the overlay under the name it will have (arm, for a moment), and the
 * image under the one it has got (qcow2_node_mend(), when the checkpoint is
 * there to stay).
 *
 * Taken back, the overlay's content goes down into the image beneath it and
 * that gets its name back.  An image with internal snapshots is refused:
 * where both kinds are mixed, deleting one of them destroys the other.
 */
#include "disk_qcow2.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "qcow2_file.h"
#include "qcow2_node.h"
#include "spawn.h"

#define FULL_PERCENT 95.0
#define NODE_NAME_MAX 29 /* of 31; "-f" or "-s" follows */
#define DEPTH_MAX 250u   /* of a chain; QEMU tells of it in its square */
#define CUT_TIMEOUT_MS 2000u
#define QEMU_IMG_TIMEOUT_MS 3600000u

struct qcow2 {
    struct qmp *q;                     /* NULL: no QEMU has it open */
    struct qcow2_node node;            /* which the guest writes to */
    char overlay[QCOW2_NODE_NAME_MAX]; /* which it is to write to */
    char path[DISK_FILE_MAX], new_path[DISK_FILE_MAX];
};

static void priv_free(struct disk *d)
{
    struct qcow2 *p = d->priv;

    if (!p)
        return;
    qmp_free(p->q);
    free(p);
    d->priv = NULL;
}

/* --- probe ----------------------------------------------------------------- */

static int qcow2_probe(struct disk *d)
{
    char path[DISK_FILE_MAX];
    struct qcow2_head head;
    struct stat st;
    int rc;

    if (d->format && d->format[0] && strcmp(d->format, "qcow2"))
        return fail(d->c, -ENOTSUP, "its format is %s, not qcow2.", d->format);
    rc = disk_file_find(d->c, d->target, path, &st);
    if (!rc)
        rc = qcow2_read(d->c, path, &head);
    if (rc)
        return rc;
    if (head.nr_snapshots)
        return fail(d->c, -EINVAL,
                    "%s has internal snapshots, which must not be mixed with "
                    "others: delete them (qemu-img snapshot -d), or "
                    "--exclude-disk %s.",
                    path, d->vdev);
    if (head.is_encrypted || head.has_data_file)
        return fail(d->c, -EINVAL,
                    "%s is encrypted, or has its data in another file: it "
                    "cannot be snapshotted.",
                    path);
    return 0;
}

/* --- arm ------------------------------------------------------------------- */

/* Who has the file open, and how. */
static int find_node(struct disk *d, struct qcow2 *p)
{
    const struct qcow2_node *node;
    struct qcow2_nodes nodes = {.nr = 0};
    int rc;

    rc = qmp_new(d->c, d->domid, QMP_TIMEOUT_MS, &p->q);
    if (!rc)
        rc = qmp_connect(p->q);
    if (!rc)
        rc = qcow2_node_mend(p->q);
    if (!rc)
        rc = qcow2_nodes_read(p->q, &nodes);
    if (!rc)
        rc = qcow2_node_active(d->c, &nodes, p->path, &node);
    if (!rc && node->has_snapshots)
        rc = fail(d->c, -EINVAL, "%s has internal snapshots.", p->path);
    if (!rc && node->depth >= DEPTH_MAX)
        rc = fail(d->c, -ENOTSUP,
                  "%s lies above %u others: delete checkpoints of it first.",
                  p->path, node->depth);
    if (!rc)
        p->node = *node;
    else if (rc == -ENOENT || rc == -ECONNREFUSED)
        rc = -EIO; /* has its words */
    qcow2_nodes_fini(&nodes);
    return rc;
}

/* Without a QEMU that we know of nobody may have it open: qemu-img asks for
 * its lock. */
static int check_unused(struct ckpt *c, const char *path)
{
    const char *argv[] = {"qemu-img", "info", "-f", "qcow2", path, NULL};

    return spawn_run(c, argv, 60000, NULL);
}

/* What the guest writes to while the cut waits for it should be little. */
static int sync_data(struct ckpt *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;

    if (fd < 0 || fdatasync(fd) < 0)
        rc = fail(c, -errno, "%s: fdatasync", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The overlay, under its own name still. */
static int make_overlay(struct disk *d, enum guard_harm harm, const char *path,
                        const char *backing, uint64_t size_bytes,
                        const struct stat *as)
{
    int fd = -1, rc;

    rc = disk_file_create(d, harm, path, 0600, &fd);
    if (rc)
        return rc;
    if (as)
        rc = disk_file_dress(d->c, fd, path, as);
    if (!rc)
        rc = qcow2_make_overlay(d->c, path, backing, size_bytes);
    if (!rc && fsync(fd) < 0)
        rc = fail(d->c, -errno, "%s: fsync", path);
    close(fd);
    return rc;
}

static int exchange_names(struct ckpt *c, const char *a, const char *b)
{
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0)
        return fail(c, -errno, "%s and %s: exchange", a, b);
    return 0;
}

/* The image gets the snapshot's name beside its own.  Who looks through the
 * folder during the cut sees it by this one, whatever has the other. */
static int name_snapshot(struct disk *d, const struct qcow2 *p, const char *id)
{
    char words[GUARD_ARG_MAX];
    int fd, rc;

    snprintf(words, sizeof(words), "switch %" PRIu32 " %s %s %s", d->domid, id,
             d->vdev, p->path);
    rc = disk_deed_words(d, GUARD_DISK_MADE, words);
    if (!rc)
        rc = qcow2_names_lock(d->c, p->path, &fd);
    if (rc)
        return rc;
    if (link(p->path, d->snapshot) < 0)
        rc = fail(d->c, -errno, "%s", d->snapshot);
    close(fd);
    return rc;
}

/* QEMU is to know it under the name that it gets with the cut.  Meanwhile
 * both names lead to the same content: it is empty, above the image. */
static int open_overlay(struct disk *d, struct qcow2 *p)
{
    int rc, r;

    rc = exchange_names(d->c, p->new_path, p->path);
    if (rc)
        return rc;
    rc = qcow2_node_add(p->q, p->overlay, p->path, &p->node);
    r = exchange_names(d->c, p->new_path, p->path);
    return rc ? rc : r;
}

static int arm_running(struct disk *d, struct qcow2 *p, const char *id,
                       const struct stat *st)
{
    int rc;

    rc = find_node(d, p);
    if (rc)
        return rc;
    d->size_bytes = p->node.size_bytes;
    if ((size_t)snprintf(p->overlay, sizeof(p->overlay), "ckpt-%s-%s", id,
                         d->vdev) > NODE_NAME_MAX)
        return fail(d->c, -ENAMETOOLONG, "%s", p->overlay);
    rc = make_overlay(d, GUARD_DISK_MADE, p->new_path, d->snapshot,
                      d->size_bytes, st);
    if (!rc)
        rc = name_snapshot(d, p, id);
    if (!rc)
        rc = open_overlay(d, p);
    if (!rc)
        rc = sync_data(d->c, p->path);
    qmp_hang_up(p->q);
    return rc;
}

static int arm_at_rest(struct disk *d, struct qcow2 *p, const char *id,
                       const struct stat *st)
{
    struct qcow2_head head;
    int rc;

    rc = check_unused(d->c, p->path);
    if (!rc)
        rc = qcow2_read(d->c, p->path, &head);
    if (rc)
        return rc;
    d->size_bytes = head.size_bytes;
    rc = make_overlay(d, GUARD_DISK_MADE, p->new_path, d->snapshot,
                      d->size_bytes, st);
    return rc ? rc : name_snapshot(d, p, id);
}

static int qcow2_arm(struct disk *d, const char *id)
{
    char snapshot[DISK_FILE_MAX];
    struct qcow2 *p;
    struct stat st;
    int rc;

    priv_free(d);
    p = d->priv = calloc(1, sizeof(*p));
    if (!p)
        return fail(d->c, -ENOMEM, "%s", d->target);
    rc = disk_file_find(d->c, d->target, p->path, &st);
    if (!rc)
        rc = disk_file_name_snapshot(d, p->path, id, snapshot);
    if (!rc)
        rc = disk_file_name_new(d->c, p->path, p->new_path);
    if (!rc)
        rc = disk_file_check_room(d->c, p->path, FULL_PERCENT);
    if (rc)
        return rc;
    free(d->snapshot);
    d->snapshot = strdup(snapshot);
    if (!d->snapshot)
        return fail(d->c, -ENOMEM, "%s", d->target);
    return d->domid == DISK_NO_DOMAIN ? arm_at_rest(d, p, id, &st)
                                      : arm_running(d, p, id, &st);
}

/* --- cut, drain, undo ------------------------------------------------------ */

static int qcow2_cut(struct disk *d)
{
    struct qcow2 *p = d->priv;
    int rc = 0;

    if (p->q) {
        qmp_set_timeout(p->q, CUT_TIMEOUT_MS);
        rc = qmp_connect(p->q);
        if (!rc)
            rc = qcow2_node_switch(p->q, p->node.name, p->overlay);
        qmp_hang_up(p->q);
    }
    if (!rc)
        rc = exchange_names(d->c, p->new_path, p->path);
    return rc == -ENOENT || rc == -ECONNREFUSED ? -EIO : rc;
}

static int qcow2_drain(struct disk *d)
{
    struct qcow2 *p = d->priv;
    int rc = disk_file_unlink(d->c, p->new_path); /* syncs the folder */

    if (!rc)
        priv_free(d);
    return rc;
}

static void qcow2_undo(struct disk *d)
{
    priv_free(d);
    disk_file_undo(d);
}

/* --- taking back ----------------------------------------------------------- */

struct switch_words {
    uint32_t domid;
    char overlay[QCOW2_NODE_NAME_MAX];
    char path[DISK_FILE_MAX];
    char snapshot[DISK_FILE_MAX];
};

static bool read_words(const char *words, struct switch_words *w)
{
    char id[32], vdev[17];
    int n = 0;

    if (sscanf(words, "switch %" SCNu32 " %31s %16s %n", &w->domid, id, vdev,
               &n) != 3 ||
        words[n] != '/')
        return false;
    snprintf(w->overlay, sizeof(w->overlay), "ckpt-%s-%s", id, vdev);
    return (size_t)snprintf(w->path, sizeof(w->path), "%s", words + n) <
               sizeof(w->path) &&
           (size_t)snprintf(w->snapshot, sizeof(w->snapshot), "%s.ckpt-%s-%s",
                            w->path, id, vdev) < sizeof(w->snapshot);
}

static int fold_at_rest(struct ckpt *c, const char *path)
{
    const char *argv[] = {"qemu-img", "commit", "-q", "-d",
                          "-f",       "qcow2",  path, NULL};

    return spawn_run(c, argv, QEMU_IMG_TIMEOUT_MS, NULL);
}

/* 1: @path is the overlay; 0: it is the image, which has two names. */
static int is_exchanged(struct ckpt *c, const struct switch_words *w)
{
    struct stat snapshot_st, st;

    if (lstat(w->snapshot, &snapshot_st) < 0)
        return fail(c, -errno, "%s", w->snapshot);
    if (lstat(w->path, &st) < 0)
        return fail(c, -errno, "%s", w->path);
    return st.st_ino != snapshot_st.st_ino;
}

/* The node of the image, which QEMU has open under the name it has to have
 * again before it is written to; or under the snapshot's, when somebody has
 * mended the names since. */
static int find_image(struct ckpt *c, const struct qcow2_nodes *nodes,
                      const struct switch_words *w,
                      const struct qcow2_node *overlay,
                      const struct qcow2_node **out)
{
    char new_path[DISK_FILE_MAX];
    int rc;

    *out = NULL;
    for (size_t i = 0; i < nodes->nr; i++)
        if (&nodes->list[i] != overlay &&
            (!strcmp(nodes->list[i].file, w->path) ||
             !strcmp(nodes->list[i].file, w->snapshot)) &&
            nodes->list[i].depth + 1 == overlay->depth)
            *out = &nodes->list[i];
    if (!*out)
        return fail(c, -EIO, "%s: the device model does not have it open.",
                    w->snapshot);
    rc = is_exchanged(c, w);
    if (rc <= 0)
        return rc;
    rc = disk_file_name_new(c, w->path, new_path);
    if (!rc && link(w->snapshot, new_path) < 0 && errno != EEXIST)
        rc = fail(c, -errno, "%s", new_path);
    return rc ? rc : exchange_names(c, new_path, w->path);
}

/* The overlay's content down into the image, by the QEMU that has both. */
static int fold_running(struct ckpt *c, struct qmp *q,
                        const struct switch_words *w)
{
    const struct qcow2_node *overlay, *image;
    char reopened[QCOW2_NODE_NAME_MAX];
    struct qcow2_nodes nodes;
    int rc;

    rc = qcow2_nodes_read(q, &nodes);
    if (rc)
        return rc;
    overlay = qcow2_node_named(&nodes, w->overlay);
    if (overlay && overlay->depth) {
        const char *base = NULL;

        rc = find_image(c, &nodes, w, overlay, &image);
        if (!rc)
            base = image->name;
        if (!rc && !strcmp(image->file, w->snapshot)) {
            rc = qcow2_node_reopen(q, &nodes, overlay, image, w->path, "-i",
                                   reopened);
            base = reopened;
        }
        if (!rc)
            rc = qcow2_node_commit(q, overlay->name, base);
    }
    if (!rc && overlay)
        rc = qcow2_node_del(q, overlay->name, overlay->file);
    qcow2_nodes_fini(&nodes);
    return rc;
}

static int fold(struct ckpt *c, const struct switch_words *w)
{
    struct qmp *q = NULL;
    int rc = -ENOENT;

    if (w->domid != DISK_NO_DOMAIN) {
        rc = qmp_new(c, w->domid, QMP_TIMEOUT_MS, &q);
        if (!rc)
            rc = qmp_connect(q);
        if (!rc)
            rc = fold_running(c, q, w);
        qmp_free(q);
    }
    if (rc != -ENOENT && rc != -ECONNREFUSED)
        return rc;
    /* No QEMU any more, so what it wrote is all in the files. */
    rc = is_exchanged(c, w);
    return rc > 0 ? fold_at_rest(c, w->path) : rc;
}

/* What arm() leaves for a moment when it dies in the middle: the overlay
 * under the image's name, and the image under the overlay's. */
static int take_back_switch(struct ckpt *c, const struct switch_words *w)
{
    char new_path[DISK_FILE_MAX];
    int fd, rc;

    if (access(w->snapshot, F_OK) < 0)
        return errno == ENOENT ? 0 : fail(c, -errno, "%s", w->snapshot);
    rc = fold(c, w);
    if (!rc)
        rc = disk_file_name_new(c, w->path, new_path);
    if (!rc)
        rc = qcow2_names_lock(c, w->path, &fd);
    if (rc)
        return rc;
    rc = is_exchanged(c, w);
    if (rc > 0)
        rc = rename(w->snapshot, w->path) < 0 ? fail(c, -errno, "%s", w->path)
                                              : 0;
    if (!rc)
        rc = disk_file_unlink(c, w->snapshot);
    close(fd);
    return rc ? rc : disk_file_unlink(c, new_path);
}

static int qcow2_take_back(struct ckpt *c, const char *words)
{
    const char *path = strchr(words, '/');
    struct switch_words w;
    int fd, rc;

    if (read_words(words, &w))
        return take_back_switch(c, &w);
    rc = qcow2_names_lock(c, path ? path : "/", &fd);
    if (rc)
        return rc;
    rc = disk_file_take_back(c, words);
    close(fd);
    return rc == -ENOENT ? fail(c, -EINVAL, "qcow2: no deed: %s.", words) : rc;
}

/* --- rollback, fork, check ------------------------------------------------- */

/* A new file above @snapshot, while nobody removes that. */
static int make_above(struct disk *d, const char *path, const char *snapshot,
                      const struct stat *as)
{
    struct qcow2_head head;
    int fd, rc;

    rc = qcow2_names_lock(d->c, path, &fd);
    if (rc)
        return rc;
    rc = qcow2_read(d->c, snapshot, &head);
    if (!rc)
        rc = make_overlay(d, GUARD_DISK_MOVED, path, snapshot, head.size_bytes,
                          as);
    close(fd);
    return rc;
}

static int qcow2_rollback(struct disk *d, const char *snapshot)
{
    char path[DISK_FILE_MAX], new_path[DISK_FILE_MAX];
    struct stat st;
    int fd, rc;

    rc = disk_file_find(d->c, d->target, path, &st);
    if (!rc)
        rc = disk_file_name_new(d->c, path, new_path);
    if (!rc)
        rc = make_above(d, new_path, snapshot, &st);
    if (!rc)
        rc = qcow2_names_lock(d->c, path, &fd);
    if (rc)
        return rc;
    rc = disk_file_exchange(d, path);
    close(fd);
    return rc;
}

static int qcow2_fork(struct disk *d, const char *snapshot, const char *name,
                      char **target_out)
{
    char path[DISK_FILE_MAX], original[DISK_FILE_MAX];
    struct stat st;
    int rc;

    rc = disk_file_name_fork(d->c, snapshot, name, d->vdev, path);
    if (rc)
        return rc;
    rc =
        make_above(d, path, snapshot,
                   disk_file_find(d->c, d->target, original, &st) ? NULL : &st);
    if (rc == -EEXIST)
        return fail(d->c, rc,
                    "%s is another fork's disk; remove it, or choose another "
                    "name.",
                    path);
    if (!rc)
        rc = disk_file_sync_dir(d->c, path);
    if (rc)
        return rc;
    *target_out = strdup(path);
    return *target_out ? 0 : fail(d->c, -ENOMEM, "%s", path);
}

static int qcow2_check(struct ckpt *c, const char *snapshot)
{
    struct qcow2_chain chain;
    int rc;

    rc = qcow2_chain_read(c, snapshot, &chain);
    if (rc)
        return fail_prefix(c, rc == -ENOENT ? -EUCLEAN : rc, "the snapshot %s",
                           snapshot);
    qcow2_chain_fini(&chain);
    return 0;
}

const struct disk_driver disk_qcow2 = {
    .name = "qcow2",
    .caps = DISK_CAP_QUICK_CUT | DISK_CAP_FORK | DISK_CAP_OWED,
    .probe = qcow2_probe,
    .arm = qcow2_arm,
    .cut = qcow2_cut,
    .drain = qcow2_drain,
    .undo = qcow2_undo,
    .rollback = qcow2_rollback,
    .rollback_end = disk_deed_rollback_end,
    .fork = qcow2_fork,
    .remove = qcow2_remove,
    .check = qcow2_check,
    .take_back = qcow2_take_back,
    .changed = qcow2_changed,
    .open = qcow2_open,
    .close = disk_content_close,
    .read = disk_content_read,
    .show = qcow2_show,
    .hide = disk_no_hide,
};
