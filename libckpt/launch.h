/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LAUNCH_H
#define CKPT_LAUNCH_H
/*
 * Starts ckpt-helper in one of its roles (helper/roles.h): a process that
 * outlives us, in a session of its own and no child of ours.  Returns once it
 * stands.  The program is $CKPT_HELPER, else the installed one.
 */
struct ckpt;

/* @fds become the helper's descriptors 3, 4; nothing else but 0-2 is open
 * there. */
int launch_helper(struct ckpt *c, const char *role, const int *fds,
                  unsigned nr_fds);
/* The same for ckpt-rbd, which gets @fd; $CKPT_RBD, else the installed one. */
int launch_rbd(struct ckpt *c, int fd);

#endif
