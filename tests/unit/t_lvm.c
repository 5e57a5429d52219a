/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * lvm.h's promises with LVM's commands played by a script: lvs prints a
 * report that the test wrote, the others note their arguments.
 */
#include "lvm.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk.h"
#include "fake/scratch.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

#define UUID_A "aaaaaa-1111-2222-3333-4444-5555-666666"
#define UUID_B "bbbbbb-1111-2222-3333-4444-5555-666666"
#define ROW(name, uuid, tags)                                                  \
    "{\"vg_name\":\"vg0\",\"lv_name\":\"" name "\",\"lv_uuid\":\"" uuid        \
    "\",\"pool_lv\":\"pool\",\"lv_attr\":\"Vwi-a-t--k\",\"lv_tags\":\"" tags   \
    "\",\"lv_size\":\"1048576\",\"thin_id\":\"7\"}"
#define REPORT(rows) "{\"report\":[{\"lv\":[" rows "]}]}"

static struct ckpt c;
static char *dir;

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *f = fopen(scratch_path(dir, name), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(scratch_path(dir, name), mode), 0);
}

static int set_up(void **state)
{
    static const char *const commands[] = {"lvcreate", "lvrename", "lvremove",
                                           "lvchange"};
    char script[512], path[512];

    (void)state;
    memset(&c, 0, sizeof(c));
    dir = scratch_dir();
    snprintf(script, sizeof(script),
             "#!/bin/sh\necho \"${0##*/} $*\" >>%s/log\n", dir);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        write_file(commands[i], script, 0700);
    snprintf(script, sizeof(script),
             "#!/bin/sh\necho \"$*\" >>%s/asked\ncat %s/report\n", dir, dir);
    write_file("lvs", script, 0700);
    snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
    setenv("PATH", path, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

static void assert_file(const char *name, const char *expected)
{
    FILE *f = fopen(scratch_path(dir, name), "r");
    char text[2048] = "";
    size_t n = 0;

    if (f) {
        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
    }
    text[n] = '\0';
    assert_string_equal(text, expected);
}

/* --- reports --------------------------------------------------------------- */

static void a_report_is_read(void **state)
{
    const char *names[] = {"web", "db", NULL};
    const struct lvm_volume *v;
    struct lvm_list l;

    (void)state;
    write_file(
        "report",
        REPORT(ROW("web", UUID_A, "one,xen-ckpt") "," ROW("pool", UUID_B, "")),
        0600);
    assert_int_equal(lvm_list(&c, "vg0", names, &l), 0);
    assert_int_equal(l.nr, 2);
    assert_null(lvm_in(&l, "db"));
    v = lvm_in(&l, "web");
    assert_non_null(v);
    assert_string_equal(v->vg, "vg0");
    assert_string_equal(v->uuid, UUID_A);
    assert_string_equal(v->pool, "pool");
    assert_int_equal(v->thin_id, 7);
    assert_int_equal(v->size_bytes, 1048576);
    assert_int_equal(v->attr[9], 'k');
    lvm_list_fini(&l);
    assert_int_equal(l.nr, 0);
    assert_file("asked",
                "-a --reportformat json --units b --nosuffix -o vg_name,"
                "lv_name,lv_uuid,pool_lv,lv_attr,lv_tags,lv_size,thin_id -S "
                "segtype=\"thin-pool\" || lv_name=\"web\" || lv_name=\"db\" "
                "-- vg0\n");
}

static void an_empty_report_is_no_error(void **state)
{
    const char *names[] = {"web", NULL};
    struct lvm_list l;

    (void)state;
    write_file("report", REPORT(""), 0600);
    assert_int_equal(lvm_list(&c, "vg0", names, &l), 0);
    assert_int_equal(l.nr, 0);
    lvm_list_fini(&l);
}

static void what_is_no_report_is_refused(void **state)
{
    static const char *const reports[] = {
        "",
        "{",
        "[]",
        "{\"report\":[]}",
        "{\"report\":[{\"vg\":[]}]}",
        "{\"report\":\"lv\"}",
        REPORT("{}"),
        REPORT("7"),
        REPORT(ROW("a b", UUID_A, "")),
        REPORT(ROW("-f", UUID_A, "")),
        REPORT(ROW("web", "short", "")),
        REPORT("{\"vg_name\":\"vg0\",\"lv_name\":\"a\",\"lv_uuid\":\"" UUID_A
               "\",\"lv_attr\":\"Vwi-a-t--k\",\"thin_id\":\"4294967296\"}"),
        REPORT("{\"vg_name\":\"vg0\",\"lv_name\":\"a\",\"lv_uuid\":\"" UUID_A
               "\",\"lv_attr\":\"Vwi-a-t--k\",\"lv_size\":\"1,5g\"}"),
    };
    const char *names[] = {"web", NULL};
    struct lvm_list l;

    (void)state;
    for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
        write_file("report", reports[i], 0600);
        if (lvm_list(&c, "vg0", names, &l) != -EIO)
            fail_msg("%s", reports[i]);
        assert_int_equal(l.nr, 0);
        lvm_list_fini(&l);
    }
}

static void tags_match_whole(void **state)
{
    struct lvm_volume v = {.tags = "one,xen-ckpt,two"};

    (void)state;
    assert_true(lvm_has_tag(&v, "one"));
    assert_true(lvm_has_tag(&v, "xen-ckpt"));
    assert_true(lvm_has_tag(&v, "two"));
    assert_false(lvm_has_tag(&v, "xen"));
    assert_false(lvm_has_tag(&v, "xen-ckpt,two"));
    assert_false(lvm_has_tag(&v, ""));
    strcpy(v.tags, "xen-ckpt2");
    assert_false(lvm_has_tag(&v, "xen-ckpt"));
}

/* --- names ----------------------------------------------------------------- */

static void a_path_is_two_names_of_lvm(void **state)
{
    static const char *const bad[] = {"",        "vg0",     "vg0/",   "/lv",
                                      "a/b/c",   "vg0/a b", "vg0/-f", "-f/lv",
                                      "vg0/a\"", "vg0/a|b"};
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], longest[400];

    (void)state;
    assert_int_equal(lvm_split(&c, "vg0/ckpt-1_2.3+4", vg, lv), 0);
    assert_string_equal(vg, "vg0");
    assert_string_equal(lv, "ckpt-1_2.3+4");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(lvm_split(&c, bad[i], vg, lv), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    longest[3] = '/';
    assert_int_equal(lvm_split(&c, longest, vg, lv), -EINVAL);
    longest[3] = 'x';
    longest[200] = '/';
    assert_int_equal(lvm_split(&c, longest, vg, lv), -EINVAL);
}

static void names_that_are_none_never_reach_a_command(void **state)
{
    const char *names[] = {"a\" || lv_name!=\"", NULL};
    struct lvm_list l;

    (void)state;
    assert_int_equal(lvm_list(&c, "vg0", names, &l), -EINVAL);
    assert_int_equal(lvm_snapshot(&c, "vg0", "web", "--force", NULL, 0),
                     -EINVAL);
    assert_int_equal(lvm_rename(&c, "vg0", "a", "b/c"), -EINVAL);
    assert_int_equal(lvm_remove(&c, "vg0", "a", "\" || 1"), -EINVAL);
    assert_file("log", "");
    assert_file("asked", "");
}

/* --- changes --------------------------------------------------------------- */

static void a_hidden_snapshot_is_read_only_and_inactive(void **state)
{
    (void)state;
    assert_int_equal(lvm_snapshot(&c, "vg0", "web", "s", NULL, LVM_SNAP_HIDDEN),
                     0);
    assert_file("log", "lvcreate -y -s -n s --addtag xen-ckpt "
                       "--setactivationskip y -pr -an -- vg0/web\n");
}

static void a_copy_takes_over_the_tags(void **state)
{
    (void)state;
    assert_int_equal(lvm_snapshot(&c, "vg0", "s", "n", "one,two", 0), 0);
    assert_int_equal(lvm_snapshot(&c, "vg0", "s", "n", "", LVM_SNAP_SKIPPED),
                     0);
    assert_file("log", "lvcreate -y -s -n n --addtag xen-ckpt --addtag one "
                       "--addtag two --setactivationskip n -ay "
                       "--ignoreactivationskip -- vg0/s\n"
                       "lvcreate -y -s -n n --addtag xen-ckpt "
                       "--setactivationskip y -ay --ignoreactivationskip -- "
                       "vg0/s\n");
}

/* --- LVM's lock ------------------------------------------------------------ */

static void the_lock_is_where_lvms_configuration_says(void **state)
{
    char path[LVM_LOCK_MAX];

    (void)state;
    write_file("lvmconfig", "#!/bin/sh\necho 'locking_dir=\"/run/x y\"'\n",
               0700);
    assert_int_equal(lvm_lock_path(&c, "vg0", path), 0);
    assert_string_equal(path, "/run/x y/V_vg0");
    write_file("lvmconfig", "#!/bin/sh\necho locking_dir=\n", 0700);
    assert_int_equal(lvm_lock_path(&c, "vg0", path), -EIO);
}

static void the_lock_keeps_writers_out_and_is_waited_for(void **state)
{
    const char *path = scratch_path(dir, "V_vg0");
    const uint64_t begin_us = now_us();
    int fd = -1, other = -1, writer;

    (void)state;
    assert_int_equal(lvm_lock(&c, path, 0, &fd), 0);
    assert_int_equal(lvm_lock(&c, path, 0, &other), 0); /* another disk's */
    writer = open(path, O_RDWR | O_CLOEXEC);
    assert_true(writer >= 0);
    assert_int_equal(flock(writer, LOCK_EX | LOCK_NB), -1);
    close(fd);
    close(other);
    assert_int_equal(flock(writer, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(lvm_lock(&c, path, 50000, &fd), -EBUSY);
    assert_true(now_us() - begin_us >= 50000);
    assert_non_null(strstr(c.error, "LVM is at work"));
    /* LVM removes the file when it unlocks: then the lock is a new file's. */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(lvm_lock(&c, path, 0, &fd), 0);
    close(fd);
    close(writer);
}

/* --- undoing --------------------------------------------------------------- */

static void only_what_has_our_tag_is_removed(void **state)
{
    (void)state;
    write_file("report", REPORT(ROW("web", UUID_A, "other")), 0600);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web"), 0);
    assert_file("log", "");
    write_file("report", REPORT(ROW("web", UUID_A, "xen-ckpt")), 0600);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web"), 0);
    assert_file("log", "lvremove -f -y -S lv_uuid=\"" UUID_A "\" -- vg0/web\n");
}

static void a_snapshot_that_is_read_is_busy(void **state)
{
    const char *row = REPORT(ROW("web", UUID_A, "xen-ckpt"));
    char open_row[512], *attr;

    (void)state;
    write_file("lvremove", "#!/bin/sh\necho 'in use' >&2\nexit 5\n", 0700);
    write_file("report", row, 0600);
    assert_int_equal(disk_lvmthin.remove(&c, "vg0/web"), -EIO);
    snprintf(open_row, sizeof(open_row), "%s", row);
    attr = strstr(open_row, "Vwi-a-");
    attr[5] = 'o';
    write_file("report", open_row, 0600);
    assert_int_equal(disk_lvmthin.remove(&c, "vg0/web"), -EBUSY);
    assert_non_null(strstr(c.error, "in use"));
    assert_true(disk_lvmthin.caps & DISK_CAP_OWED);
    assert_true(disk_dmthin.caps & DISK_CAP_OWED);
}

static void what_is_named_with_its_uuid_must_have_it(void **state)
{
    (void)state;
    write_file("report", REPORT(ROW("web", UUID_A, "xen-ckpt")), 0600);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web " UUID_B), 0);
    assert_file("log", "");
    write_file("report", REPORT(ROW("web", UUID_A, "")), 0600);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web " UUID_A), 0);
    assert_file("log", "lvremove -f -y -S lv_uuid=\"" UUID_A "\" -- vg0/web\n");
}

static void what_is_gone_needs_no_undoing(void **state)
{
    (void)state;
    write_file("report", REPORT(""), 0600);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web"), 0);
    assert_int_equal(lvm_undo_rename(&c, "vg0/web vg0/new " UUID_A), 0);
    assert_file("log", "");
}

static void a_volume_is_renamed_back_only_from_its_later_name(void **state)
{
    (void)state;
    /* Another one has the name now, or it was renamed back already. */
    write_file("report", REPORT(ROW("web", UUID_A, "")), 0600);
    assert_int_equal(lvm_undo_rename(&c, "vg0/web.old vg0/web " UUID_A), 0);
    assert_file("log", "");
    write_file("report", REPORT(ROW("web.old", UUID_A, "")), 0600);
    assert_int_equal(lvm_undo_rename(&c, "vg0/web.old vg0/web " UUID_A), 0);
    assert_file("log", "lvrename -y -- vg0 web.old web\n");
}

static void what_cannot_be_undone_is_an_error(void **state)
{
    (void)state;
    write_file("lvs", "#!/bin/sh\necho 'Volume group not found' >&2\nexit 5\n",
               0700);
    assert_int_equal(lvm_undo_remove(&c, "vg0/web"), -EIO);
    assert_string_equal(c.error, "lvs: exit status 5: Volume group not found.");
    assert_int_equal(lvm_undo_rename(&c, "vg0/a vg0/b " UUID_A), -EIO);
    assert_int_equal(lvm_undo_rename(&c, "vg0/a vg0/b"), -EINVAL);
    assert_int_equal(lvm_undo_remove(&c, "vg0"), -EINVAL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_report_is_read),
        T(an_empty_report_is_no_error),
        T(what_is_no_report_is_refused),
        T(tags_match_whole),
        T(a_path_is_two_names_of_lvm),
        T(names_that_are_none_never_reach_a_command),
        T(a_hidden_snapshot_is_read_only_and_inactive),
        T(a_copy_takes_over_the_tags),
        T(the_lock_is_where_lvms_configuration_says),
        T(the_lock_keeps_writers_out_and_is_waited_for),
        T(only_what_has_our_tag_is_removed),
        T(a_snapshot_that_is_read_is_busy),
        T(what_is_named_with_its_uuid_must_have_it),
        T(what_is_gone_needs_no_undoing),
        T(a_volume_is_renamed_back_only_from_its_later_name),
        T(what_cannot_be_undone_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
