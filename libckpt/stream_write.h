/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_STREAM_WRITE_H
#define CKPT_STREAM_WRITE_H
/*
 * Writes an image as the libxl migration stream that libxl_domain_create_
 * restore() reads: the machine state's records with the pages between head
 * and tail.
 */
struct ckpt;
struct image;

/* Into @sock, a socket (a reader that leaves is -EPIPE, no signal), or a file.
 * Every page is verified on the way. */
int stream_write(struct ckpt *c, struct image *img, int sock);

#endif
