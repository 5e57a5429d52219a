/* SPDX-License-Identifier: LGPL-2.1-only */
/* What checkpoints of a directory share, and what becomes of it when one goes;
 * and what is left of format 1. */
#include "store_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "ctx.h"
#include "equals.h"
#include "fake/golden.h"
#include "fake/scratch.h"

#define ID "00000000000000aa"
#define NUMBER ".00000001"
#define NR 400u

/* The first pack of the store. */
static const char *pack_of(struct scratch_world *w)
{
    return scratch_path(w->dir, "store/checkpoints/" ID NUMBER);
}

static void half_a_removal_is_completed(void **state)
{
    struct scratch_world *w = *state;
    struct store_space space;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(
        rename(pack_of(w), scratch_path(w->dir, "store/dropped/" ID NUMBER)),
        0);
    assert_int_equal(store_prune(w->c->store, &space), 0);
    assert_true(space.freed_bytes >= NR * 4096);
    assert_int_equal(scratch_count(w->dir, "store/dropped"), 0);
    assert_int_equal(scratch_count(w->dir, "store/packs"), 0);
    assert_int_equal(scratch_count(w->dir, "store/refs"), 1); /* its state */
}

/* --- sharing ------------------------------------------------------------- */

static void equal_pages_are_stored_once(void **state)
{
    struct scratch_world *w = *state;
    uint64_t bytes, stored;
    struct image *img;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(image_create(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, 5000 + i, i + 1), 0); /* as there */
    assert_int_equal(scratch_put(img, 9000, 77777), 0);         /* new */
    assert_int_equal(scratch_put(img, 9001, 77777), 0);
    image_stats(img, &stored, NULL, &bytes);
    assert_int_equal(stored, NR + 2);
    assert_int_equal(bytes, 2 * 4096); /* its head, and the one page */
    assert_int_equal(image_commit(img, "{}"), 0);

    /* The first goes, what the second has of it stays. */
    assert_int_equal(store_drop(w->c->store, ID, NULL), 0);
    assert_int_equal(scratch_count(w->dir, "store/packs"), 1);
    assert_int_equal(image_open(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++) {
        char page[4096], want[4096];

        scratch_page(want, i + 1);
        assert_int_equal(image_get(img, 5000 + i, page, NULL), 0);
        assert_memory_equal(page, want, sizeof(want));
    }
    image_close(img);
    assert_int_equal(store_drop(w->c->store, "00000000000000bb", NULL), 0);
    assert_int_equal(scratch_count(w->dir, "store/packs"), 0);
}

/* A table that lies: every sum leads to another page. */
static void a_sum_alone_makes_no_pages_equal(void **state)
{
    struct scratch_world *w = *state;
    struct equal lies[NR];
    char page[4096], want[4096];
    struct image *img;

    scratch_image_sparse(w->c, ID, NR);
    for (unsigned i = 0; i < NR; i++) {
        scratch_page(page, 1000 + i);
        lies[i].sum = equal_sum(sum_kind_here(),
                                sum_of(sum_kind_here(), page, 4096, 0));
        lies[i].ref = ref_make(i % 3 ? 1 : 99, i % 7 ? i + 1 : 1u << 30);
    }
    equals_add(dir_of(w->c->store), lies, NR);
    assert_int_equal(image_create(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, i, 1000 + i), 0);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_open(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++) {
        scratch_page(want, 1000 + i);
        assert_int_equal(image_get(img, i, page, NULL), 0);
        assert_memory_equal(page, want, sizeof(want));
    }
    image_close(img);
}

static void what_is_read_is_not_freed(void **state)
{
    struct scratch_world *w = *state;
    struct store_space space;
    char page[4096];
    struct image *img;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    assert_int_equal(store_drop(w->c->store, ID, &space), 0);
    assert_int_equal(space.freed_bytes, 0);
    assert_true(space.pending_bytes >= NR * 4096);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(image_get(img, 2 * i, page, NULL), 0);
    image_close(img);
    assert_int_equal(store_prune(w->c->store, &space), 0);
    assert_true(space.freed_bytes >= NR * 4096);
    assert_int_equal(space.pending_bytes, 0);
}

/* What a take is about to refer to must not go. */
static void nothing_is_freed_during_a_take(void **state)
{
    struct scratch_world *w = *state;
    struct store_space space;
    struct image *img;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(image_create(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, i, i + 1), 0);
    assert_int_equal(store_drop(w->c->store, ID, &space), 0);
    assert_int_equal(space.freed_bytes, 0);
    assert_int_equal(store_prune(w->c->store, &space), -EBUSY);
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(store_prune(w->c->store, &space), 0);
    assert_int_equal(image_open(w->c->store, "00000000000000bb", &img), 0);
    for (unsigned i = 0; i < NR; i++) {
        char page[4096];

        assert_int_equal(image_get(img, i, page, NULL), 0);
    }
    image_close(img);
}

/* --- format 1 ------------------------------------------------------------ */

/* Written once, and for ever read as it was. */
static void the_first_store_of_format_2_is_read(void **state)
{
    static const struct {
        uint64_t gfn, seed;
    } frames[] = {{0, 1}, {1, 2}, {2, 0}, {7, 3}, {0xfefff, 4}};
    struct scratch_world *w = *state;
    char page[4096], want[4096];
    struct store_space space;
    struct image *img;
    struct ckpt *c;
    void *data;
    size_t len;

    golden_unpack("tests/golden/store/format-2.hex",
                  scratch_path(w->dir, "old"));
    assert_int_equal(ckpt_open(scratch_path(w->dir, "old"), NULL, &c), 0);
    assert_int_equal(image_open(c->store, "00000000000000a1", &img), 0);
    assert_int_equal(image_nr_gfns(img), 0xff000);
    for (unsigned i = 0; i < 5; i++) {
        scratch_page(want, frames[i].seed);
        assert_int_equal(image_get(img, frames[i].gfn, page, NULL), 0);
        assert_memory_equal(page, want, sizeof(page));
    }
    assert_int_equal(image_get(img, 3, page, NULL), -ENOENT);
    assert_int_equal(image_blob(img, "hvm.context", &data, &len), 0);
    assert_memory_equal(data, "0123456789", 10);
    free(data);
    assert_non_null(strstr(image_manifest(img), "\"golden\""));
    image_close(img);
    assert_int_equal(store_drop(c->store, "00000000000000a1", &space), 0);
    assert_int_equal(scratch_count(w->dir, "old/packs"), 0);
    ckpt_close(c);
}

static void a_store_of_format_1_is_read_and_used(void **state)
{
    struct scratch_world *w = *state;
    char page[4096], want[4096], *text;
    struct image *img;
    struct ckpt *c;
    void *data;
    size_t len;
    int rc;

    golden_unpack("tests/golden/store/format-1.hex",
                  scratch_path(w->dir, "old"));
    assert_int_equal(ckpt_open(scratch_path(w->dir, "old"), NULL, &c), 0);
    assert_int_equal(image_open(c->store, "00000000000000a1", &img), 0);
    assert_int_equal(image_nr_gfns(img), 0xff000);
    scratch_page(want, 4);
    assert_int_equal(image_get(img, 0xfefff, page, NULL), 0);
    assert_memory_equal(page, want, sizeof(page));
    assert_int_equal(image_blob(img, "hvm.context", &data, &len), 0);
    assert_memory_equal(data, "0123456789", 10);
    free(data);
    image_close(img);
    assert_int_equal(store_manifest(c->store, "00000000000000a1", &text), 0);
    assert_non_null(strstr(text, "\"golden\""));
    free(text);

    scratch_image(c, ID, 3); /* beside it, in format 2 */
    rc = image_create(c->store, "00000000000000bb", &img);
    assert_int_equal(rc, 0);
    assert_int_equal(image_base(img, "00000000000000a1"), -ENOTSUP);
    image_abort(img);
    assert_int_equal(store_set_manifest(c->store, "00000000000000a1", "{}"), 0);
    assert_int_equal(image_open(c->store, "00000000000000a1", &img), 0);
    assert_string_equal(image_manifest(img), "{}");
    image_close(img);
    assert_int_equal(store_drop(c->store, "00000000000000a1", NULL), 0);
    assert_int_equal(scratch_count(w->dir, "old/checkpoints"), 1);
    assert_int_equal(scratch_count(w->dir, "old/manifests"), 0);
    ckpt_close(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(half_a_removal_is_completed),
        T(equal_pages_are_stored_once),
        T(a_sum_alone_makes_no_pages_equal),
        T(what_is_read_is_not_freed),
        T(nothing_is_freed_during_a_take),
        T(the_first_store_of_format_2_is_read),
        T(a_store_of_format_1_is_read_and_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
