/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * disk.h's promises over several disks, with a driver that only says in what
 * order it was called; and the words for a disk that nobody takes.
 */
#include "disk_beats.h"

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

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>
#undef fail

static struct ckpt c;
static char calls[1024];
static const char *failing; /* "cut b", "undo suspend b" */

static int note(const char *verb, const char *vdev)
{
    const size_t len = strlen(calls);
    const char *call = calls + (len ? len + 2 : 0);

    snprintf(calls + len, sizeof(calls) - len, "%s%s %s", len ? ", " : "", verb,
             vdev);
    return failing && !strcmp(call, failing) ? fail(&c, -EIO, "the fake fails.")
                                             : 0;
}

static int undo_suspend(struct ckpt *ctx, const char *arg)
{
    (void)ctx;
    return note("resume", arg);
}

static int undo_remove(struct ckpt *ctx, const char *arg)
{
    (void)ctx;
    return note("remove", arg);
}

static int fake_arm(struct disk *d, const char *id)
{
    int rc;

    (void)id;
    rc = disk_deed_begin(d, GUARD_LV_REMOVE, undo_remove, d->vdev);
    return rc ? rc : note("arm", d->vdev);
}

static int fake_lock(struct disk *d)
{
    return note("lock", d->vdev);
}

static void fake_unlock(struct disk *d)
{
    note("unlock", d->vdev);
}

static int fake_cut(struct disk *d)
{
    int rc;

    rc = disk_deed_begin(d, GUARD_DM_SUSPEND, undo_suspend, d->vdev);
    return rc ? rc : note("cut", d->vdev);
}

static int fake_drain(struct disk *d)
{
    int rc = note("drain", d->vdev);

    return rc ? rc : disk_deed_strike(d);
}

static void fake_undo(struct disk *d)
{
    disk_deed_undo_all(d);
    note("undo", d->vdev);
}

static const struct disk_driver fake = {
    .name = "fake",
    .arm = fake_arm,
    .lock = fake_lock,
    .unlock = fake_unlock,
    .cut = fake_cut,
    .drain = fake_drain,
    .undo = fake_undo,
};

static void make_disks(struct disk disks[3])
{
    static const char *const vdevs[] = {"a", "x", "b"};

    memset(disks, 0, 3 * sizeof(*disks));
    for (int i = 0; i < 3; i++) {
        disks[i].c = &c;
        disks[i].drv = &fake;
        disks[i].vdev = strdup(vdevs[i]);
    }
    disks[1].drv = NULL;
    disks[1].why_none = "excluded";
}

static void free_disks(struct disk disks[3])
{
    for (int i = 0; i < 3; i++)
        disk_fini(&disks[i]);
}

static int reset(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    calls[0] = '\0';
    failing = NULL;
    return 0;
}

static void beats_pass_over_what_has_no_snapshot(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    assert_int_equal(disks_lock(disks, 3), 0);
    assert_int_equal(disks_cut(disks, 3), 0);
    assert_int_equal(disks_drain(disks, 3), 0);
    disks_keep(disks, 3);
    assert_string_equal(calls, "arm a, arm b, lock a, lock b, cut a, cut b, "
                               "drain a, drain b");
    calls[0] = '\0';
    disks_undo(disks, 3);
    assert_string_equal(calls, "undo b, undo a");
    free_disks(disks);
}

static void a_failed_lock_leaves_none_locked(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    failing = "lock b";
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    calls[0] = '\0';
    assert_int_equal(disks_lock(disks, 3), -EIO);
    assert_string_equal(c.error, "disk b: the fake fails.");
    assert_string_equal(calls, "lock a, lock b, unlock b, unlock a");
    disks_undo(disks, 3);
    free_disks(disks);
}

static void a_failed_cut_lets_io_flow_and_removes_nothing_yet(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    failing = "cut b";
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    assert_int_equal(disks_cut(disks, 3), -EIO);
    assert_string_equal(c.error, "disk b: the fake fails.");
    assert_string_equal(calls,
                        "arm a, arm b, cut a, cut b, resume b, resume a");
    disks_undo(disks, 3);
    assert_string_equal(calls,
                        "arm a, arm b, cut a, cut b, resume b, resume a, "
                        "remove b, undo b, remove a, undo a");
    assert_string_equal(c.error, "disk b: the fake fails.");
    free_disks(disks);
}

static void a_failed_drain_lets_io_flow(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    failing = "drain a";
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    assert_int_equal(disks_cut(disks, 3), 0);
    assert_int_equal(disks_drain(disks, 3), -EIO);
    assert_string_equal(
        calls, "arm a, arm b, cut a, cut b, drain a, resume b, resume a");
    disks_undo(disks, 3);
    free_disks(disks);
}

static void undo_resumes_all_before_it_removes_any(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    assert_int_equal(disks_cut(disks, 3), 0);
    disks_undo(disks, 3);
    assert_string_equal(calls,
                        "arm a, arm b, cut a, cut b, resume b, resume a, "
                        "remove b, undo b, remove a, undo a");
    calls[0] = '\0';
    disks_undo(disks, 3);
    assert_string_equal(calls, "undo b, undo a");
    free_disks(disks);
}

static void undo_of_a_failed_arm_takes_back_what_was_armed(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    failing = "arm b";
    assert_int_equal(disks_arm(disks, 3, "1234"), -EIO);
    disks_undo(disks, 3);
    assert_string_equal(calls,
                        "arm a, arm b, remove b, undo b, remove a, undo a");
    free_disks(disks);
}

static void undo_passes_over_a_disk_that_no_driver_took(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    disks[2].drv = NULL;
    disks_undo(disks, 3);
    assert_string_equal(calls, "undo a");
    free_disks(disks);
}

static void kept_deeds_are_not_undone(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    assert_int_equal(disks_arm(disks, 3, "1234"), 0);
    disk_keep(&disks[0]);
    disks_undo(disks, 3);
    assert_string_equal(calls, "arm a, arm b, remove b, undo b, undo a");
    free_disks(disks);
}

static void what_cannot_be_undone_is_left_with_all_before_it(void **state)
{
    struct disk disks[3];

    (void)state;
    make_disks(disks);
    failing = "resume a";
    assert_int_equal(
        disk_deed_begin(&disks[0], GUARD_LV_REMOVE, undo_remove, "a"), 0);
    assert_int_equal(
        disk_deed_begin(&disks[0], GUARD_LV_RENAME, undo_suspend, "a"), 0);
    assert_int_equal(
        disk_deed_begin(&disks[0], GUARD_LV_RENAME, undo_suspend, "c"), 0);
    assert_int_equal(disk_deed_undo_all(&disks[0]), -EIO);
    assert_string_equal(calls, "resume c, resume a");
    assert_null(disks[0].deeds);
    free_disks(disks);
}

static void
what_becomes_superfluous_is_removed_only_once_the_rest_is_kept(void **state)
{
    struct disk disks[3];
    struct disk *d = &disks[0];

    (void)state;
    make_disks(disks);
    /* taken back before: nothing is superfluous */
    assert_int_equal(disk_deed_begin(d, GUARD_LV_RENAME, undo_suspend, "new"),
                     0);
    assert_int_equal(disk_deed_after(d, GUARD_LV_REMOVE, undo_remove, "old"),
                     0);
    assert_int_equal(disk_deed_undo_all(d), 0);
    assert_string_equal(calls, "resume new");
    assert_int_equal(disk_deed_undo_after(d), 0);
    assert_string_equal(calls, "resume new");
    /* kept */
    assert_int_equal(disk_deed_begin(d, GUARD_LV_RENAME, undo_suspend, "new"),
                     0);
    assert_int_equal(disk_deed_after(d, GUARD_LV_REMOVE, undo_remove, "old"),
                     0);
    disk_keep(d);
    disk_keep(d);
    assert_int_equal(disk_deed_undo_after(d), 0);
    assert_int_equal(disk_deed_undo_after(d), 0);
    assert_int_equal(disk_deed_undo_all(d), 0);
    assert_string_equal(calls, "resume new, remove old");
    free_disks(disks);
}

static void a_lock_is_held_as_long_as_its_deed_stands(void **state)
{
    struct disk disks[3];
    struct disk *d = &disks[0];
    struct disk_deed *deed;
    int ends[2];

    (void)state;
    make_disks(disks);
    assert_int_equal(pipe(ends), 0);
    deed = disk_deed_new(d);
    deed->fd = ends[1];
    assert_int_equal(
        disk_deed_add(d, deed, GUARD_DM_SUSPEND, undo_suspend, "a"), 0);
    assert_true(fcntl(ends[1], F_GETFD) >= 0);
    assert_int_equal(disk_deed_strike(d), 0);
    assert_int_equal(fcntl(ends[1], F_GETFD), -1);
    close(ends[0]);
    free_disks(disks);
}

static void a_disk_nobody_takes_is_named_with_the_reason(void **state)
{
    struct disk d = {.c = &c, .vdev = strdup("xvda")};

    (void)state;
    d.target = strdup("/dev/zero");
    assert_int_equal(disk_pick(&d), -ENOTSUP);
    assert_null(d.drv);
    assert_memory_equal(c.error, "disk xvda (/dev/zero) cannot be", 31);
    assert_non_null(strstr(c.error, "--exclude-disk xvda"));
    disk_fini(&d);
}

static void drivers_are_found_by_their_whole_name(void **state)
{
    const struct disk_driver *drv = NULL;

    (void)state;
    assert_int_equal(disk_driver_by_name(&c, "lvmthin", &drv), 0);
    assert_ptr_equal(drv, &disk_lvmthin);
    assert_int_equal(disk_driver_by_name(&c, "lvm", &drv), -ENOTSUP);
    assert_int_equal(disk_driver_by_name(&c, "lvmthinx", &drv), -ENOTSUP);
    assert_non_null(strstr(c.error, "lvmthinx"));
}

static void every_driver_fills_every_slot(void **state)
{
    (void)state;
    for (size_t i = 0; disk_drivers[i]; i++) {
        const struct disk_driver *d = disk_drivers[i];

        assert_non_null(d->name);
        assert_true(d->probe && d->arm && d->cut && d->drain && d->undo);
        assert_true(d->rollback && d->rollback_end && d->fork);
        assert_true(d->remove && d->check && d->take_back && d->changed);
        assert_true(d->open && d->close && d->read);
        assert_true(d->show && d->hide);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, reset)
    const struct CMUnitTest tests[] = {
        T(beats_pass_over_what_has_no_snapshot),
        T(a_failed_lock_leaves_none_locked),
        T(a_failed_cut_lets_io_flow_and_removes_nothing_yet),
        T(a_failed_drain_lets_io_flow),
        T(undo_resumes_all_before_it_removes_any),
        T(undo_of_a_failed_arm_takes_back_what_was_armed),
        T(undo_passes_over_a_disk_that_no_driver_took),
        T(kept_deeds_are_not_undone),
        T(what_cannot_be_undone_is_left_with_all_before_it),
        T(what_becomes_superfluous_is_removed_only_once_the_rest_is_kept),
        T(a_lock_is_held_as_long_as_its_deed_stands),
        T(a_disk_nobody_takes_is_named_with_the_reason),
        T(drivers_are_found_by_their_whole_name),
        T(every_driver_fills_every_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
