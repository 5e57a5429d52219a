/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_DOOR_REQUEST_H
#define CKPTD_DOOR_REQUEST_H
/*
 * What a guest wrote, taken apart.  docs/specs/xenstore.md has the grammar:
 *   request:      ID SP ( "checkpoint" | "rollback" | "fork" [ SP COUNT ] )
 *   quiesce-ack:  NUMBER SP ( "frozen" | "thawed" | "failed" )
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOOR_ID_MAX 16u
#define DOOR_TEXT_MAX 64u /* a longer value is no request */

struct door_request {
    char id[DOOR_ID_MAX + 1]; /* [A-Za-z0-9-]+; "" when there is none */
    uint32_t request;         /* one GUEST_* */
    uint32_t count;           /* of a fork, else 0 */
};

/* 0; -ENODATA: empty, nothing is asked; -EINVAL: no request, r_out->id is
 * filled if that much was right; -E2BIG: too long. */
int door_request_parse(const char *value, size_t len_bytes,
                       struct door_request *r_out);

/* Whether @value acknowledges freeze number @seq; *frozen_out says how. */
bool door_ack_parse(const char *value, size_t len_bytes, uint32_t seq,
                    bool *frozen_out);

#endif
