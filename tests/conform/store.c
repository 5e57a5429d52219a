/* SPDX-License-Identifier: LGPL-2.1-only */
/* What store.h promises of the store as a whole, for every kind of store. */
#include "conform/store_world.h"

#include <sys/wait.h>
#include <unistd.h>

/* --- images, values, names ----------------------------------------------- */

static void a_list_is_sorted(void **state)
{
    struct world *w = *state;
    char **ids;

    scratch_image(w->c, ID_B, 1);
    scratch_image(w->c, ID_A, 1);
    assert_int_equal(store_list(w->st, &ids), 0);
    assert_int_equal(nr_of(ids), 2);
    assert_string_equal(ids[0], ID_A);
    assert_string_equal(ids[1], ID_B);
    free(ids);
}

static void what_is_dropped_is_gone(void **state)
{
    struct world *w = *state;
    struct image *img;
    char *text;

    scratch_image(w->c, ID_A, 3);
    scratch_image(w->c, ID_B, 3);
    assert_int_equal(store_drop(w->st, ID_A, NULL), 0);
    assert_int_equal(image_open(w->st, ID_A, &img), -ENOENT);
    assert_int_equal(store_manifest(w->st, ID_A, &text), -ENOENT);
    assert_int_equal(store_drop(w->st, ID_A, NULL), -ENOENT);
    assert_nr_images(w, 1);
    scratch_image(w->c, ID_A, 3);
    assert_int_equal(store_drop(w->st, ID_A, NULL), 0);
}

static void a_manifest_can_be_replaced(void **state)
{
    struct world *w = *state;
    struct image *img;
    char *text;

    scratch_image(w->c, ID_A, 3);
    assert_int_equal(store_set_manifest(w->st, ID_A, "{\"new\":1}"), 0);
    assert_int_equal(store_manifest(w->st, ID_A, &text), 0);
    assert_string_equal(text, "{\"new\":1}");
    free(text);
    assert_int_equal(image_open(w->st, ID_A, &img), 0);
    assert_string_equal(image_manifest(img), "{\"new\":1}");
    assert_frame(img, 2, 3);
    image_close(img);
    assert_int_equal(store_set_manifest(w->st, ID_B, "{}"), -ENOENT);
}

static void values_are_kept_until_removed(void **state)
{
    struct world *w = *state;
    char *value, **keys;

    assert_int_equal(store_get(w->st, "head.x", &value), -ENOENT);
    assert_int_equal(store_set(w->st, "head.x", "one"), 0);
    assert_int_equal(store_set(w->st, "head.x", "two\nlines"), 0);
    assert_int_equal(store_set(w->st, "other", ""), 0);
    assert_int_equal(store_get(w->st, "head.x", &value), 0);
    assert_string_equal(value, "two\nlines");
    free(value);
    assert_int_equal(store_get(w->st, "other", &value), 0);
    assert_string_equal(value, "");
    free(value);
    assert_int_equal(store_keys(w->st, &keys), 0);
    assert_int_equal(nr_of(keys), 2);
    assert_string_equal(keys[0], "head.x");
    free(keys);
    assert_int_equal(store_set(w->st, "head.x", NULL), 0);
    assert_int_equal(store_set(w->st, "head.x", NULL), 0);
    assert_int_equal(store_get(w->st, "head.x", &value), -ENOENT);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = {"",    ".", "..", "../x",
                                      "a/b", "A", ".x", "a b"};
    struct world *w = *state;
    struct store_lock *l;
    struct image *img;
    char *value;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(image_create(w->st, bad[i], &img), -EINVAL);
        assert_int_equal(image_open(w->st, bad[i], &img), -EINVAL);
        assert_int_equal(store_drop(w->st, bad[i], NULL), -EINVAL);
        assert_int_equal(store_set_manifest(w->st, bad[i], "{}"), -EINVAL);
        assert_int_equal(store_set(w->st, bad[i], "x"), -EINVAL);
        assert_int_equal(store_get(w->st, bad[i], &value), -EINVAL);
        assert_int_equal(store_lock(w->st, bad[i], &l, NULL), -EINVAL);
    }
    assert_int_equal(image_create(w->st, "00000000000000AA", &img), -EINVAL);
    assert_int_equal(image_create(w->st, ID_A "0", &img), -EINVAL);
}

static void free_space_is_told(void **state)
{
    struct world *w = *state;
    uint64_t bytes = 0;

    assert_int_equal(store_free_bytes(w->st, &bytes), 0);
    assert_true(bytes > 0);
}

/* --- locks --------------------------------------------------------------- */

static void a_lock_has_one_holder(void **state)
{
    struct world *w = *state;
    struct ckpt *other = open_again(w);
    struct store_lock *a, *b;
    char pid[32];

    assert_int_equal(store_lock(w->st, "domain-1", &a, NULL), 0);
    assert_int_equal(store_lock(other->store, "domain-1", &b, NULL), -EBUSY);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_non_null(strstr(ckpt_error(other), pid));
    assert_int_equal(store_lock(other->store, "domain-2", &b, NULL), 0);
    store_unlock(b);
    store_unlock(a);
    store_unlock(NULL);
    assert_int_equal(store_lock(other->store, "domain-1", &b, NULL), 0);
    store_unlock(b);
    ckpt_close(other);
}

static void a_lock_lives_as_long_as_who_inherited_it(void **state)
{
    struct world *w = *state;
    struct store_lock *l, *again;
    int fd = -1, go[2];
    pid_t pid;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(store_lock(w->st, "domain", &l, &fd), 0);
    assert_true(fd >= 0);
    pid = fork();
    if (!pid) {
        char byte;

        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 1);
    }
    assert_true(pid > 0);
    store_unlock(l);
    assert_int_equal(store_lock(w->st, "domain", &again, NULL), -EBUSY);
    close(go[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(store_lock(w->st, "domain", &again, NULL), 0);
    store_unlock(again);
    close(go[0]);
}

static void the_dead_hold_no_lock(void **state)
{
    struct world *w = *state;
    struct store_lock *l;
    int status;
    pid_t pid;

    pid = fork();
    if (!pid)
        _exit(store_lock(w->st, "domain", &l, NULL) ? 1 : 0);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(store_lock(w->st, "domain", &l, NULL), 0);
    store_unlock(l);
}

/* --- run ----------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_list_is_sorted),
        T(what_is_dropped_is_gone),
        T(a_manifest_can_be_replaced),
        T(values_are_kept_until_removed),
        T(names_are_checked),
        T(free_space_is_told),
        T(a_lock_has_one_holder),
        T(a_lock_lives_as_long_as_who_inherited_it),
        T(the_dead_hold_no_lock),
    };

    return run_for_all_kinds(tests);
}
