/* SPDX-License-Identifier: LGPL-2.1-only */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "checkpoint.h"
#include "ctx.h"
#include "fake/scratch.h"
#include "owed.h"
#include "store.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define GONE "00000000000000aa"
#define THERE "00000000000000bb"

/* A snapshot of the reflink driver: a file by that name. */
static const char *snapshot_of(struct scratch_world *w, const char *id)
{
    char rest[64];
    const char *path;
    int fd;

    snprintf(rest, sizeof(rest), "web.img.ckpt-%s-xvda", id);
    path = scratch_path(w->dir, rest);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, 4), 4);
    close(fd);
    return path;
}

static void owe(struct scratch_world *w, const char *id, const char *path)
{
    struct ckpt_disk disk = {.vdev = (char *)"xvda",
                             .driver = (char *)"reflink",
                             .snapshot = (char *)path};
    struct ckpt_info info = {.disks = &disk, .nr_disks = 1};

    strcpy(info.id, id);
    strcpy(info.domain_uuid, UUID);
    assert_int_equal(owed_add(w->c, &info, 0), 0);
}

static void commit(struct scratch_world *w, const char *id)
{
    struct ckpt_info info;

    scratch_info(&info, id, id, "web", UUID);
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
}

static void what_is_owed_is_collected(void **state)
{
    struct scratch_world *w = *state;
    const char *path = snapshot_of(w, GONE);
    struct owed left;

    owe(w, GONE, path);
    assert_int_equal(owed_count(w->c, &left), 0);
    assert_int_equal(left.nr, 1);
    assert_true(left.bytes > 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(owed_collect(w->c, &left), 0);
    assert_int_equal(left.nr, 0);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(owed_count(w->c, &left), 0);
    assert_int_equal(left.nr, 0);
}

static void a_checkpoint_that_is_there_keeps_its_snapshot(void **state)
{
    struct scratch_world *w = *state;
    const char *path = snapshot_of(w, THERE);
    struct owed left;

    commit(w, THERE);
    owe(w, THERE, path); /* by a deletion that died before it deleted */
    assert_int_equal(owed_count(w->c, &left), 0);
    assert_int_equal(left.nr, 0);
    assert_int_equal(owed_collect(w->c, NULL), 0);
    assert_int_equal(access(path, F_OK), 0);
    scratch_drop(w->c, THERE);
    assert_int_equal(owed_collect(w->c, &left), 0);
    assert_int_equal(access(path, F_OK), 0); /* nor is it owed later on */
}

static void a_domain_at_work_is_left_alone(void **state)
{
    struct scratch_world *w = *state;
    const char *path = snapshot_of(w, GONE);
    struct ckpt *other = scratch_open(w->dir);
    struct store_lock *lock;
    struct owed left;

    owe(w, GONE, path);
    assert_int_equal(store_lock(other->store, UUID, &lock, NULL), 0);
    assert_int_equal(owed_collect(w->c, &left), 0);
    assert_int_equal(left.nr, 1);
    assert_int_equal(access(path, F_OK), 0);
    store_unlock(lock);
    ckpt_close(other);
    assert_int_equal(owed_collect(w->c, &left), 0);
    assert_int_equal(left.nr, 0);
}

static void a_damaged_record_removes_nothing(void **state)
{
    struct scratch_world *w = *state;
    const char *path = snapshot_of(w, GONE);
    char value[600];
    struct owed left;

    assert_int_equal(store_set(w->c->store, "owed." GONE ".0", "rubbish"), 0);
    assert_int_equal(store_set(w->c->store, "owed.short", path), 0);
    snprintf(value, sizeof(value), UUID " nosuch %s", path);
    assert_int_equal(store_set(w->c->store, "owed." GONE ".1", value), 0);
    snprintf(value, sizeof(value), UUID " reflink /etc/hostname");
    assert_int_equal(store_set(w->c->store, "owed." GONE ".2", value), 0);
    assert_int_equal(owed_collect(w->c, &left), 0);
    assert_int_equal(left.nr, 2);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access("/etc/hostname", F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_owed_is_collected,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_checkpoint_that_is_there_keeps_its_snapshot, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(a_domain_at_work_is_left_alone,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_damaged_record_removes_nothing,
                                        scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
