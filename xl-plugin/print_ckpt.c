/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Checkpoints for people: the table of all and the page of one.  Ids are
 * printed whole where a line is about that checkpoint, so that they can be
 * pasted; a parent's id is cut to PARENT_LEN digits, which the commands take
 * as a prefix.
 */
#include "print.h"

#include <inttypes.h>
#include <string.h>

#include "text.h"

#define PARENT_LEN 8

static const char *or_dash(const char *s)
{
    return s && s[0] ? s : "-";
}

static void cell_id(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;

    snprintf(buf, len_bytes, "%s", info->id);
}

static void cell_name(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;

    snprintf(buf, len_bytes, "%s", or_dash(info->name));
}

static void cell_domain(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;

    snprintf(buf, len_bytes, "%s", or_dash(info->domain_name));
}

static void cell_created(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;
    char t[PRINT_LEN];

    snprintf(buf, len_bytes, "%s", print_time(t, info->created_unix_us));
}

static void cell_memory(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;
    char s[PRINT_LEN];

    snprintf(buf, len_bytes, "%s",
             info->has_memory ? print_size(s, info->memory_bytes) : "-");
}

static void cell_stored(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;
    char s[PRINT_LEN];

    snprintf(buf, len_bytes, "%s", print_size(s, info->stored_bytes));
}

static void cell_pause(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;
    char s[PRINT_LEN];

    snprintf(buf, len_bytes, "%s", print_ms(s, info->pause_us));
}

static void cell_parent(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_info *info = row;

    snprintf(buf, len_bytes, "%.*s", PARENT_LEN, or_dash(info->parent));
}

static const struct column list_columns[] = {
    {.title = "ID", .cell = cell_id},
    {.title = "NAME", .cell = cell_name},
    {.title = "DOMAIN", .cell = cell_domain},
    {.title = "CREATED", .cell = cell_created},
    {.title = "MEMORY", .cell = cell_memory, .is_number = true},
    {.title = "STORED", .cell = cell_stored, .is_number = true},
    {.title = "PAUSE", .cell = cell_pause, .is_number = true},
    {.title = "PARENT", .cell = cell_parent},
};

void print_checkpoints(FILE *f, const struct ckpt_info *list, size_t nr)
{
    print_table(f, list_columns, sizeof(list_columns) / sizeof(*list_columns),
                list, nr, sizeof(*list), 0);
}

static void cell_vdev(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk *disk = row;

    snprintf(buf, len_bytes, "%s", or_dash(disk->vdev));
}

static void cell_driver(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk *disk = row;

    if (disk->why_none)
        snprintf(buf, len_bytes, "%s (%s)", or_dash(disk->driver),
                 disk->why_none);
    else
        snprintf(buf, len_bytes, "%s", or_dash(disk->driver));
}

static void cell_disk_size(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk *disk = row;
    char s[PRINT_LEN];

    snprintf(buf, len_bytes, "%s",
             disk->size_bytes ? print_size(s, disk->size_bytes) : "-");
}

static void cell_target(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk *disk = row;

    snprintf(buf, len_bytes, "%s", or_dash(disk->target));
}

static void cell_snapshot(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk *disk = row;

    snprintf(buf, len_bytes, "%s", or_dash(disk->snapshot));
}

static const struct column disk_columns[] = {
    {.title = "VDEV", .cell = cell_vdev},
    {.title = "DRIVER", .cell = cell_driver},
    {.title = "SIZE", .cell = cell_disk_size, .is_number = true},
    {.title = "TARGET", .cell = cell_target},
    {.title = "SNAPSHOT", .cell = cell_snapshot},
};

static void field(FILE *f, const char *label, const char *value)
{
    fprintf(f, "%-15s", label);
    text_print(f, value);
    putc('\n', f);
}

static void print_capture(FILE *f, const struct ckpt_capture *c)
{
    char a[PRINT_LEN], b[PRINT_LEN];

    fprintf(f,
            "%-15s%" PRIu64 " pages kept on write, %" PRIu64
            " on request, %" PRIu64 " hypercalls\n",
            "Capture:", c->pages_by_write, c->pages_by_read, c->hypercalls);
    fprintf(f, "%-15s%s", "Ring:", print_size(a, c->ring_bytes));
    if (c->waits)
        fprintf(f, ", the guest waited for room %" PRIu64 " %s, %s at most",
                c->waits, c->waits == 1 ? "time" : "times",
                print_ms(b, c->waits_us));
    putc('\n', f);
}

static void print_memory(FILE *f, const struct ckpt_info *info)
{
    char s[PRINT_LEN];

    if (!info->has_memory) {
        field(f, "Memory:", "none, disks only");
        return;
    }
    field(f, "Memory:", print_size(s, info->memory_bytes));
    field(f, "Driver:", or_dash(info->mem_driver));
    if (info->mem_why && info->mem_why[0])
        field(f, "Why this one:", info->mem_why);
    if (info->base[0])
        field(f, "Changes since:", info->base);
    else if (info->base_why && info->base_why[0])
        field(f, "All, because:", info->base_why);
    fprintf(f,
            "%-15s%" PRIu64 " stored, %" PRIu64 " zero, %" PRIu64
            " copied in the pause, %u %s\n",
            "Pages:", info->pages_stored, info->pages_zero,
            info->pages_in_pause, info->passes,
            info->passes == 1 ? "pass" : "passes");
    if (info->capture.ring_bytes)
        print_capture(f, &info->capture);
}

void print_checkpoint(FILE *f, const struct ckpt_info *info)
{
    char a[PRINT_LEN], b[PRINT_LEN], c[PRINT_LEN];

    field(f, "Id:", info->id);
    field(f, "Name:", or_dash(info->name));
    field(f, "Description:", or_dash(info->description));
    fprintf(f, "%-15s", "Domain:");
    text_print(f, or_dash(info->domain_name));
    fprintf(f, " (%s, %s)\n", or_dash(info->domain_type), info->domain_uuid);
    field(f, "Parent:", or_dash(info->parent));
    field(f, "Head:", info->is_head ? "yes" : "no");
    if (info->keep)
        field(f, "Kept:", "yes");
    if (info->tags && info->tags[0])
        field(f, "Tags:", info->tags);
    field(f, "Created:", print_time(a, info->created_unix_us));
    field(f, "Consistency:", ckpt_consistency_name(info->consistency));
    print_memory(f, info);
    fprintf(f, "%-15s%s (%" PRIu64 " bytes)\n",
            "Stored:", print_size(a, info->stored_bytes), info->stored_bytes);
    fprintf(f, "%-15s%s (disks %s, vCPUs still %s)\n",
            "Pause:", print_ms(a, info->pause_us),
            print_ms(b, info->pause_disks_us), print_ms(c, info->still_us));
    if (info->group)
        field(f, "Group:", info->group);
    field(f, "Durable after:", print_duration(a, info->durable_us));
    field(f, "Xen:", or_dash(info->xen_version));
    if (!info->nr_disks) {
        field(f, "Disks:", "none");
        return;
    }
    fprintf(f, "Disks:\n");
    print_table(f, disk_columns, sizeof(disk_columns) / sizeof(*disk_columns),
                info->disks, info->nr_disks, sizeof(*info->disks), 2);
}
