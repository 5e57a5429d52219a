/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_PIPE_H
#define CKPT_ARCHIVE_PIPE_H
/*
 * The outside of an archive: a stream of octets goes in and comes out again,
 * in chunks that are compressed, encrypted and signed on the way.  Neither way
 * seeks, so both ends may be pipes.
 *
 *     put: octets -> zstd -> encrypt -> chain, sign -> descriptor
 *     get: descriptor -> chain, verify -> decrypt -> zstd -> octets
 *
 * Nothing of a chunk is decompressed, or given out, before it is known to be
 * what was written, at its place, by who is to have written it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive_format.h"

struct archive_out;
struct archive_in;

/* The files of keys that the options name are read here, before anything is
 * written.  @fd is borrowed. */
int archive_out_open(struct ckpt *c, int fd, const char *const *encrypt_to,
                     const char *sign_with, struct archive_out **out_out);
/* At any length.  After a failure there is nothing but free. */
int archive_put(struct archive_out *out, const void *data, size_t len_bytes);
/* The end: without it there is no archive. */
int archive_finish(struct archive_out *out);
/* Octets written to the descriptor so far. */
uint64_t archive_out_bytes(const struct archive_out *out);
void archive_out_free(struct archive_out *out); /* NULL is fine */

/*
 * @begun octets of the head were read already, into @head.  @decrypt_with may be
 * NULL; so may @signed_by: then anybody may have written it.
 */
int archive_in_open(struct ckpt *c, int fd, const void *head, size_t begun,
                    const char *const *decrypt_with,
                    const char *const *signed_by, struct archive_in **in_out);
/* Exactly @len_bytes; -EUCLEAN where the stream ends before. */
int archive_get(struct archive_in *in, void *data, size_t len_bytes);
/* -EUCLEAN when there is more. */
int archive_at_end(struct archive_in *in);
uint64_t archive_in_bytes(const struct archive_in *in);
void archive_in_free(struct archive_in *in); /* NULL is fine */

#endif
