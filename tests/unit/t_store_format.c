/* SPDX-License-Identifier: LGPL-2.1-only */
/* Packs whose checksums are right and whose content is not: made, not
 * damaged. */
#include "store_group.h"

#include <string.h>

#include "unit.h"

#include "pack_sum.h"

static struct pack_head h;
static struct node_block nodes;
static struct sums_block sums;
static uint64_t file_bytes;

/* 3 pages, 2 nodes, a blob: blocks 1-3, 4, 5, and 6 for blob and manifest. */
static int setup(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    memset(&nodes, 0, sizeof(nodes));
    memset(&sums, 0, sizeof(sums));
    memcpy(h.magic, PACK_MAGIC, sizeof(h.magic));
    memcpy(h.id, "00000000000000aa", sizeof(h.id));
    h.version = PACK_VERSION;
    h.sum_kind = SUM_XXH3;
    h.number = 7;
    h.height = 2;
    h.root = ref_make(7, 1);
    h.nr_gfns = 200;
    h.nr_stored = 3;
    h.nr_zero = 10;
    h.nr_pages = 3;
    h.nr_nodes = 2;
    h.nodes_block = 4;
    h.sums_block = 5;
    h.file_blocks = 7;
    h.nr_blobs = 1;
    memcpy(h.blobs[0].name, "state", 5);
    h.blobs[0].offset = 6 * 4096;
    h.blobs[0].len_bytes = 10;
    h.manifest.offset = 6 * 4096 + 16;
    h.manifest.len_bytes = 100;
    nodes.nr = 2;
    nodes.level[0] = 1;
    nodes.level[1] = 2;
    nodes.node[0].ref[3] = ref_make(7, 1);
    nodes.node[0].ref[4] = REF_PRESENT | REF_ZERO;
    nodes.node[1].ref[0] = ref_make(7, 0);
    file_bytes = 7 * 4096;
    return 0;
}

static const char *check_head(void)
{
    pack_head_seal(&h);
    return pack_head_check(&h, file_bytes);
}

static const char *check_nodes(void)
{
    node_block_seal(&h, &nodes, 0);
    return node_block_check(&h, &nodes, 0);
}

static void a_sound_pack_is_sound(void **state)
{
    (void)state;
    assert_null(check_head());
    assert_null(check_nodes());
    sums_block_seal(&h, &sums, 0);
    assert_null(sums_block_check(&h, &sums, 0));
    /* One of nothing but its manifest, too. */
    h.height = 0;
    h.root = h.nr_gfns = h.nr_stored = h.nr_zero = 0;
    h.nr_pages = h.nr_nodes = 0;
    assert_null(check_head());
}

#define REFUSED(change)                                                        \
    do {                                                                       \
        setup(NULL);                                                           \
        change;                                                                \
        assert_non_null(check_head());                                         \
    } while (0)

static void the_future_is_refused(void **state)
{
    (void)state;
    REFUSED(h.version = 3);
    REFUSED(h.mandatory = 1u << 31);
    REFUSED(h.sum_kind = 3);
    setup(NULL);
    h.optional = 1u << 31;
    assert_null(check_head());
}

static void nothing_leads_out_of_the_file(void **state)
{
    (void)state;
    REFUSED(h.nr_pages = 7);
    REFUSED(h.nr_pages = UINT64_MAX);
    REFUSED(h.nodes_block = 7);
    REFUSED(h.nodes_block = 0);
    REFUSED(h.nodes_block = UINT64_MAX);
    REFUSED(h.nr_nodes = 200);
    REFUSED(h.sums_block = 7);
    REFUSED(h.blobs[0].offset = 7 * 4096 - 9);
    REFUSED(h.blobs[0].offset = UINT64_MAX - 5);
    REFUSED(h.blobs[0].len_bytes = UINT64_MAX);
    REFUSED(h.manifest.len_bytes = 4097);
    REFUSED(h.nr_blobs = 65);
    REFUSED(file_bytes = 8 * 4096);
    REFUSED(file_bytes--);
    REFUSED(h.file_blocks = 0; file_bytes = 0);
}

static void counts_and_root_must_agree(void **state)
{
    (void)state;
    REFUSED(h.height = 10);
    REFUSED(h.height = 0);
    REFUSED(h.root = 0);
    REFUSED(h.root |= REF_ZERO);
    REFUSED(h.root = ref_make(0, 1));
    REFUSED(h.nr_gfns = 257);
    REFUSED(h.nr_stored = 191);
    REFUSED(h.nr_zero = UINT64_MAX);
    REFUSED(h.number = 0);
    REFUSED(h.number = PACK_NUMBER_MAX + 1);
    REFUSED(h.id[3] = 'A');
    REFUSED(h.id[15] = 0);
    REFUSED(h.groups_block = 1);
    REFUSED(h.codec = 1);
    REFUSED(h.zero[100] = 1);
}

/* The groups' lengths lie in the file, and no group is longer than its pages. */
static void a_compressed_pack_has_lengths(void **state)
{
    struct groups_block b = {.sum = 0};

    (void)state;
    setup(NULL);
    h.mandatory = PACK_COMPRESSED;
    h.codec = PACK_CODEC_ZSTD;
    h.groups_block = 6;
    assert_null(check_head());
    h.groups_block = 7;
    assert_non_null(check_head());
    h.groups_block = 0;
    assert_non_null(check_head());
    h.groups_block = 6;
    h.codec = PACK_CODEC_ZSTD + 1;
    assert_non_null(check_head());

    b.bytes[0] = (pack_group_pages(&h, 0) - 1) * 4096;
    groups_block_seal(&h, &b, 0);
    assert_null(groups_block_check(&h, &b, 0));
    b.bytes[0]++;
    groups_block_seal(&h, &b, 0);
    assert_non_null(groups_block_check(&h, &b, 0));
    b.bytes[0] = 0;
    b.bytes[pack_nr_groups(&h)] = 1; /* there is no such group */
    groups_block_seal(&h, &b, 0);
    assert_non_null(groups_block_check(&h, &b, 0));
    b.bytes[pack_nr_groups(&h)] = 0;
    groups_block_seal(&h, &b, 1);
    assert_non_null(groups_block_check(&h, &b, 0));
}

static void a_blobs_name_is_no_path(void **state)
{
    (void)state;
    REFUSED(memcpy(h.blobs[0].name, "../a", 4));
    REFUSED(memset(h.blobs[0].name, 0, 32));
    REFUSED(h.blobs[0].name[20] = 'x');
    REFUSED(h.blobs[1].name[0] = 'x'); /* after the last */
    REFUSED(h.manifest.name[0] = 'm');
}

static void a_reference_leads_to_what_can_be(void **state)
{
    static const store_ref bad_pages[] = {
        1,                                           /* not present */
        REF_PRESENT,                                 /* no pack */
        REF_PRESENT | REF_ZERO | 5,                  /* zero, and somewhere */
        REF_PRESENT | UINT64_C(1) << 32,             /* place 0 */
        UINT64_C(0xf) << 60 | REF_PRESENT | REF_ZERO,  /* absent, present */
        (UINT64_C(0xd) << 60) | REF_PRESENT | UINT64_C(1) << 32 | 1, /* broken */
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad_pages) / sizeof(bad_pages[0]); i++) {
        setup(NULL);
        nodes.node[0].ref[9] = bad_pages[i];
        assert_non_null(check_nodes());
    }
    setup(NULL);
    nodes.node[1].ref[5] = UINT64_C(1) << 60 | ref_make(7, 0); /* a type */
    assert_non_null(check_nodes());
}

static void a_block_is_good_in_its_place_only(void **state)
{
    (void)state;
    node_block_seal(&h, &nodes, 0);
    assert_non_null(node_block_check(&h, &nodes, 1));
    h.number = 8;
    assert_non_null(node_block_check(&h, &nodes, 0));
    setup(NULL);
    nodes.nr = 1;
    assert_non_null(check_nodes());
    setup(NULL);
    nodes.level[1] = 0;
    assert_non_null(check_nodes());
    setup(NULL);
    nodes.level[1] = 10;
    assert_non_null(check_nodes());
    sums_block_seal(&h, &sums, 0);
    assert_non_null(sums_block_check(&h, &sums, 1));
    h.number = 8;
    assert_non_null(sums_block_check(&h, &sums, 0));
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_sound_pack_is_sound),
        T(the_future_is_refused),
        T(nothing_leads_out_of_the_file),
        T(counts_and_root_must_agree),
        T(a_compressed_pack_has_lengths),
        T(a_blobs_name_is_no_path),
        T(a_reference_leads_to_what_can_be),
        T(a_block_is_good_in_its_place_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
