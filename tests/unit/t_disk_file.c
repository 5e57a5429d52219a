/* SPDX-License-Identifier: LGPL-2.1-only */
/* disk_file.h's promises about names, and about taking back only what is ours. */
#include "disk_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctx.h"
#include "disk_deed.h"
#include "disk_name.h"
#include "fake/scratch.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>
#undef fail

static struct ckpt c;
static char *dir;

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *get(const char *path)
{
    static char text[64];
    FILE *f = fopen(path, "r");

    text[0] = '\0';
    if (f && !fgets(text, sizeof(text), f))
        text[0] = '\0';
    if (f)
        fclose(f);
    return text;
}

static void make_disk(struct disk *d, const char *target)
{
    memset(d, 0, sizeof(*d));
    d->c = &c;
    d->drv = &disk_reflink;
    d->vdev = strdup("xvda");
    d->target = strdup(target);
}

static void only_snapshots_of_ours_are_named_so(void **state)
{
    static const char *const ours[] = {
        "/srv/web.img.ckpt-12ab-xvda",
        "/srv/a.ckpt-1-xvda.ckpt-2-xvdb",
    };
    static const char *const others[] = {
        "/etc/passwd",
        "/srv/web.img.ckpt-new",
        "relative.ckpt-1-xvda",
        "/srv.ckpt-1-a/b",
        "/srv/x.ckpt--xvda",
        "/srv/x.ckpt-1-",
        "/srv/x.ckpt-1-../../etc/passwd",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        assert_int_equal(disk_file_check_ours(&c, ours[i]), 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(disk_file_check_ours(&c, others[i]), -EPERM);
}

static void names_of_domains_become_names_of_files(void **state)
{
    char a[80], b[80], path[DISK_FILE_MAX];

    (void)state;
    disk_name_fork("web-1", "xvda", a, sizeof(a));
    assert_string_equal(a, "fork-web-1-xvda");
    disk_name_fork("a/../b", "xvda", a, sizeof(a));
    disk_name_fork("a_.._b", "xvda", b, sizeof(b));
    assert_null(strchr(a, '/'));
    assert_string_not_equal(a, b);
    assert_int_equal(disk_file_name_fork(&c, "/srv/web.img.ckpt-1-xvda", "kid",
                                         "xvda", path),
                     0);
    assert_string_equal(path, "/srv/fork-kid-xvda");
}

static void a_link_is_followed_and_a_folder_refused(void **state)
{
    char path[DISK_FILE_MAX];
    struct stat st;
    const char *link_path = scratch_path(dir, "link");

    (void)state;
    put(scratch_path(dir, "disk"), "x");
    assert_int_equal(symlink("disk", link_path), 0);
    assert_int_equal(disk_file_find(&c, link_path, path, &st), 0);
    assert_string_equal(path, scratch_path(dir, "disk"));
    assert_int_equal(disk_file_find(&c, dir, path, &st), -ENOTSUP);
    assert_int_equal(disk_file_find(&c, "disk", path, &st), -ENOTSUP);
    assert_int_equal(disk_file_find(&c, "/nowhere", path, &st), -ENOENT);
}

static void what_was_made_is_unlinked_again(void **state)
{
    struct disk d;
    const char *path = scratch_path(dir, "made");
    int fd = -1;

    (void)state;
    make_disk(&d, "/x");
    assert_int_equal(disk_file_create(&d, GUARD_DISK_MADE, path, 0400, &fd), 0);
    close(fd);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(disk_deed_undo_all(&d), 0);
    assert_int_equal(access(path, F_OK), -1);
    disk_fini(&d);
}

static void what_another_put_there_stays(void **state)
{
    struct disk d;
    const char *path = scratch_path(dir, "made");
    int fd = -1;

    (void)state;
    make_disk(&d, "/x");
    assert_int_equal(disk_file_create(&d, GUARD_DISK_MADE, path, 0600, &fd), 0);
    close(fd);
    assert_int_equal(unlink(path), 0);
    put(path, "another's");
    assert_int_equal(disk_deed_undo_all(&d), 0);
    assert_string_equal(get(path), "another's");
    assert_int_equal(disk_file_create(&d, GUARD_DISK_MADE, path, 0600, &fd),
                     -EEXIST);
    assert_int_equal(disk_deed_undo_all(&d), 0);
    assert_string_equal(get(path), "another's");
    disk_fini(&d);
}

static void an_exchange_is_undone_or_finished(void **state)
{
    const char *path = scratch_path(dir, "web"), *new_path;
    struct disk d;

    (void)state;
    new_path = scratch_path(dir, "web" DISK_FILE_NEW);
    put(path, "old");
    put(new_path, "new");
    make_disk(&d, path);
    assert_int_equal(disk_file_exchange(&d, path), 0);
    assert_string_equal(get(path), "new");
    assert_int_equal(disk_deed_rollback_end(&d, false), 0);
    assert_string_equal(get(path), "old");
    assert_string_equal(get(new_path), "new");
    assert_int_equal(disk_file_exchange(&d, path), 0);
    assert_int_equal(disk_deed_rollback_end(&d, true), 0);
    assert_string_equal(get(path), "new");
    assert_int_equal(access(new_path, F_OK), -1);
    disk_fini(&d);
}

static void words_of_others_are_not_taken(void **state)
{
    (void)state;
    assert_int_equal(disk_file_take_back(&c, "switch 7 1 xvda /x"), -ENOENT);
    assert_int_equal(disk_file_take_back(&c, "unlink x /x"), -ENOENT);
    assert_int_equal(disk_file_take_back(&c, "unlink 5 x"), -ENOENT);
    assert_int_equal(disk_file_take_back(&c, "unlink 5 /nowhere/x"), 0);
    assert_int_equal(disk_take_back(&c, "nobody unlink 5 /x"), -ENOTSUP);
    assert_int_equal(disk_take_back(&c, "reflink"), -EINVAL);
    assert_int_equal(disk_take_back(&c, "reflink nonsense"), -EINVAL);
}

static void a_full_filesystem_is_told_with_figures(void **state)
{
    (void)state;
    assert_int_equal(disk_file_check_room(&c, dir, 100.1), 0);
    assert_int_equal(disk_file_check_room(&c, dir, -1.0), -ENOSPC);
    assert_non_null(strstr(c.error, "MiB are free"));
}

static int setup(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    dir = scratch_dir();
    return dir ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(only_snapshots_of_ours_are_named_so),
        T(names_of_domains_become_names_of_files),
        T(a_link_is_followed_and_a_folder_refused),
        T(what_was_made_is_unlinked_again),
        T(what_another_put_there_stays),
        T(an_exchange_is_undone_or_finished),
        T(words_of_others_are_not_taken),
        T(a_full_filesystem_is_told_with_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
