/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_GUARD_RECORD_H
#define CKPT_GUARD_RECORD_H
/*
 * What goes over the socket from guard.c to guard_main.c, one record a
 * packet.  Both are built together: a record of another size or magic comes
 * from another version and is refused.
 */
#include <stdint.h>

#include "guard.h"

/* Another one with each change of the record, or of the order of either enum. */
#define GUARD_MAGIC 0x32445247u /* "GRD2" */

enum guard_op {
    GUARD_OP_ADD,
    GUARD_OP_DEL,
    GUARD_OP_UNDO, /* before the operation ends */
    GUARD_OP_BYE,  /* the operation ends by itself */
    GUARD_OP_HOLD, /* what follows counts with GUARD_OP_FLUSH */
    GUARD_OP_FLUSH,
};

struct guard_record {
    uint32_t magic;
    uint32_t op;    /* enum guard_op */
    uint32_t token; /* from 1 */
    uint32_t harm;  /* enum guard_harm */
    uint32_t domid;
    char arg[GUARD_ARG_MAX]; /* NUL-terminated */
};

#endif
