/* SPDX-License-Identifier: LGPL-2.1-only */
/* Format 1: indexes whose checksums are right and whose content is not: made, not
 * damaged. */
#include "store_v1.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "pack_sum.h"

#define ID "00000000000000aa"

static struct v1_index_head h;
static struct v1_index_block b;
static uint64_t file_bytes;

/* 3 entries, 2 pages, 1 blob; sound. */
static int setup(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    memset(&b, 0, sizeof(b));
    v1_head_fill(&h.head, V1_INDEX_MAGIC, ID, 3, 2);
    h.nr_blobs = 1;
    memcpy(h.blobs[0].name, "state", 5);
    b.nr = 3;
    b.entries[0] = (struct v1_entry){.gfn = 1, .home = 1, .sum = 7};
    b.entries[1] = (struct v1_entry){.gfn = 5, .home = V1_HOME_ZERO};
    b.entries[2] = (struct v1_entry){.gfn = 6, .home = 2, .sum = 8};
    file_bytes = 2 * 4096;
    return 0;
}

static const char *check_head(void)
{
    h.head.sum = sum_xxh64(&h.head, offsetof(struct v1_head, sum), 0);
    v1_index_head_seal(&h);
    return v1_index_head_check(&h, ID, file_bytes);
}

static const char *check_block(void)
{
    v1_index_block_seal(&b, 0);
    return v1_index_block_check(&h, &b, 0);
}

static void a_sound_index_is_sound(void **state)
{
    (void)state;
    assert_null(check_head());
    assert_null(check_block());
}

static void a_block_is_good_in_its_place_only(void **state)
{
    (void)state;
    h.head.count = 400;
    b.nr = 170;
    for (unsigned i = 0; i < b.nr; i++)
        b.entries[i] = (struct v1_entry){.gfn = i, .home = V1_HOME_ZERO};
    v1_index_block_seal(&b, 0);
    assert_null(v1_index_block_check(&h, &b, 0));
    assert_non_null(v1_index_block_check(&h, &b, 1));
}

static void counts_must_fit_the_file(void **state)
{
    static const uint64_t counts[] = {0, 171, UINT64_MAX, UINT64_C(1) << 37};

    (void)state;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        h.head.count = counts[i];
        assert_non_null(check_head());
    }
    h.head.count = 3;
    h.head.extra = V1_HOME_PAGE_MASK + 1;
    assert_non_null(check_head());
    h.head.extra = 2;
    file_bytes = 4096;
    assert_non_null(check_head());
    file_bytes = 2 * 4096 + 1;
    assert_non_null(check_head());
    file_bytes = 2 * 4096;
    h.nr_blobs = STORE_BLOBS_MAX + 1;
    assert_non_null(check_head());
}

static void a_blobs_name_is_no_path(void **state)
{
    static const char *const names[] = {"", "../x", "A", "a/b"};

    (void)state;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        memset(h.blobs[0].name, 0, sizeof(h.blobs[0].name));
        memcpy(h.blobs[0].name, names[i], strlen(names[i]));
        assert_non_null(check_head());
    }
    memcpy(h.blobs[0].name, "a\0b", 3);
    assert_non_null(check_head());
    memset(h.blobs[0].name, 'a', sizeof(h.blobs[0].name));
    assert_null(check_head());
    h.blobs[1].len_bytes = 1; /* a row that is not counted */
    assert_non_null(check_head());
}

static void the_future_is_refused(void **state)
{
    (void)state;
    h.head.optional = 1;
    assert_null(check_head());
    h.head.mandatory = 1;
    assert_string_equal(check_head(), "written by a newer xen-ckpt");
    h.head.mandatory = 0;
    h.head.version = 2;
    assert_string_equal(check_head(), "written by a newer xen-ckpt");
}

static void an_entry_leads_nowhere_else(void **state)
{
    /* clang-format off */
    static const struct v1_entry bad[] = {
        { .gfn = 6, .home = 3 },                         /* no such page */
        { .gfn = 6, .home = 0 },                         /* the head */
        { .gfn = 6, .home = V1_HOME_PAGE_MASK },
        { .gfn = 6, .home = V1_HOME_ZERO | 1 },       /* zero and stored */
        { .gfn = 6, .home = V1_HOME_ZERO, .sum = 1 },
        { .gfn = 6, .home = 1 | UINT64_C(1) << 58 },     /* unknown bits */
        { .gfn = 6, .home = 1 | UINT64_C(1) << 40 },
        { .gfn = 6, .home = UINT64_C(0xf) << 60 | V1_HOME_ZERO }, /* absent */
        { .gfn = 6, .home = UINT64_C(0xe) << 60 | 1 },   /* alloc, with data */
        { .gfn = 5, .home = 2 },                         /* not rising */
        { .gfn = 4, .home = 2 },
        { .gfn = V1_GFN_MAX + 1, .home = 2 },
    };
    /* clang-format on */

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        b.entries[2] = bad[i];
        assert_non_null(check_block());
    }
    b.entries[2] = (struct v1_entry){.gfn = V1_GFN_MAX, .home = 2};
    assert_null(check_block());
    b.entries[3].sum = 1; /* after the last */
    assert_non_null(check_block());
    b.entries[3].sum = 0;
    b.nr = 2;
    assert_non_null(check_block());
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_sound_index_is_sound),         T(a_block_is_good_in_its_place_only),
        T(counts_must_fit_the_file),       T(a_blobs_name_is_no_path),
        T(the_future_is_refused),          T(an_entry_leads_nowhere_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
