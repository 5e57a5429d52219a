/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-keep and checkpoint-prune: what stays, and what goes. */
#include <stdlib.h>

#include "job.h"

#include <inttypes.h>

#include "print.h"
#include "text.h"

const struct opt keep_opts[] = {
    {.name = "off",
     .offset = OPT_FIELD(off),
     .help = "The reverse: no longer keep it, or take the tags off."},
    {.name = "tag",
     .value = "TAG",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(tag),
     .help = "Put this tag on it instead; may be repeated."},
    {.name = NULL},
};

const struct opt prune_opts[] = {
    {.name = "keep-last",
     .value = "N",
     .kind = OPT_NUMBER,
     .offset = OPT_FIELD(keep_last),
     .help = "Let the newest N of each domain stay, and delete the others."},
    {.name = "keep-within",
     .value = "AGE",
     .kind = OPT_AGE,
     .offset = OPT_FIELD(within),
     .help = "Let those younger than AGE (90s, 15m, 36h, 7d) stay, and delete "
             "the others."},
    {.name = "compress",
     .offset = OPT_FIELD(compress),
     .help =
         "Compress the memory of what stays, but for each domain's latest."},
    {.letter = 'n',
     .name = "dry-run",
     .offset = OPT_FIELD(dry_run),
     .help = "Only say what would be deleted."},
    {.name = NULL},
};

static int keep_one(struct job *job, const char *word)
{
    const struct args *a = &job->args;
    int rc = 0;

    if (!a->tag)
        rc = ckpt_keep(job->c, word, !a->off);
    for (size_t i = 0; !rc && a->tag && a->tag[i]; i++)
        rc = ckpt_tag(job->c, word, a->tag[i], !a->off);
    return rc;
}

int cmd_keep(struct job *job)
{
    const struct args *a = &job->args;
    struct ckpt_info info;
    FILE *f;
    int rc;

    rc = keep_one(job, a->words[0]);
    if (!rc)
        rc = ckpt_find(job->c, a->words[0], &info);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (!f) {
        json_checkpoint(job->json, "checkpoint", &info);
    } else if (!a->quiet) {
        text_print(f, a->words[0]);
        fprintf(f, ": %s", info.keep ? "kept" : "not kept");
        if (info.tags && info.tags[0]) {
            fputs(", tags: ", f);
            text_print(f, info.tags);
        }
        putc('\n', f);
    }
    ckpt_info_fini(&info);
    return 0;
}

static void print_pruned(FILE *f, const struct args *a,
                         const struct ckpt_prune_result *r)
{
    char freed[PRINT_LEN], pending[PRINT_LEN], owed[PRINT_LEN];

    for (size_t i = 0; r->ids[i]; i++) {
        if (a->quiet)
            fprintf(f, "%s\n", r->ids[i]);
        else
            fprintf(f, "%s: %s\n", r->ids[i],
                    a->dry_run ? "would be deleted" : "deleted");
    }
    if (!a->quiet && r->owed)
        fprintf(f,
                "%" PRIu64 " disk snapshot%s of deleted checkpoints (%s) stay%s "
                "while in use, or beneath the disk of a guest\n",
                r->owed, r->owed == 1 ? "" : "s",
                print_size(owed, r->owed_bytes), r->owed == 1 ? "s" : "");
    if (a->quiet || a->dry_run)
        return;
    fprintf(f, "%s given back", print_size(freed, r->space.freed_bytes));
    if (r->space.pending_bytes)
        fprintf(f, ", %s in use for now",
                print_size(pending, r->space.pending_bytes));
    putc('\n', f);
}

int cmd_prune(struct job *job)
{
    const struct args *a = &job->args;
    const struct ckpt_prune_opts opts = {
        .domain = a->nr_words ? a->words[0] : NULL,
        .keep_last = a->keep_last,
        .keep_within_s = a->within,
        .flags = (a->dry_run ? CKPT_PRUNE_DRY_RUN : 0) |
                 (a->compress ? CKPT_PRUNE_COMPRESS : 0),
    };
    struct ckpt_prune_result result;
    FILE *f;
    int rc;

    rc = job_go(job);
    if (rc < 0)
        return rc;
    rc = ckpt_prune(job->c, &opts, &result);
    if (!result.ids)
        return job_failed(job, rc);
    f = job_output(job);
    if (f) {
        print_pruned(f, a, &result);
    } else {
        json_open_array(job->json, "deleted");
        for (size_t i = 0; result.ids[i]; i++)
            json_text(job->json, NULL, result.ids[i]);
        json_close_array(job->json);
        json_bool(job->json, "dry_run", a->dry_run);
        json_number(job->json, "freed_bytes", result.space.freed_bytes);
        json_number(job->json, "pending_bytes", result.space.pending_bytes);
        json_number(job->json, "owed", result.owed);
        json_number(job->json, "owed_bytes", result.owed_bytes);
    }
    free(result.ids);
    return rc < 0 ? job_failed(job, rc) : 0; /* not of all */
}
