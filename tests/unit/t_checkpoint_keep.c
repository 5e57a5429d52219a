/* SPDX-License-Identifier: LGPL-2.1-only */
#include "ckpt.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "checkpoint.h"
#include "ctx.h"
#include "fake/scratch.h"
#include "op.h"

/* Without a domain, its lock, its guard and its disks. */
int remove_inner(struct ckpt *c, const struct ckpt_info *info,
                 may_go_fn *may_go)
{
    (void)may_go;
    return checkpoint_remove(c, info);
}

#define UUID "11111111-1111-1111-1111-111111111111"
#define OTHER "22222222-2222-2222-2222-222222222222"
#define A "00000000000000aa"
#define B "00000000000000bb"

static void add(struct scratch_world *w, const char *id, const char *name,
                const char *uuid, int64_t age_s)
{
    struct ckpt_info info;

    scratch_info(&info, id, name, "web", uuid);
    info.created_unix_us = now_unix_us() - age_s * 1000000;
    info.stored_bytes = 10u << 20;
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
}

static int setup(void **state)
{
    struct scratch_world *w;

    scratch_setup(state);
    w = *state;
    add(w, A, "one", UUID, 1000);
    add(w, B, "two", UUID, 500);
    return 0;
}

static void assert_tags(struct scratch_world *w, const char *id, const char *tags)
{
    struct ckpt_info info;

    assert_int_equal(ckpt_find(w->c, id, &info), 0);
    assert_string_equal(info.tags, tags);
    ckpt_info_fini(&info);
}

static void tags_are_words_in_order(void **state)
{
    struct scratch_world *w = *state;

    assert_tags(w, A, "");
    assert_int_equal(ckpt_tag(w->c, A, "gold", true), 0);
    assert_int_equal(ckpt_tag(w->c, A, "base:1", true), 0);
    assert_int_equal(ckpt_tag(w->c, A, "golden", true), 0);
    assert_tags(w, A, "base:1 gold golden");
    assert_int_equal(ckpt_tag(w->c, A, "gold", true), -EEXIST);
    assert_int_equal(ckpt_tag(w->c, A, "gold", false), 0);
    assert_tags(w, A, "base:1 golden");
    assert_int_equal(ckpt_tag(w->c, A, "gold", false), -ENOENT);
    assert_int_equal(ckpt_tag(w->c, A, "golde", false), -ENOENT);
    assert_int_equal(ckpt_tag(w->c, A, "olden", false), -ENOENT);
    assert_tags(w, B, "");
}

static void a_tag_is_one_word(void **state)
{
    static const char *const bad[] = {
        "", "a b", "a\n", "\"", "a-tag-of-thirty-three-characters-",
        "\xc3\xa4"};
    struct scratch_world *w = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(ckpt_tag(w->c, A, bad[i], true), -EINVAL);
    assert_int_equal(ckpt_tag(w->c, "nothing", "x", true), -ENOENT);
}

static void what_is_kept_is_not_deleted(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info info;

    assert_int_equal(ckpt_keep(w->c, A, true), 0);
    assert_int_equal(ckpt_keep(w->c, A, true), 0);
    assert_int_equal(ckpt_find(w->c, A, &info), 0);
    assert_true(info.keep);
    assert_int_equal(checkpoint_may_go(w->c, &info), -EPERM);
    ckpt_info_fini(&info);
    assert_int_equal(ckpt_keep(w->c, A, false), 0);
    assert_int_equal(ckpt_find(w->c, A, &info), 0);
    assert_false(info.keep);
    ckpt_info_fini(&info);
}

/* --- quotas -------------------------------------------------------------- */

static void a_quota_counts_what_is_there(void **state)
{
    const struct ckpt_quota two = {.count = 2}, three = {.count = 3},
                            bytes = {.bytes = 25u << 20}, none = {0};
    struct scratch_world *w = *state;
    struct ckpt_quota q;

    assert_int_equal(checkpoint_quota(w->c, UUID, 1), 0);
    assert_int_equal(ckpt_quota_set(w->c, UUID, &two), 0);
    assert_int_equal(checkpoint_quota(w->c, UUID, 1), -EDQUOT);
    assert_int_equal(checkpoint_quota(w->c, OTHER, 1), 0);
    assert_int_equal(ckpt_quota_get(w->c, UUID, &q), 0);
    assert_int_equal(q.count, 2);
    assert_int_equal(ckpt_quota_set(w->c, UUID, &three), 0);
    assert_int_equal(checkpoint_quota(w->c, UUID, 1), 0);
    assert_int_equal(ckpt_quota_set(w->c, UUID, &bytes), 0);
    assert_int_equal(checkpoint_quota(w->c, UUID, 5u << 20), 0);
    assert_int_equal(checkpoint_quota(w->c, UUID, (5u << 20) + 1), -EDQUOT);
    assert_non_null(strstr(ckpt_error(w->c), "25"));
    assert_int_equal(ckpt_quota_set(w->c, UUID, &none), 0);
    assert_int_equal(checkpoint_quota(w->c, UUID, 1u << 30), 0);
    assert_int_equal(ckpt_quota_set(w->c, NULL, &two), 0); /* the store's */
    assert_int_equal(checkpoint_quota(w->c, OTHER, 1), -EDQUOT);
}

/* --- retention ----------------------------------------------------------- */

static void assert_goes(struct scratch_world *w, const char *domain, unsigned last,
                        uint64_t within_s, const char *ids)
{
    const struct ckpt_prune_opts opts = {.domain = domain,
                                         .keep_last = last,
                                         .keep_within_s = within_s,
                                         .flags = CKPT_PRUNE_DRY_RUN};
    struct ckpt_prune_result result;
    char found[200] = "";

    assert_int_equal(ckpt_prune(w->c, &opts, &result), 0);
    for (unsigned i = 0; result.ids[i]; i++)
        strcat(strcat(found, result.ids[i] + 14), " ");
    assert_string_equal(found, ids);
    free(result.ids);
}

static void retention_is_by_count_and_age(void **state)
{
    struct scratch_world *w = *state;

    add(w, "00000000000000cc", "three", UUID, 100);
    add(w, "00000000000000dd", "three", OTHER, 2000);
    assert_goes(w, NULL, 0, 0, "");
    assert_goes(w, NULL, 1, 0, "aa bb ");
    assert_goes(w, NULL, 2, 0, "aa ");
    assert_goes(w, NULL, 9, 0, "");
    assert_goes(w, NULL, 0, 300, "dd aa bb ");
    assert_goes(w, NULL, 0, 700, "dd aa ");
    assert_goes(w, NULL, 2, 300, "aa ");
    assert_goes(w, UUID, 0, 1, "aa bb cc ");
    assert_goes(w, "nobody", 0, 1, "");
}

static void heads_and_marks_protect(void **state)
{
    struct scratch_world *w = *state;

    add(w, "00000000000000cc", "three", UUID, 100);
    assert_int_equal(checkpoint_set_head(w->c, UUID, A), 0);
    assert_goes(w, NULL, 0, 1, "bb cc ");
    assert_int_equal(ckpt_keep(w->c, B, true), 0);
    assert_goes(w, NULL, 0, 1, "cc ");
    assert_int_equal(ckpt_tag(w->c, "00000000000000cc", "x", true), 0);
    assert_goes(w, NULL, 0, 1, "");
}

static void what_may_go_goes(void **state)
{
    const struct ckpt_prune_opts opts = {.keep_last = 1};
    struct scratch_world *w = *state;
    struct ckpt_prune_result result;
    struct ckpt_info info;

    assert_int_equal(ckpt_prune(w->c, &opts, &result), 0);
    assert_string_equal(result.ids[0], A);
    assert_null(result.ids[1]);
    free(result.ids);
    assert_int_equal(ckpt_find(w->c, A, &info), -ENOENT);
    assert_int_equal(ckpt_find(w->c, B, &info), 0);
    ckpt_info_fini(&info);
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 1);
    assert_int_equal(scratch_count(w->dir, "store/dropped"), 0);
}

static void a_store_to_read_is_not_written(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_prune_result result;
    struct ckpt_prune_opts opts = {.domain = NULL};
    struct ckpt_info *list;
    struct ckpt *c;
    size_t nr;

    assert_int_equal(
        ckpt_open_read_only(scratch_path(w->dir, "no/thing"), NULL, &c),
        -ENOENT);
    ckpt_close(c);
    assert_int_equal(
        ckpt_open_read_only(scratch_path(w->dir, "none"), NULL, &c), 0);
    assert_int_equal(ckpt_list(c, NULL, &list, &nr), 0);
    assert_int_equal(nr, 0);
    ckpt_list_free(list, nr);
    assert_int_equal(ckpt_keep(c, A, true), -ENOENT);
    ckpt_close(c);
    assert_int_equal(access(scratch_path(w->dir, "none"), F_OK), -1);
    assert_int_equal(
        ckpt_open_read_only(scratch_path(w->dir, "store"), NULL, &c), 0);
    assert_int_equal(ckpt_list(c, NULL, &list, &nr), 0);
    assert_int_equal(nr, 2);
    ckpt_list_free(list, nr);
    assert_int_equal(ckpt_keep(c, A, true), -EROFS);
    assert_int_equal(ckpt_prune(c, &opts, &result), -EROFS);
    ckpt_close(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tags_are_words_in_order),
        T(a_tag_is_one_word),
        T(what_is_kept_is_not_deleted),
        T(a_quota_counts_what_is_there),
        T(retention_is_by_count_and_age),
        T(heads_and_marks_protect),
        T(what_may_go_goes),
        T(a_store_to_read_is_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
