/* SPDX-License-Identifier: LGPL-2.1-only */
#include "checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"
#include "store_format.h"
#include "store.h"

#define UUID_1 "11111111-1111-1111-1111-111111111111"
#define UUID_2 "22222222-2222-2222-2222-222222222222"

/* One in the store; parent "" for a root; at the time @t. */
static void add(struct scratch_world *w, const char *id, const char *parent,
                const char *name, const char *uuid, int t)
{
    struct ckpt_info info;

    scratch_info(&info, id, name, !strcmp(uuid, UUID_1) ? "web" : "db", uuid);
    memcpy(info.parent, parent, strlen(parent) + 1);
    info.created_unix_us = t;
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
}

/*
 *     web:  a1 "base" -- a2 "work" -- a3 "last"
 *             \                  \
 *     db:      b1 "base"          b2 "fork"
 */
#define A1 "a1a1000000000001"
#define A2 "a1a2000000000002"
#define A3 "a3a3000000000003"
#define B1 "b1b1000000000004"
#define B2 "b2b2000000000005"

static int setup(void **state)
{
    struct scratch_world *w;

    scratch_setup(state);
    w = *state;
    add(w, A1, "", "base", UUID_1, 10);
    add(w, A2, A1, "work", UUID_1, 20);
    add(w, A3, A2, "last", UUID_1, 40);
    add(w, B1, A1, "base", UUID_2, 15);
    add(w, B2, A2, "fork", UUID_2, 50);
    assert_int_equal(checkpoint_set_head(w->c, UUID_1, A2), 0);
    return 0;
}

static void assert_finds(struct scratch_world *w, const char *uuid, const char *word,
                         const char *id)
{
    struct ckpt_info info;

    assert_int_equal(checkpoint_find(w->c, uuid, word, &info), 0);
    assert_string_equal(info.id, id);
    ckpt_info_fini(&info);
}

static void assert_finds_none(struct scratch_world *w, const char *uuid,
                              const char *word, int rc, const char *words)
{
    struct ckpt_info info;

    assert_int_equal(checkpoint_find(w->c, uuid, word, &info), rc);
    assert_null(info.name);
    assert_non_null(strstr(ckpt_error(w->c), words));
}

static void assert_parent(struct scratch_world *w, const char *id, const char *parent)
{
    struct ckpt_info info;

    assert_int_equal(checkpoint_find(w->c, NULL, id, &info), 0);
    assert_string_equal(info.parent, parent);
    ckpt_info_fini(&info);
}

static void assert_head(struct scratch_world *w, const char *uuid, const char *id)
{
    char head[CKPT_ID_LEN + 1];

    assert_int_equal(checkpoint_head(w->c, uuid, head), 0);
    assert_string_equal(head, id);
}

/* --- the manifest -------------------------------------------------------- */

static void fill_all(struct ckpt_info *info)
{
    scratch_info(info, A1, "name", "web", UUID_1);
    memcpy(info->parent, A2, sizeof(info->parent));
    free(info->description);
    info->description = strdup("\"quoted\"\nand é");
    info->created_unix_us = -7;
    info->has_memory = true;
    info->consistency = CKPT_CONSISTENCY_GUEST_SUSPENDED;
    info->memory_bytes = INT64_MAX;
    info->stored_bytes = 2;
    info->pages_stored = 3;
    info->pages_zero = 4;
    info->pages_in_pause = 5;
    info->capture = (struct ckpt_capture){
        .ring_bytes = 11,
        .hypercalls = 12,
        .pages_by_write = 13,
        .pages_by_read = 14,
        .copied_bytes = 15,
        .waits = 16,
        .waits_us = INT64_MAX,
    };
    info->passes = UINT32_MAX;
    info->pause_us = 7;
    info->pause_disks_us = 8;
    info->still_us = 9;
    info->durable_us = 10;
    info->disks = calloc(2, sizeof(*info->disks));
    info->nr_disks = 2;
    info->disks[0] = (struct ckpt_disk){
        .vdev = strdup("xvda"),
        .driver = strdup("lvmthin"),
        .target = strdup("/dev/vg/web"),
        .snapshot = strdup("vg/web-ckpt"),
        .size_bytes = 1 << 30,
    };
    info->disks[1] = (struct ckpt_disk){
        .vdev = strdup("hdc"),
        .driver = strdup("none"),
        .target = strdup(""),
        .why_none = strdup("cdrom"),
    };
}

static void a_manifest_holds_all_that_is_known(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info a, b;
    char *text, *again;

    fill_all(&a);
    assert_int_equal(checkpoint_to_json(w->c, &a, &text), 0);
    assert_int_equal(checkpoint_from_json(w->c, "m", text, &b), 0);
    assert_string_equal(b.description, a.description);
    assert_string_equal(b.parent, A2);
    assert_int_equal(b.memory_bytes, INT64_MAX);
    assert_int_equal(b.passes, UINT32_MAX);
    assert_int_equal(b.created_unix_us, -7);
    assert_int_equal(b.consistency, CKPT_CONSISTENCY_GUEST_SUSPENDED);
    assert_true(b.has_memory);
    assert_memory_equal(&b.capture, &a.capture, sizeof(a.capture));
    assert_int_equal(b.nr_disks, 2);
    assert_null(b.disks[0].why_none);
    assert_null(b.disks[1].snapshot);
    assert_string_equal(b.disks[1].why_none, "cdrom");
    assert_int_equal(checkpoint_to_json(w->c, &b, &again), 0);
    assert_string_equal(text, again);
    free(text);
    free(again);
    ckpt_info_fini(&a);
    ckpt_info_fini(&b);
}

static void what_cannot_be_read_is_not_written(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info a;
    char *text = NULL;

    fill_all(&a);
    memset(a.id, 'X', CKPT_ID_LEN);
    assert_int_equal(checkpoint_to_json(w->c, &a, &text), -EINVAL);
    memcpy(a.id, A1, CKPT_ID_LEN);
    free(a.description);
    a.description = strdup("\xff");
    assert_int_equal(checkpoint_to_json(w->c, &a, &text), -EINVAL);
    assert_non_null(strstr(ckpt_error(w->c), "description"));
    assert_null(text);
    ckpt_info_fini(&a);
}

/* Puts @to where @from stands in a good manifest. */
static int read_changed(struct scratch_world *w, const char *from, const char *to)
{
    struct ckpt_info a, b;
    char *text, *changed, *at;
    int rc;

    fill_all(&a);
    assert_int_equal(checkpoint_to_json(w->c, &a, &text), 0);
    at = strstr(text, from);
    assert_non_null(at);
    assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to,
                         at + strlen(from)) > 0);
    rc = checkpoint_from_json(w->c, "the manifest", changed, &b);
    if (!rc)
        ckpt_info_fini(&b);
    assert_null(b.disks);
    free(changed);
    free(text);
    ckpt_info_fini(&a);
    return rc;
}

static void a_manifest_is_read_strictly(void **state)
{
    /* clang-format off */
    static const struct { const char *from, *to, *words; } bad[] = {
        { "\"version\": 1",   "\"version\": 2",        "version 2"    },
        { "\"version\": 1",   "\"version\": \"1\"",    "version"      },
        { "\"version\": 1,",  "",                      "version"      },
        { "\"mandatory\": [", "\"mandatory\": [\"zap\"", "\"zap\""    },
        { A1,                 "a1a100000000000",       "\"id\""       },
        { A1,                 "A1A1000000000001",      "\"id\""       },
        { A2,                 "../../../../etc/x",     "\"parent\""   },
        { UUID_1,             "11111111-1111",         "domain_uuid"  },
        { "\"name\": \"name\"", "\"name\": \"\"",      "\"name\""     },
        { "\"name\": \"name\"", "\"name\": 1",         "\"name\""     },
        { "guest-suspended",  "guest",                 "consistency"  },
        { "\"passes\": 4294967295", "\"passes\": 4294967296", "passes" },
        { "\"pause_us\": 7",  "\"pause_us\": -7",      "pause_us"     },
        { "\"pause_us\": 7",  "\"pause_us\": 7.0",     "pause_us"     },
        { "\"has_memory\": true", "\"has_memory\": 1", "has_memory"   },
        { "\"vdev\": \"xvda\",", "",                   "vdev"         },
        { "\"snapshot\": \"vg/web-ckpt\"", "\"snapshot\": null", "snapshot" },
        { "\"waits\": 16,",    "",                      "waits"        },
        { "\"waits\": 16",     "\"waits\": -1",         "waits"        },
        { "\"capture\": {",    "\"capture\": 7, \"x\": {", "capture"  },
        { "\"disks\": [",     "\"disks\": [7,",        "vdev"         },
        { "\"disks\"",        "\"discs\"",             "disks"        },
    };
    /* clang-format on */
    struct scratch_world *w = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(read_changed(w, bad[i].from, bad[i].to), -EUCLEAN);
        assert_non_null(strstr(ckpt_error(w->c), "the manifest: "));
        assert_non_null(strstr(ckpt_error(w->c), bad[i].words));
    }
}

static void what_is_new_and_not_mandatory_is_ignored(void **state)
{
    struct scratch_world *w = *state;

    assert_int_equal(
        read_changed(w, "\"version\": 1", "\"colour\": [{}], \"version\": 1"),
        0);
}

static void ids_differ(void **state)
{
    struct scratch_world *w = *state;
    char a[CKPT_ID_LEN + 1], b[CKPT_ID_LEN + 1];

    assert_int_equal(checkpoint_new_id(w->c, a), 0);
    assert_int_equal(checkpoint_new_id(w->c, b), 0);
    assert_int_equal(strspn(a, "0123456789abcdef"), CKPT_ID_LEN);
    assert_string_not_equal(a, b);
}

/* --- finding ------------------------------------------------------------- */

static void a_checkpoint_is_found_by_all_its_names(void **state)
{
    struct scratch_world *w = *state;

    assert_finds(w, NULL, A1, A1);
    assert_finds(w, NULL, "a3a3", A3);
    assert_finds(w, NULL, "A3A30", A3);
    assert_finds(w, NULL, "a1a2", A2);
    assert_finds(w, NULL, "web/base", A1);
    assert_finds(w, NULL, "db/base", B1);
    assert_finds(w, NULL, UUID_2 "/base", B1);
    assert_finds(w, NULL, "work", A2);
    assert_finds(w, UUID_1, "base", A1);
    assert_finds(w, UUID_2, "base", B1);
    assert_finds(w, UUID_1, "web/base", A1);
}

static void what_is_not_there_is_said_to_be(void **state)
{
    struct scratch_world *w = *state;

    assert_finds_none(w, NULL, "nothing", -ENOENT, "\"nothing\"");
    assert_finds_none(w, NULL, "a3a", -ENOENT, "a3a"); /* too short */
    assert_finds_none(w, NULL, "", -ENOENT, "\"\"");
    assert_finds_none(w, NULL, "/", -ENOENT, "\"/\"");
    assert_finds_none(w, NULL, "/base", -ENOENT, "/base");
    assert_finds_none(w, NULL, "mail/base", -ENOENT, "mail/base");
    assert_finds_none(w, NULL, "ffffffffffffffff", -ENOENT, "ffff");
    assert_finds_none(w, UUID_1, B2, -ENOENT, "is of domain db");
    assert_finds_none(w, UUID_1, "fork", -ENOENT, "is of domain db");
    assert_finds_none(w, NULL, NULL, -EINVAL, "named");
}

static void what_may_be_several_lists_them(void **state)
{
    struct scratch_world *w = *state;

    assert_finds_none(w, NULL, "base", -EINVAL, A1 " (web/base)");
    assert_non_null(strstr(ckpt_error(w->c), B1 " (db/base)"));
    add(w, "a1a2ff0000000000", "", "more", UUID_2, 60);
    assert_finds_none(w, NULL, "a1a2", -EINVAL, A2);
    assert_finds(w, NULL, "a1a2f", "a1a2ff0000000000");
    assert_finds(w, UUID_1, "a1a2", A2);
}

static void an_id_wins_over_a_name(void **state)
{
    struct scratch_world *w = *state;

    add(w, "ffff000000000001", "", A1, UUID_2, 60); /* named like an id */
    add(w, "ffff000000000002", "", "b1b1", UUID_1, 61);
    assert_finds(w, NULL, A1, A1);
    assert_finds_none(w, NULL, "b1b1", -EINVAL, "by its id");
    assert_finds(w, NULL, "web/b1b1", "ffff000000000002");
}

static void without_a_word_it_is_the_latest(void **state)
{
    struct scratch_world *w = *state;

    assert_finds(w, UUID_1, NULL, A3);
    assert_finds(w, UUID_2, NULL, B2);
    assert_finds_none(w, "33333333-3333-3333-3333-333333333333", NULL, -ENOENT,
                      "no checkpoint");
}

static void a_damaged_manifest_hides_only_its_own(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info *list;
    struct pack_head h;
    size_t nr;

    scratch_pack_head(w->dir, A2, &h);
    scratch_flip(scratch_pack(w->dir, A2), (long)h.manifest.offset + 100);
    assert_int_equal(checkpoint_list(w->c, &list, &nr), 0);
    assert_int_equal(nr, 4);
    ckpt_list_free(list, nr);
    assert_finds(w, NULL, "web/base", A1);
    assert_finds_none(w, NULL, A2, -EUCLEAN, "manifest");
    assert_parent(w, A3, A2); /* damaged, but there */
}

static void a_manifest_in_the_wrong_place_is_noticed(void **state)
{
    struct scratch_world *w = *state;
    char *text;

    assert_int_equal(store_manifest(w->c->store, A1, &text), 0);
    assert_int_equal(store_set_manifest(w->c->store, A3, text), 0);
    free(text);
    assert_finds_none(w, NULL, A3, -EUCLEAN, "another checkpoint");
}

/* --- names --------------------------------------------------------------- */

static void names_are_held_to_the_rules(void **state)
{
    static const char *const bad[] = {
        "",
        "-x",
        ".x",
        "a b",
        "a/b",
        "é",
        "a\n",
        "12345678901234567890123456789012345678901234567890123456789012345",
    };
    struct scratch_world *w = *state;

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(checkpoint_name_check(w->c, UUID_1, bad[i]), -EINVAL);
    assert_int_equal(checkpoint_name_check(w->c, UUID_1, "20261121-0045.x_Y"),
                     0);
    assert_int_equal(checkpoint_name_check(w->c, UUID_1, "base"), -EEXIST);
    assert_non_null(strstr(ckpt_error(w->c), A1));
    assert_int_equal(checkpoint_name_check(w->c, UUID_1, "fork"), 0);
}

/* --- the tree ------------------------------------------------------------ */

static void a_list_is_in_order_of_time_with_heads_marked(void **state)
{
    static const char *const order[] = {A1, B1, A2, A3, B2};
    struct scratch_world *w = *state;
    struct ckpt_info *list;
    size_t nr;

    assert_int_equal(checkpoint_list(w->c, &list, &nr), 0);
    assert_int_equal(nr, 5);
    for (unsigned i = 0; i < nr; i++) {
        assert_string_equal(list[i].id, order[i]);
        assert_int_equal(list[i].is_head, !strcmp(list[i].id, A2));
    }
    ckpt_list_free(list, nr);
}

static void children_of_the_removed_go_to_its_parent(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info info;

    assert_int_equal(checkpoint_set_head(w->c, UUID_2, A2), 0);
    assert_int_equal(checkpoint_find(w->c, NULL, A2, &info), 0);
    assert_int_equal(checkpoint_remove(w->c, &info), 0);
    ckpt_info_fini(&info);
    assert_parent(w, A3, A1);
    assert_parent(w, B2, A1);
    assert_parent(w, B1, A1);
    assert_head(w, UUID_1, A1);
    assert_head(w, UUID_2, A1);
    assert_finds_none(w, NULL, "work", -ENOENT, "work");

    assert_int_equal(checkpoint_find(w->c, NULL, A1, &info), 0);
    assert_int_equal(checkpoint_remove(w->c, &info), 0);
    assert_int_equal(checkpoint_remove(w->c, &info), -ENOENT);
    ckpt_info_fini(&info);
    assert_parent(w, A3, "");
    assert_head(w, UUID_1, "");
}

static void a_busy_domains_head_is_left_and_read_as_none(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt *other = scratch_open(w->dir);
    struct store_lock *l;
    struct ckpt_info info;

    assert_int_equal(checkpoint_set_head(w->c, UUID_2, A2), 0);
    assert_int_equal(store_lock(other->store, UUID_2, &l, NULL), 0);
    assert_int_equal(checkpoint_find(w->c, NULL, A2, &info), 0);
    assert_int_equal(checkpoint_remove(w->c, &info), 0);
    ckpt_info_fini(&info);
    assert_head(w, UUID_1, A1);
    assert_head(w, UUID_2, "");
    store_unlock(l);
    ckpt_close(other);
}

static void without_its_parent_a_checkpoint_is_a_root(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info *list;
    size_t nr;

    assert_int_equal(store_drop(w->c->store, A1, NULL), 0);
    assert_parent(w, A2, "");
    assert_parent(w, A3, A2);
    assert_int_equal(checkpoint_list(w->c, &list, &nr), 0);
    assert_string_equal(list[0].id, B1);
    assert_string_equal(list[0].parent, "");
    ckpt_list_free(list, nr);
}

static void a_head_can_be_taken_away(void **state)
{
    struct scratch_world *w = *state;

    assert_head(w, UUID_1, A2);
    assert_head(w, UUID_2, "");
    assert_int_equal(checkpoint_set_head(w->c, UUID_1, ""), 0);
    assert_head(w, UUID_1, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_manifest_holds_all_that_is_known),
        T(what_cannot_be_read_is_not_written),
        T(a_manifest_is_read_strictly),
        T(what_is_new_and_not_mandatory_is_ignored),
        T(ids_differ),
        T(a_checkpoint_is_found_by_all_its_names),
        T(what_is_not_there_is_said_to_be),
        T(what_may_be_several_lists_them),
        T(an_id_wins_over_a_name),
        T(without_a_word_it_is_the_latest),
        T(a_damaged_manifest_hides_only_its_own),
        T(a_manifest_in_the_wrong_place_is_noticed),
        T(names_are_held_to_the_rules),
        T(a_list_is_in_order_of_time_with_heads_marked),
        T(children_of_the_removed_go_to_its_parent),
        T(a_busy_domains_head_is_left_and_read_as_none),
        T(without_its_parent_a_checkpoint_is_a_root),
        T(a_head_can_be_taken_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
