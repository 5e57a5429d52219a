/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_WATCH_H
#define CKPT_WATCH_H
/*
 * The monitor a domain must not lose: xl's leaves at every suspend, also one
 * that is cancelled a moment later, and with it would go on_reboot and its
 * kin.  After a take ours takes its place.
 */
#include <stdint.h>

struct ckpt;

/* @monitor_fd, a pidfd of xl's, is closed; when that process has left, or there
 * is none any more (-1), starts ours for the domain. */
int watch_replace(struct ckpt *c, uint32_t domid, int monitor_fd);

#endif
