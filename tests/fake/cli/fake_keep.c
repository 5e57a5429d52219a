/* SPDX-License-Identifier: LGPL-2.1-only */
/* What fake_ckpt.c plays, continued: deleting, keeping, pruning, other
 * formats. */
#include <errno.h>
#include <inttypes.h>
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

int ckpt_import(ckpt *c, int fd, const char *name, struct ckpt_info *info_out)
{
    char first = '?';
    int rc;

    script_note("import name=%s first=%c", name,
         read(fd, &first, 1) == 1 ? first : '?');
    rc = script_long_answer(c, "import", name);
    if (!rc)
        script_fill(script_next_checkpoint(0), info_out);
    return rc;
}

int ckpt_verify_sample(ckpt *c, const char *checkpoint, unsigned percent,
                       struct ckpt_verify_result *result_out)
{
    const char *v = script_get("verified");
    int rc;

    if (percent == 100)
        script_note("verify checkpoint=%s", checkpoint);
    else
        script_note("verify checkpoint=%s percent=%u", checkpoint, percent);
    rc = script_long_answer(c, "verify", checkpoint);
    if (rc == 0 || rc == -EUCLEAN)
        *result_out = (struct ckpt_verify_result){
            script_part_num(v, 0), rc ? script_part_num(v, 1) : 0, script_part_num(v, 2)};
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
