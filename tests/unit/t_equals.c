/* SPDX-License-Identifier: LGPL-2.1-only */
#include "equals.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"
#include "store_dir.h"

#define ID "00000000000000aa"
#define FEW 1000u
#define MANY 100000u

static uint64_t sum_at(unsigned i)
{
    return (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Entries @first .. @first + @nr of pack @number, which is the first or none. */
static void add(struct scratch_world *w, unsigned first, unsigned nr,
                uint32_t number)
{
    struct equal *e = malloc(nr * sizeof(*e));

    assert_non_null(e);
    for (unsigned i = 0; i < nr; i++) {
        e[i].sum = sum_at(first + i);
        e[i].ref = ref_make(number, first + i + 1);
    }
    assert_int_equal(dir_scan(dir_of(w->c->store)), 0);
    equals_add(dir_of(w->c->store), e, nr);
    free(e);
}

/* How many of them are found, each where it is. */
static unsigned nr_found(struct scratch_world *w, unsigned first, unsigned nr,
                         uint32_t number)
{
    struct equals q;
    store_ref refs[4];
    unsigned found = 0;

    equals_open(&q, dir_of(w->c->store));
    for (unsigned i = first; i < first + nr; i++) {
        const unsigned n = equals_find(&q, sum_at(i), refs, 4);

        for (unsigned k = 0; k < n; k++)
            found += refs[k] == ref_make(number, i + 1);
    }
    equals_close(&q);
    return found;
}

static int setup(void **state)
{
    int rc = scratch_setup(state);

    scratch_image(((struct scratch_world *)*state)->c, ID, 1);
    return rc;
}

/* Young ones, one addition that makes them old, and some on top of it. */
static void what_was_added_is_found(void **state)
{
    struct scratch_world *w = *state;
    unsigned nr = 0;

    assert_int_equal(nr_found(w, 0, FEW, 1), 0);
    for (; nr < 40 * FEW; nr += FEW) {
        add(w, nr, FEW, 1);
        assert_int_equal(nr_found(w, 0, nr + FEW, 1), nr + FEW);
    }
    add(w, nr, MANY, 1);
    nr += MANY;
    add(w, nr, FEW, 1);
    nr += FEW;
    /* A few homes are full, at most. */
    assert_in_range(nr_found(w, 0, nr, 1), nr - nr / 1000, nr);
}

static void the_last_of_a_sum_is_the_one(void **state)
{
    struct scratch_world *w = *state;

    add(w, 0, MANY, 1);
    add(w, 0, MANY, 2);
    assert_int_equal(nr_found(w, 0, MANY, 1), 0);
    assert_in_range(nr_found(w, 0, MANY, 2), MANY - MANY / 1000, MANY);
}

/* Else the file would grow for ever. */
static void what_leads_nowhere_goes_when_it_grows(void **state)
{
    struct scratch_world *w = *state;

    add(w, 0, MANY, 77);
    assert_true(nr_found(w, 0, MANY, 77) > 0);
    for (unsigned n = 1; n <= 6; n++)
        add(w, n * MANY, MANY, 77);
    add(w, 7 * MANY, FEW, 1);
    assert_true(scratch_size(scratch_path(w->dir, "store/equals")) <
                (long)(8 * MANY * sizeof(struct equal)));
    assert_int_equal(nr_found(w, 7 * MANY, FEW, 1), FEW);
}

static void damage_is_an_empty_table(void **state)
{
    static const char zeros[4096];
    struct scratch_world *w = *state;
    const char *path = scratch_path(w->dir, "store/equals");
    const long bytes[] = {0, 1, 4096, 5000};
    int fd;

    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        add(w, 0, FEW, 1);
        assert_int_equal(nr_found(w, 0, FEW, 1), FEW);
        assert_int_equal(truncate(path, bytes[i]), 0);
        assert_int_equal(nr_found(w, 0, FEW, 1), 0);
    }
    add(w, 0, FEW, 1);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 0), sizeof(zeros));
    close(fd);
    assert_int_equal(nr_found(w, 0, FEW, 1), 0);
    add(w, 0, FEW, 1);
    assert_int_equal(nr_found(w, 0, FEW, 1), FEW);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_was_added_is_found),
        T(the_last_of_a_sum_is_the_one),
        T(what_leads_nowhere_goes_when_it_grows),
        T(damage_is_an_empty_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
