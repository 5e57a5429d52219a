/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Made once: every point puts and compares the same pages several times.
 */
#include "content.h"

#include "fake/scratch.h"

static char pages[2][NR_PAGES][PAGE_SIZE_BYTES];

/* Zero at every fourth frame. */
static uint64_t seed_of(unsigned gfn, int is_again)
{
    if (gfn % 4 == 3)
        return 0;
    return (gfn < NR_AGAIN && is_again ? gfn + 5000 : gfn + 1) |
           (gfn % 64 < 40 ? SCRATCH_DULL : 0);
}

void content_make(void)
{
    for (int is_again = 0; is_again < 2; is_again++) {
        for (unsigned i = 0; i < NR_PAGES; i++)
            scratch_page(pages[is_again][i], seed_of(i, is_again));
    }
}

int content_put(struct image *img, unsigned nr, int is_again)
{
    static struct page_batch b;

    b.nr = nr;
    for (unsigned i = 0; i < nr; i++) {
        b.gfn[i] = i;
        b.type[i] = PAGE_TYPE_NORMAL;
        b.data[i] = pages[is_again][i];
    }
    return image_put(img, &b);
}

const void *content_page(unsigned gfn)
{
    return pages[1][gfn];
}
