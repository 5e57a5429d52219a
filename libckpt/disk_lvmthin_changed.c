/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the pool's metadata says of thin volumes: thin_delta compares the
 * mappings of two, thin_dump lists those of one.  The metadata is in use, so the
 * pool sets a copy of it aside meanwhile; there can be one such copy at a time.
 * The report, one XML element a line, goes to a file in memory, however long it
 * gets.
 */
#include "disk_lvmthin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_extents.h"
#include "spawn.h"

#define TIMEOUT_MS 600000u
#define BLOCK_MAX_BYTES (1u << 30) /* device-mapper's limit for a pool */

/* --- the report ------------------------------------------------------------ */

static bool attribute(const char *line, const char *name, uint64_t *out)
{
    const size_t len = strlen(name);
    const char *s = line;
    char *end;

    while ((s = strstr(s, name))) {
        if (s != line && s[-1] == ' ' && s[len] == '=' && s[len + 1] == '"' &&
            s[len + 2] >= '0' && s[len + 2] <= '9') {
            errno = 0;
            *out = strtoull(s + len + 2, &end, 10);
            return !errno && *end == '"';
        }
        s += len;
    }
    return false;
}

int lvmthin_read_delta(const char *line, uint64_t *block_bytes,
                       struct disk_extents *out)
{
    static const struct {
        const char *element, *begin, *len; /* NULL: one block */
    } rows[] = {
        {"<different ", "begin", "length"},
        {"<left_only ", "begin", "length"},
        {"<right_only ", "begin", "length"},
        {"<range_mapping ", "origin_begin", "length"},
        {"<single_mapping ", "origin_block", NULL},
    };
    uint64_t begin, len = 1;

    line += strspn(line, " \t");
    if (!strncmp(line, "<superblock ", 12)) {
        if (!attribute(line, "data_block_size", block_bytes) || !*block_bytes ||
            *block_bytes > BLOCK_MAX_BYTES / 512)
            return -EUCLEAN;
        *block_bytes *= 512;
        return 0;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strncmp(line, rows[i].element, strlen(rows[i].element)))
            continue;
        if (!*block_bytes || !attribute(line, rows[i].begin, &begin) ||
            (rows[i].len && !attribute(line, rows[i].len, &len)) ||
            begin > UINT64_MAX / *block_bytes - len ||
            len > UINT64_MAX / *block_bytes)
            return -EUCLEAN;
        return disk_extents_add(out, begin * *block_bytes, len * *block_bytes);
    }
    return 0; /* what is the same, and what is around it */
}

int lvmthin_read_report(struct ckpt *c, const char *program, int fd,
                        struct disk_extents *out)
{
    FILE *f = fdopen(dup(fd), "r");
    uint64_t block_bytes = 0;
    char line[1024];
    int rc = 0;

    if (!f)
        return fail(c, -errno, "%s: its report", program);
    rewind(f);
    while (!rc && fgets(line, sizeof(line), f))
        rc = strchr(line, '\n') ? lvmthin_read_delta(line, &block_bytes, out)
                                : -EUCLEAN;
    if (!rc && (ferror(f) || !block_bytes))
        rc = -EUCLEAN;
    fclose(f);
    return rc ? fail(c, rc, "%s: its report is not understood", program)
              : 0;
}

/* --- asking ---------------------------------------------------------------- */

struct pool {
    int dm_fd;
    dev_t dev;
    char name[DM_NAME_MAX + 16]; /* of device-mapper */
    char metadata[DM_NAME_MAX + 32];
};

static int find_pool(struct ckpt *c, const char *vg, const char *lv,
                     struct pool *p)
{
    char path[DM_NAME_MAX + 32], meta_lv[DM_NAME_MAX + 16], name[DM_NAME_MAX];
    struct stat st;
    int rc;

    snprintf(meta_lv, sizeof(meta_lv), "%s_tmeta", lv);
    if (!dm_join_name(vg, lv, name))
        return fail(c, -ENAMETOOLONG, "%s/%s", vg, lv);
    snprintf(p->name, sizeof(p->name), "%s-tpool", name);
    if (!dm_join_name(vg, meta_lv, name))
        return fail(c, -ENAMETOOLONG, "%s/%s", vg, meta_lv);
    snprintf(p->metadata, sizeof(p->metadata), "/dev/mapper/%s", name);
    snprintf(path, sizeof(path), "/dev/mapper/%s", p->name);
    if (stat(path, &st) < 0)
        return fail(c, -errno, "%s", path);
    p->dev = st.st_rdev;
    rc = dm_open(&p->dm_fd);
    return rc ? fail(c, rc, "/dev/mapper/control") : 0;
}

static int ask(struct ckpt *c, struct pool *p, const char *const *argv, int fd)
{
    int rc, r;

    rc = dm_message(p->dm_fd, p->dev, "reserve_metadata_snap");
    if (rc)
        return fail(c, rc,
                    "thin pool %s: another program has set its metadata aside "
                    "(if none does: dmsetup message %s 0 "
                    "release_metadata_snap)",
                    p->name, p->name);
    rc = spawn_run_to(c, argv, TIMEOUT_MS, fd);
    r = dm_message(p->dm_fd, p->dev, "release_metadata_snap");
    return rc ? rc : r ? fail(c, r, "thin pool %s", p->name) : 0;
}

int lvmthin_ask_pool(struct ckpt *c, const char *vg, const char *pool,
                     const char **argv, unsigned at, int fd)
{
    struct pool p = {.dm_fd = -1};
    int rc;

    rc = find_pool(c, vg, pool, &p);
    argv[at] = p.metadata;
    if (!rc)
        rc = ask(c, &p, argv, fd);
    argv[at] = NULL;
    if (p.dm_fd >= 0)
        close(p.dm_fd);
    return rc;
}

static int changed(struct ckpt *c, const char *vg, const struct lvm_volume *a,
                   const struct lvm_volume *b, struct disk_extents *out)
{
    char from[16], to[16];
    const char *argv[] = {"thin_delta", "-m", "--thin1", from, "--thin2", to,
                          NULL, NULL};
    int fd, rc;

    snprintf(from, sizeof(from), "%" PRIu32, a->thin_id);
    snprintf(to, sizeof(to), "%" PRIu32, b->thin_id);
    fd = memfd_create("thin_delta", MFD_CLOEXEC);
    if (fd < 0)
        return fail(c, -errno, "thin_delta");
    rc = lvmthin_ask_pool(c, vg, a->pool, argv, 6, fd);
    if (!rc)
        rc = lvmthin_read_report(c, "thin_delta", fd, out);
    close(fd);
    return rc;
}

int lvmthin_changed(struct ckpt *c, const char *from, const char *to,
                    disk_extent_fn *fn, void *arg)
{
    char from_vg[DM_NAME_MAX], from_lv[DM_NAME_MAX];
    char to_vg[DM_NAME_MAX], to_lv[DM_NAME_MAX];
    const char *names[] = {from_lv, to_lv, NULL};
    struct disk_extents found = {.nr = 0}, none = {.nr = 0};
    const struct lvm_volume *a, *b;
    struct lvm_list l;
    int rc;

    rc = lvm_split(c, from, from_vg, from_lv);
    if (!rc)
        rc = lvm_split(c, to, to_vg, to_lv);
    if (!rc)
        rc = lvm_list(c, from_vg, names, &l);
    if (rc)
        return rc;
    a = lvm_in(&l, from_lv);
    b = lvm_in(&l, to_lv);
    if (!a || !b || strcmp(from_vg, to_vg) || !a->pool[0] ||
        strcmp(a->pool, b->pool))
        rc = fail(c, -EUCLEAN, "%s and %s are not in one thin pool.", from, to);
    else
        rc = changed(c, from_vg, a, b, &found);
    if (!rc)
        rc = disk_extents_either(&found, &none, fn, arg);
    disk_extents_fini(&found);
    lvm_list_fini(&l);
    return rc;
}
