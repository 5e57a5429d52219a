/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef STORE_WORLD_H
#define STORE_WORLD_H
/*
 * What the suites of store.h share.  A kind of store adds a row to `kinds`
 * and is held to all of them.
 */
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"

#define ID_A "00000000000000aa"
#define ID_B "00000000000000bb"

/* Where a kind's URL is made from, with the scratch folder for %s. */
static const char *const kinds[] = {
    "%s/store",
    "dir:%s/store",
    "pmem:%s/store",
};
static const char *kind;

struct world {
    char *dir;
    struct ckpt *c;
    struct store *st; /* c's, for short */
};

static inline struct ckpt *open_again(const struct world *w)
{
    struct ckpt *c;
    char url[256];

    snprintf(url, sizeof(url), kind, w->dir);
    assert_int_equal(ckpt_open(url, NULL, &c), 0);
    return c;
}

static inline int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->dir = scratch_dir();
    w->c = open_again(w);
    w->st = w->c->store;
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;

    ckpt_close(w->c);
    scratch_remove(w->dir);
    free(w);
    return 0;
}

static inline void assert_page(const void *page, uint64_t seed)
{
    char want[PAGE_SIZE_BYTES];

    scratch_page(want, seed);
    assert_memory_equal(page, want, sizeof(want));
}

static inline void assert_frame(struct image *img, uint64_t gfn, uint64_t seed)
{
    char page[PAGE_SIZE_BYTES];
    uint8_t type = 99;

    assert_int_equal(image_get(img, gfn, page, &type), 0);
    assert_int_equal(type, PAGE_TYPE_NORMAL);
    assert_page(page, seed);
}

static inline size_t nr_of(char **names)
{
    size_t nr = 0;

    while (names[nr])
        nr++;
    return nr;
}

static inline void assert_nr_images(const struct world *w, size_t nr)
{
    char **ids;

    assert_int_equal(store_list(w->st, &ids), 0);
    assert_int_equal(nr_of(ids), nr);
    free(ids);
}

static inline struct image *create(const struct world *w, const char *id)
{
    struct image *img;

    assert_int_equal(image_create(w->st, id, &img), 0);
    return img;
}

static inline struct image *commit_and_open(const struct world *w,
                                            struct image *img, const char *id)
{
    assert_int_equal(image_commit(img, "{}"), 0);
    assert_int_equal(image_open(w->st, id, &img), 0);
    return img;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The exit status. */
#define run_for_all_kinds(tests)                                               \
    ({                                                                         \
        int failed = 0;                                                        \
                                                                               \
        for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {      \
            kind = kinds[i];                                                   \
            failed += cmocka_run_group_tests_name(kind, tests, NULL, NULL);    \
        }                                                                      \
        failed ? 1 : 0;                                                        \
    })

#endif
