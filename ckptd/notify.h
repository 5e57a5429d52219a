/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_NOTIFY_H
#define CKPTD_NOTIFY_H
/* Tells systemd, if it started us, how we are: "READY=1", "STATUS=..."; does
 * nothing else.  The protocol is one datagram, sd_notify(3). */
void notify_systemd(const char *state);
/* "RELOADING=1" with the clock reading systemd wants. */
void notify_reloading(void);
#endif
