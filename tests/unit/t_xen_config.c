/* SPDX-License-Identifier: LGPL-2.1-only */
/* What becomes of a configuration in another domain.  libxl is the real one, Xen
 * itself is not there. */
#include "xen_config.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#include "fake/scratch.h"
#include "xen_private.h"

/* libxl asks for them, and they are asked for nothing. */
xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild_logger,
                                unsigned flags)
{
    static char xen;

    (void)logger, (void)dombuild_logger, (void)flags;
    return (xc_interface *)&xen;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
    static char xenstored;

    (void)flags;
    return (struct xs_handle *)&xenstored;
}

void xs_close(struct xs_handle *xsh)
{
    (void)xsh;
}

/* The domain's size by now; 0: there is no domain any more. */
static uint64_t now_target_kib, now_max_kib;

int libxl_retrieve_domain_configuration(libxl_ctx *ctx, uint32_t domid,
                                        libxl_domain_config *config,
                                        const libxl_asyncop_how *how)
{
    (void)ctx, (void)domid, (void)how;
    config->b_info.target_memkb = now_target_kib;
    config->b_info.max_memkb = now_max_kib;
    return now_target_kib ? 0 : ERROR_FAIL;
}

const char *xen_words(const struct xen *x)
{
    (void)x;
    return "";
}

static struct xen x;
static xentoollog_logger *quiet;

static int setup(void **state)
{
    scratch_setup(state);
    x.c = ((struct scratch_world *)*state)->c;
    quiet = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr,
                                                              XTL_CRITICAL, 0);
    return libxl_ctx_alloc(&x.ctx, LIBXL_VERSION, 0, quiet);
}

static int teardown(void **state)
{
    libxl_ctx_free(x.ctx);
    xtl_logger_destroy(quiet);
    return scratch_teardown(state);
}

#define HVM(BUILD, REST)                                                       \
    "{\"c_info\":{\"type\":\"hvm\",\"name\":\"web\","                          \
    "\"uuid\":\"11111111-1111-1111-1111-111111111111\"},"                      \
    "\"b_info\":{\"type.hvm\":{" BUILD "}}" REST "}"
#define PLAIN                                                                  \
    HVM("\"serial\":\"pty\",\"vnc\":{\"enable\":\"True\"}",                    \
        ",\"nics\":[{\"devid\":0,\"bridge\":\"br0\"}]")
#define VIFNAME HVM("", ",\"nics\":[{\"devid\":0,\"ifname\":\"web0\"}]")
#define SOCKET                                                                 \
    HVM("", ",\"channels\":[{\"devid\":0,\"name\":\"agent\","                  \
            "\"connection.socket\":{\"path\":\"/run/web.sock\"}}]")
#define TCP HVM("\"serial\":\"tcp:0.0.0.0:5000,server\"", "")
#define LIST HVM("\"serial_list\":[\"pty\",\"file:/var/log/web\"]", "")
#define VNC                                                                    \
    HVM("\"vnc\":{\"enable\":\"True\",\"display\":7,"                          \
        "\"findunused\":\"False\"}", "")
#define P9                                                                     \
    HVM("", ",\"p9s\":[{\"devid\":0,\"tag\":\"t\",\"path\":\"/srv/web\","      \
            "\"security_model\":\"none\"}]")
#define USB HVM("\"usbdevice_list\":[\"tablet\",\"host:1234:5678\"]", "")
#define GENID "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"

static void assert_held(const char *json, const char *by)
{
    assert_int_equal(xen_config_check_beside(&x, json), by ? -EEXIST : 0);
    if (by)
        assert_non_null(strstr(ckpt_error(x.c), by));
}

static void what_only_one_can_have_is_named_before_a_rollback(void **state)
{
    (void)state;
    assert_held(PLAIN, NULL);
    assert_held(LIST, NULL);
    assert_held(VIFNAME, "web0");
    assert_held(SOCKET, "/run/web.sock");
    assert_held(TCP, "tcp:0.0.0.0:5000");
    assert_held(VNC, "VNC port");
}

static void a_fork_shares_neither_folder_nor_device(void **state)
{
    (void)state;
    assert_int_equal(xen_config_check_fork(&x, PLAIN), 0);
    assert_int_equal(xen_config_check_fork(&x, P9), -ENOTSUP);
    assert_non_null(strstr(ckpt_error(x.c), "/srv/web"));
    assert_int_equal(xen_config_check_fork(&x, USB), -ENOTSUP);
    assert_non_null(strstr(ckpt_error(x.c), "host:1234:5678"));
    assert_int_equal(xen_config_check(&x, "web", USB), -ENOTSUP);
    assert_int_equal(xen_config_check(&x, "web", PLAIN), 0);
}

/* As a fork, or for a rollback. */
static char *rewrite(const char *json, bool fresh)
{
    const struct xen_identity id = {.name = "other", .fresh = fresh};
    char uuid[37], *out;

    assert_int_equal(xen_config_rewrite(&x, json, &id, &out, uuid), 0);
    return out;
}

static void assert_gone(const char *json, const char *word)
{
    char *fork = rewrite(json, true), *back = rewrite(json, false);

    assert_non_null(strstr(back, word));
    assert_null(strstr(fork, word));
    /* It can be built beside the original, and beside another fork. */
    assert_int_equal(xen_config_check_beside(&x, fork), 0);
    free(fork);
    free(back);
}

static void its_ports_are_its_own(void **state)
{
    char *fork;

    (void)state;
    assert_gone(VIFNAME, "web0");
    assert_gone(SOCKET, "/run/web.sock");
    assert_gone(TCP, "tcp:");
    assert_gone(LIST, "/var/log/web");
    fork = rewrite(VNC, true);
    assert_int_equal(xen_config_check_beside(&x, fork), 0);
    free(fork);
    fork = rewrite(SOCKET, true);
    assert_non_null(strstr(fork, "connection.pty"));
    free(fork);
}

static void generation(const char *json, libxl_ms_vm_genid *out)
{
    libxl_domain_config config;

    libxl_domain_config_init(&config);
    assert_int_equal(libxl_domain_config_from_json(x.ctx, &config, json), 0);
    *out = config.b_info.u.hvm.ms_vm_genid;
    libxl_domain_config_dispose(&config);
}

static void a_rollback_is_another_generation_too(void **state)
{
    static const char json[] = HVM("\"ms_vm_genid\":" GENID, "");
    libxl_ms_vm_genid then, now;
    char *back;

    (void)state;
    generation(json, &then);
    assert_false(libxl_ms_vm_genid_is_zero(&then));
    back = rewrite(json, false);
    generation(back, &now);
    free(back);
    assert_false(libxl_ms_vm_genid_is_zero(&now));
    assert_memory_not_equal(&then, &now, sizeof(now));
    /* One that has none gets none. */
    back = rewrite(PLAIN, false);
    generation(back, &now);
    free(back);
    assert_true(libxl_ms_vm_genid_is_zero(&now));
}

#define SIZED                                                                  \
    "{\"c_info\":{\"type\":\"pvh\",\"name\":\"web\"},\"b_info\":{"             \
    "\"max_memkb\":131072,\"target_memkb\":131072}}"

static void assert_resized(uint64_t nr_pages, uint64_t target_kib,
                           uint64_t max_kib)
{
    libxl_domain_config config;
    char *json = strdup(SIZED);

    assert_int_equal(xen_config_resize(&x, 7, nr_pages, &json), 0);
    libxl_domain_config_init(&config);
    assert_int_equal(libxl_domain_config_from_json(x.ctx, &config, json), 0);
    assert_int_equal(config.b_info.target_memkb, target_kib);
    assert_int_equal(config.b_info.max_memkb, max_kib);
    libxl_domain_config_dispose(&config);
    free(json);
}

static void a_copy_can_hold_what_there_was_at_the_cut(void **state)
{
    (void)state;
    now_max_kib = 131072;
    now_target_kib = 131072;
    assert_resized(0, 131072, 131072); /* disks alone */
    assert_resized(131072 / 4 + 100, 131072, 131072);
    now_target_kib = 114688; /* told to become smaller, and has */
    assert_resized(114688 / 4, 114688, 131072);
    assert_resized(131072 / 4, 131072 - 1024, 131072); /* and has not yet */
    now_max_kib = 114688;
    assert_resized(131072 / 4, 131072 - 1024, 131072 - 1024);
    now_max_kib = now_target_kib = 0; /* went down */
    assert_resized(131072 / 4, 131072, 131072);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_one_can_have_is_named_before_a_rollback),
        cmocka_unit_test(a_fork_shares_neither_folder_nor_device),
        cmocka_unit_test(its_ports_are_its_own),
        cmocka_unit_test(a_rollback_is_another_generation_too),
        cmocka_unit_test(a_copy_can_hold_what_there_was_at_the_cut),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
