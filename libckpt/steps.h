/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STEPS_H
#define CKPT_STEPS_H
/*
 * An operation is a table of steps.  steps_run() runs them in order, says
 * each name to the logger with its time, offers one fault point before and
 * one after each step, and when a step fails undoes what was begun in reverse
 * order, the failed step's own undo first.  So an undo is harmless when its
 * step did nothing, and harmless twice.
 *
 * Fault points, for tests: CKPT_FAULT="KIND:WHERE:OPERATION:STEP" with KIND
 * `kill` (SIGKILL to ourselves), `stop` (SIGSTOP) or `fail` (the step returns
 * -EIO), WHERE `before` or `after`; e.g. "kill:after:take:cut".  For the finer
 * points of steps_fault() WHERE is `at`.
 */
struct ckpt;

struct step {
    const char *name; /* what is true afterwards: "memory armed" */
    int (*run)(void *op);
    void (*undo)(void *op); /* NULL: nothing to undo */
};

/* Runs @table, ended by a NULL name.  0 or the failing step's -errno. */
int steps_run(struct ckpt *c, const char *operation, const struct step *table,
              void *op);

/* A fault point of finer grain, inside a step: @where is the STEP word. */
int steps_fault(struct ckpt *c, const char *operation, const char *where);

#endif
