/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-import: an archive of our own, or what xl save wrote; which it
 * is, the library sees.  "-" is standard input. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

#include "text.h"

const struct opt import_opts[] = {
    {.letter = 'n',
     .name = "name",
     .value = "NAME",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(name),
     .help = "Name the checkpoint; without it, it is as it was in an archive, "
             "else \"imported\"."},
    {.name = "disk",
     .value = "VDEV=PLACE",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(disk),
     .help = "Where this disk of an archive goes: a new file, qcow2:FILE, "
             "thin:VG/POOL/NAME, dmthin:POOL/NAME, rbd:POOL/IMAGE, or none; "
             "once for each."},
    {.name = "decrypt-with",
     .value = "FILE",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(decrypt_with),
     .help = "Decrypt it with this secret or shared key; may be repeated."},
    {.name = "signed-by",
     .value = "FILE",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(signed_by),
     .help = "Refuse it unless it is signed by this public key; may be "
             "repeated: by one of them."},
    {.name = NULL},
};

static int import_from(struct job *job, const char *file,
                       struct ckpt_info *info)
{
    const struct args *a = &job->args;
    const struct ckpt_import_opts opts = {.name = a->name,
                                          .disks = a->disk,
                                          .decrypt_with = a->decrypt_with,
                                          .signed_by = a->signed_by};
    const bool is_pipe = strcmp(file, "-") == 0;
    int fd = is_pipe ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return job_fail(job, -errno, "%s: %s", file, strerror(errno));
    rc = ckpt_import_with(job->c, fd, &opts, info);
    if (!is_pipe)
        close(fd);
    return rc < 0 ? job_failed(job, rc) : 0;
}

static void print_done(FILE *f, const struct ckpt_info *info)
{
    size_t nr = 0;

    text_print(f, info->domain_name);
    fprintf(f, ": checkpoint %s \"", info->id);
    text_print(f, info->name);
    fputs("\" imported", f);
    for (size_t i = 0; i < info->nr_disks; i++) {
        const struct ckpt_disk *d = &info->disks[i];

        if (!d->snapshot)
            continue;
        fprintf(f, "%s", nr++ ? ", " : ", disks: ");
        text_print(f, d->vdev);
        fputs(" to ", f);
        text_print(f, d->target);
    }
    fputs(nr ? "\n" : ", without disks\n", f);
}

int cmd_import(struct job *job)
{
    struct ckpt_info info;
    FILE *f;
    int rc;

    rc = job_go(job);
    if (!rc)
        rc = import_from(job, job->args.words[0], &info);
    if (rc < 0)
        return rc;
    f = job_output(job);
    if (!f)
        json_checkpoint(job->json, "checkpoint", &info);
    else if (job->args.quiet)
        fprintf(f, "%s\n", info.id);
    else
        print_done(f, &info);
    ckpt_info_fini(&info);
    return 0;
}
