/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-mount and checkpoint-umount: a look into a disk. */
#include "job.h"

#include "text.h"

static int done(struct job *job, const char *dir, bool is_mounted)
{
    FILE *f = job_output(job);

    if (!f) {
        json_text(job->json, "dir", dir);
        json_bool(job->json, "mounted", is_mounted);
    } else if (!job->args.quiet) {
        text_print(f, dir);
        fputs(is_mounted ? ": mounted, read-only\n" : ": unmounted\n", f);
    }
    return 0;
}

int cmd_mount(struct job *job)
{
    char *const *words = job->args.words;
    const bool has_disk = job->args.nr_words == 3;
    const char *dir = words[has_disk ? 2 : 1];
    int rc = ckpt_mount(job->c, words[0], has_disk ? words[1] : NULL, dir);

    return rc < 0 ? job_failed(job, rc) : done(job, dir, true);
}

int cmd_umount(struct job *job)
{
    const char *dir = job->args.words[0];
    int rc = ckpt_unmount(job->c, dir);

    return rc < 0 ? job_failed(job, rc) : done(job, dir, false);
}
