/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a domain's monitor does about its shutdowns.  libxl is a list of events
 * and a list of what it was asked for. */
#include "xen_build.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "fake/scratch.h"
#include "xen_private.h"

#define DOMID 5u

static const int *reasons; /* of the shutdowns to come, ended by -1 */
static bool can_reset;
static char asked[256];
static bool is_enabled; /* the report of a shutdown */

static void ask(const char *word)
{
    assert_true(strlen(asked) + strlen(word) + 2 < sizeof(asked));
    strcat(asked, *asked ? " " : "");
    strcat(asked, word);
}

void xen_log_init(struct xen_log *log, xentoollog_logger *next)
{
    (void)next;
    memset(log, 0, sizeof(*log));
}

int libxl_ctx_alloc(libxl_ctx **pctx, int version, unsigned flags,
                    xentoollog_logger *lg)
{
    (void)version, (void)flags, (void)lg;
    *pctx = (libxl_ctx *)asked;
    return 0;
}

int libxl_ctx_free(libxl_ctx *ctx)
{
    (void)ctx;
    return 0;
}

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid,
                                        libxl_domain_config *config,
                                        const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)domid, (void)ao_how;
    config->on_poweroff = LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    config->on_reboot = LIBXL_ACTION_ON_SHUTDOWN_RESTART;
    config->on_soft_reset = LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET;
    return 0;
}

int libxl_evenable_domain_death(libxl_ctx *ctx, uint32_t domid, libxl_ev_user u,
                                libxl_evgen_domain_death **death_out)
{
    (void)ctx, (void)u;
    assert_int_equal(domid, DOMID);
    assert_false(is_enabled);
    is_enabled = true;
    *death_out = (libxl_evgen_domain_death *)asked;
    return 0;
}

void libxl_evdisable_domain_death(libxl_ctx *ctx, libxl_evgen_domain_death *d)
{
    (void)ctx, (void)d;
    is_enabled = false;
}

int libxl_event_wait(libxl_ctx *ctx, libxl_event **event_out,
                     uint64_t typemask, libxl_event_predicate *predicate,
                     void *predicate_user)
{
    libxl_event *event = calloc(1, sizeof(*event));

    (void)ctx, (void)typemask, (void)predicate, (void)predicate_user;
    assert_non_null(event);
    assert_true(is_enabled);
    event->domid = DOMID;
    event->type = *reasons < 0 ? LIBXL_EVENT_TYPE_DOMAIN_DEATH
                               : LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN;
    if (*reasons >= 0)
        event->u.domain_shutdown.shutdown_reason = (uint8_t)*reasons++;
    *event_out = event;
    return 0;
}

void libxl_event_free(libxl_ctx *ctx, libxl_event *event)
{
    (void)ctx;
    free(event);
}

int libxl_domain_info(libxl_ctx *ctx, libxl_dominfo *info, uint32_t domid)
{
    (void)ctx, (void)info, (void)domid;
    return 0;
}

int libxl_domain_soft_reset(libxl_ctx *ctx, libxl_domain_config *config,
                            uint32_t domid, const libxl_asyncop_how *ao_how,
                            const libxl_asyncprogress_how *console_how)
{
    (void)ctx, (void)config, (void)ao_how, (void)console_how;
    assert_int_equal(domid, DOMID);
    assert_false(is_enabled); /* the old one's end would be taken for its own */
    ask("reset");
    return can_reset ? 0 : ERROR_FAIL;
}

int libxl_domain_destroy(libxl_ctx *ctx, uint32_t domid,
                         const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)domid, (void)ao_how;
    ask("destroy");
    return 0;
}

int libxl_domain_create_new(libxl_ctx *ctx, libxl_domain_config *config,
                            uint32_t *domid, const libxl_asyncop_how *ao_how,
                            const libxl_asyncprogress_how *console_how)
{
    (void)ctx, (void)config, (void)ao_how, (void)console_how;
    *domid = DOMID;
    ask("create");
    return 0;
}

int libxl_domain_unpause(libxl_ctx *ctx, uint32_t domid,
                         const libxl_asyncop_how *ao_how)
{
    (void)ctx, (void)domid, (void)ao_how;
    ask("unpause");
    return 0;
}

static const char *watch(const int *shutdowns)
{
    reasons = shutdowns;
    asked[0] = '\0';
    assert_int_equal(xen_watch(DOMID), 0);
    assert_false(is_enabled);
    return asked;
}

static void a_suspend_ends_nothing_and_a_reboot_is_one(void **state)
{
    const int shutdowns[] = {
        LIBXL_SHUTDOWN_REASON_SUSPEND, LIBXL_SHUTDOWN_REASON_REBOOT,
        LIBXL_SHUTDOWN_REASON_POWEROFF, LIBXL_SHUTDOWN_REASON_REBOOT, -1};

    (void)state;
    assert_string_equal(watch(shutdowns), "destroy create unpause destroy");
}

static void one_that_begins_another_kernel_is_reset(void **state)
{
    const int shutdowns[] = {LIBXL_SHUTDOWN_REASON_SOFT_RESET,
                             LIBXL_SHUTDOWN_REASON_SOFT_RESET,
                             LIBXL_SHUTDOWN_REASON_POWEROFF, -1};

    (void)state;
    can_reset = true;
    assert_string_equal(watch(shutdowns), "reset unpause reset unpause destroy");
}

static void and_destroyed_where_that_fails(void **state)
{
    const int shutdowns[] = {LIBXL_SHUTDOWN_REASON_SOFT_RESET, -1};

    (void)state;
    can_reset = false;
    assert_string_equal(watch(shutdowns), "reset destroy");
}

static void a_second_one_leaves_at_once(void **state)
{
    const int shutdowns[] = {LIBXL_SHUTDOWN_REASON_REBOOT, -1};
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = DOMID, .l_len = 1};
    char *dir = scratch_dir();
    int fd;

    (void)state;
    setenv("CKPT_LOCK_DIR", dir, 1);
    fd = open(scratch_path(dir, "ckpt-watch.lock"), O_RDWR | O_CREAT, 0600);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
    assert_string_equal(watch(shutdowns), "");
    range.l_type = F_UNLCK;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &range), 0);
    assert_string_equal(watch(shutdowns), "destroy create unpause");
    close(fd);
    unsetenv("CKPT_LOCK_DIR");
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suspend_ends_nothing_and_a_reboot_is_one),
        cmocka_unit_test(one_that_begins_another_kernel_is_reset),
        cmocka_unit_test(and_destroyed_where_that_fails),
        cmocka_unit_test(a_second_one_leaves_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
