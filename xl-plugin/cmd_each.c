/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xl checkpoint-delete and checkpoint-verify: the same thing done to each
 * checkpoint named.  One that fails does not keep the others from their turn
 * (as with rm); a signal does.  The exit status is the first failure's.
 *
 * JSON: {"deleted": [{"checkpoint": "…", "ok": true, "error": null}, …]}.
 */
#include "job.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "exit_codes.h"
#include "text.h"

const struct opt verify_opts[] = {
    {.name = "sample",
     .value = "PERCENT",
     .kind = OPT_PERCENT,
     .offset = OPT_FIELD(sample),
     .help = "Check only about this share of the memory, chosen at random."},
    {.name = NULL},
};

struct each {
    const char *key; /* of the JSON array */
    int (*call)(struct job *job, const char *word,
                struct ckpt_verify_report *report);
    bool has_pages; /* the report is filled */
    const char *done;
};

static int call_delete(struct job *job, const char *word,
                       struct ckpt_verify_report *report)
{
    (void)report;
    return ckpt_delete(job->c, word);
}

static int call_verify(struct job *job, const char *word,
                       struct ckpt_verify_report *report)
{
    const unsigned sample = job->args.sample;

    return ckpt_verify_report(job->c, word, sample ? sample : 100, report);
}

/* --- a report -------------------------------------------------------------- */

static void put_report(struct json *j, const struct ckpt_verify_report *r)
{
    const struct ckpt_verify_result *res = &r->result;

    json_number(j, "pages_checked", res->pages_checked);
    json_number(j, "pages_bad", res->pages_bad);
    if (res->pages_bad)
        json_number(j, "first_bad_gfn", res->first_bad_gfn);
    else
        json_text(j, "first_bad_gfn", NULL);
    json_number(j, "nr_damaged", r->nr_damaged);
    json_open_array(j, "damaged");
    for (size_t i = 0; r->damaged && r->damaged[i]; i++)
        json_text(j, NULL, r->damaged[i]);
    json_close_array(j);
    json_open_array(j, "lost");
    for (size_t i = 0; i < r->nr_lost; i++) {
        json_open_object(j, NULL);
        json_number(j, "gfn", r->lost[i].gfn);
        json_number(j, "pages", r->lost[i].nr);
        json_close_object(j);
    }
    json_close_array(j);
    json_open_array(j, "also_damaged");
    for (size_t i = 0; r->also_damaged && r->also_damaged[i]; i++)
        json_text(j, NULL, r->also_damaged[i]);
    json_close_array(j);
}

/* "DOMAIN/NAME", where the id is found. */
static void print_other(FILE *f, struct job *job, const char *id)
{
    struct ckpt_info info;

    fprintf(f, "    %s", id);
    if (ckpt_find(job->c, id, &info) == 0) {
        fputs(" (", f);
        text_print(f, info.domain_name);
        putc('/', f);
        text_print(f, info.name);
        putc(')', f);
        ckpt_info_fini(&info);
    }
    putc('\n', f);
}

#define LINES_MAX 10u

static void print_report(FILE *f, struct job *job,
                         const struct ckpt_verify_report *r)
{
    size_t i;

    for (i = 0; r->damaged && r->damaged[i] && i < LINES_MAX; i++) {
        fputs("  ", f);
        text_print(f, r->damaged[i]);
        putc('\n', f);
    }
    if (r->nr_damaged > i)
        fprintf(f, "  and %zu more\n", r->nr_damaged - i);
    fputs("  It cannot be gone back to or forked as it is.\n", f);
    if (r->also_damaged && r->also_damaged[0]) {
        fputs("  These need the same pages, and are damaged, too:\n", f);
        for (i = 0; r->also_damaged[i]; i++)
            print_other(f, job, r->also_damaged[i]);
    }
    fputs("  What to do: put the files of the store back from a backup, or "
          "delete what is\n"
          "  damaged (xl checkpoint-delete) and take a checkpoint anew: none is "
          "then built\n"
          "  upon it.\n", f);
}

static void put_json(struct json *j, const struct each *e, const char *word,
                     const struct ckpt_verify_report *r, int rc,
                     const char *error)
{
    json_open_object(j, NULL);
    json_text(j, "checkpoint", word);
    json_bool(j, "ok", rc == 0);
    if (e->has_pages)
        put_report(j, r);
    if (rc < 0)
        json_error(j, rc, error);
    else
        json_text(j, "error", NULL);
    json_close_object(j);
}

static void print_one(FILE *f, struct job *job, const struct each *e,
                      const char *word, const struct ckpt_verify_report *r,
                      int rc)
{
    if (rc < 0 && !r->nr_damaged)
        return; /* the error says it all */
    text_print(f, word);
    if (!e->has_pages)
        fprintf(f, ": %s\n", e->done);
    else if (rc < 0 && r->result.pages_bad)
        fprintf(f,
                ": DAMAGED, %" PRIu64 " of %" PRIu64 " pages bad, "
                "the first at gfn 0x%" PRIx64 "\n",
                r->result.pages_bad, r->result.pages_checked,
                r->result.first_bad_gfn);
    else if (rc < 0)
        fputs(": DAMAGED\n", f);
    else
        fprintf(f, ": %s, %" PRIu64 " pages\n", e->done,
                r->result.pages_checked);
    if (rc < 0 && !job->args.quiet)
        print_report(f, job, r);
}

/* One checkpoint.  The first failure's words are the job's; those of later
 * ones are printed here, or nobody would. */
static int do_one(struct job *job, const struct each *e, const char *word)
{
    struct ckpt_verify_report report = {.nr_damaged = 0};
    char error[JOB_ERROR_LEN] = "";
    bool is_first = !job->error[0];
    const char *words;
    FILE *f;
    int rc;

    rc = e->call(job, word, &report);
    f = job_output(job);
    if (rc < 0) {
        words = ckpt_error(job->c);
        snprintf(error, sizeof(error), "%s", words[0] ? words : strerror(-rc));
        job_fail(job, rc, "%s", error);
        if (!is_first)
            fprintf(stderr, "xl %s: %s\n", job->cmd->name, error);
    }
    if (job->json)
        put_json(job->json, e, word, &report, rc, error);
    else if (!job->args.quiet || rc < 0)
        print_one(f, job, e, word, &report, rc);
    ckpt_verify_report_fini(&report);
    return rc;
}

static int do_each(struct job *job, const struct each *e)
{
    int first = 0, rc;
    size_t i;

    if (job->json)
        json_open_array(job->json, e->key);
    for (i = 0; i < job->args.nr_words; i++) {
        rc = job_go(job);
        if (!rc)
            rc = do_one(job, e, job->args.words[i]);
        if (rc < 0 && !first)
            first = rc;
        if (rc == -ECANCELED)
            break;
    }
    if (job->json)
        json_close_array(job->json);
    return first;
}

int cmd_delete(struct job *job)
{
    static const struct each e = {
        .key = "deleted", .call = call_delete, .done = "deleted"};

    return do_each(job, &e);
}

int cmd_verify(struct job *job)
{
    static const struct each e = {.key = "verified",
                                  .call = call_verify,
                                  .has_pages = true,
                                  .done = "good"};

    return do_each(job, &e);
}
