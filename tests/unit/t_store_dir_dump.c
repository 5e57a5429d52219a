/* SPDX-License-Identifier: LGPL-2.1-only */
/* What is said of a pack as it lies, good and damaged. */
#include "ckpt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "fake/scratch.h"
#include "store.h"
#include "store_format.h"

#define ID "00000000000000aa"
#define NR 40u

static char all[4 << 20];
static size_t len;
static unsigned nr_damaged;

static void take_line(void *arg, const char *line)
{
    const char *s;

    (void)arg;
    for (s = line; *s; s++)
        assert_true((unsigned char)*s >= ' ' && (unsigned char)*s < 0x7f);
    nr_damaged += strstr(line, ": DAMAGED: ") != NULL;
    len += (size_t)snprintf(all + len, sizeof(all) - len, "%s\n", line);
    assert_true(len < sizeof(all));
}

static int dump(struct scratch_world *w, const char *word)
{
    len = nr_damaged = 0;
    all[0] = '\0';
    return ckpt_dump(w->c, word, take_line, NULL);
}

static void assert_said(const char *text)
{
    if (!strstr(all, text))
        print_error("no \"%s\" in:\n%s", text, all);
    assert_non_null(strstr(all, text));
}

static void a_sound_pack_is_good_all_over(void **state)
{
    struct scratch_world *w = *state;

    scratch_image_sparse(w->c, ID, NR);
    assert_int_equal(dump(w, ID), 0);
    assert_int_equal(nr_damaged, 0);
    assert_said("pack checkpoints/" ID ".00000001");
    assert_said("blob state at ");
    assert_said("  node 0, level 1: 0:00000001/1 2:00000001/2");
    assert_said("  page 40, sum ");
    assert_null(strstr(all, "page 41"));
    assert_int_equal(dump(w, ID ".00000001"), 0);
    assert_int_equal(dump(w, ID ".00000002"), -ENOENT);
    assert_int_equal(dump(w, "00000000000000ab"), -ENOENT);
    assert_int_equal(dump(w, ID "."), -EINVAL);
    assert_int_equal(dump(w, ID ".zzzzzzzz"), -EINVAL);
}

/* One octet is turned over: what it belongs to is said to be damaged, and
 * nothing else is. */
static void damage_is_told_where_it_is(void **state)
{
    struct scratch_world *w = *state;
    struct pack_head h;
    char path[300];

    scratch_image_sparse(w->c, ID, NR);
    scratch_pack_head(w->dir, ID, &h);
    snprintf(path, sizeof(path), "%s", scratch_pack(w->dir, ID));
    const struct {
        uint64_t at;
        const char *says;
    } pieces[] = {
        {h.nodes_block * 4096 + 300, "nodes, block 0: DAMAGED: checksum"},
        {h.sums_block * 4096 + 8, "sums, block 0: DAMAGED: checksum"},
        {7 * 4096 + 100, "  page 7, sum "},
        {h.manifest.offset, "manifest at "},
        {h.blobs[0].offset, "blob state at "},
        {600, "id 00000000000000aa, number 00000001: DAMAGED: checksum of the "
              "head"},
    };

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        scratch_flip(path, (long)pieces[i].at);
        assert_int_equal(dump(w, ID), 0);
        assert_said(pieces[i].says);
        if (nr_damaged != 1)
            print_error("%s: %u\n%s", pieces[i].says, nr_damaged, all);
        assert_int_equal(nr_damaged, 1);
        scratch_flip(path, (long)pieces[i].at);
    }
}

/* Whatever its head says of where things are. */
static void any_head_is_survived(void **state)
{
    struct scratch_world *w = *state;
    struct pack_head h;
    char path[300];
    FILE *f;

    scratch_image_sparse(w->c, ID, NR);
    snprintf(path, sizeof(path), "%s", scratch_pack(w->dir, ID));
    for (unsigned at = 8; at < 400; at += 4) {
        scratch_flip(path, (long)at + 3);
        assert_int_equal(dump(w, ID), 0);
        assert_true(nr_damaged > 0);
        scratch_flip(path, (long)at + 3);
    }
    scratch_pack_head(w->dir, ID, &h);
    h.nr_nodes = h.nr_pages = h.nodes_block = UINT64_MAX;
    h.manifest.len_bytes = UINT64_MAX;
    memset(h.blobs[0].name, '\x1b', sizeof(h.blobs[0].name));
    f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fwrite(&h, 1, sizeof(h), f), sizeof(h));
    fclose(f);
    assert_int_equal(dump(w, ID), 0);
    assert_said("blob \\x1b\\x1b");
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(dump(w, ID), 0);
    assert_said("head: DAMAGED: ");
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_sound_pack_is_good_all_over),
        T(damage_is_told_where_it_is),
        T(any_head_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
