/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_HELPER_ROLES_H
#define CKPT_HELPER_ROLES_H
/* The roles of ckpt-helper besides the guard (guard.h).  Each gets its first
 * descriptor and returns the exit status. */
#include <stdint.h>

/* @fd: control socket; @fd + 1: stream.  Stays as the domain's monitor. */
int build_role(int fd);
/* @fd: a socket with the domid, a uint32_t.  Monitors a running domain. */
int watch_role(int fd);

/* Acts on the domain's shutdowns until it is gone. */
int watch_domain(uint32_t domid);

/* Forks away from who started us, which then knows that we stand; in a
 * session of our own and deaf to the terminal's signals.  Returns in the
 * child only; -1 when there is none. */
int role_detach(void);

#endif
