/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * What completion.bash asks, so that no shell parses tables made for people:
 *
 *   commands               the commands
 *   options COMMAND        its options
 *   domains                running domains, by xenstore
 *   stored                 domains that have checkpoints
 *   checkpoints [DOMAIN]   ids, DOMAIN/NAME, and NAME where it is unique
 */
#include "complete.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ckpt.h"
#include "exit_codes.h"
#include "xen_names.h"

/* One word of a line: no blank, no quote, nothing a shell acts on. */
static bool is_plain(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_.,:@%+=-";

    return s && s[0] && s[strspn(s, plain)] == '\0';
}

static void put_name(void *arg, const char *name)
{
    if (is_plain(name))
        fprintf(arg, "%s\n", name);
}

static int put_stored(ckpt *c, const char *word)
{
    struct ckpt_info *list;
    size_t nr, i, k;
    int rc;

    (void)word;
    rc = ckpt_list(c, NULL, &list, &nr);
    if (rc < 0)
        return rc;
    for (i = 0; i < nr; i++) {
        for (k = 0; k < i && strcmp(list[k].domain_uuid, list[i].domain_uuid);
             k++)
            ;
        if (k == i)
            put_name(stdout, list[i].domain_name);
    }
    ckpt_list_free(list, nr);
    return 0;
}

static int put_checkpoints(ckpt *c, const char *domain)
{
    struct ckpt_info *list;
    size_t nr, i, k;
    int rc;

    rc = ckpt_list(c, domain, &list, &nr);
    if (rc < 0)
        return rc;
    for (i = 0; i < nr; i++) {
        printf("%s\n", list[i].id);
        if (!is_plain(list[i].name))
            continue;
        if (is_plain(list[i].domain_name))
            printf("%s/%s\n", list[i].domain_name, list[i].name);
        for (k = 0; k < nr; k++)
            if (k != i && list[k].name &&
                strcmp(list[k].name, list[i].name) == 0)
                break;
        if (k == nr)
            printf("%s\n", list[i].name);
    }
    ckpt_list_free(list, nr);
    return 0;
}

static int with_store(const char *url, const char *word,
                      int (*put)(ckpt *c, const char *word))
{
    ckpt *c = NULL;
    int rc;

    rc = ckpt_open_read_only(url, NULL, &c);
    if (!rc)
        rc = put(c, word);
    ckpt_close(c);
    return rc;
}

static int put_options(const struct command *cmds, const char *name)
{
    for (; name && cmds->name; cmds++)
        if (strcmp(cmds->name, name) == 0)
            opts_words(stdout, cmds);
    return 0;
}

int complete(const struct command *cmds, int argc, char **argv)
{
    const char *what = argc > 0 ? argv[0] : "", *word = NULL, *url = NULL;
    const struct command *cmd;
    int i, rc = 0;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--store") == 0 && i + 1 < argc)
            url = argv[++i];
        else
            word = argv[i];
    }
    if (strcmp(what, "commands") == 0)
        for (cmd = cmds; cmd->name; cmd++)
            printf("%s\n", cmd->name);
    else if (strcmp(what, "options") == 0)
        rc = put_options(cmds, word);
    else if (strcmp(what, "domains") == 0)
        rc = xen_names(put_name, stdout);
    else if (strcmp(what, "stored") == 0)
        rc = with_store(url, word, put_stored);
    else if (strcmp(what, "checkpoints") == 0)
        rc = with_store(url, word, put_checkpoints);
    return exit_code_of(rc)->status;
}
