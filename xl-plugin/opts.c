/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The tables become what getopt_long() wants.  It runs with opterr off, and
 * the first mistake is kept while the rest is still parsed: --json after a
 * mistyped option must be seen, since the error is then wanted in JSON.
 */
#include "opts.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ckpt.h"

#define MAX_OPTS 32
#define LONG_BASE 256 /* above every letter */
#define HELP_COLUMN 24
#define HELP_WIDTH 78

static const struct opt common_opts[] = {
    {.name = "store",
     .value = "URL",
     .kind = OPT_STRING,
     .offset = OPT_FIELD(store),
     .help =
         "Use this store instead of $CKPT_STORE or " CKPT_STORE_DEFAULT "."},
    {.name = "json",
     .offset = OPT_FIELD(json),
     .help = "Print the result, or the error, as one JSON object."},
    {.letter = 'q',
     .name = "quiet",
     .offset = OPT_FIELD(quiet),
     .help = "Print no more than ids or names, and errors."},
    {.letter = 'v',
     .name = "verbose",
     .kind = OPT_COUNT,
     .offset = OPT_FIELD(verbose),
     .help = "Say what is done; more so when repeated."},
    {.letter = 't',
     .name = "progress",
     .offset = OPT_FIELD(tty_progress),
     .help = "Show progress also when standard error is not a terminal."},
    {.letter = 'T',
     .name = "timestamps",
     .offset = OPT_FIELD(timestamps),
     .help = "Put time and process id before log lines."},
    {.letter = 'h',
     .name = "help",
     .offset = OPT_FIELD(help),
     .help = "Print this help."},
    {.name = "version",
     .offset = OPT_FIELD(version),
     .help = "Print the version."},
    {.name = NULL},
};

static size_t gather(const struct command *cmd, const struct opt **all)
{
    const struct opt *o;
    size_t nr = 0;

    for (o = cmd->opts; o->name && nr < MAX_OPTS; o++)
        all[nr++] = o;
    for (o = common_opts; o->name && nr < MAX_OPTS; o++)
        all[nr++] = o;
    return nr;
}

/* Keeps the first reason. */
__attribute__((format(printf, 2, 3))) static int blame(char *why,
                                                       const char *fmt, ...)
{
    va_list ap;

    if (why[0])
        return -EINVAL;
    va_start(ap, fmt);
    vsnprintf(why, OPTS_WHY_LEN, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static int store_list(const char ***list, const char *value)
{
    const char **bigger;
    size_t nr = 0;

    while (*list && (*list)[nr])
        nr++;
    bigger = realloc(*list, (nr + 2) * sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    bigger[nr] = value;
    bigger[nr + 1] = NULL;
    *list = bigger;
    return 0;
}

/* Decimal digits only, at most @max; no sign, no space, no locale. */
static int number(const char *s, const char **end_out, unsigned long max,
                  unsigned long *v_out)
{
    unsigned long v = 0;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (v > (max - (unsigned long)(*s - '0')) / 10)
            return -EINVAL;
        v = v * 10 + (unsigned long)(*s - '0');
    }
    *end_out = s;
    *v_out = v;
    return 0;
}

/* "30", "2.5", "0.125" */
static int seconds(const char *s, unsigned *ms_out)
{
    unsigned long whole, part = 0;
    const char *end, *digits;

    if (number(s, &end, UINT_MAX / 1000 - 1, &whole) < 0)
        return -EINVAL;
    if (*end == '.') {
        digits = end + 1;
        if (number(digits, &end, 999, &part) < 0 || end - digits > 3)
            return -EINVAL;
        for (; end - digits < 3; digits--)
            part *= 10;
    }
    if (*end || whole + part == 0)
        return -EINVAL;
    *ms_out = (unsigned)(whole * 1000 + part);
    return 0;
}

/* "90s", "15m", "36h", "7d" */
static int age(const char *s, unsigned long *seconds_out)
{
    static const struct {
        char unit;
        unsigned long seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    unsigned long v;
    const char *end;

    if (number(s, &end, 1000000000, &v) < 0 || !v || !end[0] || end[1])
        return -EINVAL;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].unit != *end)
            continue;
        *seconds_out = v * units[i].seconds;
        return 0;
    }
    return -EINVAL;
}

static int store_value(const struct opt *o, const char *value,
                       struct args *args, char *why)
{
    void *field = (char *)args + o->offset;
    unsigned long v;
    const char *end;

    switch (o->kind) {
    case OPT_FLAG:
        *(bool *)field = true;
        return 0;
    case OPT_COUNT:
        (*(unsigned *)field)++;
        return 0;
    case OPT_STRING:
        *(const char **)field = value;
        return 0;
    case OPT_LIST:
        return store_list(field, value);
    case OPT_FORKS:
        if (number(value, &end, CKPT_FORK_MAX, &v) < 0 || *end || !v)
            return blame(why, "--%s takes a number from 1 to %u, not '%s'",
                         o->name, CKPT_FORK_MAX, value);
        *(unsigned *)field = (unsigned)v;
        return 0;
    case OPT_NUMBER:
        if (number(value, &end, 1000000, &v) < 0 || *end || !v)
            return blame(why, "--%s takes a number above 0, not '%s'", o->name,
                         value);
        *(unsigned *)field = (unsigned)v;
        return 0;
    case OPT_PERCENT:
        if (number(value, &end, 100, &v) < 0 || *end || !v)
            return blame(why, "--%s takes a number from 1 to 100, not '%s'",
                         o->name, value);
        *(unsigned *)field = (unsigned)v;
        return 0;
    case OPT_RING:
        if (number(value, &end, CKPT_RING_MIB_MAX, &v) < 0 || *end || !v)
            return blame(why, "--%s takes MiB from 1 to %u, not '%s'", o->name,
                         CKPT_RING_MIB_MAX, value);
        *(unsigned *)field = (unsigned)v;
        return 0;
    case OPT_WHEN_FULL:
        *(unsigned *)field = strcmp(value, "wait") ? CKPT_WHEN_FULL_GIVE_UP
                                                   : CKPT_WHEN_FULL_WAIT;
        if (strcmp(value, "wait") && strcmp(value, "give-up"))
            return blame(why, "--%s is wait or give-up, not '%s'", o->name,
                         value);
        return 0;
    case OPT_AGE:
        if (age(value, field) < 0)
            return blame(why, "--%s takes an age such as 90s, 15m, 36h or 7d, "
                         "not '%s'", o->name, value);
        return 0;
    case OPT_SECONDS:
        if (seconds(value, field) < 0)
            return blame(why, "--%s takes seconds above 0, not '%s'", o->name,
                         value);
        return 0;
    }
    return -EINVAL;
}

/* What getopt_long() did not like: @c is '?' or ':'. */
static void blame_word(int c, char **argv, const struct opt **all, char *why)
{
    if (c == ':' && optopt >= LONG_BASE)
        blame(why, "--%s needs a value", all[optopt - LONG_BASE]->name);
    else if (c == ':')
        blame(why, "-%c needs a value", optopt);
    else if (optopt >= LONG_BASE)
        blame(why, "--%s takes no value", all[optopt - LONG_BASE]->name);
    else if (optopt)
        blame(why, "unknown option -%c", optopt);
    else
        blame(why, "unknown option %s", argv[optind - 1]);
}

static void check_words(const struct command *cmd, const struct args *args,
                        char *why)
{
    if (args->help || args->version)
        return;
    if (args->nr_words < cmd->min_words)
        blame(why, "requires at least %zu argument%s: %s", cmd->min_words,
              cmd->min_words == 1 ? "" : "s", cmd->usage);
    else if (cmd->max_words && !args->group && args->nr_words > cmd->max_words)
        blame(why, "too many arguments at '%s'", args->words[cmd->max_words]);
}

int opts_parse(const struct command *cmd, int argc, char **argv,
               struct args *args, char why[OPTS_WHY_LEN])
{
    const struct opt *all[MAX_OPTS], *o;
    struct option longs[MAX_OPTS + 1] = {0};
    char letters[2 * MAX_OPTS + 2] = ":", *l = letters + 1;
    size_t nr = gather(cmd, all), i;
    int c, rc = 0;

    for (i = 0; i < nr; i++) {
        longs[i].name = all[i]->name;
        longs[i].has_arg = all[i]->value ? required_argument : no_argument;
        longs[i].val = LONG_BASE + (int)i;
        if (all[i]->letter)
            *l++ = all[i]->letter;
        if (all[i]->letter && all[i]->value)
            *l++ = ':';
    }
    why[0] = '\0';
    opterr = 0;
    optind = 0;
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        if (c == '?' || c == ':') {
            blame_word(c, argv, all, why);
            continue;
        }
        for (i = 0; c < LONG_BASE && all[i]->letter != c; i++)
            ;
        o = c < LONG_BASE ? all[i] : all[c - LONG_BASE];
        rc = store_value(o, optarg, args, why);
        if (rc == -ENOMEM)
            return rc;
    }
    args->words = argv + optind;
    args->nr_words = (size_t)(argc - optind);
    check_words(cmd, args, why);
    return why[0] ? -EINVAL : 0;
}

void args_fini(struct args *args)
{
    const char ***lists[] = {&args->tag,          &args->exclude,
                             &args->encrypt_to,   &args->decrypt_with,
                             &args->signed_by,    &args->disk};

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        free(*lists[i]);
        *lists[i] = NULL;
    }
}

/* Words of @s wrapped between HELP_COLUMN and HELP_WIDTH. */
static void wrap(FILE *f, const char *s, size_t column)
{
    size_t len;

    if (column >= HELP_COLUMN) {
        putc('\n', f);
        column = 0;
    }
    fprintf(f, "%*s", (int)(HELP_COLUMN - column), "");
    for (column = HELP_COLUMN; *s; s += len + (s[len] == ' ')) {
        len = strcspn(s, " ");
        if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
            fprintf(f, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        column += (size_t)fprintf(f, "%s%.*s", column > HELP_COLUMN ? " " : "",
                                  (int)len, s);
    }
    putc('\n', f);
}

void opts_help(FILE *f, const struct command *cmd)
{
    const struct opt *all[MAX_OPTS], *o;
    size_t nr = gather(cmd, all), i, column;

    fprintf(f, "Usage: xl [-vtT] %s %s\n\n%s.\n\nOptions:\n\n", cmd->name,
            cmd->usage, cmd->summary);
    for (i = 0; i < nr; i++) {
        o = all[i];
        column = 0;
        if (o->letter)
            column +=
                (size_t)fprintf(f, "-%c%s%s, ", o->letter, o->value ? " " : "",
                                o->value ? o->value : "");
        column += (size_t)fprintf(f, "--%s%s%s", o->name, o->value ? "=" : "",
                                  o->value ? o->value : "");
        wrap(f, o->help, column);
    }
}

void opts_words(FILE *f, const struct command *cmd)
{
    const struct opt *all[MAX_OPTS];
    size_t nr = gather(cmd, all), i;

    for (i = 0; i < nr; i++) {
        if (all[i]->letter)
            fprintf(f, "-%c\n", all[i]->letter);
        fprintf(f, "--%s\n", all[i]->name);
    }
}
