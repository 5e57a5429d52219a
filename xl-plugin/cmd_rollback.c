/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl rollback: to a checkpoint that is named, or to the latest. */
#include "job.h"

#include <inttypes.h>

#include "daemon.h"
#include "print.h"
#include "text.h"

const struct opt rollback_opts[] = {
    {.letter = 'p',
     .name = "paused",
     .offset = OPT_FIELD(paused),
     .help = "Leave the domain paused afterwards."},
    {.name = "destroy-first",
     .offset = OPT_FIELD(destroy_first),
     .help = "Destroy the running domain before the new one is built, where "
             "the host has no memory or ports for both."},
    {.name = NULL},
};

/* Which checkpoint it was: the one the domain's state now descends from.
 * Good to know and no more, so a failure to list is nobody's failure. */
static void find_head(struct job *job, const char *uuid,
                      struct ckpt_info **list, size_t *nr,
                      const struct ckpt_info **head_out)
{
    size_t i;

    *head_out = NULL;
    if (ckpt_list(job->c, uuid, list, nr) < 0) {
        *list = NULL;
        *nr = 0;
    }
    for (i = 0; i < *nr; i++)
        if ((*list)[i].is_head)
            *head_out = &(*list)[i];
}

static void print_result(FILE *f, const struct ckpt_domain *dom,
                         const struct ckpt_info *head)
{
    char t[PRINT_LEN];

    text_print(f, dom->name);
    fputs(": rolled back", f);
    if (head) {
        fprintf(f, " to %s \"", head->id);
        text_print(f, head->name);
        putc('"', f);
    }
    fprintf(f, ", now domain %" PRIu32 ", down %s\n", dom->domid,
            print_ms(t, dom->down_us));
}

int cmd_rollback(struct job *job)
{
    const struct args *a = &job->args;
    struct ckpt_rollback_opts opts = {
        .flags = (a->paused ? CKPT_ROLLBACK_LEAVE_PAUSED : 0) |
                 (a->destroy_first ? CKPT_ROLLBACK_DESTROY_FIRST : 0),
    };
    struct ckpt_domain dom = {.uuid = ""};
    const struct ckpt_info *head;
    struct ckpt_info *list;
    size_t nr;
    FILE *f;
    int rc;

    rc = job_go(job);
    if (rc < 0)
        return rc;
    daemon_find(job);
    rc = job_rollback(job, a->words[0], a->nr_words > 1 ? a->words[1] : NULL,
                      &opts, &dom);
    if (rc < 0)
        return rc;
    find_head(job, dom.uuid, &list, &nr, &head);
    f = job_output(job);
    if (f && !a->quiet) {
        print_result(f, &dom, head);
    } else if (!f) {
        json_domain(job->json, "domain", &dom, true);
        json_text(job->json, "checkpoint", head ? head->id : NULL);
    }
    ckpt_list_free(list, nr);
    ckpt_domain_fini(&dom);
    return 0;
}
