/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-export and checkpoint-import: files of others. "-" is standard
 * output or input; a file that was not finished is not left behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

#include "text.h"

const struct opt export_opts[] = {
    {.name = "format",
     .value = "FORMAT",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(format),
     .help = "xl (the default): what 'xl restore' reads; vmcore: an ELF core "
             "of the memory."},
    {.name = NULL},
};

const struct opt import_opts[] = {
    {.letter = 'n',
     .name = "name",
     .value = "NAME",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(name),
     .help = "Name the checkpoint; without it, it is \"imported\"."},
    {.name = NULL},
};

static int format_of(struct job *job, enum ckpt_format *format_out)
{
    const char *word = job->args.format;

    *format_out = CKPT_FORMAT_XL;
    if (!word || strcmp(word, "xl") == 0)
        return 0;
    *format_out = CKPT_FORMAT_VMCORE;
    if (strcmp(word, "vmcore") == 0)
        return 0;
    return job_fail(job, -EINVAL, "--format is xl or vmcore, not '%s'", word);
}

static int fail_file(struct job *job, int err, const char *file)
{
    return job_fail(job, -err, "%s: %s", file, strerror(err));
}

/* Into a file of that name that was not there, or that was no plain file. */
static int export_to(struct job *job, enum ckpt_format format, const char *file)
{
    const bool is_pipe = strcmp(file, "-") == 0;
    int fd = is_pipe ? STDOUT_FILENO
                     : open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return fail_file(job, errno, file);
    rc = ckpt_export(job->c, job->args.words[0], format, fd);
    if (rc < 0)
        job_failed(job, rc);
    if (is_pipe)
        return rc;
    if (!rc && fsync(fd) < 0 && errno != EINVAL)
        rc = fail_file(job, errno, file);
    if (close(fd) < 0 && !rc)
        rc = fail_file(job, errno, file);
    if (rc)
        unlink(file);
    return rc;
}

int cmd_export(struct job *job)
{
    const struct args *a = &job->args;
    const char *file = a->words[1];
    enum ckpt_format format;
    FILE *f;
    int rc;

    rc = format_of(job, &format);
    if (!rc && job->json && strcmp(file, "-") == 0)
        rc = job_fail(job, -EINVAL, "--json and the file - are one too many");
    if (!rc)
        rc = job_go(job);
    if (!rc)
        rc = export_to(job, format, file);
    if (rc < 0)
        return rc;
    f = job_output(job);
    if (!f) {
        json_text(job->json, "checkpoint", a->words[0]);
        json_text(job->json, "file", file);
    } else if (!a->quiet && strcmp(file, "-") != 0) {
        text_print(f, a->words[0]);
        fputs(": exported to ", f);
        text_print(f, file);
        fputs(", without disks\n", f);
    }
    return 0;
}

int cmd_import(struct job *job)
{
    const struct args *a = &job->args;
    const char *file = a->words[0];
    const bool is_pipe = strcmp(file, "-") == 0;
    struct ckpt_info info;
    FILE *f;
    int fd;
    int rc;

    rc = job_go(job);
    if (rc < 0)
        return rc;
    fd = is_pipe ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail_file(job, errno, file);
    rc = ckpt_import(job->c, fd, a->name ? a->name : "imported", &info);
    if (!is_pipe)
        close(fd);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (!f) {
        json_checkpoint(job->json, "checkpoint", &info);
    } else if (a->quiet) {
        fprintf(f, "%s\n", info.id);
    } else {
        text_print(f, info.domain_name);
        fprintf(f, ": checkpoint %s \"", info.id);
        text_print(f, info.name);
        fputs("\" imported, without disks\n", f);
    }
    ckpt_info_fini(&info);
    return 0;
}
