/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The guard's side of a request to suspend, case by case.  xenstore is two
 * nodes and the events of one of them, Xen a domain that runs, stands suspended
 * or is gone.
 */
#include "xen_undo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/scratch.h"
#include "qmp.h"
#include "xen_private.h"

#include "xen_suspend_claim.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

#define DOMID 5u

static char request[32], claim[64]; /* "-": there is none */
static enum still state;
static bool is_paused, is_broken; /* xenstore */
static unsigned nr_events, nr_resumed;


static void set(const char *claimed, const char *asked, enum still is)
{
    snprintf(claim, sizeof(claim), "%s", claimed);
    snprintf(request, sizeof(request), "%s", asked);
    state = is;
    nr_events = nr_resumed = 0;
    is_paused = is_broken = false;
}

/* As somebody, or the guest, writes it. */
static void write_request(const char *word)
{
    snprintf(request, sizeof(request), "%s", word);
    nr_events++;
}

/* --- xenstore and Xen ------------------------------------------------------ */

static char *node_of(const char *path)
{
    return strstr(path, "/control/shutdown") ? request : claim;
}

struct xs_handle *xs_open(unsigned long flags)
{
    (void)flags;
    return (struct xs_handle *)request;
}

void xs_close(struct xs_handle *h)
{
    (void)h;
}

int xs_fileno(struct xs_handle *h)
{
    (void)h;
    return 0;
}

static char **event(const char *token)
{
    char **e = calloc(2, sizeof(*e));

    assert_non_null(e);
    e[XS_WATCH_TOKEN] = (char *)(uintptr_t)token;
    return e;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    (void)h, (void)path, (void)token;
    return true;
}

char **xs_read_watch(struct xs_handle *h, unsigned *num)
{
    (void)h;
    *num = 2;
    return event("request");
}

char **xs_check_watch(struct xs_handle *h)
{
    (void)h;
    if (!nr_events)
        return NULL;
    nr_events--;
    return event("request");
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
              unsigned *len)
{
    const char *value = node_of(path);

    (void)h, (void)t;
    errno = is_broken ? EIO : ENOENT;
    if (is_broken || !strcmp(value, "-"))
        return NULL;
    *len = (unsigned)strlen(value);
    return strdup(value);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
              const void *data, unsigned len)
{
    (void)h, (void)t;
    snprintf(node_of(path), sizeof(request), "%.*s", (int)len,
             (const char *)data);
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    (void)h, (void)t;
    strcpy(node_of(path), "-");
    return true;
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    (void)h;
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
    (void)h, (void)t, (void)abort;
    return true;
}

bool xs_resume_domain(struct xs_handle *h, unsigned domid)
{
    (void)h;
    assert_int_equal(domid, DOMID);
    return true;
}

xc_interface *xc_interface_open(xentoollog_logger *l, xentoollog_logger *d,
                                unsigned flags)
{
    (void)l, (void)d, (void)flags;
    return (xc_interface *)claim;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_resume(xc_interface *xch, uint32_t domid, int fast)
{
    (void)xch;
    assert_int_equal(domid, DOMID);
    assert_int_equal(fast, 1);
    assert_int_equal(state, STILL_SUSPENDED);
    state = STILL_NO;
    nr_resumed++;
    return 0;
}

bool xen_domain_info(xc_interface *xch, uint32_t domid, xc_domaininfo_t *info)
{
    (void)xch, (void)domid;
    memset(info, 0, sizeof(*info));
    if (state == STILL_SUSPENDED)
        info->flags = XEN_DOMINF_shutdown |
                      (SHUTDOWN_suspend << XEN_DOMINF_shutdownshift);
    if (is_paused)
        info->flags |= XEN_DOMINF_paused;
    return state != STILL_GONE;
}

int qmp_cont(struct ckpt *c, uint32_t domid)
{
    (void)c, (void)domid;
    return -ENOENT;
}

/* --- the cases -------------------------------------------------------------- */

static struct xen_pending *pending;

static int first(void)
{
    xen_pending_close(pending);
    return xen_undo_suspend(DOMID, "me", &pending);
}

static void what_is_not_ours_is_left_alone(void **s)
{
    (void)s;
    set("-", "", STILL_SUSPENDED);
    assert_int_equal(first(), 0);
    set("you asked", "suspend", STILL_SUSPENDED);
    assert_int_equal(first(), 0);
    assert_string_equal(request, "suspend");
    set("men asked", "", STILL_SUSPENDED);
    assert_int_equal(first(), 0);
    assert_int_equal(nr_resumed, 0);
    set("me asked", "", STILL_GONE);
    assert_int_equal(first(), 0);
}

/* Linux empties the node, Mirage removes it. */
static void a_request_may_be_taken_away(void **s)
{
    (void)s;
    set("me asked", "-", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    state = STILL_SUSPENDED;
    assert_int_equal(xen_pending_look(pending), 0);
    assert_int_equal(nr_resumed, 1);
}

static void a_request_that_stands_is_withdrawn(void **s)
{
    (void)s;
    set("me", "suspend", STILL_NO);
    assert_int_equal(first(), 0);
    assert_string_equal(request, "");
    assert_string_equal(claim, "-");
    set("me asked", "suspend", STILL_NO);
    assert_int_equal(first(), 0);
    assert_string_equal(request, "");
    /* But an earlier one may be followed yet. */
    set("me pending", "suspend", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    assert_string_equal(request, "");
    assert_string_equal(claim, "me pending");
}

static void who_follows_it_late_is_resumed(void **s)
{
    static const char *const claims[] = {"me", "me asked", "me pending"};

    (void)s;
    for (int i = 0; i < 3; i++) {
        set(claims[i], "", STILL_NO);
        assert_int_equal(first(), -EAGAIN);
        assert_non_null(pending);
        assert_int_equal(xen_pending_look(pending), -EAGAIN);
        state = STILL_SUSPENDED;
        assert_int_equal(xen_pending_look(pending), 0);
        assert_int_equal(nr_resumed, 1);
        assert_string_equal(claim, "-");
    }
    set("me asked", "", STILL_SUSPENDED);
    assert_int_equal(first(), 0);
    assert_int_equal(nr_resumed, 1);
}

static void but_not_who_follows_another(void **s)
{
    (void)s;
    set("me asked", "", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    write_request("suspend"); /* and it answers, both before we look */
    write_request("");
    state = STILL_SUSPENDED;
    assert_int_equal(xen_pending_look(pending), 0);
    assert_int_equal(nr_resumed, 0);
    set("me asked", "", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    write_request("suspend");
    assert_int_equal(xen_pending_look(pending), 0);
    assert_string_equal(request, "suspend");
    set("me asked", "", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    strcpy(claim, "you pending");
    state = STILL_SUSPENDED;
    assert_int_equal(xen_pending_look(pending), 0);
    assert_int_equal(nr_resumed, 0);
}

static void who_shall_power_off_is_resumed_for_that(void **s)
{
    (void)s;
    set("me asked", "", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    write_request("poweroff");
    assert_int_equal(xen_pending_look(pending), -EAGAIN);
    state = STILL_SUSPENDED;
    assert_int_equal(xen_pending_look(pending), 0);
    assert_int_equal(nr_resumed, 1);
    assert_string_equal(request, "poweroff");
}

static void what_cannot_be_read_is_not_undone(void **s)
{
    (void)s;
    set("me asked", "", STILL_SUSPENDED);
    is_broken = true;
    assert_int_equal(first(), -EIO);
    assert_int_equal(xen_undo_still(DOMID, "me"), -EIO);
    is_broken = false;
    assert_int_equal(first(), 0);
    assert_int_equal(nr_resumed, 1);
    set("me asked", "", STILL_NO);
    assert_int_equal(first(), -EAGAIN);
    is_broken = true;
    assert_int_equal(xen_pending_look(pending), -EIO);
    is_broken = false;
    is_paused = true;
    assert_int_equal(xen_pending_look(pending), -EAGAIN);
    assert_true(xen_pending_is_paused(pending));
}

static void who_stands_still_is_resumed_once(void **s)
{
    (void)s;
    set("me asked", "", STILL_SUSPENDED);
    assert_int_equal(xen_undo_still(DOMID, "me"), 0);
    assert_int_equal(nr_resumed, 1);
    assert_string_equal(claim, "-");
    state = STILL_SUSPENDED; /* by somebody else */
    assert_int_equal(xen_undo_still(DOMID, "me"), 0);
    assert_int_equal(nr_resumed, 1);
}

static void claim_of(const char *before, enum still is, int rc_expected,
                     enum asked asked_expected, const char *after)
{
    enum asked asked = ASKED_ONCE;
    int rc;

    set(before, "", is);
    rc = suspend_claim((xc_interface *)claim, (struct xs_handle *)request,
                       DOMID, "me", &asked);
    assert_int_equal(rc, rc_expected);
    if (!rc)
        assert_int_equal(asked, asked_expected);
    assert_string_equal(claim, after);
}

static void who_claims_it_knows_of_earlier_requests(void **s)
{
    (void)s;
    claim_of("-", STILL_NO, 0, ASKED_NOT, "me");
    claim_of("you", STILL_NO, 0, ASKED_BEFORE, "me pending");
    claim_of("you asked", STILL_NO, 0, ASKED_BEFORE, "me pending");
    claim_of("you pending", STILL_SUSPENDED, 0, ASKED_BEFORE, "me pending");
    claim_of("-", STILL_SUSPENDED, -EBUSY, ASKED_NOT, "-");
}

static int close_pending(void **s)
{
    (void)s;
    xen_pending_close(pending);
    pending = NULL;
    return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, close_pending)
    const struct CMUnitTest tests[] = {
        T(what_is_not_ours_is_left_alone),
        T(a_request_may_be_taken_away),
        T(a_request_that_stands_is_withdrawn),
        T(who_follows_it_late_is_resumed),
        T(but_not_who_follows_another),
        T(who_shall_power_off_is_resumed_for_that),
        T(what_cannot_be_read_is_not_undone),
        T(who_stands_still_is_resumed_once),
        T(who_claims_it_knows_of_earlier_requests),
    };

    char *dir = scratch_dir();
    int rc;

    setenv("CKPT_LOCK_DIR", dir, 1);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_remove(dir);
    return rc;
}
