/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * ckpt-helper: the jobs that need a process of their own, one role each.  The
 * library starts it, nobody types it; so its words are few.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"
#include "roles.h"

/* clang-format off */
static const struct role {
    const char *name;
    int (*run)(int fd); /* its first descriptor; returns the exit status */
    const char *what;
} roles[] = {
    { "guard", guard_main, "undo what a dead operation left"  },
    { "build", build_role, "make a domain, then be its monitor" },
    { "watch", watch_role, "be a domain's monitor"            },
};
/* clang-format on */

static int descriptor(const char *word)
{
    char *end;
    long fd;

    errno = 0;
    fd = strtol(word, &end, 10);
    if (errno || end == word || *end || fd < 3 || fd > INT_MAX)
        return -1;
    return (int)fd;
}

int main(int argc, char **argv)
{
    const size_t nr_roles = sizeof(roles) / sizeof(roles[0]);
    int fd = argc == 3 ? descriptor(argv[2]) : -1;

    for (size_t i = 0; fd >= 0 && i < nr_roles; i++)
        if (!strcmp(argv[1], roles[i].name))
            return roles[i].run(fd);
    fprintf(stderr, "ckpt-helper ROLE FD is run by libckpt.  Roles:\n");
    for (size_t i = 0; i < nr_roles; i++)
        fprintf(stderr, "  %s: %s\n", roles[i].name, roles[i].what);
    return 2;
}
