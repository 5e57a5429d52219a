/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_QMP_H
#define CKPT_QMP_H
/*
 * The device model of a domain (QEMU), by QMP on the socket libxl made:
 * /var/run/xen/qmp-libxl-DOMID ($CKPT_QMP_DIR instead of the folder, for
 * tests).  The socket serves one client at a time and libxl wants it too: who
 * connects is soon to hang up.
 *
 * @c may be NULL: then failures have no words.  -ENOENT, -ECONNREFUSED: no
 * device model.
 */
#include <stdbool.h>
#include <stdint.h>
#include <yajl/yajl_tree.h>

struct ckpt;
struct json;
struct qmp;

#define QMP_TIMEOUT_MS 10000u

/* --- a conversation -------------------------------------------------------- */

/* @timeout_ms is what each of the calls below waits at most. */
int qmp_new(struct ckpt *c, uint32_t domid, unsigned timeout_ms,
            struct qmp **q_out);
void qmp_set_timeout(struct qmp *q, unsigned timeout_ms);
int qmp_connect(struct qmp *q);
void qmp_hang_up(struct qmp *q); /* harmless when not connected */
void qmp_free(struct qmp *q);    /* hangs up; NULL is fine */
/* One command, an object of JSON.  *answer_out (NULL: not wanted) is what it
 * returned, owned, released with yajl_tree_free().  QEMU's refusal is -EIO
 * with its words. */
int qmp_call(struct qmp *q, const char *command, yajl_val *answer_out);
/* One with arguments: they are put between the two. */
void qmp_begin(struct json *j, const char *command);
int qmp_end(struct qmp *q, struct json *j);
int qmp_call_1(struct qmp *q, const char *command, const char *key,
               const char *value);
/* Returns once an event has come since *seen, which is brought up to date;
 * -ETIMEDOUT.  Begin with *seen from a call with @timeout_ms 0. */
int qmp_await_event(struct qmp *q, unsigned *seen, unsigned timeout_ms);
/* Borrowed; for words about it. */
struct ckpt *qmp_ctx(const struct qmp *q);

/* --- single commands ------------------------------------------------------- */

/* Devices stand still / run. */
int qmp_stop(struct ckpt *c, uint32_t domid);
int qmp_cont(struct ckpt *c, uint32_t domid);
/* The state of all devices into the file @path, which QEMU creates. */
int qmp_save_devices(struct ckpt *c, uint32_t domid, const char *path);
/* QEMU tells Xen's log-dirty which guest pages it writes. */
int qmp_log_dirty(struct ckpt *c, uint32_t domid, bool enable);

#endif
