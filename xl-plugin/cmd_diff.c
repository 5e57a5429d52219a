/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xl checkpoint-diff: a line a disk, or with --json every extent:
 * {"disks": [{"vdev": …, "driver": …, "size_bytes": …, "changed_bytes": …,
 *  "extents": [{"offset": …, "length": …}, …]}, …]}.
 */
#include "job.h"

#include <inttypes.h>

#include "print.h"
#include "text.h"

static void cell_vdev(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk_diff *d = row;

    snprintf(buf, len_bytes, "%s", d->vdev);
}

static void cell_driver(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk_diff *d = row;

    snprintf(buf, len_bytes, "%s", d->driver);
}

static void cell_changed(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk_diff *d = row;
    char size[PRINT_LEN];

    snprintf(buf, len_bytes, "%s", print_size(size, d->changed_bytes));
}

static void cell_size(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk_diff *d = row;
    char size[PRINT_LEN];

    snprintf(buf, len_bytes, "%s", print_size(size, d->size_bytes));
}

static void cell_extents(char *buf, size_t len_bytes, const void *row)
{
    const struct ckpt_disk_diff *d = row;

    snprintf(buf, len_bytes, "%zu", d->nr_extents);
}

static void put_json(struct json *j, const struct ckpt_disk_diff *d)
{
    json_open_object(j, NULL);
    json_text(j, "vdev", d->vdev);
    json_text(j, "driver", d->driver);
    json_number(j, "size_bytes", d->size_bytes);
    json_number(j, "changed_bytes", d->changed_bytes);
    json_open_array(j, "extents");
    for (size_t i = 0; i < d->nr_extents; i++) {
        json_open_object(j, NULL);
        json_number(j, "offset", d->extents[i].offset_bytes);
        json_number(j, "length", d->extents[i].len_bytes);
        json_close_object(j);
    }
    json_close_array(j);
    json_close_object(j);
}

int cmd_diff(struct job *job)
{
    static const struct column columns[] = {
        {.title = "Disk", .cell = cell_vdev},
        {.title = "Driver", .cell = cell_driver},
        {.title = "Changed", .is_number = true, .cell = cell_changed},
        {.title = "Of", .is_number = true, .cell = cell_size},
        {.title = "Extents", .is_number = true, .cell = cell_extents},
    };
    struct ckpt_disk_diff *list = NULL;
    size_t nr = 0;
    FILE *f;
    int rc;

    rc = ckpt_diff(job->c, job->args.words[0], job->args.words[1], &list, &nr);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (f) {
        print_table(f, columns, sizeof(columns) / sizeof(columns[0]), list, nr,
                    sizeof(*list), 0);
    } else {
        json_open_array(job->json, "disks");
        for (size_t i = 0; i < nr; i++)
            put_json(job->json, &list[i]);
        json_close_array(job->json);
    }
    ckpt_diff_free(list, nr);
    return 0;
}
