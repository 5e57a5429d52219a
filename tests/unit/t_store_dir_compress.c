/* SPDX-License-Identifier: LGPL-2.1-only */
/* Packs that were compressed after the take: everything is as it was, but for
 * the room it needs. */
#include "store_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/golden.h"
#include "fake/scratch.h"
#include "store_format.h"

#define ID "00000000000000aa"
#define ID_2 "00000000000000bb"
#define NR 203u /* the last group has 11 */

static const char *const none[] = {NULL};

/* Pages that compress, pages that do not, pages of zeros. */
static uint64_t seed_of(unsigned gfn)
{
    if (gfn % 10 == 9)
        return 0;
    return (gfn + 1) | (gfn / 50 == 1 ? 0 : SCRATCH_DULL);
}

static void store_image(struct ckpt *c, const char *id, unsigned first,
                        unsigned end)
{
    struct image *img;

    assert_int_equal(image_create(c->store, id, &img), 0);
    for (unsigned i = first; i < end; i++)
        assert_int_equal(scratch_put(img, i, seed_of(i)), 0);
    assert_int_equal(image_put_blob(img, "state", "machine state", 13), 0);
    assert_int_equal(image_commit(img, "{}"), 0);
}

static void is_whole(struct ckpt *c, const char *id, unsigned first,
                     unsigned end)
{
    static struct page_batch b;
    char page[4096], want[4096];
    uint64_t cursor = 0;
    struct image *img;
    unsigned nr = 0;
    void *data;
    size_t len;

    assert_int_equal(image_open(c->store, id, &img), 0);
    for (unsigned i = first; i < end; i++) {
        const unsigned gfn = first + (i * 37u) % (end - first);

        scratch_page(want, seed_of(gfn));
        assert_int_equal(image_get(img, gfn, page, NULL), 0);
        assert_memory_equal(page, want, sizeof(want));
    }
    do {
        assert_int_equal(image_next(img, &cursor, &b), 0);
        for (unsigned i = 0; i < b.nr; i++) {
            scratch_page(want, seed_of((unsigned)b.gfn[i]));
            assert_int_equal(b.data[i] != NULL, seed_of((unsigned)b.gfn[i]) != 0);
            if (b.data[i])
                assert_memory_equal(b.data[i], want, sizeof(want));
        }
        nr += b.nr;
    } while (b.nr);
    assert_int_equal(nr, end - first);
    assert_int_equal(image_blob(img, "state", &data, &len), 0);
    assert_int_equal(len, 13);
    free(data);
    image_close(img);
}

static uint64_t compress_all(struct ckpt *c)
{
    uint64_t saved = 0;

    assert_int_equal(store_compress(c->store, none, &saved), 0);
    return saved;
}

static void it_reads_as_before(void **state)
{
    struct scratch_world *w = *state;
    struct pack_head h;

    store_image(w->c, ID, 0, NR);
    assert_true(compress_all(w->c) > 100 * 4096);
    scratch_pack_head(w->dir, ID, &h);
    assert_int_equal(h.mandatory, PACK_COMPRESSED);
    is_whole(w->c, ID, 0, NR);
    assert_int_equal(compress_all(w->c), 0); /* it is already */
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
    is_whole(w->c, ID, 0, NR);
}

static void those_named_stay_as_they_are(void **state)
{
    static const char *const raw[] = {ID, NULL};
    struct scratch_world *w = *state;
    uint64_t saved = 0;
    struct pack_head h;

    store_image(w->c, ID, 0, NR);
    assert_int_equal(store_compress(w->c->store, raw, &saved), 0);
    assert_int_equal(saved, 0);
    scratch_pack_head(w->dir, ID, &h);
    assert_int_equal(h.mandatory, 0);
}

/* Who reads has what was there; who opens it then, the new one. */
static void what_is_read_is_read_on(void **state)
{
    struct scratch_world *w = *state;
    char page[4096];
    struct image *img;

    store_image(w->c, ID, 0, NR);
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    assert_true(compress_all(w->c) > 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(image_get(img, i, page, NULL), 0);
    image_close(img);
    is_whole(w->c, ID, 0, NR);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
}

/* A take neither waits for it nor is waited for, and finds its pages in what was
 * exchanged beneath it. */
static void a_take_goes_on(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt *other = scratch_open(w->dir);
    struct image *img;
    uint64_t bytes;

    store_image(w->c, ID, 0, NR);
    assert_int_equal(image_create(w->c->store, ID_2, &img), 0);
    assert_int_equal(scratch_put(img, 100, seed_of(100)), 0);
    assert_true(compress_all(other) > 0);
    for (unsigned i = 101; i < 140; i++)
        assert_int_equal(scratch_put(img, i, seed_of(i)), 0);
    image_stats(img, NULL, NULL, &bytes);
    assert_int_equal(bytes, 4096); /* its head: all pages were there */
    assert_int_equal(image_put_blob(img, "state", "machine state", 13), 0);
    assert_int_equal(image_commit(img, "{}"), 0);
    is_whole(w->c, ID_2, 100, 140);
    is_whole(other, ID, 0, NR);
    ckpt_close(other);
}

/* Deleted while it is compressed, it stays so. */
static void what_is_deleted_meanwhile_does_not_come_back(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt *other = scratch_open(w->dir);
    uint64_t saved = 0;

    store_image(w->c, ID, 0, NR);
    assert_int_equal(setenv("CKPT_FAULT", "stop:at:compress:filled", 1), 0);
    {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(store_compress(other->store, none, &saved) ? 1 : 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(store_compress(w->c->store, none, &saved), -EBUSY);
        assert_int_equal(store_drop(w->c->store, ID, NULL), 0);
        assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
        kill(pid, SIGCONT);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    unsetenv("CKPT_FAULT");
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
    assert_int_equal(scratch_count(w->dir, "store/tmp"), 0);
    ckpt_close(other);
}

/* Both ways: the next take finds its pages there, and a removal gives back the
 * groups of which nothing is left. */
static void it_is_shared_and_given_back(void **state)
{
    struct scratch_world *w = *state;
    struct store_space space = {.freed_bytes = 0};
    uint64_t bytes;
    struct image *img;

    store_image(w->c, ID, 0, NR);
    compress_all(w->c);
    assert_int_equal(image_create(w->c->store, ID_2, &img), 0);
    for (unsigned i = 100; i < 140; i++)
        assert_int_equal(scratch_put(img, i, seed_of(i)), 0);
    image_stats(img, NULL, NULL, &bytes);
    assert_int_equal(bytes, 4096); /* its head */
    assert_int_equal(image_put_blob(img, "state", "machine state", 13), 0);
    assert_int_equal(image_commit(img, "{}"), 0);

    assert_int_equal(store_drop(w->c->store, ID, &space), 0);
    assert_true(space.freed_bytes > 0);
    is_whole(w->c, ID_2, 100, 140);
    /* By elimination, too: nothing that is needed goes. */
    assert_int_equal(store_prune(w->c->store, &space), 0);
    is_whole(w->c, ID_2, 100, 140);
    assert_int_equal(scratch_count(w->dir, "store/packs"), 1);
    compress_all(w->c);
    is_whole(w->c, ID_2, 100, 140);
    assert_int_equal(store_drop(w->c->store, ID_2, NULL), 0);
    assert_int_equal(scratch_count(w->dir, "store/packs"), 0);
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
}

static void damage_is_told(void **state)
{
    struct scratch_world *w = *state;
    char page[4096];
    struct pack_head h;
    struct image *img;
    unsigned nr_bad = 0;

    store_image(w->c, ID, 0, NR);
    compress_all(w->c);
    scratch_pack_head(w->dir, ID, &h);
    scratch_flip(scratch_pack(w->dir, ID), 4096 + 20); /* the first group */
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    for (unsigned i = 0; i < 16; i++)
        nr_bad += image_get(img, i, page, NULL) == -EUCLEAN;
    assert_true(nr_bad > 0);
    assert_int_equal(image_get(img, 30, page, NULL), 0);
    image_close(img);
    scratch_flip(scratch_pack(w->dir, ID), (long)(h.groups_block * 4096 + 30));
    assert_int_equal(image_open(w->c->store, ID, &img), 0);
    assert_int_equal(image_get(img, 30, page, NULL), -EUCLEAN);
    assert_non_null(strstr(w->c->error, "groups"));
    image_close(img);
}

static void a_store_of_before_is_read(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt *c;

    golden_unpack("tests/golden/store/format-2-compressed.hex",
                  scratch_path(w->dir, "old"));
    assert_int_equal(ckpt_open(scratch_path(w->dir, "old"), NULL, &c), 0);
    is_whole(c, ID, 0, 20);
    ckpt_close(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(it_reads_as_before),
        T(those_named_stay_as_they_are),
        T(what_is_read_is_read_on),
        T(a_take_goes_on),
        T(what_is_deleted_meanwhile_does_not_come_back),
        T(it_is_shared_and_given_back),
        T(damage_is_told),
        T(a_store_of_before_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
