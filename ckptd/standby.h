/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_STANDBY_H
#define CKPTD_STANDBY_H
/*
 * Takes that are made ready before their guests ask: a process each, which has
 * done all that comes before the cut, and waits.  It shares a ring with Xen and
 * refers to pages of the store, so it makes way for every other job of the domain
 * and for all that delete, and is made anew afterwards.
 */
#include "daemon.h"

#define STANDBYS_MAX 32u

struct job;

int standbys_open(struct daemon *d);
void standbys_close(struct daemon *d);

/* Soon, and as far as nothing is under way: one for each guest that is to have
 * one. */
void standbys_settle(struct daemon *d);
/* The one of @domid, 0: all of them, undoes what it has done. */
void standbys_end(struct daemon *d, uint32_t domid);
bool standbys_any(const struct daemon *d);
/* Whether @job has to wait for one to have made way; jobs_kick() follows. */
bool standbys_in_way(struct daemon *d, const struct job *job);
/* The process that stands by for just this job is the job's from now on. */
bool standbys_take(struct daemon *d, const struct job *job, pid_t *pid_out,
                   int *fd_out);

#endif
