/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_WATCH_H
#define CKPT_WATCH_H
/*
 * The monitor a domain must not lose: xl's leaves at every suspend, also one
 * that is cancelled a moment later, and with it would go on_reboot and its
 * kin.  After a take ours takes its place.
 */
struct op;

/* @monitor_fd, from xen_monitor_fd() before the suspend, is closed.  When
 * that process has left, starts ours for the domain. */
void watch_replace(struct op *op, int monitor_fd);

#endif
