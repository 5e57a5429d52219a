/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_DAEMON_H
#define XL_DAEMON_H
/*
 * ckptd, when it runs, does the work of the commands that change something:
 * its hooks are asked, its audit log has them, its jobs wait for one another.
 * When it does not, or for another store than the default one, the commands
 * work alone, under the same locks.
 */
#include "job.h"

/* Looks whether there is a daemon to use, and says so with -v.  Never fails:
 * without one job->daemon stays NULL. */
void daemon_find(struct job *job);
void daemon_close(struct job *job);

/* As the functions of ckpt.h, by the daemon or alone; the words of a failure
 * are in job->error. */
int job_take(struct job *job, const char *domain,
             const struct ckpt_take_opts *opts, struct ckpt_info *info_out);
/* @opts is of each of the domains, and one. */
int job_take_group(struct job *job, const char *group,
                   const char *const *domains, size_t nr,
                   const struct ckpt_take_opts *opts,
                   struct ckpt_info *infos_out);
int job_rollback(struct job *job, const char *domain, const char *checkpoint,
                 const struct ckpt_rollback_opts *opts,
                 struct ckpt_domain *dom_out);
int job_fork(struct job *job, const char *source,
             const struct ckpt_fork_opts *opts, struct ckpt_domain *doms_out,
             unsigned *nr_out);

#endif
