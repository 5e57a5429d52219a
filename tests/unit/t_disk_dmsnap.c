/* SPDX-License-Identifier: LGPL-2.1-only */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"

#include "ctx.h"
#include "disk_dmsnap.h"

static struct ckpt c;

static void a_snapshot_is_a_file_with_its_devices_name(void **state)
{
    struct dmsnap_snapshot s;

    (void)state;
    assert_int_equal(dmsnap_split(&c, "/var/x/web.ckpt-0a1b-xvda", &s), 0);
    assert_string_equal(s.name, "web.ckpt-0a1b-xvda");
    assert_string_equal(s.origin_name, "web");
    assert_int_equal(dmsnap_split(&c, "/a.ckpt-1/b.ckpt-2.ckpt-3-sda", &s), 0);
    assert_string_equal(s.origin_name, "b.ckpt-2");
}

static void what_is_not_named_as_ours_is_left_alone(void **state)
{
    static const char *const bad[] = {
        "",
        "web.ckpt-1-xvda",
        "/x/web",
        "/x/web.ckpt-real",
        "/x/web.ckpt-1-",
        "/x/web.ckpt--xvda",
        "/x/web.ckpt-1-xvda/",
        "/x.ckpt-1-xvda/web",
        "/x/web.ckpt-1-../xvda",
    };
    struct dmsnap_snapshot s;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dmsnap_split(&c, bad[i], &s), -EPERM);
    assert_int_equal(dmsnap_split(&c, "/x/.ckpt-1-xvda", &s), -EINVAL);
    assert_int_equal(dmsnap_split(&c, "/x/a b.ckpt-1-xvda", &s), -EINVAL);
}

static void a_name_that_device_mapper_cannot_take_is_refused(void **state)
{
    char path[DM_NAME_MAX + 32] = "/x/", name[DM_NAME_MAX];
    struct dmsnap_snapshot s;

    (void)state;
    memset(path + 3, 'a', DM_NAME_MAX - 1 - strlen(".ckpt-1-xvda"));
    strcat(path, ".ckpt-1-xvda");
    assert_int_equal(dmsnap_split(&c, path, &s), 0);
    memmove(path + 4, path + 3, strlen(path + 3) + 1);
    assert_int_equal(dmsnap_split(&c, path, &s), -EINVAL);
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(dmsnap_join(&c, name, DMSNAP_REAL, path), -ENOTSUP);
    name[DM_NAME_MAX - sizeof(DMSNAP_REAL)] = '\0';
    assert_int_equal(dmsnap_join(&c, name, DMSNAP_REAL, path), 0);
}

/* The kernel puts a block at the next place that is not for the list, and the
 * part of the list after the last one is always there, too. */
static uint64_t chunks_for(uint64_t nr, uint64_t per_area)
{
    uint64_t next = 2;

    for (uint64_t i = 0; i < nr; i++) {
        next++;
        if (next % (per_area + 1) == 1)
            next++;
    }
    return (nr / per_area + 1) * (per_area + 1) + 2 > next
               ? (nr / per_area) * (per_area + 1) + 2
               : next;
}

static void a_file_has_room_for_every_block_of_the_disk(void **state)
{
    static const uint64_t sizes[] = {
        512,          4096,         16384,    16384 + 512,  1023 * 16384,
        1024 * 16384, 1025 * 16384, 64 << 20, 2048 * 16384, UINT64_C(5) << 30,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const unsigned sectors = dmsnap_chunk_sectors(sizes[i]);
        const uint64_t chunk = sectors * UINT64_C(512);
        const uint64_t nr = (sizes[i] + chunk - 1) / chunk;

        assert_int_equal(dmsnap_file_bytes(sizes[i], sectors) % chunk, 0);
        assert_true(dmsnap_file_bytes(sizes[i], sectors) / chunk >=
                    chunks_for(nr, chunk / 16));
        /* and no more than a hundredth beyond it */
        assert_true(dmsnap_file_bytes(sizes[i], sectors) <=
                    sizes[i] + sizes[i] / 100 + 6 * chunk);
    }
}

static void what_a_guest_can_make_the_kernel_remember_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(dmsnap_chunk_sectors(512), 32);
    assert_int_equal(dmsnap_chunk_sectors((UINT64_C(64) << 30) - 1), 32);
    assert_int_equal(dmsnap_chunk_sectors(UINT64_C(64) << 30), 64);
    for (uint64_t size = UINT64_C(1) << 30; size < UINT64_C(1) << 50; size *= 3)
        assert_true(size / 512 / dmsnap_chunk_sectors(size) < 1u << 22);
}

static void a_deed_that_is_not_understood_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "release",
        "release web x",
        "device web",
        "exchange",
        "settle web uuid",
        "settle web - relative/path",
        "remove x",
        "device a b /path",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(dmsnap_take_back(&c, bad[i]), -EINVAL);
}

static void its_folder_is_roots_alone(void **state)
{
    char dir[] = "/tmp/t_disk_dmsnap.XXXXXX", path[64], out[DISK_FILE_MAX];
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/new", dir);
    setenv("CKPT_DMSNAP_DIR", path, 1);
    assert_int_equal(dmsnap_folder(&c, out), 0);
    assert_string_equal(out, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(dmsnap_folder(&c, out), -EPERM);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof(path), "%s/no/way", dir);
    setenv("CKPT_DMSNAP_DIR", path, 1);
    assert_int_equal(dmsnap_folder(&c, out), -ENOENT);
    setenv("CKPT_DMSNAP_DIR", "relative", 1);
    assert_int_equal(dmsnap_folder(&c, out), -EINVAL);
    unsetenv("CKPT_DMSNAP_DIR");
    rmdir(dir);
}

static void a_table_is_told_by_its_type_and_origin(void **state)
{
    struct dmsnap_table t = {.type = "snapshot", .origin = makedev(254, 3)};

    (void)state;
    assert_true(dmsnap_is(&t, "snapshot", makedev(254, 3)));
    assert_false(dmsnap_is(&t, "snapshot", makedev(254, 4)));
    assert_false(dmsnap_is(&t, "snapshot-origin", makedev(254, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_is_a_file_with_its_devices_name),
        cmocka_unit_test(what_is_not_named_as_ours_is_left_alone),
        cmocka_unit_test(a_name_that_device_mapper_cannot_take_is_refused),
        cmocka_unit_test(a_file_has_room_for_every_block_of_the_disk),
        cmocka_unit_test(what_a_guest_can_make_the_kernel_remember_is_bounded),
        cmocka_unit_test(a_deed_that_is_not_understood_is_refused),
        cmocka_unit_test(its_folder_is_roots_alone),
        cmocka_unit_test(a_table_is_told_by_its_type_and_origin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
