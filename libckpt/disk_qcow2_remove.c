/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Taking a snapshot out of the middle of chains.  What it holds is still read
 * through each file that lies directly above it: the snapshot taken next, the
 * guest's own file, forks.  Each of them gets what it lacks, and then needs
 * the snapshot no more:
 *
 *      web.qcow2 -> S2 -> S1 -> base           remove S1: what S1 has goes up
 *                         ^                    into S2 and into the fork
 *             fork-a ----/
 *
 * A file that a running QEMU has open is changed by that QEMU (block-stream),
 * a snapshot that none has by qemu-img.  Which QEMU has a file is told by its
 * inode: from arm to drain of a take it has two names.  Dying in the middle
 * leaves every file readable; to remove again goes on.
 *
 * What is beneath a file stays for now (-EBUSY, owed.h) when that file
 *   - is open in several running QEMUs: none of them can write it;
 *   - is a guest's disk that none has open.  A domain may be started on it at
 *     any moment, and QEMU's xen-block opens disks without the locks that
 *     would keep qemu-img away: both would write it.  Nor may it be renamed
 *     meanwhile, as a guest that reboots then would not come up.
 */
#include "disk_qcow2.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ctx.h"
#include "qcow2_file.h"
#include "qcow2_node.h"
#include "spawn.h"

#define QEMU_IMG_TIMEOUT_MS 7200000u
#define NAME_MAX_BYTES (DISK_FILE_MAX + 2)
#define ROUNDS_MAX 8u

struct above {
    char path[DISK_FILE_MAX]; /* one of its names */
    struct stat st;
};
struct removal {
    struct ckpt *c;
    const char *snapshot;
    struct stat st;
    char beneath[DISK_FILE_MAX], beneath_format[16];
    struct above *above; /* owned: files directly above it */
    size_t nr_above;
};

/* --- what lies above ------------------------------------------------------- */

/* A file that is just being snapshotted has two names. */
static int add_above(struct removal *r, const char *path, const struct stat *st)
{
    struct above *more;

    for (size_t i = 0; i < r->nr_above; i++)
        if (disk_file_is_same(&r->above[i].st, st))
            return 0;
    more = reallocarray(r->above, r->nr_above + 1, sizeof(*more));
    if (!more)
        return fail(r->c, -ENOMEM, "%s", path);
    r->above = more;
    more += r->nr_above++;
    strcpy(more->path, path);
    more->st = *st;
    return 0;
}

/* No qcow2, or none that is understood (@why): it may lie where it wants, but
 * not above the snapshot. */
static int check_other(struct removal *r, const char *path, int why)
{
    bool is_mentioned;
    int rc;

    rc = qcow2_mentions(r->c, path, strrchr(r->snapshot, '/') + 1,
                        &is_mentioned);
    if (rc || !is_mentioned)
        return rc == -ENOENT ? 0 : rc;
    return fail_prefix(r->c, why, "%s may be beneath another", r->snapshot);
}

static int look_at(struct removal *r, const char *path)
{
    char beneath[DISK_FILE_MAX], format[16];
    struct stat st, beneath_st;
    int rc;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    rc = qcow2_backing(r->c, path, beneath, format);
    if (rc == -ENOENT)
        return 0; /* removed meanwhile */
    if (rc == -ENOTSUP || rc == -EUCLEAN || rc == -ENAMETOOLONG)
        return check_other(r, path, rc);
    if (rc || !beneath[0] || stat(beneath, &beneath_st) < 0 ||
        !disk_file_is_same(&beneath_st, &r->st))
        return rc;
    return add_above(r, path, &st);
}

static int find_above(struct removal *r)
{
    const int dir_len = (int)(strrchr(r->snapshot, '/') - r->snapshot);
    char dir_path[DISK_FILE_MAX], path[DISK_FILE_MAX];
    struct dirent *e;
    int rc = 0;
    DIR *dir;

    snprintf(dir_path, sizeof(dir_path), "%.*s/", dir_len, r->snapshot);
    dir = opendir(dir_path);
    if (!dir)
        return fail(r->c, -errno, "%s", dir_path);
    while (!rc && (e = readdir(dir)))
        if ((size_t)snprintf(path, sizeof(path), "%s%s", dir_path, e->d_name) <
            sizeof(path))
            rc = look_at(r, path);
    closedir(dir);
    return rc;
}

static int check_room(const struct removal *r)
{
    const uint64_t need = (uint64_t)r->st.st_blocks * 512 * r->nr_above;
    struct statvfs s;

    if (statvfs(r->snapshot, &s) < 0)
        return fail(r->c, -errno, "%s", r->snapshot);
    if (need <= (uint64_t)s.f_bavail * s.f_frsize)
        return 0;
    return fail(r->c, -ENOSPC,
                "%s: %zu file%s above it may need %llu MiB of it, %llu MiB "
                "are free. Delete what is above first, or free some.",
                r->snapshot, r->nr_above, r->nr_above == 1 ? "" : "s",
                (unsigned long long)need >> 20,
                (unsigned long long)s.f_bavail * s.f_frsize >> 20);
}

/* What @path is to call the file beneath it: short where both are in one
 * folder, which may be moved as a whole.  "": nothing is. */
static void beneath_for(const struct removal *r, const char *path,
                        char out[NAME_MAX_BYTES])
{
    const char *slash = strrchr(path, '/'), *other = strrchr(r->beneath, '/');

    if (other && other - r->beneath == slash - path &&
        !memcmp(path, r->beneath, (size_t)(slash - path)))
        snprintf(out, NAME_MAX_BYTES, "./%s", other + 1);
    else
        snprintf(out, NAME_MAX_BYTES, "%s", r->beneath);
}

/* --- in a running QEMU ----------------------------------------------------- */

struct nodes_of {
    const struct qcow2_node *top; /* writes the file above */
    const struct qcow2_node *old, *base;
};

static int find_nodes(struct removal *r, const struct qcow2_nodes *nodes,
                      const struct above *above, struct nodes_of *out)
{
    const struct qcow2_node *having = qcow2_node_having(nodes, &above->st);
    int rc;

    if (!having)
        return fail(r->c, -EBUSY, "%s: the domain that ran on it is gone.",
                    above->path);
    rc = qcow2_node_active(r->c, nodes, having->file, &out->top);
    out->old = qcow2_node_of(nodes, r->snapshot);
    out->base = r->beneath[0] ? qcow2_node_of(nodes, r->beneath) : NULL;
    if (!rc && (!out->old || (r->beneath[0] && !out->base)))
        rc = fail(r->c, -EBUSY,
                  "%s: what the device model has open beneath it is not what "
                  "is on disk.",
                  above->path);
    return rc;
}

static int stream_in(struct removal *r, struct qmp *q,
                     const struct above *above)
{
    char beneath[NAME_MAX_BYTES];
    struct qcow2_nodes nodes;
    struct nodes_of of;
    int rc;

    beneath_for(r, above->path, beneath);
    rc = qcow2_node_mend(q);
    if (!rc)
        rc = qcow2_nodes_read(q, &nodes);
    if (rc)
        return rc;
    rc = find_nodes(r, &nodes, above, &of);
    if (!rc)
        rc = qcow2_node_stream(q, of.top->name, of.base ? of.base->name : NULL,
                               beneath);
    /* One that a checkpoint added stays until it is deleted; else it is gone
     * already, which is as good. */
    if (!rc && !strncmp(of.old->name, "ckpt-", 5))
        rc = qcow2_node_del(q, of.old->name, of.old->file);
    qcow2_nodes_fini(&nodes);
    return rc;
}

struct found {
    uint32_t domid; /* of the one that has it open */
    unsigned nr;    /* how many have */
};

/* Whether the QEMU of @domid has the file open.  Only looks: that domain may
 * be in the middle of a take. */
static int look_in(struct removal *r, uint32_t domid, const struct stat *st,
                   struct found *out)
{
    struct qcow2_nodes nodes = {.nr = 0};
    struct qmp *q = NULL;
    int rc;

    rc = qmp_new(r->c, domid, QMP_TIMEOUT_MS, &q);
    if (!rc)
        rc = qmp_connect(q);
    if (rc == -ECONNREFUSED || rc == -ENOENT) {
        rc = 0; /* left by one that is dead */
    } else if (!rc) {
        rc = qcow2_nodes_read(q, &nodes);
        if (!rc && qcow2_node_having(&nodes, st)) {
            out->domid = domid;
            out->nr++;
        }
        qcow2_nodes_fini(&nodes);
    }
    qmp_free(q);
    return rc;
}

static int find_qemus(struct removal *r, const struct stat *st,
                      struct found *out)
{
    const char *run = getenv("CKPT_QMP_DIR");
    DIR *dir = opendir(run ? run : "/var/run/xen");
    struct dirent *e;
    uint32_t domid;
    int rc = 0, n;

    memset(out, 0, sizeof(*out));
    while (dir && !rc && (e = readdir(dir))) {
        n = 0;
        if (sscanf(e->d_name, "qmp-libxl-%" SCNu32 "%n", &domid, &n) == 1 &&
            !e->d_name[n])
            rc = look_in(r, domid, st, out);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int stream_by(struct removal *r, uint32_t domid,
                     const struct above *above)
{
    struct qmp *q = NULL;
    int rc;

    rc = qmp_new(r->c, domid, QMP_TIMEOUT_MS, &q);
    if (!rc)
        rc = qmp_connect(q);
    if (!rc)
        rc = stream_in(r, q, above);
    qmp_free(q);
    /* Gone since it was found: what it wrote is to be looked at anew. */
    return rc == -ENOENT || rc == -ECONNREFUSED ? -EBUSY : rc;
}

/* --- at rest --------------------------------------------------------------- */

static int rebase(struct removal *r, const char *path)
{
    char beneath[NAME_MAX_BYTES];
    const char *onto[] = {"qemu-img", "rebase",          "-q", "-f",    "qcow2",
                          "-F",       r->beneath_format, "-b", beneath, path,
                          NULL};
    const char *flat[] = {"qemu-img", "rebase", "-q", "-f", "qcow2",
                          "-b",       "",       path, NULL};

    beneath_for(r, path, beneath);
    return spawn_run(r->c, r->beneath[0] ? onto : flat, QEMU_IMG_TIMEOUT_MS,
                     NULL);
}

/* -EBUSY: those who run on it may not write it, or nobody may for now. */
static int detach(struct removal *r, const struct above *above)
{
    struct found found;
    int rc = find_qemus(r, &above->st, &found);

    if (rc)
        return rc;
    if (found.nr > 1)
        return fail(r->c, -EBUSY,
                    "%s is above it, and %u running domains have that open.",
                    above->path, found.nr);
    if (found.nr)
        return stream_by(r, found.domid, above);
    if (above->st.st_nlink != 1 || disk_file_check_ours(r->c, above->path))
        return fail(r->c, -EBUSY,
                    "%s is above it, which a domain may be started on at any "
                    "moment. Delete again while one runs on it, or once that "
                    "file is removed.",
                    above->path);
    return rebase(r, above->path);
}

/* Who removes @path has it alone (LOCK_EX), and nobody removes what is beneath
 * it meanwhile (LOCK_SH).  NFS gives no lock to one who only reads, and with
 * one who writes qemu-img would collide: there it goes without. */
static int lock_file(struct ckpt *c, const char *path, int how, int *fd_out)
{
    *fd_out = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd_out < 0)
        return fail(c, -errno, "%s", path);
    if (flock(*fd_out, how | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    return fail(c, -EBUSY,
                "%s: another checkpoint's snapshot that touches it is just "
                "being removed.",
                path);
}

/* One look at all that is above.  When there is nothing, the snapshot goes
 * before anything can come. */
static int look(struct removal *r, bool *is_gone_out)
{
    int fd, rc;

    r->nr_above = 0;
    *is_gone_out = false;
    rc = qcow2_names_lock(r->c, r->snapshot, &fd);
    if (rc)
        return rc;
    rc = find_above(r);
    if (!rc && !r->nr_above) {
        rc = disk_file_unlink(r->c, r->snapshot);
        *is_gone_out = !rc;
    }
    close(fd);
    return rc;
}

/* While one is detached another may come: a checkpoint is taken of a disk that
 * lies above the snapshot, and from then on that is two. */
static int remove_locked(struct removal *r)
{
    bool is_gone;
    int rc;

    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        rc = look(r, &is_gone);
        if (rc || is_gone)
            return rc;
        rc = check_room(r);
        for (size_t i = 0; !rc && i < r->nr_above; i++)
            rc = detach(r, &r->above[i]);
        if (rc)
            return rc;
    }
    return fail(r->c, -EBUSY, "%s: there is always something above it.",
                r->snapshot);
}

int qcow2_remove(struct ckpt *c, const char *snapshot)
{
    struct removal r = {.c = c, .snapshot = snapshot};
    int fd = -1, beneath_fd = -1, rc;

    rc = disk_file_check_ours(c, snapshot);
    if (rc)
        return rc;
    if (lstat(snapshot, &r.st) < 0)
        return errno == ENOENT ? 0 : fail(c, -errno, "%s", snapshot);
    rc = lock_file(c, snapshot, LOCK_EX, &fd);
    if (!rc)
        rc = qcow2_backing(c, snapshot, r.beneath, r.beneath_format);
    if (!rc && r.beneath[0])
        rc = lock_file(c, r.beneath, LOCK_SH, &beneath_fd);
    if (!rc)
        rc = remove_locked(&r);
    free(r.above);
    if (fd >= 0)
        close(fd);
    if (beneath_fd >= 0)
        close(beneath_fd);
    return rc;
}
