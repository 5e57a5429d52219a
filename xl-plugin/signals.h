/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef XL_SIGNALS_H
#define XL_SIGNALS_H
/* SIGINT, SIGTERM and SIGHUP ask the operation to stop; none of them, however
 * often, kills the process in the middle of putting things back. */
#include <stdbool.h>

#include "ckpt.h"

/* From now on the signals call ckpt_cancel(@c), borrowed until the next call;
 * NULL: they are only remembered.  A signal that was ignored stays so. */
void signals_catch(ckpt *c);
/* Whether one has come. */
bool signals_seen(void);
#endif
