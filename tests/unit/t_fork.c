/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a fork leaves behind.  Of Xen there is a running domain "web", and a
 * name that is taken; of the guard, nothing; the locks are the store's. */
#include "ckpt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "build.h"
#include "checkpoint.h"
#include "ctx.h"
#include "fake/scratch.h"
#include "op.h"
#include "store.h"
#include "xen_config.h"

#define UUID "11111111-1111-1111-1111-111111111111"
#define ID "00000000000000aa"

static bool is_shared; /* something of the host */
static bool is_cancelled; /* while a child is built */

int op_find(struct ckpt *c, const char *domain, struct xen_dom *dom_out)
{
    memset(dom_out, 0, sizeof(*dom_out));
    return strcmp(domain, "web") ? fail(c, -ENOENT, "no such domain") : 0;
}

static int op_lock(struct op *op, struct ckpt *c, const char *uuid)
{
    memset(op, 0, sizeof(*op));
    op->c = c;
    op->x = (struct xen *)c;
    return store_lock(c->store, uuid, &op->lock, NULL);
}

int op_open_uuid(struct op *op, struct ckpt *c, const char *domain_uuid)
{
    return op_lock(op, c, domain_uuid);
}

int op_open_store(struct op *op, struct ckpt *c, const char *domain_uuid)
{
    return op_lock(op, c, domain_uuid);
}

void op_close(struct op *op)
{
    store_unlock(op->lock);
    memset(op, 0, sizeof(*op));
}

static void commit(struct ckpt *c, const struct ckpt_info *info)
{
    struct image *img;
    char *text;

    assert_int_equal(checkpoint_to_json(c, info, &text), 0);
    assert_int_equal(image_create(c->store, ID, &img), 0);
    assert_int_equal(image_put_blob(img, "config", "{}", 3), 0);
    assert_int_equal(image_commit(img, text), 0);
    free(text);
}

int take_inner(struct ckpt *c, const char *domain,
               const struct ckpt_take_opts *opts, struct ckpt_info *info_out)
{
    (void)opts;
    scratch_info(info_out, ID, "fork", domain, UUID);
    commit(c, info_out);
    return 0;
}

int disks_open_info(struct disks *d, struct op *op,
                    const struct ckpt_info *info)
{
    (void)d, (void)op, (void)info;
    return 0;
}

void disks_close(struct disks *d)
{
    (void)d;
}

int xen_name_free(struct xen *x, const char *name)
{
    return strcmp(name, "taken")
               ? 0
               : fail((struct ckpt *)x, -EEXIST, "%s is taken.", name);
}

void xen_dom_fini(struct xen_dom *dom)
{
    (void)dom;
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

int xen_config_check_fork(struct xen *x, const char *json)
{
    (void)json;
    return is_shared ? fail((struct ckpt *)x, -ENOTSUP, "a folder") : 0;
}

int xen_config_memory(struct xen *x, const char *json, uint64_t *bytes_out)
{
    (void)x, (void)json;
    *bytes_out = 4096;
    return 0;
}

int xen_free_bytes(struct xen *x, uint64_t *bytes_out)
{
    (void)x;
    *bytes_out = 1u << 20;
    return 0;
}

int xen_unpause(struct xen *x, uint32_t domid)
{
    (void)x, (void)domid;
    return 0;
}

int build_start(struct ckpt *c, const char *config, struct image *img,
                struct build **b_out, uint32_t *domid_out)
{
    (void)config, (void)img;
    *b_out = NULL;
    *domid_out = 7;
    if (is_cancelled)
        ckpt_cancel(c);
    return check_cancel(c);
}

int build_keep(struct ckpt *c, struct build *b)
{
    (void)c, (void)b;
    return 0;
}

void build_abort(struct build *b)
{
    (void)b;
}

/* --- the promises ---------------------------------------------------------- */

static int fork_web(struct ckpt *c, const char *name)
{
    const struct ckpt_fork_opts opts = {.name = name};
    struct ckpt_domain child = {.name = NULL};
    unsigned nr;
    int rc = ckpt_fork(c, "web", &opts, &child, &nr);

    assert_int_equal(nr, rc ? 0 : 1);
    ckpt_domain_fini(&child);
    return rc;
}

static void the_checkpoint_made_for_it_goes_with_it(void **state)
{
    struct scratch_world *w = *state;

    is_cancelled = false;
    assert_int_equal(fork_web(w->c, "child"), 0);
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
}

static void and_with_one_that_failed(void **state)
{
    struct scratch_world *w = *state;

    is_cancelled = false;
    assert_int_equal(fork_web(w->c, "taken"), -EEXIST);
    assert_string_equal(ckpt_error(w->c), "taken is taken.");
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
    is_shared = true;
    assert_int_equal(fork_web(w->c, "child"), -ENOTSUP);
    is_shared = false;
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
    is_cancelled = true;
    assert_int_equal(fork_web(w->c, "child"), -ECANCELED);
    assert_true(*ckpt_error(w->c));
    assert_int_equal(scratch_count(w->dir, "store/checkpoints"), 0);
}

static int fork_with_disk(struct ckpt *c, const char *why_none)
{
    const struct ckpt_fork_opts opts = {.name = "child"};
    struct ckpt_domain child = {.name = NULL};
    struct ckpt_info info;
    unsigned nr;
    int rc;

    scratch_info(&info, ID, "then", "gone", UUID);
    scratch_add_disk(&info, why_none);
    commit(c, &info);
    rc = ckpt_fork(c, ID, &opts, &child, &nr);
    if (rc)
        assert_non_null(strstr(ckpt_error(c), "xvda (/dev/vg0/web, "));
    ckpt_domain_fini(&child);
    assert_int_equal(ckpt_delete(c, ID), 0);
    ckpt_info_fini(&info);
    return rc;
}

static void no_disk_is_written_by_two(void **state)
{
    struct scratch_world *w = *state;

    is_cancelled = false;
    assert_int_equal(fork_with_disk(w->c, "read-only"), 0);
    assert_int_equal(fork_with_disk(w->c, "cdrom"), 0);
    assert_int_equal(fork_with_disk(w->c, "excluded"), -ENOTSUP);
    assert_int_equal(fork_with_disk(w->c, "imported"), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_checkpoint_made_for_it_goes_with_it,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(and_with_one_that_failed, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(no_disk_is_written_by_two,
                                        scratch_setup, scratch_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
