/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_GUARD_UNDO_H
#define CKPT_GUARD_UNDO_H
/*
 * The guard's harms (guard.h), each with how it is undone and what it is called:
 * a row of a table for each kind.
 */
#include <stdbool.h>
#include <stddef.h>

#include "guard_record.h"

struct xen_pending;

struct harm {
    struct guard_record r;
    bool is_undone, is_said; /* and the admin was told */
    struct xen_pending *pending; /* a guest that may suspend at any time; owned */
    int pidfd;                   /* of a monitor, or -1; owned */
    bool has_left;               /* it had when this was written down */
    char error[512];             /* why it is not undone */
};

void harm_init(struct harm *h, const struct guard_record *r);
void harm_fini(struct harm *h);
/* Tries it; sets is_undone, pending and error. */
void harm_undo(struct harm *h);
/* Volumes wait for each other: see guard_main.c. */
bool harm_is_volume(const struct harm *h);

/* "12", "12 web", "vg0/a": the object, as harm_by_hand()'s command wants it. */
void harm_name(const struct harm *h, char *text, size_t room_bytes);
/* What comes before that in a sentence. */
const char *harm_what(const struct harm *h);
const char *harm_by_hand(const struct harm *h);

#endif
