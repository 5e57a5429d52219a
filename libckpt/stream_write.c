/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * An image as Xen's restore wants it (docs/specs/libxl-migration-stream):
 *
 *   libxl header
 *   LIBXC_CONTEXT | machine head | PAGE_DATA ... | machine tail | END
 *   EMULATOR_XENSTORE_DATA, EMULATOR_CONTEXT     with a device model
 *   END
 *
 * Zero pages are sent, not only asked for ("allocate only"): what a running
 * domain gives back is not scrubbed unless Xen was booted with scrub-domheap
 * (xen/common/page_alloc.c, free_domheap_pages()), and the next domain would
 * find it there.
 */
#include "stream_write.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "ctx.h"
#include "libxc_stream.h"
#include "machine.h"
#include "page.h"
#include "safe_io.h"
#include "store.h"

struct writer {
    struct ckpt *c;
    int sock;
    bool is_socket;
    uint64_t done_bytes, total_bytes;
    struct page_batch batch;
    uint64_t pfn[PAGE_BATCH];
    struct iovec iov[PAGE_BATCH + 3];
};

/* Several, so that a run of zero pages is few pieces. */
#define NR_ZEROS 64u
static uint8_t zeros[NR_ZEROS][PAGE_SIZE_BYTES];

static int send_all(struct writer *w, struct iovec *iov, size_t nr)
{
    struct msghdr msg = { .msg_iov = iov };
    ssize_t n;

    if (!w->is_socket)
        return safe_writev_all(w->sock, iov, (int)nr);
    while (nr) {
        msg.msg_iovlen = nr < IOV_MAX ? nr : IOV_MAX;
        n = sendmsg(w->sock, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno; /* the words are the reader's: it knows why */
        while (nr && (size_t)n >= msg.msg_iov->iov_len) {
            n -= (ssize_t)msg.msg_iov->iov_len;
            msg.msg_iov++;
            nr--;
        }
        if (nr) {
            msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + n;
            msg.msg_iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static int put(struct writer *w, const void *data, size_t len_bytes)
{
    struct iovec iov = { .iov_base = (void *)(uintptr_t)data,
                         .iov_len = len_bytes };

    return len_bytes ? send_all(w, &iov, 1) : 0;
}

static int put_record(struct writer *w, uint32_t type, size_t len_bytes)
{
    struct xc_record rec = { .type = type, .length = (uint32_t)len_bytes };

    return put(w, &rec, sizeof(rec));
}

/* Adjacent pages of the store's buffer become one piece. */
static size_t add_piece(struct iovec *iov, size_t nr, const void *data)
{
    if (nr > 2 &&
        (char *)iov[nr - 1].iov_base + iov[nr - 1].iov_len == data) {
        iov[nr - 1].iov_len += PAGE_SIZE_BYTES;
        return nr;
    }
    iov[nr].iov_base = (void *)(uintptr_t)data;
    iov[nr].iov_len = PAGE_SIZE_BYTES;
    return nr + 1;
}

static int put_batch(struct writer *w)
{
    struct page_batch *b = &w->batch;
    struct xc_page_data head = { .count = b->nr };
    struct xc_record rec = { .type = XC_REC_PAGE_DATA };
    struct {
        struct xc_record rec;
        struct xc_page_data head;
    } front;
    size_t nr = 2, nr_data = 0, nr_zero = 0;
    unsigned i;

    for (i = 0; i < b->nr; i++) {
        w->pfn[i] = b->gfn[i] | (uint64_t)b->type[i] << XC_PFN_TYPE_SHIFT;
        if (!page_type_has_data(b->type[i]))
            continue;
        nr = add_piece(w->iov, nr,
                       b->data[i] ? b->data[i] : zeros[nr_zero++ % NR_ZEROS]);
        nr_data++;
    }
    rec.length = (uint32_t)(sizeof(head) + b->nr * sizeof(uint64_t) +
                            nr_data * PAGE_SIZE_BYTES);
    front.rec = rec;
    front.head = head;
    w->iov[0].iov_base = &front;
    w->iov[0].iov_len = sizeof(front);
    w->iov[1].iov_base = w->pfn;
    w->iov[1].iov_len = b->nr * sizeof(uint64_t);
    w->done_bytes += b->nr * (uint64_t)PAGE_SIZE_BYTES;
    return send_all(w, w->iov, nr);
}

static int put_pages(struct writer *w, struct image *img)
{
    uint64_t cursor = 0;
    int rc;

    for (;;) {
        rc = check_cancel(w->c);
        if (!rc)
            rc = image_next(img, &cursor, &w->batch);
        if (rc || !w->batch.nr)
            return rc;
        rc = put_batch(w);
        if (rc)
            return rc;
        progress(w->c, "memory restored", w->done_bytes, 0);
    }
}

/* QEMU as of 2.x keeps nothing in xenstore that would have to be restored
 * (libxl's "physmap"); an empty record says just that. */
static int put_emulator(struct writer *w, const struct blob *b)
{
    static const uint8_t pad[8];
    struct xl_emulator head = { .id = XL_EMULATOR_QEMU };
    int rc;

    rc = put_record(w, XL_REC_EMULATOR_XENSTORE_DATA, sizeof(head));
    if (!rc)
        rc = put(w, &head, sizeof(head));
    if (!rc)
        rc = put_record(w, XL_REC_EMULATOR_CONTEXT,
                        sizeof(head) + b->len_bytes);
    if (!rc)
        rc = put(w, &head, sizeof(head));
    if (!rc)
        rc = put(w, b->data, b->len_bytes);
    if (!rc)
        rc = put(w, pad, (8 - b->len_bytes % 8) % 8);
    return rc;
}

int stream_write(struct ckpt *c, struct image *img, int sock)
{
    struct xl_header header = { .ident = htobe64(XL_IDENT),
                                .version = htobe32(XL_VERSION) };
    struct writer *w;
    struct machine m;
    struct stat sb;
    int rc;

    rc = machine_load(c, img, &m);
    if (rc)
        return rc;
    w = calloc(1, sizeof(*w));
    if (!w) {
        rc = fail(c, -ENOMEM, "restoring");
        goto out;
    }
    w->c = c;
    w->sock = sock;
    w->is_socket = fstat(sock, &sb) || S_ISSOCK(sb.st_mode);
    rc = put(w, &header, sizeof(header));
    if (!rc)
        rc = put_record(w, XL_REC_LIBXC_CONTEXT, 0);
    if (!rc)
        rc = put(w, m.head.data, m.head.len_bytes);
    if (!rc)
        rc = put_pages(w, img);
    if (!rc)
        rc = put(w, m.tail.data, m.tail.len_bytes);
    if (!rc)
        rc = put_record(w, XC_REC_END, 0);
    if (!rc && m.emulator.len_bytes)
        rc = put_emulator(w, &m.emulator);
    if (!rc)
        rc = put_record(w, XL_REC_END, 0);
out:
    free(w);
    machine_fini(&m);
    return rc;
}
