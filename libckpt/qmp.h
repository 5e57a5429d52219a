/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_QMP_H
#define CKPT_QMP_H
/*
 * The device model of an HVM domain (QEMU), by QMP on the socket libxl made:
 * /var/run/xen/qmp-libxl-DOMID.  Each call connects, negotiates, sends one
 * command, waits for its answer (at most 10 s) and hangs up, for the socket
 * serves one client at a time and libxl wants it too.
 *
 * @c may be NULL: then failures have no words.  -ENOENT: no device model.
 */
#include <stdbool.h>
#include <stdint.h>

struct ckpt;

/* Devices stand still / run. */
int qmp_stop(struct ckpt *c, uint32_t domid);
int qmp_cont(struct ckpt *c, uint32_t domid);
/* The state of all devices into the file @path, which QEMU creates. */
int qmp_save_devices(struct ckpt *c, uint32_t domid, const char *path);
/* QEMU tells Xen's log-dirty which guest pages it writes. */
int qmp_log_dirty(struct ckpt *c, uint32_t domid, bool enable);

#endif
