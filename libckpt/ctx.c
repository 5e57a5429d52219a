/* SPDX-License-Identifier: LGPL-2.1-only */
/* The handle: opened on a store's URL, closed, asked how far it is. */
#include "ctx.h"

#include <stdlib.h>
#include <string.h>

#include "store.h"

#define PROGRESS_EVERY_US 100000u

static int open_with(const char *url, unsigned flags,
                     struct xentoollog_logger *log, ckpt **c_out)
{
    struct ckpt *c;

    *c_out = NULL;
    c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->log = log;
    if (!url)
        url = secure_getenv("CKPT_STORE");
    if (!url || !*url)
        url = CKPT_STORE_DEFAULT;
    c->url = strdup(url);
    if (!c->url) {
        free(c);
        return -ENOMEM;
    }
    *c_out = c;
    ctx_begin(c);
    return store_open(c, c->url, flags, &c->store);
}

int ckpt_open(const char *url, struct xentoollog_logger *log, ckpt **c_out)
{
    return open_with(url, 0, log, c_out);
}

int ckpt_open_read_only(const char *url, struct xentoollog_logger *log,
                        ckpt **c_out)
{
    return open_with(url, STORE_READ_ONLY, log, c_out);
}

void ckpt_close(ckpt *c)
{
    if (!c)
        return;
    store_close(c->store);
    free(c->url);
    free(c);
}

const char *ckpt_error(const ckpt *c)
{
    return c->error;
}

const char *ckpt_version(void)
{
    return CKPT_VERSION;
}

void ckpt_set_progress(ckpt *c, ckpt_progress_fn *fn, void *arg)
{
    c->progress_fn = fn;
    c->progress_arg = arg;
}

void ckpt_cancel(ckpt *c)
{
    c->cancelled = 1;
}

const char *ckpt_consistency_name(enum ckpt_consistency v)
{
    switch (v) {
    case CKPT_CONSISTENCY_CRASH:
        return "crash";
    case CKPT_CONSISTENCY_IO_DRAINED:
        return "io-drained";
    case CKPT_CONSISTENCY_GUEST_SUSPENDED:
        return "guest-suspended";
    case CKPT_CONSISTENCY_FS_FROZEN:
        return "fs-frozen";
    }
    return "unknown";
}

static void disk_info_fini(struct ckpt_disk *d)
{
    free(d->vdev);
    free(d->driver);
    free(d->target);
    free(d->snapshot);
    free(d->why_none);
}

void ckpt_info_fini(struct ckpt_info *info)
{
    free(info->name);
    free(info->description);
    free(info->domain_name);
    free(info->domain_type);
    free(info->mem_driver);
    free(info->mem_why);
    free(info->xen_version);
    free(info->group);
    free(info->group_id);
    free(info->base_why);
    free(info->tags);
    for (size_t i = 0; i < info->nr_disks; i++)
        disk_info_fini(&info->disks[i]);
    free(info->disks);
    memset(info, 0, sizeof(*info));
}

void ckpt_domain_fini(struct ckpt_domain *d)
{
    free(d->name);
    memset(d, 0, sizeof(*d));
}

void ckpt_list_free(struct ckpt_info *list, size_t nr)
{
    if (!list)
        return;
    for (size_t i = 0; i < nr; i++)
        ckpt_info_fini(&list[i]);
    free(list);
}

void ctx_begin(struct ckpt *c)
{
    c->error[0] = '\0';
    c->cancelled = 0;
    c->begin_us = now_us();
    c->last_progress_us = c->begin_us;
}

void progress(struct ckpt *c, const char *phase, uint64_t done_bytes,
              uint64_t total_bytes)
{
    struct ckpt_progress p = {
        .phase = phase,
        .done_bytes = done_bytes,
        .total_bytes = total_bytes,
    };
    uint64_t now;

    if (!c->progress_fn)
        return;
    now = now_us();
    if (now - c->last_progress_us < PROGRESS_EVERY_US)
        return;
    c->last_progress_us = now;
    p.elapsed_us = now - c->begin_us;
    c->progress_fn(c->progress_arg, &p);
}

int check_cancel(struct ckpt *c)
{
    if (c->cancelled)
        return fail(c, -ECANCELED, "Stopped on request.");
    return 0;
}
