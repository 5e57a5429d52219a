/* SPDX-License-Identifier: LGPL-2.1-only */
/* What libckpt fills, as JSON.  A field's name is its name in ckpt.h; what is
 * absent is null, never left out. */
#include "json_out.h"

#include <time.h>

#include "exit_codes.h"

/* Seconds and microseconds, in UTC: "2026-11-21T00:45:10.000000Z" */
static void put_time(struct json *j, const char *key, int64_t unix_us)
{
    int64_t us = unix_us % 1000000, s = unix_us / 1000000;
    char date[64], text[80];
    struct tm tm;
    time_t t;

    if (us < 0) {
        us += 1000000;
        s--;
    }
    t = (time_t)s;
    if (!gmtime_r(&t, &tm) ||
        !strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm)) {
        json_text(j, key, NULL);
        return;
    }
    snprintf(text, sizeof(text), "%s.%06uZ", date, (unsigned)us);
    json_text(j, key, text);
}

static void put_disk(struct json *j, const struct ckpt_disk *disk)
{
    json_open_object(j, NULL);
    json_text(j, "vdev", disk->vdev);
    json_text(j, "driver", disk->driver);
    json_text(j, "target", disk->target);
    json_text(j, "snapshot", disk->snapshot);
    json_text(j, "why_none", disk->why_none);
    if (disk->size_bytes)
        json_number(j, "size_bytes", disk->size_bytes);
    else
        json_text(j, "size_bytes", NULL);
    json_close_object(j);
}

static void put_capture(struct json *j, const struct ckpt_capture *capture)
{
    if (!capture->ring_bytes) {
        json_text(j, "capture", NULL);
        return;
    }
    json_open_object(j, "capture");
    json_number(j, "ring_bytes", capture->ring_bytes);
    json_number(j, "hypercalls", capture->hypercalls);
    json_number(j, "pages_by_write", capture->pages_by_write);
    json_number(j, "pages_by_read", capture->pages_by_read);
    json_number(j, "copied_bytes", capture->copied_bytes);
    json_number(j, "waits", capture->waits);
    json_number(j, "waits_us", capture->waits_us);
    json_close_object(j);
}

void json_checkpoint(struct json *j, const char *key,
                     const struct ckpt_info *info)
{
    size_t i;

    json_open_object(j, key);
    json_text(j, "id", info->id);
    json_text(j, "parent", info->parent[0] ? info->parent : NULL);
    json_text(j, "name", info->name);
    json_text(j, "description", info->description);
    json_text(j, "domain_name", info->domain_name);
    json_text(j, "domain_uuid", info->domain_uuid);
    json_text(j, "domain_type", info->domain_type);
    put_time(j, "created", info->created_unix_us);
    json_signed(j, "created_unix_us", info->created_unix_us);
    json_bool(j, "has_memory", info->has_memory);
    json_bool(j, "is_head", info->is_head);
    json_text(j, "consistency", ckpt_consistency_name(info->consistency));
    json_bool(j, "io_drained", info->io_drained);
    json_text(j, "mem_driver", info->mem_driver);
    json_text(j, "mem_why", info->mem_why);
    json_text(j, "xen_version", info->xen_version);
    json_text(j, "base", info->base[0] ? info->base : NULL);
    json_text(j, "base_why", info->base_why);
    json_text(j, "tags", info->tags);
    json_bool(j, "keep", info->keep);
    json_number(j, "memory_bytes", info->memory_bytes);
    json_number(j, "stored_bytes", info->stored_bytes);
    json_number(j, "pages_stored", info->pages_stored);
    json_number(j, "pages_zero", info->pages_zero);
    json_number(j, "pages_in_pause", info->pages_in_pause);
    json_number(j, "passes", info->passes);
    put_capture(j, &info->capture);
    json_number(j, "pause_us", info->pause_us);
    json_number(j, "pause_disks_us", info->pause_disks_us);
    json_number(j, "still_us", info->still_us);
    json_number(j, "durable_us", info->durable_us);
    json_text(j, "group", info->group);
    json_text(j, "group_id", info->group_id);
    json_open_array(j, "disks");
    for (i = 0; i < info->nr_disks; i++)
        put_disk(j, &info->disks[i]);
    json_close_array(j);
    json_close_object(j);
}

void json_domain(struct json *j, const char *key, const struct ckpt_domain *d,
                 bool is_rollback)
{
    json_open_object(j, key);
    json_text(j, "name", d->name);
    json_text(j, "uuid", d->uuid);
    json_number(j, "domid", d->domid);
    if (is_rollback)
        json_number(j, "down_us", d->down_us);
    json_close_object(j);
}

void json_error(struct json *j, int rc, const char *message)
{
    const struct exit_code *code = exit_code_of(rc);

    json_open_object(j, "error");
    json_text(j, "code", code->name);
    json_number(j, "exit", (uint64_t)code->status);
    json_text(j, "message", message);
    json_close_object(j);
}
