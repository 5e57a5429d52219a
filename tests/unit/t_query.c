/* SPDX-License-Identifier: LGPL-2.1-only */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "checkpoint.h"
#include "ctx.h"
#include "fake/scratch.h"
#include "store_format.h"
#include "store.h"

#define UUID_1 "11111111-1111-1111-1111-111111111111"
#define ID "00000000000000aa"
#define ID_DISKS "00000000000000bb"
#define NR 500u

static int setup(void **state)
{
    struct scratch_world *w;
    struct ckpt_info info;
    struct image *img;
    char *text;

    scratch_setup(state);
    w = *state;
    scratch_info(&info, ID, "whole", "web", UUID_1);
    info.has_memory = true;
    assert_int_equal(checkpoint_to_json(w->c, &info, &text), 0);
    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    for (unsigned i = 0; i < NR; i++)
        assert_int_equal(scratch_put(img, i, i), 0);
    assert_int_equal(image_put_blob(img, "state", "abc", 3), 0);
    assert_int_equal(image_commit(img, text), 0);
    free(text);
    ckpt_info_fini(&info);
    scratch_info(&info, ID_DISKS, "disks", "db",
                 "22222222-2222-2222-2222-222222222222");
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
    return 0;
}

static void a_list_can_be_of_one_domain(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info *list;
    size_t nr;

    assert_int_equal(ckpt_list(w->c, NULL, &list, &nr), 0);
    assert_int_equal(nr, 2);
    ckpt_list_free(list, nr);
    assert_int_equal(ckpt_list(w->c, "db", &list, &nr), 0);
    assert_int_equal(nr, 1);
    assert_string_equal(list[0].id, ID_DISKS);
    ckpt_list_free(list, nr);
    assert_int_equal(ckpt_list(w->c, UUID_1, &list, &nr), 0);
    assert_int_equal(nr, 1);
    assert_string_equal(list[0].id, ID);
    ckpt_list_free(list, nr);
    assert_int_equal(ckpt_list(w->c, "nobody", &list, &nr), 0);
    assert_int_equal(nr, 0);
    ckpt_list_free(list, nr);
}

static void memory_is_read_frame_by_frame(void **state)
{
    struct scratch_world *w = *state;
    char page[CKPT_PAGE_SIZE], want[CKPT_PAGE_SIZE];
    ckpt_memory *m;

    assert_int_equal(ckpt_memory_open(w->c, "web/whole", &m), 0);
    assert_int_equal(ckpt_memory_nr_gfns(m), NR);
    for (unsigned i = 0; i < NR; i++) {
        assert_int_equal(ckpt_memory_read(m, i, page), 0);
        scratch_page(want, i);
        assert_memory_equal(page, want, sizeof(page));
    }
    for (unsigned i = 0; i < NR; i++) {
        uint64_t gfn = i;

        assert_int_equal(ckpt_memory_next(m, &gfn), 0);
        assert_int_equal(gfn, i);
    }
    for (uint64_t past = NR; past; past = past == NR ? UINT64_MAX : 0) {
        uint64_t gfn = past;

        assert_int_equal(ckpt_memory_next(m, &gfn), 0);
        assert_int_equal(gfn, NR);
    }
    assert_int_equal(ckpt_memory_read(m, NR, page), -ENOENT);
    assert_int_equal(ckpt_memory_read(m, UINT64_MAX, page), -ENOENT);
    ckpt_memory_close(m);
    ckpt_memory_close(NULL);
}

static void frames_without_memory_are_skipped(void **state)
{
    struct scratch_world *w = *state;
    struct image *img;
    uint64_t gfn = 0;
    unsigned nr = 0;

    scratch_image_sparse(w->c, "00000000000000cc", 40);
    assert_int_equal(image_open(w->c->store, "00000000000000cc", &img), 0);
    for (; !image_seek(img, &gfn) && gfn < image_nr_gfns(img); gfn++)
        assert_int_equal(gfn, 2 * nr++);
    assert_int_equal(nr, 40);
    assert_int_equal(gfn, image_nr_gfns(img));
    image_close(img);
}

static void disks_alone_have_no_memory(void **state)
{
    struct scratch_world *w = *state;
    ckpt_memory *m;

    assert_int_equal(ckpt_memory_open(w->c, "disks", &m), -EINVAL);
    assert_null(m);
    assert_int_equal(ckpt_memory_open(w->c, "nothing", &m), -ENOENT);
}

static void a_sound_checkpoint_verifies(void **state)
{
    struct ckpt_verify_result result;
    struct scratch_world *w = *state;

    assert_int_equal(ckpt_verify(w->c, "whole", &result), 0);
    assert_int_equal(result.pages_checked, NR);
    assert_int_equal(result.pages_bad, 0);
    assert_int_equal(ckpt_verify(w->c, "whole", NULL), 0);
    assert_int_equal(ckpt_verify(w->c, "disks", &result), 0);
    assert_string_equal(ckpt_error(w->c), "");
}

static void damage_is_counted_and_the_first_is_named(void **state)
{
    struct ckpt_verify_result result;
    struct scratch_world *w = *state;
    const char *pages = scratch_pack(w->dir, ID);

    /* Frame n is page n: frame 0 is zero and takes none. */
    scratch_flip(pages, 4096 * 100);
    scratch_flip(pages, 4096 * 101);
    scratch_flip(pages, 4096 * 300 + 4095);
    assert_int_equal(ckpt_verify(w->c, "whole", &result), -EUCLEAN);
    assert_int_equal(result.pages_bad, 3);
    assert_int_equal(result.pages_checked, NR);
    assert_int_equal(result.first_bad_gfn, 100);
    assert_non_null(strstr(ckpt_error(w->c), "frame 0x64"));
    assert_non_null(strstr(ckpt_error(w->c), ID));
}

/* A checkpoint built upon the first, with one frame more and one other. */
static void take_upon(struct ckpt *c, const char *id, uint64_t other)
{
    struct ckpt_info info;
    struct image *img;
    char *text;

    scratch_info(&info, id, id, "web", UUID_1);
    info.has_memory = true;
    assert_int_equal(checkpoint_to_json(c, &info, &text), 0);
    assert_int_equal(image_create(c->store, id, &img), 0);
    assert_int_equal(image_base(img, ID), 0);
    assert_int_equal(scratch_put(img, NR + 1, 123456), 0);
    assert_int_equal(scratch_put(img, other, 654321), 0);
    assert_int_equal(image_commit(img, text), 0);
    free(text);
    ckpt_info_fini(&info);
}

static void a_report_tells_what_is_lost_and_who_is_hit(void **state)
{
    static const char still[] = "00000000000000c1", not[] = "00000000000000c2";
    struct scratch_world *w = *state;
    struct ckpt_verify_report r;

    take_upon(w->c, still, 200);
    take_upon(w->c, not, 100); /* it has another page there */
    assert_int_equal(ckpt_verify_report(w->c, still, 100, &r), 0);
    assert_int_equal(r.nr_damaged, 0);
    assert_null(r.also_damaged);
    ckpt_verify_report_fini(&r);
    /* frame 0 is zero: the page of frame n is at place n */
    scratch_flip(scratch_pack(w->dir, ID), 100 * 4096 + 7);
    assert_int_equal(ckpt_verify_report(w->c, ID, 100, &r), -EUCLEAN);
    assert_int_equal(r.nr_damaged, 1);
    assert_non_null(strstr(r.damaged[0], "frame 0x64"));
    assert_int_equal(r.nr_lost, 1);
    assert_int_equal(r.lost[0].gfn, 100);
    assert_int_equal(r.lost[0].nr, 1);
    assert_string_equal(r.also_damaged[0], still);
    assert_null(r.also_damaged[1]);
    ckpt_verify_report_fini(&r);
    assert_int_equal(ckpt_verify_report(w->c, not, 100, &r), 0);
    ckpt_verify_report_fini(&r);
}

static void who_shares_a_damaged_node_is_hit(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_verify_report r;
    struct pack_head h;

    take_upon(w->c, "00000000000000c1", 200);
    scratch_pack_head(w->dir, ID, &h);
    scratch_flip(scratch_pack(w->dir, ID), (long)h.nodes_block * 4096 + 200);
    assert_int_equal(ckpt_verify_report(w->c, ID, 100, &r), -EUCLEAN);
    assert_true(r.nr_damaged > 0 && r.nr_lost > 0);
    assert_string_equal(r.also_damaged[0], "00000000000000c1");
    ckpt_verify_report_fini(&r);
}

static void a_disk_that_is_gone_fails_the_verify(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_verify_report r;
    struct ckpt_info info;

    scratch_info(&info, "00000000000000dd", "gone", "db", UUID_1);
    info.nr_disks = 1;
    info.disks = calloc(1, sizeof(*info.disks));
    info.disks[0] = (struct ckpt_disk){
        .vdev = strdup("xvda"), .driver = strdup("reflink"),
        .target = strdup("/nowhere"), .snapshot = strdup("/nowhere/at/all")};
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
    assert_int_equal(ckpt_verify_report(w->c, "gone", 100, &r), -EUCLEAN);
    assert_non_null(strstr(r.damaged[0], "disk xvda"));
    assert_int_equal(r.nr_lost, 0);
    ckpt_verify_report_fini(&r);
}

static void a_damaged_blob_fails_the_verify(void **state)
{
    struct ckpt_verify_result result;
    struct scratch_world *w = *state;
    struct pack_head h;

    scratch_pack_head(w->dir, ID, &h);
    scratch_flip(scratch_pack(w->dir, ID), (long)h.blobs[0].offset + 1);
    assert_int_equal(ckpt_verify(w->c, "whole", &result), -EUCLEAN);
    assert_int_equal(result.pages_bad, 0);
    assert_non_null(strstr(ckpt_error(w->c), "blob state"));
}

static void a_call_does_not_inherit_a_cancel(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_info info;

    /* Cancelled before is not cancelled: each call begins anew. */
    ckpt_cancel(w->c);
    assert_int_equal(ckpt_verify(w->c, "whole", NULL), 0);
    assert_int_equal(ckpt_find(w->c, "whole", &info), 0);
    ckpt_info_fini(&info);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_list_can_be_of_one_domain),
        T(memory_is_read_frame_by_frame),
        T(frames_without_memory_are_skipped),
        T(disks_alone_have_no_memory),
        T(a_sound_checkpoint_verifies),
        T(damage_is_counted_and_the_first_is_named),
        T(a_report_tells_what_is_lost_and_who_is_hit),
        T(who_shares_a_damaged_node_is_hit),
        T(a_disk_that_is_gone_fails_the_verify),
        T(a_damaged_blob_fails_the_verify),
        T(a_call_does_not_inherit_a_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
