/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Writes the outside of an archive (archive_pipe.h): octets are gathered into
 * chunks of 1 MiB, and each leaves as soon as it is full.  Memory is that of a
 * few chunks, whatever the length.
 */
#include "archive_pipe.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "archive_chain.h"
#include "archive_key.h"
#include "ctx.h"
#include "safe_io.h"

#define LEVEL 3
#define TAG_BYTES crypto_secretstream_xchacha20poly1305_ABYTES

struct archive_out {
    struct ckpt *c;
    int fd;
    bool is_encrypted, is_signed;
    uint64_t written;
    ZSTD_CCtx *zstd; /* owned */
    crypto_secretstream_xchacha20poly1305_state stream;
    uint8_t signer[crypto_sign_SECRETKEYBYTES];
    uint8_t chain[ARCHIVE_CHAIN_BYTES];
    size_t have; /* octets of `raw` */
    uint8_t raw[ARCHIVE_CHUNK_MAX];
    uint8_t squeezed[ARCHIVE_CHUNK_MAX];
    uint8_t sealed[ARCHIVE_CHUNK_MAX + TAG_BYTES];
};

/* --- the head -------------------------------------------------------------- */

static int wrap(struct ckpt *c, const char *path,
                const uint8_t secret[ARCHIVE_KEY_BYTES],
                struct archive_slot *slot)
{
    struct archive_key key;
    int rc;

    rc = archive_key_read(
        c, path, 1u << ARCHIVE_KEY_SHARED | 1u << ARCHIVE_KEY_READ_PUBLIC,
        &key);
    if (rc)
        return rc;
    if (key.kind == ARCHIVE_KEY_SHARED) {
        uint8_t *nonce = slot->wrapped;

        slot->kind = ARCHIVE_SLOT_SHARED;
        randombytes_buf(nonce, crypto_secretbox_NONCEBYTES);
        rc = crypto_secretbox_easy(nonce + crypto_secretbox_NONCEBYTES, secret,
                                   ARCHIVE_KEY_BYTES, nonce, key.bytes);
    } else {
        slot->kind = ARCHIVE_SLOT_SEALED;
        rc = crypto_box_seal(slot->wrapped, secret, ARCHIVE_KEY_BYTES,
                             key.bytes);
    }
    archive_key_fini(&key);
    return rc ? fail(c, -EINVAL, "%s: not a key that can be used.", path) : 0;
}

static int set_encryption(struct archive_out *out, struct archive_head *h,
                          const char *const *encrypt_to)
{
    uint8_t secret[ARCHIVE_KEY_BYTES];
    int rc = 0;

    if (!encrypt_to || !*encrypt_to)
        return 0;
    h->mandatory |= ARCHIVE_ENCRYPTED;
    out->is_encrypted = true;
    crypto_secretstream_xchacha20poly1305_keygen(secret);
    for (; !rc && *encrypt_to; encrypt_to++) {
        if (h->nr_slots == ARCHIVE_SLOTS_MAX)
            rc = fail(out->c, -E2BIG, "an archive for more than %u keys",
                      ARCHIVE_SLOTS_MAX);
        else
            rc = wrap(out->c, *encrypt_to, secret, &h->slot[h->nr_slots++]);
    }
    crypto_secretstream_xchacha20poly1305_init_push(&out->stream, h->stream,
                                                    secret);
    sodium_memzero(secret, sizeof(secret));
    return rc;
}

static int set_signer(struct archive_out *out, struct archive_head *h,
                      const char *sign_with)
{
    struct archive_key key;
    int rc;

    if (!sign_with)
        return 0;
    rc = archive_key_read(out->c, sign_with, 1u << ARCHIVE_KEY_SIGN_SECRET,
                          &key);
    if (rc)
        return rc;
    h->mandatory |= ARCHIVE_SIGNED;
    out->is_signed = true;
    crypto_sign_seed_keypair(h->signer, out->signer, key.bytes);
    archive_key_fini(&key);
    return 0;
}

static int put_out(struct archive_out *out, struct iovec *iov, int nr)
{
    uint64_t bytes = 0;
    int rc;

    for (int i = 0; i < nr; i++)
        bytes += iov[i].iov_len;
    rc = safe_writev_all(out->fd, iov, nr);
    if (rc)
        return fail(out->c, rc, "writing the archive");
    out->written += bytes;
    return 0;
}

static int begin(struct archive_out *out, const char *const *encrypt_to,
                 const char *sign_with)
{
    struct archive_head h = {.magic = ARCHIVE_MAGIC,
                             .version = ARCHIVE_VERSION};
    struct iovec iov = {&h, sizeof(h)};
    int rc;

    rc = archive_key_init(out->c);
    if (!rc)
        rc = set_encryption(out, &h, encrypt_to);
    if (!rc)
        rc = set_signer(out, &h, sign_with);
    archive_chain_begin(out->chain, &h);
    return rc ? rc : put_out(out, &iov, 1);
}

int archive_out_open(struct ckpt *c, int fd, const char *const *encrypt_to,
                     const char *sign_with, struct archive_out **out_out)
{
    struct archive_out *out = calloc(1, sizeof(*out));
    int rc;

    *out_out = NULL;
    if (!out)
        return fail(c, -ENOMEM, "archive");
    out->c = c;
    out->fd = fd;
    out->zstd = ZSTD_createCCtx();
    rc = out->zstd ? begin(out, encrypt_to, sign_with)
                   : fail(c, -ENOMEM, "archive");
    if (rc)
        archive_out_free(out);
    else
        *out_out = out;
    return rc;
}

void archive_out_free(struct archive_out *out)
{
    if (!out)
        return;
    ZSTD_freeCCtx(out->zstd);
    sodium_memzero(out, sizeof(*out)); /* keys, and a guest's memory */
    free(out);
}

/* --- chunks ---------------------------------------------------------------- */

static void prove(const struct archive_out *out, uint8_t *proof, size_t *len)
{
    uint8_t message[ARCHIVE_SIGNED_BYTES];

    if (out->is_signed) {
        archive_chain_to_sign(out->chain, message);
        crypto_sign_detached(proof, NULL, message, sizeof(message),
                             out->signer);
        *len = crypto_sign_BYTES;
    } else {
        memcpy(proof, out->chain, ARCHIVE_CHAIN_BYTES);
        *len = ARCHIVE_CHAIN_BYTES;
    }
}

static int put_chunk(struct archive_out *out, bool is_last)
{
    struct archive_chunk chunk = {.raw = (uint32_t)out->have,
                                  .flags = is_last ? ARCHIVE_CHUNK_LAST : 0};
    uint8_t with[ARCHIVE_WITH_BYTES], proof[ARCHIVE_PROOF_MAX];
    uint8_t *stored = out->raw;
    struct iovec iov[3];
    size_t len = out->have, n;

    n = ZSTD_compressCCtx(out->zstd, out->squeezed, sizeof(out->squeezed),
                          out->raw, len, LEVEL);
    if (!ZSTD_isError(n) && n < len) { /* else it does not get shorter */
        chunk.flags |= ARCHIVE_CHUNK_ZSTD;
        stored = out->squeezed;
        len = n;
    }
    chunk.stored = (uint32_t)(len + (out->is_encrypted ? TAG_BYTES : 0));
    if (out->is_encrypted) {
        archive_chain_with(out->chain, &chunk, with);
        crypto_secretstream_xchacha20poly1305_push(
            &out->stream, out->sealed, NULL, stored, len, with, sizeof(with),
            is_last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                    : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE);
        stored = out->sealed;
    }
    archive_chain_link(out->chain, &chunk, stored);
    prove(out, proof, &n);
    out->have = 0;
    iov[0] = (struct iovec){&chunk, sizeof(chunk)};
    iov[1] = (struct iovec){stored, chunk.stored};
    iov[2] = (struct iovec){proof, n};
    return put_out(out, iov, 3);
}

int archive_put(struct archive_out *out, const void *data, size_t len_bytes)
{
    const uint8_t *from = data;
    size_t here;
    int rc = 0;

    while (!rc && len_bytes) {
        here = sizeof(out->raw) - out->have;
        if (here > len_bytes)
            here = len_bytes;
        memcpy(out->raw + out->have, from, here);
        out->have += here;
        from += here;
        len_bytes -= here;
        if (out->have == sizeof(out->raw))
            rc = put_chunk(out, false);
    }
    return rc;
}

int archive_finish(struct archive_out *out)
{
    return put_chunk(out, true);
}

uint64_t archive_out_bytes(const struct archive_out *out)
{
    return out->written;
}
