/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Reads the outside of an archive (archive_pipe.h).  It may come from anybody:
 * every length is compared with what there is room for before anything is read,
 * and a chunk is decompressed only into the 1 MiB that a chunk may be.
 */
#include "archive_pipe.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive_chain.h"
#include "archive_key.h"
#include "ctx.h"
#include "safe_io.h"

#define TAG_BYTES crypto_secretstream_xchacha20poly1305_ABYTES
#define STORED_MAX (ARCHIVE_CHUNK_MAX + TAG_BYTES)

struct archive_in {
    struct ckpt *c;
    int fd;
    bool is_over; /* the chunk at hand is the last */
    uint64_t nr_read;
    ZSTD_DCtx *zstd; /* owned */
    struct archive_head head;
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t chain[ARCHIVE_CHAIN_BYTES];
    size_t at, have; /* of `raw` */
    uint8_t raw[ARCHIVE_CHUNK_MAX];
    uint8_t stored[STORED_MAX];
    uint8_t plain[ARCHIVE_CHUNK_MAX];
};

static int bad(struct archive_in *in, const char *what)
{
    return fail(in->c, -EUCLEAN, "The archive: %s.", what);
}

static int get_in(struct archive_in *in, void *data, size_t len_bytes)
{
    int rc = safe_read_all(in->fd, data, len_bytes);

    if (rc == -EPIPE)
        return bad(in, "it ends before its end");
    if (rc)
        return fail(in->c, rc, "reading the archive");
    in->nr_read += len_bytes;
    return 0;
}

/* --- the head -------------------------------------------------------------- */

static bool is_zero(const void *data, size_t len_bytes)
{
    return sodium_is_zero(data, len_bytes);
}

static int check_head(struct archive_in *in)
{
    const struct archive_head *h = &in->head;
    const bool is_encrypted = h->mandatory & ARCHIVE_ENCRYPTED;

    if (memcmp(h->magic, ARCHIVE_MAGIC, sizeof(h->magic)))
        return bad(in, "it does not begin like one");
    if (h->version != ARCHIVE_VERSION ||
        h->mandatory & ~ARCHIVE_MANDATORY_KNOWN)
        return bad(in, "it was written by a newer xen-ckpt");
    if (!is_zero(h->zero, sizeof(h->zero)) ||
        !is_zero(h->zero2, sizeof(h->zero2)) ||
        !is_zero(h->zero3, sizeof(h->zero3)) ||
        h->nr_slots > ARCHIVE_SLOTS_MAX || is_encrypted != (h->nr_slots > 0) ||
        (!(h->mandatory & ARCHIVE_SIGNED) &&
         !is_zero(h->signer, sizeof(h->signer))) ||
        (!is_encrypted && !is_zero(h->stream, sizeof(h->stream))))
        return bad(in, "its head");
    for (unsigned i = 0; i < ARCHIVE_SLOTS_MAX; i++) {
        const struct archive_slot *s = &h->slot[i];

        if (s->zero || (s->kind != 0) != (i < h->nr_slots) ||
            s->kind > ARCHIVE_SLOT_SEALED ||
            (!s->kind && !is_zero(s, sizeof(*s))))
            return bad(in, "its head");
    }
    return 0;
}

/* Is the archive's key in this slot for this key? */
static bool unwrap(const struct archive_slot *slot,
                   const struct archive_key *key,
                   uint8_t secret_out[ARCHIVE_KEY_BYTES])
{
    uint8_t public[crypto_box_PUBLICKEYBYTES];
    const uint8_t *box = slot->wrapped + crypto_secretbox_NONCEBYTES;

    if (slot->kind == ARCHIVE_SLOT_SHARED && key->kind == ARCHIVE_KEY_SHARED)
        return !crypto_secretbox_open_easy(
            secret_out, box, ARCHIVE_KEY_BYTES + crypto_secretbox_MACBYTES,
            slot->wrapped, key->bytes);
    if (slot->kind != ARCHIVE_SLOT_SEALED ||
        key->kind != ARCHIVE_KEY_READ_SECRET ||
        crypto_scalarmult_base(public, key->bytes))
        return false;
    return !crypto_box_seal_open(secret_out, slot->wrapped,
                                 ARCHIVE_WRAPPED_BYTES, public, key->bytes);
}

static int find_key(struct archive_in *in, const char *const *decrypt_with,
                    uint8_t secret_out[ARCHIVE_KEY_BYTES])
{
    struct archive_key key;
    bool is_found = false;
    int rc;

    if (!decrypt_with || !*decrypt_with)
        return fail(in->c, -EPERM,
                    "The archive is encrypted: --decrypt-with names the file "
                    "of a key that it is for.");
    for (; !is_found && *decrypt_with; decrypt_with++) {
        rc = archive_key_read(
            in->c, *decrypt_with,
            1u << ARCHIVE_KEY_SHARED | 1u << ARCHIVE_KEY_READ_SECRET, &key);
        if (rc)
            return rc;
        for (unsigned i = 0; !is_found && i < in->head.nr_slots; i++)
            is_found = unwrap(&in->head.slot[i], &key, secret_out);
        archive_key_fini(&key);
    }
    return is_found ? 0
                    : fail(in->c, -EPERM,
                           "The archive is not encrypted for this key.");
}

static int set_decryption(struct archive_in *in,
                          const char *const *decrypt_with)
{
    uint8_t secret[ARCHIVE_KEY_BYTES];
    int rc;

    /* Who has a shared key believes what it decrypts: nothing else will do. */
    if (!(in->head.mandatory & ARCHIVE_ENCRYPTED))
        return decrypt_with && *decrypt_with
                   ? fail(in->c, -EPERM, "The archive is not encrypted.")
                   : 0;
    rc = find_key(in, decrypt_with, secret);
    if (!rc && crypto_secretstream_xchacha20poly1305_init_pull(
                   &in->stream, in->head.stream, secret))
        rc = bad(in, "its head");
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

/* Whom we believe.  Without a word of the caller the signature still tells
 * damage, and who claims to have made it. */
static int check_signer(struct archive_in *in, const char *const *signed_by)
{
    char text[ARCHIVE_KEY_TEXT_MAX];
    struct archive_key key;
    int rc;

    archive_key_text(in->head.signer, text);
    if (!signed_by || !*signed_by) {
        if (in->head.mandatory & ARCHIVE_SIGNED)
            warn(in->c,
                 "the archive is signed by %s, and nobody told whether to "
                 "believe that (--signed-by)",
                 text);
        return 0;
    }
    if (!(in->head.mandatory & ARCHIVE_SIGNED))
        return fail(in->c, -EPERM, "The archive is not signed.");
    for (; *signed_by; signed_by++) {
        rc = archive_key_read(in->c, *signed_by, 1u << ARCHIVE_KEY_SIGN_PUBLIC,
                              &key);
        if (rc)
            return rc;
        if (!memcmp(key.bytes, in->head.signer, sizeof(key.bytes)))
            return 0;
    }
    return fail(in->c, -EPERM, "The archive is signed by another, %s.", text);
}

int archive_in_open(struct ckpt *c, int fd, const void *head, size_t begun,
                    const char *const *decrypt_with,
                    const char *const *signed_by, struct archive_in **in_out)
{
    struct archive_in *in = calloc(1, sizeof(*in));
    int rc;

    *in_out = NULL;
    if (!in)
        return fail(c, -ENOMEM, "archive");
    in->c = c;
    in->fd = fd;
    in->nr_read = begun;
    memcpy(&in->head, head, begun);
    in->zstd = ZSTD_createDCtx();
    rc = in->zstd ? archive_key_init(c) : fail(c, -ENOMEM, "archive");
    if (!rc)
        rc = get_in(in, (char *)&in->head + begun, sizeof(in->head) - begun);
    if (!rc)
        rc = check_head(in);
    if (!rc)
        rc = check_signer(in, signed_by);
    if (!rc)
        rc = set_decryption(in, decrypt_with);
    if (rc) {
        archive_in_free(in);
        return rc;
    }
    archive_chain_begin(in->chain, &in->head);
    *in_out = in;
    return 0;
}

void archive_in_free(struct archive_in *in)
{
    if (!in)
        return;
    ZSTD_freeDCtx(in->zstd);
    sodium_memzero(in, sizeof(*in));
    free(in);
}

/* --- chunks ---------------------------------------------------------------- */

static int check_chunk(struct archive_in *in, const struct archive_chunk *chunk)
{
    const size_t tag = in->head.mandatory & ARCHIVE_ENCRYPTED ? TAG_BYTES : 0;
    const bool is_last = chunk->flags & ARCHIVE_CHUNK_LAST;

    if (chunk->zero || chunk->raw > ARCHIVE_CHUNK_MAX ||
        chunk->flags & ~(ARCHIVE_CHUNK_LAST | ARCHIVE_CHUNK_ZSTD) ||
        (!is_last && chunk->raw != ARCHIVE_CHUNK_MAX) || chunk->stored < tag ||
        chunk->stored > STORED_MAX)
        return bad(in, "the length of a chunk");
    if (chunk->flags & ARCHIVE_CHUNK_ZSTD ? chunk->stored - tag >= chunk->raw
                                          : chunk->stored - tag != chunk->raw)
        return bad(in, "the length of a chunk");
    return 0;
}

/* Reads the proof of the link that the chain ends with. */
static int check_proof(struct archive_in *in)
{
    uint8_t proof[ARCHIVE_PROOF_MAX], message[ARCHIVE_SIGNED_BYTES];
    int rc;

    if (in->head.mandatory & ARCHIVE_SIGNED) {
        rc = get_in(in, proof, crypto_sign_BYTES);
        archive_chain_to_sign(in->chain, message);
        if (!rc && crypto_sign_verify_detached(proof, message, sizeof(message),
                                               in->head.signer))
            rc = bad(in, "a signature is wrong: it is damaged or forged");
    } else {
        rc = get_in(in, proof, ARCHIVE_CHAIN_BYTES);
        if (!rc && sodium_memcmp(proof, in->chain, ARCHIVE_CHAIN_BYTES))
            rc = bad(in, "a checksum is wrong: it is damaged");
    }
    return rc;
}

/* *data_out is the chunk's, decrypted; @with is what came before. */
static int decrypt(struct archive_in *in, const struct archive_chunk *chunk,
                   const uint8_t *with, const uint8_t **data_out,
                   size_t *len_out)
{
    const uint8_t final = crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    const bool is_last = chunk->flags & ARCHIVE_CHUNK_LAST;
    uint8_t tag;

    *data_out = in->stored;
    *len_out = chunk->stored;
    if (!(in->head.mandatory & ARCHIVE_ENCRYPTED))
        return 0;
    *data_out = in->plain;
    *len_out = chunk->stored - TAG_BYTES;
    if (crypto_secretstream_xchacha20poly1305_pull(
            &in->stream, in->plain, NULL, &tag, in->stored, chunk->stored, with,
            ARCHIVE_WITH_BYTES) ||
        (tag == final) != is_last)
        return bad(in, "a chunk cannot be decrypted: it is damaged or forged");
    return 0;
}

static int get_chunk(struct archive_in *in)
{
    uint8_t with[ARCHIVE_WITH_BYTES];
    struct archive_chunk chunk;
    const uint8_t *data;
    size_t len;
    int rc;

    if (in->is_over)
        return bad(in, "its records end too early");
    rc = get_in(in, &chunk, sizeof(chunk));
    if (!rc)
        rc = check_chunk(in, &chunk);
    if (!rc)
        rc = get_in(in, in->stored, chunk.stored);
    if (rc)
        return rc;
    archive_chain_with(in->chain, &chunk, with);
    archive_chain_link(in->chain, &chunk, in->stored);
    rc = check_proof(in);
    if (!rc)
        rc = decrypt(in, &chunk, with, &data, &len);
    if (rc)
        return rc;
    if (!(chunk.flags & ARCHIVE_CHUNK_ZSTD))
        memcpy(in->raw, data, len);
    else if (ZSTD_decompressDCtx(in->zstd, in->raw, chunk.raw, data, len) !=
             chunk.raw)
        return bad(in, "a chunk cannot be decompressed");
    in->at = 0;
    in->have = chunk.raw;
    in->is_over = chunk.flags & ARCHIVE_CHUNK_LAST;
    return 0;
}

int archive_get(struct archive_in *in, void *data, size_t len_bytes)
{
    uint8_t *to = data;
    size_t here;
    int rc = 0;

    while (!rc && len_bytes) {
        if (in->at == in->have) {
            rc = get_chunk(in);
            continue;
        }
        here = in->have - in->at < len_bytes ? in->have - in->at : len_bytes;
        memcpy(to, in->raw + in->at, here);
        in->at += here;
        to += here;
        len_bytes -= here;
    }
    return rc;
}

int archive_at_end(struct archive_in *in)
{
    int rc = 0;

    if (in->at == in->have && !in->is_over)
        rc = get_chunk(in); /* the last may be empty */
    if (!rc && (in->at != in->have || !in->is_over))
        rc = bad(in, "there is more behind its end");
    return rc;
}

uint64_t archive_in_bytes(const struct archive_in *in)
{
    return in->nr_read;
}
