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
                struct ckpt_verify_result *result);
    bool has_pages; /* result is filled */
    const char *done;
};

static int call_delete(struct job *job, const char *word,
                       struct ckpt_verify_result *result)
{
    (void)result;
    return ckpt_delete(job->c, word);
}

static int call_verify(struct job *job, const char *word,
                       struct ckpt_verify_result *result)
{
    const unsigned sample = job->args.sample;

    return ckpt_verify_sample(job->c, word, sample ? sample : 100, result);
}

static void put_json(struct json *j, const struct each *e, const char *word,
                     const struct ckpt_verify_result *r, int rc,
                     const char *error)
{
    json_open_object(j, NULL);
    json_text(j, "checkpoint", word);
    json_bool(j, "ok", rc == 0);
    if (e->has_pages) {
        json_number(j, "pages_checked", r->pages_checked);
        json_number(j, "pages_bad", r->pages_bad);
        if (r->pages_bad)
            json_number(j, "first_bad_gfn", r->first_bad_gfn);
        else
            json_text(j, "first_bad_gfn", NULL);
    }
    if (rc < 0)
        json_error(j, rc, error);
    else
        json_text(j, "error", NULL);
    json_close_object(j);
}

static void print_one(FILE *f, const struct each *e, const char *word,
                      const struct ckpt_verify_result *r, int rc)
{
    if (rc < 0 && !(e->has_pages && r->pages_bad))
        return; /* the error says it all */
    text_print(f, word);
    if (!e->has_pages)
        fprintf(f, ": %s\n", e->done);
    else if (rc < 0)
        fprintf(f,
                ": DAMAGED, %" PRIu64 " of %" PRIu64 " pages bad, "
                "the first at gfn 0x%" PRIx64 "\n",
                r->pages_bad, r->pages_checked, r->first_bad_gfn);
    else
        fprintf(f, ": %s, %" PRIu64 " pages\n", e->done, r->pages_checked);
}

/* One checkpoint.  The first failure's words are the job's; those of later
 * ones are printed here, or nobody would. */
static int do_one(struct job *job, const struct each *e, const char *word)
{
    struct ckpt_verify_result result = {.pages_checked = 0};
    char error[JOB_ERROR_LEN] = "";
    bool is_first = !job->error[0];
    const char *words;
    FILE *f;
    int rc;

    rc = e->call(job, word, &result);
    f = job_output(job);
    if (rc < 0) {
        words = ckpt_error(job->c);
        snprintf(error, sizeof(error), "%s", words[0] ? words : strerror(-rc));
        job_fail(job, rc, "%s", error);
        if (!is_first)
            fprintf(stderr, "xl %s: %s\n", job->cmd->name, error);
    }
    if (job->json)
        put_json(job->json, e, word, &result, rc, error);
    else if (!job->args.quiet || rc < 0)
        print_one(f, e, word, &result, rc);
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
