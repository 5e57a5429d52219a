/* SPDX-License-Identifier: LGPL-2.1-only */
/* What fake_ckpt.c plays, continued: deleting, keeping, pruning, other
 * formats. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_script.h"

void ckpt_list_free(struct ckpt_info *list, size_t nr)
{
    size_t i;

    for (i = 0; i < nr; i++)
        ckpt_info_fini(&list[i]);
    free(list);
}

int ckpt_delete(ckpt *c, const char *checkpoint)
{
    script_note("delete checkpoint=%s", checkpoint);
    return script_long_answer(c, "delete", checkpoint);
}

int ckpt_keep(ckpt *c, const char *checkpoint, bool keep)
{
    script_note("keep checkpoint=%s keep=%d", checkpoint, keep);
    return script_answer(c, "keep", checkpoint);
}

int ckpt_tag(ckpt *c, const char *checkpoint, const char *tag, bool add)
{
    script_note("tag checkpoint=%s tag=%s add=%d", checkpoint, tag, add);
    return script_answer(c, "tag", tag);
}

int ckpt_prune(ckpt *c, const struct ckpt_prune_opts *opts,
               struct ckpt_prune_result *result_out)
{
    const char *v = script_get("pruned"); /* ID|FREED|PENDING|OWED|ITS BYTES */
    char *id = script_part(v, 0);
    int rc;

    script_note("prune domain=%s keep_last=%u keep_within_s=%" PRIu64 " flags=%x",
         opts->domain ? opts->domain : "(all)", opts->keep_last,
         opts->keep_within_s, opts->flags);
    memset(result_out, 0, sizeof(*result_out));
    rc = script_long_answer(c, "prune", opts->domain);
    if (rc == 0) {
        result_out->ids = calloc(1, 2 * sizeof(char *) + CKPT_ID_LEN + 1);
        if (!result_out->ids)
            script_broken("no memory");
        if (id)
            result_out->ids[0] = strcpy((char *)&result_out->ids[2], id);
        result_out->space.freed_bytes = script_part_num(v, 1);
        result_out->space.pending_bytes = script_part_num(v, 2);
        result_out->owed = script_part_num(v, 3);
        result_out->owed_bytes = script_part_num(v, 4);
    }
    free(id);
    return rc;
}

int ckpt_export(ckpt *c, const char *checkpoint, enum ckpt_format format,
                int fd)
{
    int rc;

    script_note("export checkpoint=%s format=%d", checkpoint, (int)format);
    rc = script_long_answer(c, "export", checkpoint);
    if (!rc && write(fd, "exported\n", 9) != 9)
        script_broken("export");
    return rc;
}

static void note_list(char *out, size_t room, const char *key,
                      const char *const *list)
{
    size_t len = strlen(out);

    for (; list && *list; list++)
        len += (size_t)snprintf(out + len, room - len, " %s=%s", key, *list);
}

int ckpt_export_archive(ckpt *c, const char *checkpoint,
                        const struct ckpt_export_opts *opts, int fd,
                        struct ckpt_export_result *result_out)
{
    const char *v = script_get("archived"); /* ARCHIVE|MEMORY|DISK|NR */
    char words[256] = "";
    int rc;

    note_list(words, sizeof(words), "exclude", opts->exclude_disks);
    note_list(words, sizeof(words), "encrypt", opts->encrypt_to);
    script_note("archive checkpoint=%s%s sign=%s", checkpoint, words,
                opts->sign_with ? opts->sign_with : "(none)");
    rc = script_long_answer(c, "archive", checkpoint);
    if (!rc && write(fd, "archived\n", 9) != 9)
        script_broken("export");
    *result_out = (struct ckpt_export_result){
        .archive_bytes = script_part_num(v, 0),
        .memory_bytes = script_part_num(v, 1),
        .disk_bytes = script_part_num(v, 2),
        .nr_disks = (unsigned)script_part_num(v, 3)};
    return rc;
}

int ckpt_import_with(ckpt *c, int fd, const struct ckpt_import_opts *opts,
                     struct ckpt_info *info_out)
{
    char first = '?', words[256] = "";
    int rc;

    note_list(words, sizeof(words), "disk", opts->disks);
    note_list(words, sizeof(words), "decrypt", opts->decrypt_with);
    note_list(words, sizeof(words), "signed", opts->signed_by);
    script_note("import name=%s first=%c%s", opts->name ? opts->name : "(none)",
                read(fd, &first, 1) == 1 ? first : '?', words);
    rc = script_long_answer(c, "import", opts->name);
    if (!rc)
        script_fill(script_next_checkpoint(0), info_out);
    return rc;
}

int ckpt_keygen(ckpt *c, enum ckpt_key kind, const char *path)
{
    script_note("keygen kind=%d path=%s", (int)kind, path);
    return script_answer(c, "keygen", path);
}

int ckpt_dump(ckpt *c, const char *checkpoint, ckpt_line_fn *fn, void *arg)
{
    int rc;

    script_note("dump checkpoint=%s", checkpoint);
    rc = script_answer(c, "dump", checkpoint);
    if (!rc)
        fn(arg, "pack: good");
    return rc;
}

/* verified=CHECKED|BAD|FIRST_GFN damaged=WORDS also=ID: of a damaged one. */
int ckpt_verify_report(ckpt *c, const char *checkpoint, unsigned percent,
                       struct ckpt_verify_report *r)
{
    const char *v = script_get("verified"), *also = script_get("also");
    int rc;

    if (percent == 100)
        script_note("verify checkpoint=%s", checkpoint);
    else
        script_note("verify checkpoint=%s percent=%u", checkpoint, percent);
    rc = script_long_answer(c, "verify", checkpoint);
    memset(r, 0, sizeof(*r));
    if (rc == 0 || rc == -EUCLEAN)
        r->result = (struct ckpt_verify_result){
            script_part_num(v, 0), rc ? script_part_num(v, 1) : 0, script_part_num(v, 2)};
    if (rc != -EUCLEAN)
        return rc;
    r->nr_damaged = 1;
    r->damaged = calloc(2, sizeof(*r->damaged));
    r->lost = calloc(1, sizeof(*r->lost));
    r->also_damaged = calloc(2, sizeof(*r->also_damaged));
    if (!r->damaged || !r->lost || !r->also_damaged)
        script_broken("no memory");
    r->damaged[0] = strdup(ckpt_error(c));
    r->nr_lost = r->result.pages_bad ? 1 : 0;
    r->lost[0] =
        (struct ckpt_frames){r->result.first_bad_gfn, r->result.pages_bad};
    r->also_damaged[0] = (char *)(uintptr_t)also;
    return rc;
}

void ckpt_verify_report_fini(struct ckpt_verify_report *r)
{
    free(r->damaged ? r->damaged[0] : NULL);
    free(r->damaged);
    free(r->lost);
    free(r->also_damaged);
    memset(r, 0, sizeof(*r));
}

int ckpt_verify_sample(ckpt *c, const char *checkpoint, unsigned percent,
                       struct ckpt_verify_result *result_out)
{
    struct ckpt_verify_report r;
    int rc = ckpt_verify_report(c, checkpoint, percent, &r);

    *result_out = r.result;
    ckpt_verify_report_fini(&r);
    return rc;
}

int ckpt_verify(ckpt *c, const char *checkpoint,
                struct ckpt_verify_result *result_out)
{
    return ckpt_verify_sample(c, checkpoint, 100, result_out);
}

/* The script's `domain:WORD=NAME`; else it is called what it was asked for by. */
int ckpt_domain_find(ckpt *c, const char *domain, struct ckpt_domain *dom_out)
{
    char key[256];
    const char *name;

    (void)c;
    snprintf(key, sizeof(key), "domain:%s", domain);
    name = script_get(key);
    *dom_out = (struct ckpt_domain){.name = strdup(name ? name : domain)};
    return dom_out->name ? 0 : -ENOMEM;
}

int script_stand_by(ckpt *c, const char *domain,
                    const struct ckpt_take_opts *opts)
{
    const char *held = script_get("arming_by");
    int rc;

    if (!opts->stand_by)
        return 0;
    while (held && !access(held, F_OK))
        poll(NULL, 0, 10);
    rc = script_answer(c, "stand_by", domain);
    if (rc)
        return rc;
    script_note("stands by: %s", domain);
    rc = opts->stand_by(opts->stand_by_arg);
    if (!rc)
        rc = script_answer(c, "stale", domain);
    script_note("stood by: %s %d name=%s", domain, rc, opts->name);
    return rc;
}
