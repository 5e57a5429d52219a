/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPT_ARCHIVE_CHAIN_H
#define CKPT_ARCHIVE_CHAIN_H
/*
 * Chunks hang together by a chain of hashes, which begins with the head:
 *
 *     chain 0 = BLAKE2b-256(head)
 *     chain n = BLAKE2b-256(chain n-1, chunk n with what is stored of it)
 *
 * The proof behind a chunk is its link, or a signature of it; so a chunk that
 * was changed, left out, repeated or moved, or taken from another archive, is
 * not believed.
 */
#include <sodium.h>
#include <string.h>

#include "archive_format.h"
#include "archive_key.h"

#define ARCHIVE_CHAIN_BYTES 32u
#define ARCHIVE_PROOF_MAX 64u
_Static_assert(ARCHIVE_PROOF_MAX == crypto_sign_BYTES, "proof");
_Static_assert(sizeof(((struct archive_head *)0)->stream) ==
                   crypto_secretstream_xchacha20poly1305_HEADERBYTES,
               "stream");
_Static_assert(ARCHIVE_WRAPPED_BYTES ==
                   crypto_box_SEALBYTES + ARCHIVE_KEY_BYTES,
               "wrapped");

static inline void archive_chain_begin(uint8_t chain[ARCHIVE_CHAIN_BYTES],
                                       const struct archive_head *head)
{
    crypto_generichash(chain, ARCHIVE_CHAIN_BYTES, (const uint8_t *)head,
                       sizeof(*head), NULL, 0);
}

static inline void archive_chain_link(uint8_t chain[ARCHIVE_CHAIN_BYTES],
                                      const struct archive_chunk *chunk,
                                      const void *stored)
{
    crypto_generichash_state s;

    crypto_generichash_init(&s, NULL, 0, ARCHIVE_CHAIN_BYTES);
    crypto_generichash_update(&s, chain, ARCHIVE_CHAIN_BYTES);
    crypto_generichash_update(&s, (const uint8_t *)chunk, sizeof(*chunk));
    crypto_generichash_update(&s, stored, chunk->stored);
    crypto_generichash_final(&s, chain, ARCHIVE_CHAIN_BYTES);
}

#define ARCHIVE_SIGNED_BYTES (24u + ARCHIVE_CHAIN_BYTES)
static inline void
archive_chain_to_sign(const uint8_t chain[ARCHIVE_CHAIN_BYTES],
                      uint8_t out[ARCHIVE_SIGNED_BYTES])
{
    memcpy(out, ARCHIVE_SIGNED_PREFIX, 24);
    memcpy(out + 24, chain, ARCHIVE_CHAIN_BYTES);
}

/* What is authenticated with the ciphertext of a chunk: all before it. */
#define ARCHIVE_WITH_BYTES (ARCHIVE_CHAIN_BYTES + sizeof(struct archive_chunk))
static inline void archive_chain_with(const uint8_t chain[ARCHIVE_CHAIN_BYTES],
                                      const struct archive_chunk *chunk,
                                      uint8_t out[ARCHIVE_WITH_BYTES])
{
    memcpy(out, chain, ARCHIVE_CHAIN_BYTES);
    memcpy(out + ARCHIVE_CHAIN_BYTES, chunk, sizeof(*chunk));
}

#endif
