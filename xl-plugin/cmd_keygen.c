/* SPDX-License-Identifier: LGPL-2.1-only */
/* xl checkpoint-keygen: keys for archives, into files and nowhere else. */
#include <errno.h>
#include <string.h>

#include "job.h"

#include "text.h"

const struct opt keygen_opts[] = {
    {.name = "kind",
     .value = "KIND",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(kind),
     .help = "read (the default): a pair, what is encrypted to File.pub is "
             "decrypted with File; sign: a pair, File signs and File.pub "
             "tells; shared: one that encrypts and decrypts."},
    {.name = NULL},
};

/* clang-format off */
static const struct kind {
    const char *word;
    enum ckpt_key key;
    bool is_pair;
} kinds[] = {
    { "read",   CKPT_KEY_READ,   true },
    { "sign",   CKPT_KEY_SIGN,   true },
    { "shared", CKPT_KEY_SHARED, false },
};
/* clang-format on */

int cmd_keygen(struct job *job)
{
    const char *word = job->args.kind ? job->args.kind : kinds[0].word;
    const char *file = job->args.words[0];
    const struct kind *k = NULL;
    FILE *f;
    int rc;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(word, kinds[i].word) == 0)
            k = &kinds[i];
    if (!k)
        return job_fail(job, -EINVAL,
                        "--kind is read, sign or shared, not '%s'", word);
    rc = job_go(job);
    if (!rc)
        rc = ckpt_keygen(job->c, k->key, file);
    if (rc < 0)
        return job_failed(job, rc);
    f = job_output(job);
    if (!f) {
        json_text(job->json, "kind", k->word);
        json_text(job->json, "file", file);
    } else if (!job->args.quiet) {
        text_print(f, file);
        fputs(k->is_pair ? ": keep it secret; give away " : ": keep it secret",
              f);
        if (k->is_pair) {
            text_print(f, file);
            fputs(".pub", f);
        }
        putc('\n', f);
    }
    return 0;
}
