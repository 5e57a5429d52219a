/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint: one call, and two lines that hide nothing: how long the
 * guest stood still, and why it was not shorter. */
#include <xentoollog.h>

#include "job.h"

#include "daemon.h"
#include "print.h"
#include "text.h"

const struct opt checkpoint_opts[] = {
    {.letter = 'n',
     .name = "name",
     .value = "NAME",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(name),
     .help = "Name the checkpoint; without it the name is made from the time."},
    {.name = "description",
     .value = "TEXT",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(description),
     .help = "Keep this text with the checkpoint."},
    {.name = "group",
     .value = "NAME",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(group),
     .help = "Take several domains at one instant, as a group of this name."},
    {.name = "disk-only",
     .offset = OPT_FIELD(disk_only),
     .help = "Only the disks: no memory, no machine state."},
    {.name = "exclude-disk",
     .value = "VDEV",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(exclude),
     .help = "Leave this disk (such as xvdb) out; may be repeated."},
    {.name = "quiesce",
     .offset = OPT_FIELD(quiesce),
     .help = "Have the guest freeze its filesystems meanwhile (by ckptd)."},
    {.letter = 'p',
     .name = "paused",
     .offset = OPT_FIELD(paused),
     .help = "Leave the domain paused afterwards."},
    {.name = "no-track",
     .offset = OPT_FIELD(no_track),
     .help = "Do not have Xen note what is written until the next checkpoint."},
    {.name = "ring",
     .value = "MIB",
     .kind = OPT_RING,
     .offset = OPT_FIELD(ring_mib),
     .help = "Memory for pages that the guest writes before they are stored, "
             "on a patched Xen (default a 32nd of the guest's, 32 to 256)."},
    {.name = "when-full",
     .value = "ACTION",
     .kind = OPT_WHEN_FULL,
     .offset = OPT_FIELD(when_full),
     .help = "When that is full: wait (the default; the guest does) or give-up "
             "(the checkpoint fails)."},
    {.name = "timeout",
     .value = "SECONDS",
     .kind = OPT_SECONDS,
     .offset = OPT_FIELD(timeout_ms),
     .help = "Wait this long for the guest to suspend (default 30)."},
    {.name = NULL},
};

static void print_pause(FILE *f, const struct ckpt_info *info)
{
    char a[PRINT_LEN], b[PRINT_LEN];

    text_print(f, info->domain_name);
    fprintf(f, ": checkpoint %s \"", info->id);
    text_print(f, info->name);
    fprintf(f, "\", paused %s", print_ms(a, info->pause_us));
    if (info->nr_disks)
        fprintf(f, " (disks %s)", print_ms(b, info->pause_disks_us));
    fprintf(f, ", %s\n", ckpt_consistency_name(info->consistency));
}

static void print_waits(FILE *f, const struct ckpt_capture *c)
{
    char a[PRINT_LEN], b[PRINT_LEN];

    fprintf(f,
            "  the guest waited %llu %s for room in the ring of %s, %s at "
            "most\n",
            (unsigned long long)c->waits, c->waits == 1 ? "time" : "times",
            print_size(a, c->ring_bytes), print_ms(b, c->waits_us));
}

static void print_storage(FILE *f, const struct ckpt_info *info)
{
    char a[PRINT_LEN], b[PRINT_LEN];

    if (info->has_memory) {
        fputs("  memory by ", f);
        text_print(f, info->mem_driver);
    } else {
        fputs("  disks only", f);
    }
    if (info->has_memory && info->mem_why && info->mem_why[0]) {
        fputs(" (", f);
        text_print(f, info->mem_why);
        putc(')', f);
    }
    if (info->base[0])
        fprintf(f, ", what changed since %s", info->base);
    else if (info->base_why && info->base_why[0])
        fprintf(f, ", all of it (%s)", info->base_why);
    fprintf(f, "; %s stored, durable after %s\n",
            print_size(a, info->stored_bytes),
            print_duration(b, info->durable_us));
}

/* With -v, also when ckptd did the work. */
static void log_capture(struct job *job, const struct ckpt_info *info)
{
    const struct ckpt_capture *c = &info->capture;

    if (!c->ring_bytes)
        return;
    xtl_log(job->log, XTL_INFO, -1, "ckpt",
            "%llu pages kept in the pause, %llu on write, %llu on request, "
            "%llu bytes copied; %llu hypercalls; "
            "%llu waits for room in the ring of %llu MiB, %llu us at most",
            (unsigned long long)info->pages_in_pause,
            (unsigned long long)c->pages_by_write,
            (unsigned long long)c->pages_by_read,
            (unsigned long long)c->copied_bytes,
            (unsigned long long)c->hypercalls, (unsigned long long)c->waits,
            (unsigned long long)c->ring_bytes >> 20,
            (unsigned long long)c->waits_us);
}

static void print_all(struct job *job, struct ckpt_info *list, size_t nr)
{
    FILE *f = job_output(job);

    if (!f && job->args.group)
        json_open_array(job->json, "checkpoints");
    for (size_t i = 0; i < nr; i++) {
        log_capture(job, &list[i]);
        if (f && job->args.quiet) {
            fprintf(f, "%s\n", list[i].id);
        } else if (f) {
            print_pause(f, &list[i]);
            print_storage(f, &list[i]);
            if (list[i].capture.waits)
                print_waits(f, &list[i].capture);
        } else {
            json_checkpoint(job->json, job->args.group ? NULL : "checkpoint",
                            &list[i]);
        }
        ckpt_info_fini(&list[i]);
    }
    if (!f && job->args.group)
        json_close_array(job->json);
}

int cmd_checkpoint(struct job *job)
{
    const struct args *a = &job->args;
    struct ckpt_take_opts opts = {
        .name = a->name,
        .description = a->description,
        .exclude_disks = a->exclude,
        .flags = (a->disk_only ? CKPT_TAKE_DISK_ONLY : 0) |
                 (a->quiesce ? CKPT_TAKE_QUIESCE : 0) |
                 (a->paused ? CKPT_TAKE_LEAVE_PAUSED : 0) |
                 (a->no_track ? CKPT_TAKE_NO_TRACK : 0),
        .suspend_timeout_ms = a->timeout_ms,
        .ring_mib = a->ring_mib,
        .when_full = (enum ckpt_when_full)a->when_full,
    };
    struct ckpt_info list[CKPT_GROUP_MAX] = {{.parent = ""}};
    int rc;

    rc = job_go(job);
    if (rc < 0)
        return rc;
    daemon_find(job);
    rc = a->group ? job_take_group(job, a->group,
                                   (const char *const *)a->words, a->nr_words,
                                   &opts, list)
                  : job_take(job, a->words[0], &opts, list);
    if (rc < 0)
        return rc;
    print_all(job, list, a->nr_words);
    return 0;
}
