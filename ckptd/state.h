/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_STATE_H
#define CKPTD_STATE_H
/*
 * state_dir/state: what must outlive the daemon, as lines of text: rates and
 * schedules by UUID, children by parent, and the callers' keys with what
 * became of them.
 */
struct daemon;

/* A missing file is fine; a line that is damaged is left out, and said. */
int state_load(struct daemon *d);
void state_save(struct daemon *d);
/* In a moment: nobody waits for the file. */
void state_save_soon(struct daemon *d);
#endif
