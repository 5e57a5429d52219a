/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STREAM_READ_H
#define CKPT_STREAM_READ_H
/*
 * Reads a libxc migration stream: pages into an image, everything else into
 * the machine state.  The stream is not trusted: lengths are checked before
 * anything is allocated, unknown mandatory records end it.
 */
#include <stdbool.h>
#include <stdint.h>

struct ckpt;
struct image;
struct machine;
struct stream_reader;

/* All borrowed until free. */
int stream_reader_new(struct ckpt *c, int fd, struct image *img,
                      struct machine *m, struct stream_reader **r_out);
/* Reads the headers, once, first. */
int stream_read_head(struct stream_reader *r);
/* Reads one record; *end_out is true when it was the last. */
int stream_read_record(struct stream_reader *r, bool *end_out);
/* Pages met so far, those that came again included. */
uint64_t stream_reader_pages(const struct stream_reader *r);
void stream_reader_free(struct stream_reader *r); /* NULL is fine */

#endif
