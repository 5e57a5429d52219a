/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckpt-rbd: speaks to a Ceph cluster for libckpt, which does not want to load
 * librbd on every dom0, nor to share a process with its threads, nor to wait
 * where librbd knows no limit of time.  It is started and connected while the
 * guest runs; in the pause one line is sent to it and one comes back:
 *
 *   -> VERB ARGUMENT...        without blanks in them; bytes behind a `write'
 *   <- - WORDS                 any number of these
 *   <- ok WORDS    or    no ERRNO WORDS; bytes behind the ok of a `read'
 *
 * Who has waited long enough hangs up.  What is under way comes to its end all the
 * same, and lets go of the image: were it killed with the image's lock, a guest that
 * waits for that would wait for half a minute after the cluster answers again, until
 * we are given up for dead.  So there are LINGER_S for that, and END_S for all
 * else, of which nothing may be done any more once it was given up.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../helper/roles.h"
#include "session.h"

#define END_S 10u
#define LINGER_S 300u
#define NR_ARGS_MAX 4u
#define LINE_MAX_BYTES 1024

/* clang-format off */
static const struct {
    const char *name;
    size_t nr_args;
    verb_fn *run;
} verbs[] = {
    { "connect",  3, cluster_connect },
    { "look",     1, image_look      },
    { "arm",      2, cut_arm         },
    { "cut",      0, cut_cut         },
    { "drain",    0, cut_drain       },
    { "clone",    3, clone_make      },
    { "unclone",  3, clone_remove    },
    { "chain",    2, clone_chain     },
    { "flatten",  1, clone_flatten   },
    { "rename",   2, image_rename    },
    { "check",    2, image_check     },
    { "snapdrop", 2, drop_snapshot   },
    { "olddrop",  1, drop_old        },
    { "changed",  4, changed         },
    { "open",     2, content_open    },
    { "read",     2, content_read    },
    { "name",     1, content_name    },
    { "make",     2, content_make    },
    { "write",    2, content_write   },
    { "made",     0, content_made    },
    { "unmake",   1, content_unmake  },
};
/* clang-format on */

int no(struct session *s, int rc, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vsnprintf(s->words, sizeof(s->words), fmt, ap);
    va_end(ap);
    if (len > 0 && (size_t)len < sizeof(s->words) && s->words[len - 1] == '.')
        s->words[len - 1] = '\0';
    else if (len > 0 && (size_t)len < sizeof(s->words))
        snprintf(s->words + len, sizeof(s->words) - (size_t)len, ": %s",
                 strerror(-rc));
    return rc;
}

static int dispatch(struct session *s, char *line)
{
    char *args[NR_ARGS_MAX + 2] = {NULL}, *save;
    size_t nr = 0;

    for (char *word = strtok_r(line, " \n", &save); word && nr <= NR_ARGS_MAX;
         word = strtok_r(NULL, " \n", &save))
        args[nr++] = word;
    for (size_t i = 0; nr && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, args[0]) || verbs[i].nr_args != nr - 1)
            continue;
        if (!s->cluster && verbs[i].run != cluster_connect)
            return no(s, -ENOTCONN, "%s", args[0]);
        return verbs[i].run(s, args + 1);
    }
    return no(s, -EINVAL,
              "ckpt-rbd does not understand the library: they are of "
              "different versions.");
}

/* librbd cannot be interrupted. */
static void end_in_time(struct session *s)
{
    if (!atomic_exchange(&s->is_over, true))
        alarm(atomic_load(&s->may_hold) ? LINGER_S : END_S);
}

static void *watch_for_the_end(void *arg)
{
    struct session *s = arg;
    struct pollfd p = {.fd = fileno(s->in), .events = POLLRDHUP};

    while (poll(&p, 1, -1) < 0 || !p.revents)
        ;
    end_in_time(s);
    return NULL;
}

static void serve(struct session *s)
{
    char line[LINE_MAX_BYTES];
    int rc;

    while (fgets(line, sizeof(line), s->in)) {
        s->words[0] = s->result[0] = '\0';
        s->payload_bytes = 0;
        rc = dispatch(s, line);
        if (rc)
            fprintf(s->out, "no %d %s\n", -rc, s->words);
        else
            fprintf(s->out, "ok %s\n", s->result);
        if (!rc)
            fwrite(s->payload, 1, s->payload_bytes, s->out);
        if (fflush(s->out))
            return;
    }
}

int main(int argc, char **argv)
{
    static struct session s; /* the other thread's too, to the last */
    pthread_t watch;
    int fd;

    fd = argc == 2 ? atoi(argv[1]) : -1;
    if (fd < 3) {
        fprintf(stderr, "ckpt-rbd FD is run by libckpt.\n");
        return 2;
    }
    if (role_detach() < 0)
        return 1;
    signal(SIGALRM, SIG_DFL);
    s.in = fdopen(fd, "r");
    s.out = fdopen(dup(fd), "w");
    if (!s.in || !s.out || pthread_create(&watch, NULL, watch_for_the_end, &s))
        return 1;
    serve(&s);
    end_in_time(&s);
    cut_end(&s);
    content_end(&s);
    cluster_close(&s);
    return 0;
}
