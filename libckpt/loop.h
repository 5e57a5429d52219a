/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_LOOP_H
#define CKPT_LOOP_H
#include <sys/types.h>

struct ckpt;

/* A loop device upon @file_fd (open for reading and writing), without the page
 * cache where the filesystem can.  It goes by itself when nobody has it open
 * any more: *loop_fd_out has, until closed. @name is for the words. */
int loop_attach(struct ckpt *c, int file_fd, const char *name, int *loop_fd_out,
                dev_t *dev_out);

#endif
