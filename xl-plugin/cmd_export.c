/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xl checkpoint-export: an archive of our own, with disks, or what others read.
 * "-" is standard output; a file that was not finished is not left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "job.h"

#include "print.h"
#include "text.h"

const struct opt export_opts[] = {
    {.name = "format",
     .value = "FORMAT",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(format),
     .help = "xl (the default): what 'xl restore' reads; vmcore: an ELF core "
             "of the memory; archive: all of it, with the disks."},
    {.name = "exclude-disk",
     .value = "VDEV",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(exclude),
     .help = "Leave this disk out of the archive; may be repeated."},
    {.name = "encrypt-to",
     .value = "FILE",
     .kind = OPT_LIST,
     .offset = OPT_FIELD(encrypt_to),
     .help = "Encrypt the archive for whoever has the secret key to this "
             "public one, or this shared one; may be repeated."},
    {.name = "sign-with",
     .value = "FILE",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(sign_with),
     .help = "Sign the archive with this secret key."},
    {.name = NULL},
};

/* clang-format off */
static const struct format {
    const char *word;
    bool is_archive;
    enum ckpt_format format;
} formats[] = {
    { "xl",      false, CKPT_FORMAT_XL },
    { "vmcore",  false, CKPT_FORMAT_VMCORE },
    { "archive", true,  CKPT_FORMAT_XL },
};
/* clang-format on */

static int format_of(struct job *job, const struct format **format_out)
{
    const struct args *a = &job->args;
    const char *word = a->format ? a->format : formats[0].word;
    const struct format *f = NULL;

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(word, formats[i].word) == 0)
            f = &formats[i];
    if (!f)
        return job_fail(job, -EINVAL,
                        "--format is xl, vmcore or archive, not '%s'", word);
    if (!f->is_archive && (a->exclude || a->encrypt_to || a->sign_with))
        return job_fail(job, -EINVAL,
                        "--exclude-disk, --encrypt-to and --sign-with are for "
                        "--format=archive");
    *format_out = f;
    return 0;
}

static int fail_file(struct job *job, int err, const char *file)
{
    return job_fail(job, -err, "%s: %s", file, strerror(err));
}

static int write_to(struct job *job, const struct format *f, int fd,
                    struct ckpt_export_result *result)
{
    const struct args *a = &job->args;
    const struct ckpt_export_opts opts = {.exclude_disks = a->exclude,
                                          .encrypt_to = a->encrypt_to,
                                          .sign_with = a->sign_with};
    int rc;

    rc = f->is_archive
             ? ckpt_export_archive(job->c, a->words[0], &opts, fd, result)
             : ckpt_export(job->c, a->words[0], f->format, fd);
    return rc < 0 ? job_failed(job, rc) : 0;
}

/* Into a file of that name that was not there, or that was no plain file. */
static int export_to(struct job *job, const struct format *f, const char *file,
                     struct ckpt_export_result *result)
{
    const bool is_pipe = strcmp(file, "-") == 0;
    int fd = is_pipe ? STDOUT_FILENO
                     : open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return fail_file(job, errno, file);
    rc = write_to(job, f, fd, result);
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

static void put_json(struct json *j, const struct args *a,
                     const struct format *f,
                     const struct ckpt_export_result *r)
{
    json_text(j, "checkpoint", a->words[0]);
    json_text(j, "file", a->words[1]);
    json_text(j, "format", f->word);
    if (!f->is_archive)
        return;
    json_number(j, "archive_bytes", r->archive_bytes);
    json_number(j, "memory_bytes", r->memory_bytes);
    json_number(j, "disk_bytes", r->disk_bytes);
    json_number(j, "disks", r->nr_disks);
    json_bool(j, "encrypted", a->encrypt_to != NULL);
    json_bool(j, "signed", a->sign_with != NULL);
}

static void print_done(FILE *out, const struct args *a, const struct format *f,
                       const struct ckpt_export_result *r)
{
    char archive[PRINT_LEN], memory[PRINT_LEN], disks[PRINT_LEN];

    text_print(out, a->words[0]);
    fputs(": exported to ", out);
    text_print(out, a->words[1]);
    if (f->is_archive)
        fprintf(out, ", %s: %s of memory, %s of %u disk%s%s%s\n",
                print_size(archive, r->archive_bytes),
                print_size(memory, r->memory_bytes),
                print_size(disks, r->disk_bytes), r->nr_disks,
                r->nr_disks == 1 ? "" : "s",
                a->encrypt_to ? ", encrypted" : "",
                a->sign_with ? ", signed" : "");
    else
        fputs(", without disks\n", out);
}

int cmd_export(struct job *job)
{
    struct ckpt_export_result result = {.archive_bytes = 0};
    const struct args *a = &job->args;
    const char *file = a->words[1];
    const struct format *f = NULL;
    FILE *out;
    int rc;

    rc = format_of(job, &f);
    if (!rc && job->json && strcmp(file, "-") == 0)
        rc = job_fail(job, -EINVAL, "--json and the file - are one too many");
    if (!rc)
        rc = job_go(job);
    if (!rc)
        rc = export_to(job, f, file, &result);
    if (rc < 0)
        return rc;
    out = job_output(job);
    if (!out)
        put_json(job->json, a, f, &result);
    else if (!a->quiet && strcmp(file, "-") != 0)
        print_done(out, a, f, &result);
    return 0;
}
