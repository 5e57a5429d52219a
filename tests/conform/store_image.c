/* SPDX-License-Identifier: LGPL-2.1-only */
/* What store.h promises of an image, for every kind of store. */
#include "conform/store_world.h"

/* --- writing and reading ------------------------------------------------- */

static void an_image_is_seen_from_its_commit_on(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A), *other;

    assert_int_equal(scratch_put(img, 1, 11), 0);
    assert_int_equal(image_sync(img), 0);
    assert_nr_images(w, 0);
    assert_int_equal(image_open(w->st, ID_A, &other), -ENOENT);
    assert_int_equal(image_commit(img, "{\"a\":1}"), 0);
    assert_nr_images(w, 1);
    assert_int_equal(image_open(w->st, ID_A, &img), 0);
    assert_string_equal(image_manifest(img), "{\"a\":1}");
    image_close(img);
}

static void an_aborted_image_leaves_nothing(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);

    assert_int_equal(scratch_put(img, 1, 11), 0);
    assert_int_equal(image_put_blob(img, "state", "x", 1), 0);
    image_abort(img);
    image_abort(NULL);
    assert_nr_images(w, 0);
    img = create(w, ID_A);
    image_abort(img);
}

static void an_image_without_pages_is_an_image(void **state)
{
    struct world *w = *state;
    struct image *img = commit_and_open(w, create(w, ID_A), ID_A);
    static struct page_batch b;
    char page[PAGE_SIZE_BYTES];
    uint64_t cursor = 0;

    assert_int_equal(image_nr_gfns(img), 0);
    assert_int_equal(image_get(img, 0, page, NULL), -ENOENT);
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_int_equal(b.nr, 0);
    image_close(img);
}

static void pages_come_back_as_they_were(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    char page[PAGE_SIZE_BYTES];

    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(scratch_put(img, (i * 37) % 100, i + 1), 0);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_nr_gfns(img), 100);
    for (unsigned i = 0; i < 100; i++)
        assert_frame(img, (i * 37) % 100, i + 1);
    assert_int_equal(image_get(img, 100, page, NULL), -ENOENT);
    image_close(img);
}

static void zero_pages_cost_nothing(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static struct page_batch b;
    uint64_t before, after, stored, zero;

    image_stats(img, NULL, NULL, &before);
    b.nr = PAGE_BATCH;
    for (unsigned i = 0; i < b.nr; i++) {
        b.gfn[i] = i;
        b.type[i] = PAGE_TYPE_NORMAL;
        b.data[i] = NULL;
    }
    assert_int_equal(image_put(img, &b), 0);
    assert_int_equal(scratch_put(img, 2000, 0), 0);
    image_stats(img, &stored, &zero, &after);
    assert_int_equal(stored, 0);
    assert_int_equal(zero, PAGE_BATCH + 1);
    assert_int_equal(after, before);
    img = commit_and_open(w, img, ID_A);
    assert_frame(img, 5, 0);
    assert_frame(img, 2000, 0);
    image_close(img);
}

static void a_page_put_again_replaces_the_first(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    uint64_t stored, zero, bytes, bytes_before;

    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(scratch_put(img, i, i + 1), 0);
    image_stats(img, NULL, NULL, &bytes_before);
    assert_int_equal(scratch_put(img, 3, 33), 0);
    assert_int_equal(scratch_put(img, 4, 0), 0);
    assert_int_equal(scratch_put(img, 5, 0), 0);
    assert_int_equal(scratch_put(img, 5, 55), 0);
    image_stats(img, &stored, &zero, &bytes);
    assert_int_equal(stored, 9);
    assert_int_equal(zero, 1);
    assert_true(bytes <= bytes_before);
    img = commit_and_open(w, img, ID_A);
    assert_frame(img, 2, 3);
    assert_frame(img, 3, 33);
    assert_frame(img, 4, 0);
    assert_frame(img, 5, 55);
    assert_frame(img, 6, 7);
    image_close(img);
}

static void the_later_of_two_in_a_batch_counts(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static char pages[4][PAGE_SIZE_BYTES];
    static struct page_batch b;
    const uint64_t gfns[4] = {7, 8, 7, 8};

    b.nr = 4;
    for (unsigned i = 0; i < 4; i++) {
        scratch_page(pages[i], 100 + i);
        b.gfn[i] = gfns[i];
        b.type[i] = PAGE_TYPE_NORMAL;
        b.data[i] = pages[i];
    }
    assert_int_equal(image_put(img, &b), 0);
    img = commit_and_open(w, img, ID_A);
    assert_frame(img, 7, 102);
    assert_frame(img, 8, 103);
    image_close(img);
}

static void an_absent_frame_is_forgotten(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static struct page_batch b;
    char page[PAGE_SIZE_BYTES];
    uint64_t stored;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(scratch_put(img, i, i + 1), 0);
    b.nr = 3;
    for (unsigned i = 0; i < 3; i++) {
        b.gfn[i] = i * 3; /* 0, 3, and 6 which never was */
        b.type[i] = PAGE_TYPE_ABSENT;
    }
    assert_int_equal(image_put(img, &b), 0);
    image_stats(img, &stored, NULL, NULL);
    assert_int_equal(stored, 2);
    assert_int_equal(scratch_put(img, 0, 77), 0);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_nr_gfns(img), 3);
    assert_frame(img, 0, 77);
    assert_frame(img, 2, 3);
    assert_int_equal(image_get(img, 3, page, NULL), -ENOENT);
    image_close(img);
}

static void types_are_kept(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static struct page_batch b, back;
    char page[PAGE_SIZE_BYTES], got[PAGE_SIZE_BYTES];
    uint64_t cursor = 0;
    uint8_t type;

    scratch_page(page, 5);
    b.nr = PAGE_TYPE_ABSENT;
    for (unsigned i = 0; i < b.nr; i++) {
        b.gfn[i] = 10 + i;
        b.type[i] = (uint8_t)i;
        b.data[i] = page;
    }
    assert_int_equal(image_put(img, &b), 0);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_next(img, &cursor, &back), 0);
    assert_int_equal(back.nr, PAGE_TYPE_ABSENT);
    for (unsigned i = 0; i < back.nr; i++) {
        assert_int_equal(back.gfn[i], 10 + i);
        assert_int_equal(back.type[i], i);
        assert_int_equal(!back.data[i], !page_type_has_data((uint8_t)i));
        assert_int_equal(image_get(img, 10 + i, got, &type), 0);
        assert_int_equal(type, i);
    }
    image_close(img);
}

static void frames_come_in_rising_order(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static struct page_batch b;
    const unsigned nr = 3 * PAGE_BATCH + 5;
    uint64_t cursor = 0, expect = 0;

    /* Odd multiples wander through all of them; every third is zero. */
    for (unsigned i = 0; i < nr; i++) {
        uint64_t n = (uint64_t)i * 1237 % nr;

        assert_int_equal(scratch_put(img, 2 * n, n % 3 ? n : 0), 0);
    }
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_nr_gfns(img), 2 * nr - 1);
    for (;;) {
        assert_int_equal(image_next(img, &cursor, &b), 0);
        if (!b.nr)
            break;
        for (unsigned i = 0; i < b.nr; i++, expect++) {
            assert_int_equal(b.gfn[i], 2 * expect);
            if (expect % 3)
                assert_page(b.data[i], expect);
            else
                assert_null(b.data[i]);
        }
        assert_int_equal(cursor, b.gfn[b.nr - 1] + 1);
    }
    assert_int_equal(expect, nr);
    cursor = 1001;
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_int_equal(b.gfn[0], 1002);
    image_close(img);
}

static void frames_may_be_far_apart(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static struct page_batch b;
    uint64_t cursor = 0;

    for (unsigned i = 0; i < 36; i++)
        assert_int_equal(scratch_put(img, UINT64_C(1) << i, i + 1), 0);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_nr_gfns(img), (UINT64_C(1) << 35) + 1);
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_int_equal(b.nr, 36);
    for (unsigned i = 0; i < 36; i++)
        assert_frame(img, UINT64_C(1) << i, i + 1);
    image_close(img);
}

static void a_frame_beyond_any_guest_is_refused(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);

    assert_int_equal(scratch_put(img, UINT64_C(1) << 36, 1), -EINVAL);
    assert_int_equal(scratch_put(img, 1, 1), -EINVAL);
    assert_int_equal(image_commit(img, "{}"), -EINVAL);
    assert_nr_images(w, 0);
}

/* A guest's life against an array: what is put, forgotten and put again. */
static void any_history_reads_back_as_its_end(void **state)
{
    enum {
        NR = 700,
        ROUNDS = 60,
        GONE = -1
    };
    static char pages[PAGE_BATCH][PAGE_SIZE_BYTES];
    static struct page_batch b;
    static long model[NR];
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    char page[PAGE_SIZE_BYTES];

    srand(7);
    for (unsigned i = 0; i < NR; i++)
        model[i] = GONE;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned at = (unsigned)rand() % NR;

        b.nr = (unsigned)rand() % 200;
        for (unsigned i = 0; i < b.nr; i++) {
            long seed = rand() % 5 ? rand() % 1000 : 0;

            at = rand() % 9 ? (at + 1) % NR : (unsigned)rand() % NR;
            b.gfn[i] = at;
            b.type[i] = PAGE_TYPE_NORMAL;
            scratch_page(pages[i], (uint64_t)seed);
            b.data[i] = pages[i];
            model[at] = seed;
            if (rand() % 12 == 0) {
                b.type[i] = PAGE_TYPE_ABSENT;
                model[at] = GONE;
            }
        }
        assert_int_equal(image_put(img, &b), 0);
    }
    img = commit_and_open(w, img, ID_A);
    for (unsigned i = 0; i < NR; i++) {
        if (model[i] != GONE)
            assert_frame(img, i, (uint64_t)model[i]);
        else
            assert_int_equal(image_get(img, i, page, NULL), -ENOENT);
    }
    image_close(img);
}

static void an_id_is_used_once(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A), *other;

    assert_int_equal(image_create(w->st, ID_A, &other), -EEXIST);
    assert_null(other);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_create(w->st, ID_A, &other), -EEXIST);
    img = create(w, ID_B);
    image_abort(img);
}

static void an_image_is_for_writing_or_for_reading(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    char page[PAGE_SIZE_BYTES];

    assert_int_equal(image_get(img, 0, page, NULL), -EBADF);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(scratch_put(img, 0, 1), -EBADF);
    assert_int_equal(image_commit(img, "{}"), -EBADF);
    image_close(img);
}

/* --- blobs --------------------------------------------------------------- */

static void blobs_come_back_as_they_were(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    static char big[1 << 20];
    void *data;
    size_t len;

    memset(big, 'b', sizeof(big));
    assert_int_equal(image_put_blob(img, "big", big, sizeof(big)), 0);
    assert_int_equal(image_put_blob(img, "empty", "", 0), 0);
    assert_int_equal(
        image_put_blob(img, "a-name.of-thirty-two-characters-", "x", 1), 0);
    img = commit_and_open(w, img, ID_A);
    assert_int_equal(image_blob(img, "big", &data, &len), 0);
    assert_int_equal(len, sizeof(big));
    assert_memory_equal(data, big, len);
    free(data);
    assert_int_equal(image_blob(img, "empty", &data, &len), 0);
    assert_int_equal(len, 0);
    free(data);
    assert_int_equal(image_blob(img, "other", &data, &len), -ENOENT);
    assert_null(data);
    assert_string_equal(image_blob_name(img, 2),
                        "a-name.of-thirty-two-characters-");
    assert_null(image_blob_name(img, 3));
    image_close(img);
}

static void blob_names_are_checked(void **state)
{
    static const char *const bad[] = {
        "", "../x", "A", "a/b", "a b", "a-name.of-thirty-three-characters"};
    struct world *w = *state;
    struct image *img = create(w, ID_A);

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(image_put_blob(img, bad[i], "x", 1), -EINVAL);
    assert_int_equal(image_put_blob(img, "x", "x", 1), 0);
    assert_int_equal(image_put_blob(img, "x", "x", 1), -EEXIST);
    assert_int_equal(image_commit(img, "{}"), 0);
}

static void blobs_are_counted(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    char name[] = "aa";

    for (unsigned i = 0; i < STORE_BLOBS_MAX; i++) {
        name[0] = (char)('a' + i / 26);
        name[1] = (char)('a' + i % 26);
        assert_int_equal(image_put_blob(img, name, name, 2), 0);
    }
    assert_int_equal(image_put_blob(img, "zz", "", 0), -E2BIG);
    img = commit_and_open(w, img, ID_A);
    assert_string_equal(image_blob_name(img, STORE_BLOBS_MAX - 1), name);
    assert_null(image_blob_name(img, STORE_BLOBS_MAX));
    image_close(img);
}

/* --- run ----------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_image_is_seen_from_its_commit_on),
        T(an_aborted_image_leaves_nothing),
        T(an_image_without_pages_is_an_image),
        T(pages_come_back_as_they_were),
        T(zero_pages_cost_nothing),
        T(a_page_put_again_replaces_the_first),
        T(the_later_of_two_in_a_batch_counts),
        T(an_absent_frame_is_forgotten),
        T(types_are_kept),
        T(frames_come_in_rising_order),
        T(frames_may_be_far_apart),
        T(a_frame_beyond_any_guest_is_refused),
        T(any_history_reads_back_as_its_end),
        T(an_id_is_used_once),
        T(an_image_is_for_writing_or_for_reading),
        T(blobs_come_back_as_they_were),
        T(blob_names_are_checked),
        T(blobs_are_counted),
    };

    return run_for_all_kinds(tests);
}
