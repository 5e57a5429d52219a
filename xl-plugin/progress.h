/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_PROGRESS_H
#define XL_PROGRESS_H
/* One line on a terminal, written over itself with a carriage return. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ckpt.h"

#define PROGRESS_PHASE_LEN 64

struct progress {
    FILE *f; /* borrowed */
    bool is_on;
    bool is_stopping;    /* a signal asked the operation to stop */
    atomic_size_t shown; /* columns of the line now on the screen; a thread
                          * of the library may log, and so erase it */
    char phase[PROGRESS_PHASE_LEN];
    uint64_t last_bytes, last_us; /* where the rate was last taken */
    double rate;                  /* bytes a microsecond, smoothed */
};

/* @p begins as zero bytes. */
void progress_init(struct progress *p, FILE *f, bool is_on);
void progress_show(struct progress *p, const struct ckpt_progress *now);
/* Takes the line off the screen, before anything else is printed there. */
void progress_erase(struct progress *p);
#endif
