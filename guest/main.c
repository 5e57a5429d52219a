/* SPDX-License-Identifier: LGPL-2.1-only */
/* ckpt-guest: a table of commands. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest.h"

static int run_checkpoint(struct guest *g, int argc, char **argv)
{
    (void)argv;
    return argc ? EXIT_USAGE : guest_ask(g, "checkpoint");
}

static int run_rollback(struct guest *g, int argc, char **argv)
{
    (void)argv;
    return argc ? EXIT_USAGE : guest_ask(g, "rollback");
}

static int run_fork(struct guest *g, int argc, char **argv)
{
    char verb[16];
    char *end;
    long count = 1;

    if (argc > 1)
        return EXIT_USAGE;
    if (argc) {
        errno = 0;
        count = strtol(argv[0], &end, 10);
        if (errno || *end || count < 1 || count > 256)
            return EXIT_USAGE;
    }
    snprintf(verb, sizeof(verb), "fork %ld", count);
    return guest_ask(g, verb);
}

static int run_wait(struct guest *g, int argc, char **argv)
{
    (void)argv;
    return argc ? EXIT_USAGE : guest_wait(g);
}

static int run_status(struct guest *g, int argc, char **argv)
{
    (void)argv;
    return argc ? EXIT_USAGE : guest_status(g);
}

static int run_reseed(struct guest *g, int argc, char **argv)
{
    (void)argv;
    return argc ? EXIT_USAGE : guest_reseed(g);
}

static int run_hooks(struct guest *g, int argc, char **argv)
{
    if (argc < 1 || argc > 3 || strcmp(argv[0], "run"))
        return EXIT_USAGE;
    if (argc == 1)
        return agent_run(g);
    return hooks_run(g->hooks_dir, argv[1], argc > 2 ? argv[2] : NULL,
                     !strcmp(argv[1], "thaw"), false, g->timeout_s * 1000)
               ? EXIT_FAILED
               : EXIT_DONE;
}

/* clang-format off */
static const struct command {
    const char *name;
    int (*run)(struct guest *g, int argc, char **argv);
    const char *usage, *summary;
} commands[] = {
    { "checkpoint", run_checkpoint, "",        "have a checkpoint of us taken" },
    { "fork",       run_fork,       "[COUNT]", "have us forked; tells who we are" },
    { "rollback",   run_rollback,   "",        "go back to our own last checkpoint" },
    { "wait",       run_wait,       "",        "until we are forked or rolled back" },
    { "status",     run_status,     "",        "print what the door says" },
    { "hooks",      run_hooks,      "run [EVENT [ARG]]",
      "run the hooks of one event, or serve until ended" },
    { "reseed",     run_reseed,     "",        "part our random numbers from our twins'" },
};
/* clang-format on */

static void usage(FILE *f)
{
    fputs("Usage: ckpt-guest [OPTIONS] COMMAND\n\n", f);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(f, "  %-10s %-18s %s\n", commands[i].name, commands[i].usage,
                commands[i].summary);
    fputs("\n  -t, --timeout=SECONDS  wait this long for an answer (300)\n"
          "  -d, --hooks-dir=DIR    instead of " HOOKS_DIR "\n"
          "  -x, --xenbus=PATH      instead of /dev/xen/xenbus\n"
          "  -V, --version\n  -h, --help\n\n"
          "Exit status: 0 done, 1 failed, 2 usage, 3 no door, 4 refused, "
          "5 no answer in time\n",
          f);
}

uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

int guest_reach(struct guest *g)
{
    int rc = bus_open(&g->bus, g->bus_path);

    if (rc)
        fprintf(stderr, "ckpt-guest: no xenstore here: %s\n", strerror(-rc));
    return rc ? EXIT_NO_DOOR : 0;
}

int guest_open(struct guest *g)
{
    char value[BUS_VALUE_MAX + 1];
    int rc;

    rc = guest_reach(g);
    if (rc)
        return rc;
    rc = bus_read(&g->bus, "control/feature-ckpt", value);
    if (!rc)
        rc = bus_read(&g->bus, DOOR "birth", value);
    if (rc) {
        fprintf(stderr,
                "ckpt-guest: this guest may not ask for anything "
                "(%s)\n",
                rc == -ENOENT ? "no control/feature-ckpt in xenstore"
                              : strerror(-rc));
        return EXIT_NO_DOOR;
    }
    snprintf(g->birth, sizeof(g->birth), "%.63s", value);
    return 0;
}

bool guest_is_reborn(struct guest *g, char origin[64])
{
    const bool is_known = g->birth[0];
    char value[BUS_VALUE_MAX + 1];

    /* A new domain's door opens a moment after it runs: no birth, not yet. */
    if (bus_read(&g->bus, DOOR "birth", value) || !value[0] ||
        !strncmp(value, g->birth, sizeof(g->birth) - 1))
        return false;
    snprintf(g->birth, sizeof(g->birth), "%.63s", value);
    origin[0] = '\0';
    if (!bus_read(&g->bus, DOOR "origin", value))
        snprintf(origin, 64, "%.63s", value);
    return is_known;
}

int guest_watch(struct guest *g, const char *const names[])
{
    char path[64];
    int rc = 0;

    for (; !rc && *names; names++) {
        snprintf(path, sizeof(path), DOOR "%s", *names);
        rc = bus_watch(&g->bus, path);
    }
    return rc;
}

static int parse_timeout(const char *word, int *out)
{
    char *end;
    long s;

    errno = 0;
    s = strtol(word, &end, 10);
    if (errno || end == word || *end || s < 1 || s > 86400)
        return -EINVAL;
    *out = (int)s;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"timeout", required_argument, NULL, 't'},
        {"hooks-dir", required_argument, NULL, 'd'},
        {"xenbus", required_argument, NULL, 'x'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct guest g = {
        .hooks_dir = HOOKS_DIR, .timeout_s = 300, .bus = {.fd = -1}};
    int c, status = EXIT_USAGE;

    while ((c = getopt_long(argc, argv, "+t:d:x:Vh", options, NULL)) >= 0) {
        if (c == 't' && !parse_timeout(optarg, &g.timeout_s))
            continue;
        if (c == 'd')
            g.hooks_dir = optarg;
        else if (c == 'x')
            g.bus_path = optarg;
        else if (c == 'V')
            return printf("ckpt-guest %s\n", CKPT_VERSION) < 0;
        else if (c == 'h') {
            usage(stdout);
            return EXIT_DONE;
        } else {
            usage(stderr);
            return EXIT_USAGE;
        }
    }
    for (size_t i = 0;
         optind < argc && i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(argv[optind], commands[i].name))
            status = commands[i].run(&g, argc - optind - 1, argv + optind + 1);
    if (status == EXIT_USAGE)
        usage(stderr);
    bus_close(&g.bus);
    return status;
}
