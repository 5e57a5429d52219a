/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The libxc stream, taken apart:
 *
 *   image header, domain header, records before the first PAGE_DATA -> head
 *   PAGE_DATA                                                       -> image
 *   records after it, without END                                   -> tail
 *
 * Head and tail are kept octet for octet, so that restore gives Xen back what
 * Xen wrote.
 */
#include "stream_read.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "ctx.h"
#include "libxc_stream.h"
#include "machine.h"
#include "page.h"
#include "safe_io.h"
#include "store.h"

#define SMALL_RECORD_MAX (16u << 20) /* all but PAGE_DATA */

struct stream_reader {
    struct ckpt *c;
    int fd;
    struct image *img;
    struct machine *machine;
    bool seen_pages;
    uint64_t pages;
    struct page_batch batch;
    uint64_t pfn[PAGE_BATCH];
    uint8_t *data; /* PAGE_BATCH pages */
    uint8_t *small; /* a record other than PAGE_DATA */
    size_t small_room;
};

int stream_reader_new(struct ckpt *c, int fd, struct image *img,
                      struct machine *m, struct stream_reader **r_out)
{
    struct stream_reader *r;

    *r_out = NULL;
    r = calloc(1, sizeof(*r));
    if (r)
        r->data = malloc((size_t)PAGE_BATCH * PAGE_SIZE_BYTES);
    if (!r || !r->data) {
        free(r);
        return fail(c, -ENOMEM, "reading a stream");
    }
    r->c = c;
    r->fd = fd;
    r->img = img;
    r->machine = m;
    *r_out = r;
    return 0;
}

void stream_reader_free(struct stream_reader *r)
{
    if (!r)
        return;
    free(r->data);
    free(r->small);
    free(r);
}

uint64_t stream_reader_pages(const struct stream_reader *r)
{
    return r->pages;
}

static int get(struct stream_reader *r, void *data, size_t len_bytes)
{
    int rc = safe_read_all(r->fd, data, len_bytes);

    return rc ? fail(r->c, rc, "Xen's migration stream") : 0;
}

static int bad(struct stream_reader *r, const char *what)
{
    return fail(r->c, -EUCLEAN, "Xen's migration stream: %s.", what);
}

int stream_read_head(struct stream_reader *r)
{
    struct xc_image_header image;
    struct xc_domain_header domain;
    int rc;

    rc = get(r, &image, sizeof(image));
    if (!rc)
        rc = get(r, &domain, sizeof(domain));
    if (rc)
        return rc;
    if (image.marker != XC_MARKER || ntohl(image.id) != XC_ID)
        return bad(r, "it does not begin like one");
    if (ntohl(image.version) != XC_VERSION || image.options)
        return bad(r, "a version this program does not know");
    if (domain.page_shift != PAGE_SHIFT_BITS ||
        (domain.type != XC_DOMAIN_PV && domain.type != XC_DOMAIN_HVM))
        return bad(r, "a kind of domain this program does not know");
    rc = blob_add(r->c, &r->machine->head, &image, sizeof(image));
    if (!rc)
        rc = blob_add(r->c, &r->machine->head, &domain, sizeof(domain));
    return rc;
}

static int read_pages(struct stream_reader *r, uint32_t length)
{
    struct page_batch *b = &r->batch;
    struct xc_page_data head;
    size_t nr_data = 0;
    uint32_t i;
    int rc;

    if (length < sizeof(head))
        return bad(r, "a page record is too short");
    rc = get(r, &head, sizeof(head));
    if (rc)
        return rc;
    if (!head.count || head.count > PAGE_BATCH)
        return bad(r, "a page record of an impossible number of pages");
    if (length < sizeof(head) + head.count * sizeof(uint64_t))
        return bad(r, "a page record is too short");
    rc = get(r, r->pfn, head.count * sizeof(uint64_t));
    if (rc)
        return rc;
    for (i = 0; i < head.count; i++) {
        b->gfn[i] = r->pfn[i] & XC_PFN_MASK;
        b->type[i] = (uint8_t)(r->pfn[i] >> XC_PFN_TYPE_SHIFT);
        b->data[i] = page_type_has_data(b->type[i])
                         ? r->data + nr_data++ * PAGE_SIZE_BYTES
                         : NULL;
    }
    b->nr = head.count;
    if (length != sizeof(head) + head.count * sizeof(uint64_t) +
                      nr_data * PAGE_SIZE_BYTES)
        return bad(r, "a page record's length does not fit its pages");
    rc = get(r, r->data, nr_data * PAGE_SIZE_BYTES);
    r->pages += head.count;
    r->seen_pages = true;
    return rc ? rc : image_put(r->img, b); /* always a multiple of 8 */
}

static int read_small(struct stream_reader *r, const struct xc_record *rec)
{
    size_t padded = (rec->length + 7ul) & ~7ul;
    uint8_t *grown;
    int rc;

    if (rec->length > SMALL_RECORD_MAX)
        return bad(r, "a record is too long");
    if (padded > r->small_room) {
        grown = realloc(r->small, padded);
        if (!grown)
            return fail(r->c, -ENOMEM, "a record of %zu bytes", padded);
        r->small = grown;
        r->small_room = padded;
    }
    rc = get(r, r->small, padded);
    if (rc)
        return rc;
    return blob_add_record(r->c,
                           r->seen_pages ? &r->machine->tail
                                         : &r->machine->head,
                           rec->type, r->small, rec->length);
}

int stream_read_record(struct stream_reader *r, bool *end_out)
{
    struct xc_record rec;
    int rc;

    *end_out = false;
    rc = get(r, &rec, sizeof(rec));
    if (rc)
        return rc;
    if (rec.type == XC_REC_PAGE_DATA)
        return read_pages(r, rec.length);
    if (rec.type == XC_REC_END) {
        *end_out = true;
        return rec.length ? bad(r, "its end is not one") : 0;
    }
    if (!(rec.type & XC_REC_OPTIONAL) &&
        (rec.type > XC_REC_MSR_POLICY || rec.type == XC_REC_VERIFY ||
         rec.type == XC_REC_CHECKPOINT))
        return bad(r, "a record this program does not know");
    return read_small(r, &rec);
}
