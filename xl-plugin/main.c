/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * xl-ckpt: xl's commands for checkpoints, one program under many names.  The
 * command is the name it was called by without "xl-" (`xl checkpoint` runs
 * xl-checkpoint), else the first argument (`xl-ckpt checkpoint`).
 *
 * Results go to stdout, all else to stderr.  What failed is told once, here:
 * in words on stderr, with --json also as an object on stdout.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "complete.h"
#include "exit_codes.h"
#include "job.h"
#include "text.h"

/* In the order of help. */
static const struct command commands[] = {
    {.name = "checkpoint",
     .run = cmd_checkpoint,
     .opts = checkpoint_opts,
     .usage = "[options] <Domain>...",
     .summary = "Take a checkpoint of a running domain",
     .min_words = 1,
     .max_words = 1},
    {.name = "rollback",
     .run = cmd_rollback,
     .opts = rollback_opts,
     .usage = "[options] <Domain> [<Checkpoint>]",
     .summary = "Put a domain back to a checkpoint, the latest by default",
     .min_words = 1,
     .max_words = 2},
    {.name = "fork",
     .run = cmd_fork,
     .opts = fork_opts,
     .usage = "[options] <Domain|Checkpoint>",
     .summary = "Make new domains from a running one or a checkpoint",
     .min_words = 1,
     .max_words = 1},
    {.name = "checkpoint-list",
     .run = cmd_list,
     .opts = list_opts,
     .usage = "[options] [<Domain>]",
     .summary = "List checkpoints of all domains or one",
     .only_reads = true,
     .max_words = 1},
    {.name = "checkpoint-show",
     .run = cmd_show,
     .opts = show_opts,
     .usage = "[options] <Checkpoint>",
     .summary = "Show everything about a checkpoint",
     .only_reads = true,
     .min_words = 1,
     .max_words = 1},
    {.name = "checkpoint-delete",
     .run = cmd_delete,
     .opts = no_opts,
     .usage = "[options] <Checkpoint>...",
     .summary = "Delete checkpoints and their disk snapshots",
     .min_words = 1},
    {.name = "checkpoint-verify",
     .run = cmd_verify,
     .opts = verify_opts,
     .usage = "[options] <Checkpoint>...",
     .summary = "Read checkpoints back and check every page",
     .min_words = 1},
    {.name = "checkpoint-diff",
     .run = cmd_diff,
     .opts = no_opts,
     .usage = "[options] <Checkpoint> <Checkpoint>",
     .summary = "List the disk blocks that changed between two checkpoints",
     .min_words = 2,
     .max_words = 2,
     .only_reads = true},
    {.name = "checkpoint-mount",
     .run = cmd_mount,
     .opts = no_opts,
     .usage = "[options] <Checkpoint> [<Disk>] <Folder>",
     .summary = "Mount a disk of a checkpoint, read-only",
     .min_words = 2,
     .max_words = 3},
    {.name = "checkpoint-umount",
     .run = cmd_umount,
     .opts = no_opts,
     .usage = "[options] <Folder>",
     .summary = "Unmount it",
     .min_words = 1,
     .max_words = 1},
    {.name = "checkpoint-keep",
     .run = cmd_keep,
     .opts = keep_opts,
     .usage = "[options] <Checkpoint>",
     .summary = "Keep a checkpoint from retention, or put tags on it",
     .min_words = 1,
     .max_words = 1},
    {.name = "checkpoint-prune",
     .run = cmd_prune,
     .opts = prune_opts,
     .usage = "[options] [<Domain>]",
     .summary = "Delete by age and number, give back unused room",
     .max_words = 1},
    {.name = "checkpoint-export",
     .run = cmd_export,
     .opts = export_opts,
     .usage = "[options] <Checkpoint> <File>",
     .summary = "Write an archive, a file for xl restore, or a core",
     .min_words = 2,
     .max_words = 2,
     .only_reads = true},
    {.name = "checkpoint-import",
     .run = cmd_import,
     .opts = import_opts,
     .usage = "[options] <File>",
     .summary = "Make a checkpoint of an archive or xl save's file",
     .min_words = 1,
     .max_words = 1},
    {.name = "checkpoint-keygen",
     .run = cmd_keygen,
     .opts = keygen_opts,
     .usage = "[options] <File>",
     .summary = "Make a key for archives",
     .min_words = 1,
     .max_words = 1,
     .only_reads = true},
    {.name = NULL},
};

static const struct command *find_command(const char *name)
{
    const struct command *cmd;

    for (cmd = commands; cmd->name; cmd++)
        if (strcmp(cmd->name, name) == 0)
            return cmd;
    return NULL;
}

/* xl's own lines of `xl help`; the front prints them below xl's. */
static void print_commands(FILE *f)
{
    const struct command *cmd;

    for (cmd = commands; cmd->name; cmd++)
        fprintf(f, " %-19s %s\n", cmd->name, cmd->summary);
}

static void print_help(FILE *f)
{
    fprintf(f, "Usage: xl-ckpt <subcommand> [args]\n\n"
               "The same as xl <subcommand>, or xl-<subcommand>.\n\n");
    print_commands(f);
    fprintf(f, "\n'xl-ckpt <subcommand> --help' lists its options.\n\n"
               "Exit status:\n\n");
    exit_code_print(f);
}

static void print_version(struct json *json)
{
    if (json)
        json_text(json, "version", ckpt_version());
    else
        printf("xl-ckpt %s\n", ckpt_version());
}

static int run(struct job *job)
{
    int rc;

    if (job->args.help) {
        opts_help(stdout, job->cmd);
        return 0;
    }
    if (job->args.version) {
        print_version(job->json);
        return 0;
    }
    rc = job_open(job);
    if (!rc)
        rc = job->cmd->run(job);
    job_close(job);
    return rc;
}

/* Prints what the run left behind; returns the exit status. */
static int finish(struct job *job, int rc)
{
    int written;

    if (rc < 0) {
        fflush(stdout); /* keep the order where both are one terminal */
        fprintf(stderr, "xl %s: ", job->cmd->name);
        text_print(stderr, job->error);
        putc('\n', stderr);
    }
    if (job->json && !job->args.help) {
        if (rc < 0)
            json_error(job->json, rc, job->error);
        written = json_write(job->json, stdout);
    } else {
        written = fflush(stdout) != 0 ? -errno : ferror(stdout) ? -EIO : 0;
    }
    if (written < 0) {
        fprintf(stderr, "xl %s: standard output: %s\n", job->cmd->name,
                strerror(-written));
        rc = rc < 0 ? rc : -EIO;
    }
    return exit_code_of(rc)->status;
}

static int run_command(const struct command *cmd, int argc, char **argv)
{
    struct job job = {.cmd = cmd};
    char why[OPTS_WHY_LEN];
    int rc, status;

    rc = opts_parse(cmd, argc, argv, &job.args, why);
    if (job.args.json)
        job.json = json_new();
    if (rc == -ENOMEM || (job.args.json && !job.json))
        rc = job_fail(&job, -ENOMEM, "not enough memory");
    else if (rc < 0)
        job_fail(&job, rc, "%s; see 'xl %s --help'", why, cmd->name);
    else
        rc = run(&job);
    status = finish(&job, rc);
    json_free(job.json);
    args_fini(&job.args);
    return status;
}

static int run_general(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct command *cmd = find_command(word);

    if (cmd)
        return run_command(cmd, argc - 1, argv + 1);
    if (strcmp(word, "--complete") == 0)
        return complete(commands, argc - 2, argv + 2);
    if (strcmp(word, "--commands") == 0)
        print_commands(stdout);
    else if (strcmp(word, "--version") == 0)
        print_version(NULL);
    else if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        print_help(stdout);
    else if (strcmp(word, "help") == 0 && argc > 2 && find_command(argv[2]))
        opts_help(stdout, find_command(argv[2]));
    else if (strcmp(word, "help") == 0 && argc == 2)
        print_help(stdout);
    else {
        fprintf(stderr, "xl-ckpt: %s%s; see 'xl-ckpt --help'\n",
                word[0] ? "no such subcommand: " : "no subcommand", word);
        return exit_code_of(-EINVAL)->status;
    }
    return exit_code_of(fflush(stdout) != 0 ? -EIO : 0)->status;
}

/* A closed standard descriptor would be given to the next file opened, and
 * what is printed would end up in the store.  The wrong direction, so that
 * writing to it fails as before. */
static bool fill_descriptors(void)
{
    int fd, got;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        got = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
        if (got != fd)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    const struct command *cmd = NULL;
    const char *name;

    /* What is a character, not how a number looks. */
    setlocale(LC_CTYPE, "");
    if (argc < 1 || !fill_descriptors())
        return exit_code_of(-EINVAL)->status;
    name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    if (strncmp(name, "xl-", 3) == 0)
        cmd = find_command(name + 3);
    return cmd ? run_command(cmd, argc, argv) : run_general(argc, argv);
}
