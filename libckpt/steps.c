/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Runs an operation's table of steps:
 *
 *     fault? run fault?   fault? run fault?   ...        all well: 0
 *                              | failed
 *     undo <---- undo <--------+                         its -errno
 *
 * The words of the failure survive the undos, which may fail themselves.
 */
#include "steps.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"

/* Does CKPT_FAULT name this point?  Then dies or stops here, or returns -EIO. */
static int fault(struct ckpt *c, const char *where, const char *operation,
                 const char *point)
{
    const char *want = secure_getenv("CKPT_FAULT");
    char text[256];
    int len;

    if (!want)
        return 0;
    len = snprintf(text, sizeof(text), "%s:%s:%s", where, operation, point);
    if (len < 0 || (size_t)len >= sizeof(text))
        return 0;
    if (!strncmp(want, "kill:", 5) && !strcmp(want + 5, text))
        kill(getpid(), SIGKILL);
    if (!strncmp(want, "stop:", 5) && !strcmp(want + 5, text))
        kill(getpid(), SIGSTOP);
    if (!strncmp(want, "fail:", 5) && !strcmp(want + 5, text))
        return fail(c, -EIO, "%s: fault injected %s \"%s\"", operation, where,
                    point);
    return 0;
}

static int run_one(struct ckpt *c, const char *operation,
                   const struct step *step, void *op)
{
    uint64_t begin_us;
    int rc;

    rc = fault(c, "before", operation, step->name);
    if (rc)
        return rc;
    begin_us = now_us();
    rc = step->run(op);
    if (rc)
        return rc;
    say(c, "%s: %s (%.1f ms)", operation, step->name,
        (double)(now_us() - begin_us) / 1000);
    return fault(c, "after", operation, step->name);
}

int steps_run(struct ckpt *c, const char *operation, const struct step *table,
              void *op)
{
    char error[sizeof(c->error)];
    size_t i;
    int rc = 0;

    for (i = 0; table[i].name; i++) {
        rc = run_one(c, operation, &table[i], op);
        if (rc)
            break;
    }
    if (!rc)
        return 0;

    memcpy(error, c->error, sizeof(error));
    say(c, "%s: not \"%s\": %s", operation, table[i].name, error);
    for (size_t n = i + 1; n-- > 0;) {
        if (table[n].undo)
            table[n].undo(op);
    }
    memcpy(c->error, error, sizeof(error));
    return rc;
}

int steps_fault(struct ckpt *c, const char *operation, const char *where)
{
    return fault(c, "at", operation, where);
}
