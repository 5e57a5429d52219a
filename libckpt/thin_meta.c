/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What the pool's metadata says of thin volumes: thin_delta compares the
 * mappings of two, thin_dump lists those of one.  The metadata is in use, so the
 * pool sets a copy of it aside meanwhile; there can be one such copy at a time.
 * The report, one XML element a line, goes to a file in memory, however long it
 * gets.
 */
#include "thin.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_content.h"
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

int thin_read_delta(const char *line, uint64_t *block_bytes,
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

static int read_report(struct ckpt *c, const char *program, int fd,
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
        rc = strchr(line, '\n') ? thin_read_delta(line, &block_bytes, out)
                                : -EUCLEAN;
    if (!rc && (ferror(f) || !block_bytes))
        rc = -EUCLEAN;
    fclose(f);
    return rc ? fail(c, rc, "%s: its report is not understood", program) : 0;
}

/* --- asking ---------------------------------------------------------------- */

/* "thin-pool METADATA DATA ..." */
static int metadata_path(struct ckpt *c, int dm_fd, dev_t pool,
                         const char *name, char path[64])
{
    struct dm_target table;
    dev_t dev;
    int rc = dm_table(dm_fd, pool, &table);

    if (rc)
        return fail(c, rc, "thin pool %s: its table", name);
    if (strcmp(table.type, "thin-pool") || !dm_parse_dev(table.params, &dev))
        return fail(c, -EIO, "%s is no thin pool.", name);
    snprintf(path, 64, "/dev/block/%u:%u", major(dev), minor(dev));
    return 0;
}

/* Runs @argv, whose last word before the NULL becomes the metadata's path. */
static int run(struct ckpt *c, int dm_fd, dev_t pool, const char *name,
               const char **argv, int fd)
{
    const char **last = argv;
    char path[64];
    int rc, r;

    rc = metadata_path(c, dm_fd, pool, name, path);
    if (rc)
        return rc;
    while (last[1])
        last++;
    *last = path;
    rc = dm_message(dm_fd, pool, "reserve_metadata_snap");
    if (rc)
        return fail(c, rc,
                    "thin pool %s: another program has set its metadata aside "
                    "(if none does: dmsetup message %s 0 "
                    "release_metadata_snap)",
                    name, name);
    rc = spawn_run_to(c, argv, TIMEOUT_MS, fd);
    r = dm_message(dm_fd, pool, "release_metadata_snap");
    return rc ? rc : r ? fail(c, r, "thin pool %s", name) : 0;
}

static int ask(struct ckpt *c, int dm_fd, dev_t pool, const char **argv,
               struct disk_extents *out)
{
    const char *program = argv[0];
    struct dm_device device;
    int fd, rc;

    rc = dm_info(dm_fd, pool, &device);
    if (rc)
        return fail(c, rc, "a thin pool");
    fd = memfd_create(program, MFD_CLOEXEC);
    if (fd < 0)
        return fail(c, -errno, "%s", program);
    rc = run(c, dm_fd, pool, device.name, argv, fd);
    if (!rc)
        rc = read_report(c, program, fd, out);
    close(fd);
    return rc;
}

/* Extents end with the pool's blocks, the volume may before. */
static void cut_off(struct disk_extents *e, uint64_t size_bytes)
{
    while (e->nr && e->list[e->nr - 1].offset_bytes >= size_bytes)
        e->nr--;
    if (e->nr) {
        struct disk_extent *last = &e->list[e->nr - 1];

        if (last->len_bytes > size_bytes - last->offset_bytes)
            last->len_bytes = size_bytes - last->offset_bytes;
    }
}

/* What the open volume lacks is then in another device. */
static int look_for_origin(struct ckpt *c, int dm_fd, int fd, const char *name,
                           bool *has_origin_out)
{
    struct dm_target table;
    struct stat st;
    int rc = fstat(fd, &st) < 0 ? -errno : dm_table(dm_fd, st.st_rdev, &table);

    if (rc)
        return fail(c, rc, "%s: its table", name);
    *has_origin_out = thin_has_origin(table.params);
    return 0;
}

int thin_content(struct ckpt *c, int dm_fd, dev_t pool, uint32_t id,
                 const char *name, struct disk_content *out)
{
    char text[16];
    const char *argv[] = {"thin_dump", "-m", "--dev-id", text, "", NULL};
    bool has_origin;
    int rc;

    rc = look_for_origin(c, dm_fd, out->fd, name, &has_origin);
    if (rc)
        return rc;
    if (has_origin)
        return disk_content_whole(c, out);
    snprintf(text, sizeof(text), "%" PRIu32, id);
    disk_extents_fini(&out->data);
    rc = ask(c, dm_fd, pool, argv, &out->data);
    if (!rc) {
        cut_off(&out->data, out->size_bytes);
        return 0;
    }
    if (rc == -ENOMEM || rc == -ECANCELED)
        return rc;
    warn(c, "%s: all of it is read, what was never written to as well: %s",
         name, c->error);
    c->error[0] = '\0';
    return disk_content_whole(c, out);
}

int thin_changed(struct ckpt *c, int dm_fd, dev_t pool, uint32_t from,
                 uint32_t to, disk_extent_fn *fn, void *arg)
{
    struct disk_extents found = {.nr = 0}, none = {.nr = 0};
    char from_text[16], to_text[16];
    const char *argv[] = {"thin_delta", "-m",    "--thin1", from_text,
                          "--thin2",    to_text, "",        NULL};
    int rc;

    snprintf(from_text, sizeof(from_text), "%" PRIu32, from);
    snprintf(to_text, sizeof(to_text), "%" PRIu32, to);
    rc = ask(c, dm_fd, pool, argv, &found);
    if (!rc)
        rc = disk_extents_either(&found, &none, fn, arg);
    disk_extents_fini(&found);
    return rc;
}
