/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckptd: options, the table of roles, and how it becomes a daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "listen.h"
#include "log.h"

#define CONF_DEFAULT "/etc/xen/ckptd.conf"

/*
 * Who may do what, and why:
 *
 *   parent  root, all capabilities.  It forks the others, runs the hooks and
 *           holds the state file.  It reads fixed structs only: no JSON, no
 *           xenstore, nothing a client or guest has written but names.
 *   front   the user of the configuration, no capability, chroot into an empty
 *           folder, no way back (no_new_privs).  It parses what clients send,
 *           so it has nothing: the listening sockets and a line to the parent.
 *   door    the same, and one connection to xenstore, opened as root before
 *           that.  It speaks for dom0 there, so no guest's string ever becomes
 *           a part of a path; it has no client.
 *   job     root: libckpt pauses and maps guests, LVM and device-mapper need
 *           it.  A program of its own (ckptd-job), one operation, then it
 *           ends; so neither a leak nor a crash of the Xen libraries is ours.
 */
static const struct role {
    const char *name;
    int (*run)(const struct role_args *args);
} roles[] = {
    {"front", front_main},
    {"door", door_main},
};

struct options {
    const char *conf_path, *pidfile, *log, *role;
    struct role_args role_args;
    bool is_foreground, is_check;
    unsigned verbose;
};

static void usage(FILE *f)
{
    fputs("Usage: ckptd [OPTIONS]\n\n"
          "The daemon of xen-ckpt: checkpoints by policy, for guests and for\n"
          "programs.  ckptd(8) and ckptd.conf(5) say more.\n\n"
          "  -F, --foreground        Stay in the foreground.\n"
          "  -p, --pidfile=FILE      Write the process id here, and lock it.\n"
          "  -c, --config=FILE       Read this instead of " CONF_DEFAULT ".\n"
          "  -l, --log=WHERE         stderr, syslog, or a file.\n"
          "  -n, --check             Check the configuration and stop.\n"
          "  -v, --verbose           Say more; may be repeated.\n"
          "  -V, --version           Print the version.\n"
          "  -h, --help              Print this.\n",
          f);
}

/* An option of one of us to another. */
static bool take_role(int c, struct options *o)
{
    if (c == 'R')
        o->role = optarg;
    else if (c == 'U')
        o->role_args.user = optarg;
    else if (c == 'D')
        o->role_args.run_dir = optarg;
    else if (c == 'M')
        o->role_args.has_metrics = true;
    else
        return false;
    return true;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"foreground", no_argument, NULL, 'F'},
        {"pidfile", required_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'c'},
        {"log", required_argument, NULL, 'l'},
        {"check", no_argument, NULL, 'n'},
        {"verbose", optional_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"role", required_argument, NULL, 'R'},
        {"user", required_argument, NULL, 'U'},
        {"run-dir", required_argument, NULL, 'D'},
        {"metrics", no_argument, NULL, 'M'},
        {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "Fp:c:l:nvVh", options, NULL)) >= 0) {
        switch (c) {
        case 'F':
            o->is_foreground = true;
            break;
        case 'p':
            o->pidfile = optarg;
            break;
        case 'c':
            o->conf_path = optarg;
            break;
        case 'l':
            o->log = optarg;
            break;
        case 'n':
            o->is_check = true;
            break;
        case 'v':
            o->verbose = optarg ? (unsigned)atoi(optarg) : o->verbose + 1;
            break;
        case 'V':
            printf("ckptd %s\n", CKPT_VERSION);
            exit(0);
        case 'h':
            usage(stdout);
            exit(0);
        default:
            if (!take_role(c, o))
                return -EINVAL;
        }
    }
    if (optind < argc)
        fprintf(stderr, "ckptd: %s: there are no arguments\n", argv[optind]);
    if (!o->role != !o->role_args.user)
        return -EINVAL;
    return optind < argc ? -EINVAL : 0;
}

/* A file that is not there means the defaults, unless it was asked for. */
static int read_conf(const struct options *o, struct conf *conf)
{
    char error[CONF_ERROR_LEN];
    int rc;

    conf_init(conf);
    rc = conf_load(conf, o->conf_path, error);
    if (rc == -ENOENT && !strcmp(o->conf_path, CONF_DEFAULT) && !o->is_check)
        return 0;
    if (rc)
        fprintf(stderr, "%s\n", error);
    return rc;
}

static int run_role(const struct options *o)
{
    int status = 2;

    if (!o->role_args.run_dir)
        return status;
    if (o->log && !strcmp(o->log, "syslog"))
        log_open(o->log, o->role);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (!strcmp(roles[i].name, o->role))
            status = roles[i].run(&o->role_args);
    return status;
}

/* The lock says whether the process in it lives. */
static int write_pidfile(const char *path)
{
    int fd;

    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || ftruncate(fd, 0) < 0 ||
        dprintf(fd, "%d\n", (int)getpid()) < 0) {
        fprintf(stderr, "ckptd: %s: %s\n", path,
                errno == EWOULDBLOCK ? "another ckptd runs" : strerror(errno));
        return -errno;
    }
    return 0; /* stays open, and locked, until we end */
}

static int ready_fd = -1;

static void tell_ready(struct daemon *d)
{
    (void)d;
    /* The terminal we came from is not ours any more. */
    if (ready_fd >= 0 && log_is_syslog())
        dup2(STDIN_FILENO, STDERR_FILENO);
    if (ready_fd >= 0) {
        (void)!write(ready_fd, "\n", 1);
        close(ready_fd);
    }
    ready_fd = -1;
    log_msg(LOG_NOTICE, "ckptd %s serves", CKPT_VERSION);
}

/* The caller gets its prompt back when we serve, or our failure. */
static int daemonize(void)
{
    int fds[2], null;
    char byte;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        return -errno;
    if (pid) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    ready_fd = fds[1];
    setsid();
    null = open("/dev/null", O_RDWR);
    if (null < 0)
        return -errno;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    close(null);
    return 0;
}

static int serve(const struct options *o, struct daemon *d)
{
    const char *log = o->log ? o->log : o->is_foreground ? "stderr" : "syslog";
    int rc;

    if (!o->is_foreground && (rc = daemonize()) < 0)
        return rc;
    if (o->pidfile && (rc = write_pidfile(o->pidfile)) < 0)
        return rc;
    rc = log_open(log, "ckptd");
    if (rc) {
        fprintf(stderr, "ckptd: log %s: %s\n", log, strerror(-rc));
        return rc;
    }
    umask(022);
    d->listen_fd = listen_unix(d->conf.socket);
    if (d->listen_fd < 0)
        return d->listen_fd;
    d->metrics_fd =
        d->conf.metrics_listen[0] ? listen_metrics(d->conf.metrics_listen) : -1;
    if (d->metrics_fd < -1)
        return d->metrics_fd;
    d->on_ready = tell_ready;
    rc = parent_run(d);
    unlink(d->conf.socket);
    if (o->pidfile)
        unlink(o->pidfile);
    return rc;
}

/* A closed standard descriptor would be given to the next socket. */
static void fill_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct options o = {.conf_path = CONF_DEFAULT};
    struct daemon d = {.listen_fd = -1, .metrics_fd = -1};
    int rc;

    fill_descriptors();
    if (parse(argc, argv, &o)) {
        usage(stderr);
        return 2;
    }
    log_verbose(o.verbose);
    if (o.role)
        return run_role(&o);
    if (read_conf(&o, &d.conf)) {
        conf_fini(&d.conf);
        return 1;
    }
    if (o.is_check) {
        conf_fini(&d.conf);
        return 0;
    }
    d.conf_path = o.conf_path;
    rc = serve(&o, &d);
    conf_fini(&d.conf);
    return rc ? 1 : 0;
}
