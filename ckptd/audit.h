/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_AUDIT_H
#define CKPTD_AUDIT_H
/*
 * Who asked for what, when, and what became of it: a JSON object a line, in a
 * file (0600, opened anew for each line, so that it can be rotated) and in the
 * log.
 */
#include "wire.h"

/* @event: "accepted", "refused", "ended". @path "": the log alone. */
void audit_job(const char *path, const char *event, const struct wire_job *j,
               const struct wire_task *task);
/* A guest's wish that the policy does not allow. */
void audit_guest(const char *path, const struct wire_domain *dom,
                 const char *request, const char *why);

/* The same object for hooks: one, or of a group one about each domain.  Ended by
 * NULL, all owned; NULL when memory ran out. */
char **audit_texts(const char *event, const struct wire_job *j,
                   const struct wire_task *task);

#endif
