/* SPDX-License-Identifier: LGPL-2.1-only */
/* Deletion and prune, with disks whose snapshots are files.  Nobody guards, but
 * the moment is known in which the guard would be told. */
#include "ckpt.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

#include "checkpoint.h"
#include "ctx.h"
#include "fake/scratch.h"
#include "guard.h"
#include "op.h"
#include "owed.h"
#include "store.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define A "00000000000000aa"
#define B "00000000000000bb"
#define C "00000000000000cc"
#define D "00000000000000dd"

/* What another does while the lock is waited for: once. */
static void (*meanwhile)(struct ckpt *c);

int op_open_store(struct op *op, struct ckpt *c, const char *domain_uuid)
{
    void (*now)(struct ckpt *) = meanwhile;

    meanwhile = NULL;
    if (now)
        now(c);
    memset(op, 0, sizeof(*op));
    op->c = c;
    return store_lock(c->store, domain_uuid, &op->lock, NULL);
}

void op_close(struct op *op)
{
    store_unlock(op->lock);
    memset(op, 0, sizeof(*op));
}

int guard_hold(struct guard *g)
{
    (void)g;
    return 0;
}

int guard_add(struct guard *g, enum guard_harm harm, uint32_t domid,
              const char *arg, unsigned *token_out)
{
    (void)g, (void)harm, (void)domid, (void)arg;
    *token_out = 0;
    return 0;
}

int guard_del(struct guard *g, unsigned token)
{
    (void)g, (void)token;
    return 0;
}

/* The checkpoint has left the store, and the guard knows of nothing yet. */
static bool dies;
int guard_flush(struct guard *g)
{
    (void)g;
    if (dies)
        raise(SIGKILL);
    return 0;
}

/* A snapshot of the reflink driver: a file by that name. */
static const char *snapshot_path(struct scratch_world *w, const char *id,
                                 unsigned n)
{
    char rest[64];

    snprintf(rest, sizeof(rest), "web.img.ckpt-%s-d%u", id, n);
    return scratch_path(w->dir, rest);
}

static void add_disk(struct scratch_world *w, struct ckpt_info *info,
                     const char *driver)
{
    struct ckpt_disk *d = &info->disks[info->nr_disks];
    const char *path = snapshot_path(w, info->id, (unsigned)info->nr_disks);
    char vdev[16];
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, 4), 4);
    close(fd);
    snprintf(vdev, sizeof(vdev), "d%zu", info->nr_disks++);
    d->vdev = strdup(vdev);
    d->target = strdup("web.img");
    d->driver = strdup(driver);
    d->snapshot = strdup(path);
    d->size_bytes = 4096;
}

static void add_with_disks(struct scratch_world *w, const char *id,
                           unsigned nr_disks, const char *driver)
{
    struct ckpt_info info;

    scratch_info(&info, id, id, "web", UUID);
    info.disks = calloc(nr_disks, sizeof(*info.disks));
    while (info.nr_disks < nr_disks)
        add_disk(w, &info, driver);
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
}

static void add(struct scratch_world *w, const char *id, const char *parent)
{
    struct ckpt_info info;

    scratch_info(&info, id, id, "web", UUID);
    info.created_unix_us = 1 + id[15];
    strcpy(info.parent, parent);
    scratch_commit(w->c, &info);
    ckpt_info_fini(&info);
}

/* A, then B on it, then C. */
static int setup(void **state)
{
    struct scratch_world *w;

    scratch_setup(state);
    w = *state;
    meanwhile = NULL;
    add(w, A, "");
    add(w, B, A);
    add(w, C, B);
    return 0;
}

static bool is_there(struct scratch_world *w, const char *id)
{
    struct ckpt_info info;
    int rc = checkpoint_find(w->c, NULL, id, &info);

    ckpt_info_fini(&info);
    return !rc;
}

static int prune(struct scratch_world *w, unsigned keep_last,
                 struct ckpt_prune_result *result)
{
    const struct ckpt_prune_opts opts = {.keep_last = keep_last};

    return ckpt_prune(w->c, &opts, result);
}

/* --- what is marked meanwhile ---------------------------------------------- */

static void keep_a(struct ckpt *c)
{
    assert_int_equal(ckpt_keep(c, A, true), 0);
}

static void tag_b(struct ckpt *c)
{
    assert_int_equal(ckpt_tag(c, B, "gold", true), 0);
}

static void head_to_b(struct ckpt *c)
{
    assert_int_equal(checkpoint_set_head(c, UUID, B), 0);
}

static void what_is_kept_in_the_last_moment_is_not_deleted(void **state)
{
    struct scratch_world *w = *state;

    meanwhile = keep_a;
    assert_int_equal(ckpt_delete(w->c, A), -EPERM);
    assert_true(is_there(w, A));
    assert_int_equal(ckpt_keep(w->c, A, false), 0);
    assert_int_equal(ckpt_delete(w->c, A), 0);
    assert_false(is_there(w, A));
}

static void a_prune_passes_over_what_was_marked_since_it_looked(void **state)
{
    static void (*const marks[])(struct ckpt *) = {keep_a, tag_b, head_to_b};
    struct scratch_world *w = *state;
    struct ckpt_prune_result result;

    meanwhile = keep_a;
    assert_int_equal(prune(w, 1, &result), 0);
    assert_string_equal(result.ids[0], B);
    assert_null(result.ids[1]);
    free(result.ids);
    assert_true(is_there(w, A));
    for (unsigned i = 1; i < 3; i++) {
        add(w, B, A);
        meanwhile = marks[i];
        assert_int_equal(prune(w, 1, &result), 0);
        assert_null(result.ids[0]);
        free(result.ids);
        assert_true(is_there(w, B));
        assert_int_equal(checkpoint_set_head(w->c, UUID, C), 0);
        ckpt_tag(w->c, B, "gold", false);
        assert_int_equal(ckpt_delete(w->c, B), 0);
    }
}

/* Not the one that it had when the list was made. */
static void a_child_gets_the_parent_that_is_left(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_prune_result result;
    struct ckpt_info info;

    add(w, D, C);
    assert_int_equal(checkpoint_set_head(w->c, UUID, D), 0);
    assert_int_equal(ckpt_keep(w->c, A, true), 0);
    assert_int_equal(prune(w, 1, &result), 0);
    free(result.ids);
    assert_false(is_there(w, B) || is_there(w, C));
    assert_int_equal(checkpoint_find(w->c, NULL, D, &info), 0);
    assert_string_equal(info.parent, A);
    ckpt_info_fini(&info);
}

/* --- its disks ------------------------------------------------------------- */

static void snapshots_go_also_when_the_deletion_was_killed(void **state)
{
    struct scratch_world *w = *state;
    struct owed left;
    int status;
    pid_t pid;

    add_with_disks(w, D, 2, "reflink");
    pid = fork();
    if (!pid) {
        dies = true;
        ckpt_delete(w->c, D);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_false(is_there(w, D));
    assert_int_equal(access(snapshot_path(w, D, 0), F_OK), 0);
    assert_int_equal(ckpt_delete(w->c, A), 0);
    assert_int_equal(access(snapshot_path(w, D, 0), F_OK), -1);
    assert_int_equal(access(snapshot_path(w, D, 1), F_OK), -1);
    assert_int_equal(owed_count(w->c, &left), 0);
    assert_int_equal(left.nr, 0);
}

static void a_checkpoint_may_have_as_many_disks_as_a_manifest(void **state)
{
    struct scratch_world *w = *state;

    add_with_disks(w, D, 256, "reflink");
    assert_int_equal(ckpt_delete(w->c, D), 0);
    assert_false(is_there(w, D));
    assert_int_equal(access(snapshot_path(w, D, 0), F_OK), -1);
    assert_int_equal(access(snapshot_path(w, D, 255), F_OK), -1);
}

/* B has a disk of a driver that nobody knows. */
static void one_that_cannot_be_deleted_does_not_stop_a_prune(void **state)
{
    struct scratch_world *w = *state;
    struct ckpt_prune_result result;

    scratch_drop(w->c, B);
    add_with_disks(w, B, 1, "from-the-future");
    add(w, D, C);
    assert_int_equal(prune(w, 1, &result), -ENOTSUP);
    assert_non_null(strstr(ckpt_error(w->c), "1 checkpoint could not"));
    assert_string_equal(result.ids[0], A);
    assert_string_equal(result.ids[1], C);
    assert_null(result.ids[2]);
    assert_int_equal(result.owed, 1);
    free(result.ids);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(what_is_kept_in_the_last_moment_is_not_deleted),
        T(a_prune_passes_over_what_was_marked_since_it_looked),
        T(a_child_gets_the_parent_that_is_left),
        T(snapshots_go_also_when_the_deletion_was_killed),
        T(a_checkpoint_may_have_as_many_disks_as_a_manifest),
        T(one_that_cannot_be_deleted_does_not_stop_a_prune),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
