/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_OPTS_H
#define XL_OPTS_H
/*
 * Options as tables.  A row says how the option is written, what --help says
 * of it and which field of struct args it fills; parsing, help and shell
 * completion are made from the same rows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Every option of every command; a command's table says which it takes. */
struct args {
    bool help, version, json, quiet, tty_progress, timestamps;
    unsigned verbose;
    const char *store; /* this and all strings: borrowed from argv */

    const char *name, *description, *group, *format;
    const char **exclude; /* owned; NULL-terminated, NULL when none */
    bool disk_only, quiesce, no_track, paused, destroy_first, tree;
    bool off, dry_run, compress, raw;
    const char **tag;     /* owned; NULL-terminated, NULL when none */
    const char *sign_with, *kind;
    const char **encrypt_to, **decrypt_with, **signed_by, **disk; /* as tag */
    unsigned count;       /* 0 when not given */
    unsigned timeout_ms;  /* 0 when not given */
    unsigned ring_mib;    /* 0 when not given */
    unsigned when_full;   /* enum ckpt_when_full */
    unsigned keep_last;   /* 0 when not given */
    unsigned long within; /* seconds; 0 when not given */
    unsigned sample;      /* percent; 0 when not given */

    char **words; /* what is not an option */
    size_t nr_words;
};

enum opt_kind {
    OPT_FLAG,    /* bool */
    OPT_COUNT,   /* unsigned: how often it was given */
    OPT_STRING,  /* const char * */
    OPT_LIST,    /* const char **: may be repeated */
    OPT_FORKS,   /* unsigned, 1 to CKPT_FORK_MAX */
    OPT_NUMBER,  /* unsigned, 1 to a million */
    OPT_PERCENT, /* unsigned, 1 to 100 */
    OPT_RING,    /* unsigned MiB, 1 to CKPT_RING_MIB_MAX */
    OPT_WHEN_FULL, /* unsigned, from "wait" and "give-up" */
    OPT_AGE,     /* unsigned long seconds, from "90s", "15m", "36h", "7d" */
    OPT_SECONDS, /* unsigned milliseconds, from "30" or "2.5" */
};

struct opt {
    char letter;       /* 0: none */
    const char *name;  /* without the dashes */
    const char *value; /* what it takes, for help; NULL: nothing */
    const char *help;
    enum opt_kind kind;
    size_t offset; /* in struct args */
};
#define OPT_FIELD(field) offsetof(struct args, field)

/* One command.  Tables of options end with a row without a name. */
struct job;
struct command {
    const char *name; /* as in `xl NAME` */
    int (*run)(struct job *job);
    const char *usage;   /* what follows the name */
    const char *summary; /* without a full stop */
    const struct opt *opts;
    size_t min_words, max_words; /* max 0, or --group: no limit */
    bool only_reads;             /* the store: it need not be there */
};

#define OPTS_WHY_LEN 256

/* Fills *args from argv[1] on; argv is put in another order.  0, or -EINVAL
 * with the reason in @why (then *args is filled as far as it goes, so that
 * --json is known), or -ENOMEM.  args_fini() is needed in every case. */
int opts_parse(const struct command *cmd, int argc, char **argv,
               struct args *args, char why[OPTS_WHY_LEN]);
void args_fini(struct args *args);

/* In xl's layout. */
void opts_help(FILE *f, const struct command *cmd);
/* One option a line, both spellings, for shell completion. */
void opts_words(FILE *f, const struct command *cmd);
#endif
