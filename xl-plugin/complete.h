/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_COMPLETE_H
#define XL_COMPLETE_H
#include "opts.h"

/* For the shell: `xl-ckpt --complete WHAT [WORD] [--store URL]` prints
 * candidates, one a line, and no errors.  @cmds ends with a row without a
 * name.  Returns the exit status. */
int complete(const struct command *cmds, int argc, char **argv);
#endif
