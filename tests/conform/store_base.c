/* SPDX-License-Identifier: LGPL-2.1-only */
/* What store.h promises of an image built upon another, for every kind of
 * store. */
#include "conform/store_world.h"

#include <unistd.h>

#include "packs.h"

#define NR 3000u

static char id_text[32];

static const char *id_of(unsigned n)
{
    snprintf(id_text, sizeof(id_text), "%016x", n + 1);
    return id_text;
}

static void a_frame_not_put_is_as_it_was(void **state)
{
    struct world *w = *state;
    struct image *img;
    static struct page_batch b;
    char page[PAGE_SIZE_BYTES];

    scratch_image(w->c, ID_A, NR);
    img = create(w, ID_B);
    assert_int_equal(image_base(img, ID_A), 0);
    assert_int_equal(scratch_put(img, 100, 7777), 0);
    assert_int_equal(scratch_put(img, 101, 0), 0);
    assert_int_equal(scratch_put(img, NR + 500, 8888), 0);
    b.nr = 1;
    b.gfn[0] = 200;
    b.type[0] = PAGE_TYPE_ABSENT;
    assert_int_equal(image_put(img, &b), 0);
    img = commit_and_open(w, img, ID_B);
    assert_int_equal(image_nr_gfns(img), NR + 501);
    for (unsigned i = 0; i < NR; i++) {
        if (i == 200)
            assert_int_equal(image_get(img, i, page, NULL), -ENOENT);
        else
            assert_frame(img, i, i == 100 ? 7777 : i == 101 ? 0 : i + 1);
    }
    assert_frame(img, NR + 500, 8888);
    image_close(img);
    assert_int_equal(image_open(w->st, ID_A, &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_frame(img, i, i + 1); /* and the other as it is */
    assert_int_equal(image_nr_gfns(img), NR);
    image_close(img);
}

static void nothing_changed_is_the_same_again(void **state)
{
    struct world *w = *state;
    struct image *img;

    scratch_image(w->c, ID_A, NR);
    img = create(w, ID_B);
    assert_int_equal(image_base(img, ID_A), 0);
    img = commit_and_open(w, img, ID_B);
    assert_int_equal(image_nr_gfns(img), NR);
    assert_frame(img, NR - 1, NR);
    image_close(img);
}

static void the_last_frames_can_go(void **state)
{
    static struct page_batch b;
    struct world *w = *state;
    struct image *img;

    scratch_image(w->c, ID_A, 40);
    img = create(w, ID_B);
    assert_int_equal(image_base(img, ID_A), 0);
    b.nr = 30;
    for (unsigned i = 0; i < 30; i++) {
        b.gfn[i] = 10 + i;
        b.type[i] = PAGE_TYPE_ABSENT;
    }
    assert_int_equal(image_put(img, &b), 0);
    img = commit_and_open(w, img, ID_B);
    assert_int_equal(image_nr_gfns(img), 10);
    image_close(img);
}

static void what_is_not_there_is_no_base(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_B);

    assert_int_equal(image_base(img, ID_A), -ENOENT);
    assert_int_equal(scratch_put(img, 1, 1), 0); /* it goes on without */
    img = commit_and_open(w, img, ID_B);
    assert_frame(img, 1, 1);
    image_close(img);
}

/* A life of many generations, with branches and deaths, against arrays. */
static void any_generation_can_go(void **state)
{
    enum {
        FRAMES = 600,
        GENERATIONS = 40
    };
    static unsigned model[GENERATIONS][FRAMES];
    bool is_there[GENERATIONS] = {false};
    struct store_space space;
    struct world *w = *state;
    struct image *img;

    srand(11);
    for (unsigned g = 0; g < GENERATIONS; g++) {
        unsigned base = g ? (unsigned)rand() % g : 0;

        while (g && !is_there[base])
            base = (base + 1) % g;
        img = create(w, id_of(g));
        if (g) {
            assert_int_equal(image_base(img, id_of(base)), 0);
            memcpy(model[g], model[base], sizeof(model[g]));
        }
        for (unsigned i = 0; i < (g ? 25 : FRAMES); i++) {
            const unsigned gfn = g ? (unsigned)rand() % FRAMES : i;

            model[g][gfn] = (unsigned)rand() % 800;
            assert_int_equal(scratch_put(img, gfn * 3, model[g][gfn]), 0);
        }
        assert_int_equal(image_commit(img, "{}"), 0);
        is_there[g] = true;
        if (g > 3 && rand() % 2) {
            const unsigned gone = (unsigned)rand() % g;

            if (is_there[gone]) {
                is_there[gone] = false;
                assert_int_equal(store_drop(w->st, id_of(gone), &space), 0);
                assert_int_equal(space.pending_bytes, 0);
            }
        }
    }
    assert_int_equal(store_prune(w->st, &space), 0);
    for (unsigned g = 0; g < GENERATIONS; g++) {
        if (!is_there[g]) {
            assert_int_equal(image_open(w->st, id_of(g), &img), -ENOENT);
            continue;
        }
        assert_int_equal(image_open(w->st, id_of(g), &img), 0);
        for (unsigned i = 0; i < FRAMES; i++)
            assert_frame(img, i * 3, model[g][i]);
        image_close(img);
    }
}

/* More than a reader holds open, and all of them in one batch. */
static void a_batch_comes_from_any_number_of_generations(void **state)
{
    const unsigned depth = PACKS_OPEN + 50;
    struct world *w = *state;
    static struct page_batch b;
    uint64_t cursor = 0;
    struct image *img;

    scratch_image(w->c, id_of(0), depth);
    for (unsigned n = 1; n < depth; n++) {
        img = create(w, id_of(n));
        assert_int_equal(image_base(img, id_of(n - 1)), 0);
        assert_int_equal(scratch_put(img, n, n + 10000), 0);
        assert_int_equal(image_commit(img, "{}"), 0);
    }
    assert_int_equal(image_open(w->st, id_of(depth - 1), &img), 0);
    assert_int_equal(image_next(img, &cursor, &b), 0);
    assert_int_equal(b.nr, depth);
    for (unsigned n = 0; n < depth; n++)
        assert_page(b.data[n], n ? n + 10000 : 1);
    image_close(img);
}

static void room_can_be_reserved(void **state)
{
    struct world *w = *state;
    struct image *img = create(w, ID_A);
    uint64_t free_bytes;

    assert_int_equal(store_free_bytes(w->st, &free_bytes), 0);
    assert_int_equal(image_reserve(img, free_bytes + (1u << 30)), -ENOSPC);
    assert_int_equal(image_reserve(img, 1u << 20), 0);
    assert_int_equal(scratch_put(img, 1, 1), 0);
    img = commit_and_open(w, img, ID_A);
    assert_frame(img, 1, 1);
    image_close(img);
}

static void a_home_is_where_the_page_is(void **state)
{
    struct world *w = *state;
    struct image_home home;
    char page[PAGE_SIZE_BYTES];
    struct image *img;

    scratch_image(w->c, ID_A, 20);
    img = create(w, ID_B);
    assert_int_equal(image_base(img, ID_A), 0);
    assert_int_equal(scratch_put(img, 5, 55), 0);
    assert_int_equal(scratch_put(img, 6, 0), 0);
    img = commit_and_open(w, img, ID_B);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(image_home(img, i, &home), 0);
        if (i == 6) {
            assert_int_equal(home.fd, -1);
            continue;
        }
        assert_int_equal(home.offset % PAGE_SIZE_BYTES, 0);
        assert_int_equal(pread(home.fd, page, sizeof(page), (off_t)home.offset),
                         sizeof(page));
        assert_page(page, i == 5 ? 55 : i + 1);
    }
    assert_int_equal(image_home(img, 20, &home), -ENOENT);
    image_close(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_frame_not_put_is_as_it_was),
        T(nothing_changed_is_the_same_again),
        T(the_last_frames_can_go),
        T(what_is_not_there_is_no_base),
        T(any_generation_can_go),
        T(a_batch_comes_from_any_number_of_generations),
        T(room_can_be_reserved),
        T(a_home_is_where_the_page_is),
    };

    return run_for_all_kinds(tests);
}
