/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A rollback whose guard is killed, at each call to it: what could not be
 * finished is as it was.  Xen is two domains in an array, the disk one byte,
 * and the guard a count of the calls that it answers.
 */
#include "ckpt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "build.h"
#include "checkpoint.h"
#include "ctx.h"
#include "disk_beats.h"
#include "disk_deed.h"
#include "fake/scratch.h"
#include "guard.h"
#include "op.h"
#include "store.h"
#include "xen_config.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define ID "00000000000000aa"
#define OLD 1u
#define NEW 2u

static struct domain {
    bool is_there;
    int nr_pauses;
    char name[64];
} domains[NEW + 1];
static char disk_has;          /* 'n'ow, or what the 'c'heckpoint has */
static bool is_old_disk_there; /* beside it, while it can be put back */
static bool is_disk_silent;
static uint64_t free_bytes;
static bool is_held; /* by the old one, what the new one needs */

/* --- the guard ------------------------------------------------------------- */

static unsigned nr_calls, dies_at; /* 0: never */

static int answer(struct ckpt *c)
{
    nr_calls++;
    return dies_at && nr_calls >= dies_at ? fail(c, -EPIPE, "the guard is gone")
                                          : 0;
}

static struct ckpt *handle;

int guard_start(struct ckpt *c, int lock_fd, struct guard **g_out)
{
    (void)lock_fd;
    handle = c;
    *g_out = (struct guard *)&nr_calls;
    return 0;
}

int guard_add(struct guard *g, enum guard_harm harm, uint32_t domid,
              const char *arg, unsigned *token_out)
{
    int rc = answer(handle);

    (void)g, (void)harm, (void)domid, (void)arg;
    if (token_out)
        *token_out = rc ? 0 : nr_calls;
    return rc;
}

int guard_del(struct guard *g, unsigned token)
{
    (void)g;
    return token ? answer(handle) : 0;
}

int guard_hold(struct guard *g)
{
    (void)g;
    return answer(handle);
}

int guard_flush(struct guard *g)
{
    (void)g;
    return answer(handle);
}

void guard_stop(struct guard *g)
{
    (void)g;
}

/* --- Xen ------------------------------------------------------------------- */

int xen_open(struct ckpt *c, struct xen **x_out)
{
    (void)c;
    *x_out = (struct xen *)domains;
    return 0;
}

void xen_close(struct xen *x)
{
    (void)x;
}

int xen_dom_find(struct xen *x, const char *word, struct xen_dom *dom_out)
{
    (void)x;
    memset(dom_out, 0, sizeof(*dom_out));
    dom_out->domid = OLD;
    dom_out->name = strdup(word);
    dom_out->memory_bytes = 1u << 20;
    memcpy(dom_out->uuid, UUID, sizeof(UUID));
    return 0;
}

void xen_dom_fini(struct xen_dom *dom)
{
    free(dom->name);
    memset(dom, 0, sizeof(*dom));
}

int xen_config_read(struct xen *x, uint32_t domid, char **json_out)
{
    (void)x, (void)domid;
    *json_out = strdup("{}");
    return 0;
}

int xen_config_check(struct xen *x, const char *domain, const char *json)
{
    (void)x, (void)domain, (void)json;
    return 0;
}

int xen_config_rewrite(struct xen *x, const char *json,
                       const struct xen_identity *id, char **json_out,
                       char uuid_out[37])
{
    (void)x, (void)id;
    *json_out = strdup(json);
    memcpy(uuid_out, UUID, sizeof(UUID));
    return 0;
}

int xen_config_check_beside(struct xen *x, const char *json)
{
    (void)x, (void)json;
    return is_held ? fail(handle, -EEXIST, "eth0 is held") : 0;
}

int xen_config_memory(struct xen *x, const char *json, uint64_t *bytes_out)
{
    (void)x, (void)json;
    *bytes_out = 1u << 20;
    return 0;
}

int xen_stamp_take(struct xen *x, const struct xen_dom *dom,
                   struct xen_stamp **stamp_out)
{
    (void)x, (void)dom, (void)stamp_out;
    return 0;
}

int xen_uuid_free(struct xen *x, const char *uuid)
{
    (void)x;
    (void)uuid;
    return 0;
}

int xen_free_bytes(struct xen *x, uint64_t *bytes_out)
{
    (void)x;
    *bytes_out = free_bytes;
    return 0;
}

int xen_pause(struct xen *x, uint32_t domid)
{
    (void)x;
    assert_true(domains[domid].is_there);
    domains[domid].nr_pauses++;
    return 0;
}

int xen_unpause(struct xen *x, uint32_t domid)
{
    (void)x;
    assert_true(domains[domid].is_there && domains[domid].nr_pauses > 0);
    domains[domid].nr_pauses--;
    return 0;
}

int xen_rename(struct xen *x, uint32_t domid, const char *from, const char *to)
{
    (void)x;
    assert_string_equal(domains[domid].name, from);
    for (unsigned i = OLD; i <= NEW; i++)
        assert_false(domains[i].is_there && !strcmp(domains[i].name, to));
    snprintf(domains[domid].name, sizeof(domains[domid].name), "%s", to);
    return 0;
}

int xen_destroy(struct xen *x, uint32_t domid)
{
    (void)x;
    assert_true(domains[domid].is_there);
    memset(&domains[domid], 0, sizeof(domains[domid]));
    return 0;
}

int xen_vm_node_save(struct xen *x, const char *uuid,
                     struct xen_vm_node **node_out)
{
    (void)x, (void)uuid;
    *node_out = NULL;
    return 0;
}

int xen_vm_node_write(struct xen *x, const struct xen_vm_node *node)
{
    (void)x, (void)node;
    return 0;
}

void xen_vm_node_free(struct xen_vm_node *node)
{
    (void)node;
}

int build_start(struct ckpt *c, const char *config, struct image *img,
                struct build **b_out, uint32_t *domid_out)
{
    (void)c, (void)config, (void)img;
    assert_false(is_held && domains[OLD].is_there);
    domains[NEW] =
        (struct domain){.is_there = true, .nr_pauses = 1, .name = "web"};
    *b_out = (struct build *)&domains[NEW];
    *domid_out = NEW;
    return 0;
}

int build_keep(struct ckpt *c, struct build *b)
{
    (void)c, (void)b;
    return 0;
}

void build_abort(struct build *b)
{
    if (b)
        xen_destroy(NULL, NEW);
}

/* --- its disk -------------------------------------------------------------- */

static int put_back(struct ckpt *c, const char *arg)
{
    (void)c, (void)arg;
    assert_true(disk_has == 'n' || is_old_disk_there);
    disk_has = 'n';
    is_old_disk_there = false;
    return 0;
}

static int throw_away(struct ckpt *c, const char *arg)
{
    (void)c, (void)arg;
    is_old_disk_there = false;
    return 0;
}

static int switch_disk(struct disk *d, const char *snapshot)
{
    int rc = disk_deed_begin(d, GUARD_DISK_MOVED, put_back, snapshot);

    if (!rc && is_disk_silent)
        rc = fail(d->c, -EHOSTDOWN, "no answer");
    if (rc)
        return rc;
    disk_has = 'c';
    is_old_disk_there = true;
    return disk_deed_after(d, GUARD_DISK_MOVED, throw_away, snapshot);
}

static void undo_disk(struct disk *d)
{
    disk_deed_undo_all(d);
}

static const struct disk_driver disk_byte = {
    .name = "byte",
    .undo = undo_disk,
    .rollback = switch_disk,
    .rollback_end = disk_deed_rollback_end,
};

int disks_open_info(struct disks *d, struct op *op,
                    const struct ckpt_info *info)
{
    (void)info;
    d->disk = calloc(1, sizeof(*d->disk));
    d->nr = 1;
    d->disk[0].c = op->c;
    d->disk[0].g = op->g;
    d->disk[0].drv = &disk_byte;
    d->disk[0].vdev = strdup("xvda");
    d->disk[0].target = strdup("byte");
    d->disk[0].snapshot = strdup("byte-then");
    return 0;
}

void disks_close(struct disks *d)
{
    for (size_t i = 0; i < d->nr; i++)
        disk_fini(&d->disk[i]);
    free(d->disk);
    memset(d, 0, sizeof(*d));
}

/* --- the promises ---------------------------------------------------------- */

static int setup_with(void **state, const char *why_none)
{
    struct scratch_world *w;
    struct ckpt_info info;
    struct image *img;
    char *text;

    scratch_setup(state);
    w = *state;
    scratch_info(&info, ID, "then", "web", UUID);
    if (why_none)
        scratch_add_disk(&info, why_none);
    assert_int_equal(checkpoint_to_json(w->c, &info, &text), 0);
    assert_int_equal(image_create(w->c->store, ID, &img), 0);
    assert_int_equal(image_put_blob(img, "config", "{}", 3), 0);
    assert_int_equal(image_commit(img, text), 0);
    free(text);
    ckpt_info_fini(&info);
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, NULL);
}

static int setup_excluded(void **state)
{
    return setup_with(state, "excluded");
}

static int setup_imported(void **state)
{
    return setup_with(state, "imported");
}

/* With the guard killed at its @n-th call. */
static int roll_back(struct ckpt *c, unsigned n, unsigned flags)
{
    const struct ckpt_rollback_opts opts = {.flags = flags};

    nr_calls = 0;
    dies_at = n;
    disk_has = 'n';
    is_old_disk_there = false;
    memset(domains, 0, sizeof(domains));
    domains[OLD] = (struct domain){.is_there = true, .name = "web"};
    return ckpt_rollback(c, "web", ID, &opts, NULL);
}

static void assert_runs(unsigned domid)
{
    assert_true(domains[domid].is_there);
    assert_int_equal(domains[domid].nr_pauses, 0);
    assert_string_equal(domains[domid].name, "web");
    assert_false(domains[domid == OLD ? NEW : OLD].is_there);
}

static void a_guard_that_dies_leaves_the_old_one_or_the_new_one(void **state)
{
    struct scratch_world *w = *state;
    unsigned nr, nr_undone = 0;
    int rc;

    free_bytes = 1u << 30;
    assert_int_equal(roll_back(w->c, 0, 0), 0);
    assert_runs(NEW);
    assert_int_equal(disk_has, 'c');
    nr = nr_calls;
    for (unsigned n = 1; n <= nr; n++) {
        rc = roll_back(w->c, n, 0);
        assert_runs(rc ? OLD : NEW);
        assert_int_equal(disk_has, rc ? 'n' : 'c');
        assert_false(is_old_disk_there);
        nr_undone += !!rc;
    }
    assert_true(nr_undone >= 6); /* each harm written down before it is done */
}

/* Before it turns it is all undone; after that nothing paused is left. */
static void nor_is_the_old_one_left_paused_when_it_goes_first(void **state)
{
    struct scratch_world *w = *state;
    unsigned nr, nr_undone = 0;
    int rc;

    free_bytes = 0;
    assert_int_equal(roll_back(w->c, 0, CKPT_ROLLBACK_DESTROY_FIRST), 0);
    assert_runs(NEW);
    nr = nr_calls;
    for (unsigned n = 1; n <= nr; n++) {
        rc = roll_back(w->c, n, CKPT_ROLLBACK_DESTROY_FIRST);
        if (!rc) {
            assert_runs(NEW);
        } else if (disk_has == 'n') {
            assert_runs(OLD);
            nr_undone++;
        } else {
            assert_false(domains[OLD].is_there || domains[NEW].is_there);
        }
        assert_false(is_old_disk_there && rc && disk_has == 'n');
    }
    assert_true(nr_undone >= 4);
}

static void what_both_cannot_have_makes_the_old_one_go_first(void **state)
{
    struct scratch_world *w = *state;

    free_bytes = 1u << 30;
    is_held = true;
    assert_int_equal(roll_back(w->c, 0, 0), -EEXIST);
    assert_runs(OLD);
    assert_int_equal(nr_calls, 0);
    assert_int_equal(roll_back(w->c, 0, CKPT_ROLLBACK_DESTROY_FIRST), 0);
    assert_runs(NEW);
    is_held = false;
}

static void what_was_excluded_stays_as_it_is(void **state)
{
    struct scratch_world *w = *state;

    free_bytes = 1u << 30;
    assert_int_equal(roll_back(w->c, 0, 0), 0);
    assert_runs(NEW);
}

static void a_disk_that_nobody_excluded_is_not_missed_in_silence(void **state)
{
    struct scratch_world *w = *state;

    free_bytes = 1u << 30;
    assert_int_equal(roll_back(w->c, 0, 0), -ENOTSUP);
    assert_non_null(strstr(ckpt_error(w->c), "xvda (/dev/vg0/web)"));
    assert_runs(OLD);
    assert_int_equal(nr_calls, 0);
}

static void a_disk_that_does_not_answer_is_named(void **state)
{
    struct scratch_world *w = *state;

    free_bytes = 1u << 30;
    is_disk_silent = true;
    assert_int_equal(roll_back(w->c, 0, 0), -EHOSTDOWN);
    is_disk_silent = false;
    assert_non_null(strstr(ckpt_error(w->c), "disk xvda: no answer"));
    assert_runs(OLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_guard_that_dies_leaves_the_old_one_or_the_new_one, setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(
            nor_is_the_old_one_left_paused_when_it_goes_first, setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(
            what_both_cannot_have_makes_the_old_one_go_first, setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(what_was_excluded_stays_as_it_is,
                                        setup_excluded, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_disk_that_nobody_excluded_is_not_missed_in_silence,
            setup_imported, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_does_not_answer_is_named,
                                        setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
