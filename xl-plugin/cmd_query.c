/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-list and checkpoint-show: they only read. */
#include <errno.h>

#include "job.h"

#include "print.h"
#include "text.h"
#include "tree.h"

const struct opt list_opts[] = {
    {.name = "tree",
     .offset = OPT_FIELD(tree),
     .help = "Draw who descends from whom, a tree per domain; '*' marks what "
             "the domain's state descends from."},
    {.name = NULL},
};
const struct opt show_opts[] = {
    {.name = "raw",
     .offset = OPT_FIELD(raw),
     .help = "Show what lies in the store, piece by piece, and which of it is "
             "damaged; also by ID.NUMBER, a pack's name."},
    {.name = NULL},
};
const struct opt no_opts[] = {
    {.name = NULL},
};

int cmd_list(struct job *job)
{
    const struct args *a = &job->args;
    struct ckpt_info *list = NULL;
    size_t nr = 0, i;
    FILE *f;
    int rc;

    rc = ckpt_list(job->c, a->nr_words ? a->words[0] : NULL, &list, &nr);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (!f) {
        json_open_array(job->json, "checkpoints");
        for (i = 0; i < nr; i++)
            json_checkpoint(job->json, NULL, &list[i]);
        json_close_array(job->json);
    } else if (a->quiet) {
        for (i = 0; i < nr; i++)
            fprintf(f, "%s\n", list[i].id);
    } else if (a->tree) {
        rc = tree_print(f, list, nr, text_locale_is_utf8());
        if (rc < 0)
            job_fail(job, rc, "not enough memory");
    } else {
        print_checkpoints(f, list, nr);
    }
    ckpt_list_free(list, nr);
    return rc;
}

static void put_line(void *arg, const char *line)
{
    text_print(arg, line);
    putc('\n', arg);
}

static int show_raw(struct job *job)
{
    int rc;

    if (job->json)
        return job_fail(job, -EINVAL, "--raw is text, not JSON");
    rc = ckpt_dump(job->c, job->args.words[0], put_line, job_output(job));
    return rc < 0 ? job_failed(job, rc) : 0;
}

int cmd_show(struct job *job)
{
    struct ckpt_info info = {.parent = ""};
    FILE *f;
    int rc;

    if (job->args.raw)
        return show_raw(job);

    rc = ckpt_find(job->c, job->args.words[0], &info);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (f)
        print_checkpoint(f, &info);
    else
        json_checkpoint(job->json, "checkpoint", &info);
    ckpt_info_fini(&info);
    return 0;
}
