/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl fork: the domains that were made are printed also when a later one of
 * them failed, since they exist. */
#include "job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon.h"
#include "text.h"

const struct opt fork_opts[] = {
    {.letter = 'n',
     .name = "name",
     .value = "NAME",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(name),
     .help =
         "Name of the new domain; with --count what their names begin with."},
    {.name = "count",
     .value = "N",
     .kind = OPT_FORKS,
     .offset = OPT_FIELD(count),
     .help = "Make this many, all from one instant (default 1)."},
    {.letter = 'p',
     .name = "paused",
     .offset = OPT_FIELD(paused),
     .help = "Leave the new domains paused."},
    {.name = "timeout",
     .value = "SECONDS",
     .kind = OPT_SECONDS,
     .offset = OPT_FIELD(timeout_ms),
     .help = "Wait this long for a running source to suspend (default 30)."},
    {.name = NULL},
};

static void print_result(struct job *job, const struct ckpt_domain *doms,
                         unsigned nr)
{
    FILE *f = job_output(job);
    unsigned i;

    if (!f)
        json_open_array(job->json, "domains");
    for (i = 0; i < nr; i++) {
        if (!f) {
            json_domain(job->json, NULL, &doms[i], false);
            continue;
        }
        text_print(f, doms[i].name);
        if (job->args.quiet) {
            putc('\n', f);
            continue;
        }
        fprintf(f, ": domain %" PRIu32 ", uuid %s\n", doms[i].domid,
                doms[i].uuid);
    }
    if (!f)
        json_close_array(job->json);
}

int cmd_fork(struct job *job)
{
    const struct args *a = &job->args;
    struct ckpt_fork_opts opts = {
        .name = a->name,
        .count = a->count,
        .flags = a->paused ? CKPT_FORK_LEAVE_PAUSED : 0,
        .suspend_timeout_ms = a->timeout_ms,
    };
    struct ckpt_domain *doms = NULL;
    unsigned nr = 0, i;
    int rc;

    rc = job_go(job);
    if (rc < 0)
        return rc;
    doms = calloc(a->count ? a->count : 1, sizeof(*doms));
    if (!doms)
        return job_fail(job, -ENOMEM, "not enough memory");
    daemon_find(job);
    rc = job_fork(job, a->words[0], &opts, doms, &nr);
    if (rc == 0 || nr > 0)
        print_result(job, doms, nr);
    for (i = 0; i < nr; i++)
        ckpt_domain_fini(&doms[i]);
    free(doms);
    return rc;
}
