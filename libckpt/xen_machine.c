/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The state of an HVM or PVH domain besides its pages: which records there
 * must be, and in what order, is docs/specs/libxc-migration-stream's
 * "x86 HVM Guest" layout.  Restored by Xen's own libxc.
 */
#include "xen_machine.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxc_stream.h"
#include "machine.h"
#include "qmp.h"
#include "safe_io.h"
#include "xen_dom.h"
#include "xen_private.h"

#include <xen/hvm/params.h> /* needs xenctrl.h before it */

static int add_headers(struct xen *x, struct machine *m)
{
    struct xc_image_header image = {
        .marker = XC_MARKER,
        .id = htonl(XC_ID),
        .version = htonl(XC_VERSION),
    };
    struct xc_domain_header domain = {
        .type = XC_DOMAIN_HVM,
        .page_shift = XC_PAGE_SHIFT,
    };
    int v, rc;

    v = xc_version(x->xch, XENVER_version, NULL);
    if (v < 0)
        return fail(x->c, -errno, "asking Xen for its version");
    domain.xen_major = (uint32_t)v >> 16;
    domain.xen_minor = (uint32_t)v & 0xffff;
    rc = blob_add(x->c, &m->head, &image, sizeof(image));
    if (!rc)
        rc = blob_add(x->c, &m->head, &domain, sizeof(domain));
    return rc;
}

static int add_policy(struct xen *x, uint32_t domid, struct machine *m)
{
    uint32_t nr_leaves = 0, nr_msrs = 0;
    xc_cpu_policy_t *policy = NULL;
    xen_cpuid_leaf_t *leaves = NULL;
    xen_msr_entry_t *msrs = NULL;
    int rc;

    /* Each of the calls: 0, or -1 with errno. */
    if (xc_cpu_policy_get_size(x->xch, &nr_leaves, &nr_msrs)) {
        rc = fail(x->c, -errno, "domain %u: size of its CPU policy", domid);
        goto out;
    }
    leaves = calloc(nr_leaves + 1, sizeof(*leaves));
    msrs = calloc(nr_msrs + 1, sizeof(*msrs));
    policy = xc_cpu_policy_init();
    if (!leaves || !msrs || !policy) {
        rc = fail(x->c, -ENOMEM, "domain %u: its CPU policy", domid);
        goto out;
    }
    if (xc_cpu_policy_get_domain(x->xch, domid, policy) ||
        xc_cpu_policy_serialise(x->xch, policy, leaves, &nr_leaves, msrs,
                                &nr_msrs)) {
        rc = fail(x->c, -errno, "domain %u: reading its CPU policy", domid);
        goto out;
    }
    rc = blob_add_record(x->c, &m->head, XC_REC_CPUID_POLICY, leaves,
                         nr_leaves * sizeof(*leaves));
    if (!rc && nr_msrs)
        rc = blob_add_record(x->c, &m->head, XC_REC_MSR_POLICY, msrs,
                             nr_msrs * sizeof(*msrs));
out:
    xc_cpu_policy_destroy(policy);
    free(leaves);
    free(msrs);
    return rc;
}

int xen_machine_head(struct xen *x, const struct xen_dom *dom,
                     struct machine *m)
{
    int rc;

    rc = add_headers(x, m);
    if (!rc)
        rc = add_policy(x, dom->domid, m);
    if (!rc)
        rc = blob_add_record(x->c, &m->head, XC_REC_STATIC_DATA_END, NULL, 0);
    return rc;
}

static int add_tsc(struct xen *x, uint32_t domid, struct machine *m)
{
    struct xc_tsc_info tsc = { 0 };

    if (xc_domain_get_tsc_info(x->xch, domid, &tsc.mode, &tsc.nsec, &tsc.khz,
                               &tsc.incarnation))
        return fail(x->c, -errno, "domain %u: reading its TSC mode", domid);
    return blob_add_record(x->c, &m->tail, XC_REC_TSC_INFO, &tsc, sizeof(tsc));
}

static int add_context(struct xen *x, uint32_t domid, struct machine *m)
{
    uint8_t *context = NULL;
    int len, rc;

    /* The size with no buffer, then the bytes used; -1 with errno. */
    len = xc_domain_hvm_getcontext(x->xch, domid, NULL, 0);
    if (len > 0)
        context = malloc((size_t)len);
    if (len > 0 && !context) {
        rc = fail(x->c, -ENOMEM, "domain %u: its HVM context", domid);
        goto out;
    }
    if (len > 0)
        len = xc_domain_hvm_getcontext(x->xch, domid, context, (uint32_t)len);
    if (len <= 0) {
        rc = fail(x->c, errno ? -errno : -EIO,
                  "domain %u: reading its HVM context", domid);
        goto out;
    }
    rc = blob_add_record(x->c, &m->tail, XC_REC_HVM_CONTEXT, context,
                         (size_t)len);
out:
    free(context);
    return rc;
}

/* Those Xen's own save carries over (xg_sr_save_x86_hvm.c). */
static const uint32_t params[] = {
    HVM_PARAM_STORE_PFN,
    HVM_PARAM_IOREQ_PFN,
    HVM_PARAM_BUFIOREQ_PFN,
    HVM_PARAM_PAGING_RING_PFN,
    HVM_PARAM_MONITOR_RING_PFN,
    HVM_PARAM_SHARING_RING_PFN,
    HVM_PARAM_VM86_TSS_SIZED,
    HVM_PARAM_CONSOLE_PFN,
    HVM_PARAM_ACPI_IOPORTS_LOCATION,
    HVM_PARAM_VIRIDIAN,
    HVM_PARAM_IDENT_PT,
    HVM_PARAM_VM_GENERATION_ID_ADDR,
    HVM_PARAM_IOREQ_SERVER_PFN,
    HVM_PARAM_NR_IOREQ_SERVER_PAGES,
    HVM_PARAM_X87_FIP_WIDTH,
    HVM_PARAM_MCA_CAP,
};
#define NR_PARAMS (sizeof(params) / sizeof(params[0]))

static int add_params(struct xen *x, uint32_t domid, struct machine *m)
{
    uint64_t room[(sizeof(struct xc_hvm_params) +
                   NR_PARAMS * sizeof(struct xc_hvm_param)) /
                  sizeof(uint64_t)];
    struct xc_hvm_params *rec = (struct xc_hvm_params *)room;
    uint64_t value;
    size_t i;

    memset(room, 0, sizeof(room));
    for (i = 0; i < NR_PARAMS; i++) {
        if (xc_hvm_param_get(x->xch, domid, params[i], &value))
            return fail(x->c, -errno, "domain %u: reading HVM parameter %u",
                        domid, params[i]);
        if (!value)
            continue;
        rec->param[rec->count].index = params[i];
        rec->param[rec->count++].value = value;
    }
    return blob_add_record(x->c, &m->tail, XC_REC_HVM_PARAMS, rec,
                           sizeof(*rec) +
                               rec->count * sizeof(rec->param[0]));
}

/* QEMU writes to a file it opens itself; ours is private and short-lived. */
static int add_emulator(struct xen *x, uint32_t domid, struct machine *m)
{
    char path[64], *data = NULL;
    size_t len = 0;
    int rc;

    snprintf(path, sizeof(path), "/var/lib/xen/ckpt-qemu-save.%u", domid);
    rc = qmp_stop(x->c, domid);
    if (rc)
        return rc;
    rc = qmp_save_devices(x->c, domid, path);
    if (!rc)
        rc = safe_slurp(x->c, -1, path, 32u << 20, &data, &len);
    if (!rc)
        rc = blob_add(x->c, &m->emulator, data, len);
    unlink(path);
    free(data);
    return rc;
}

int xen_machine_tail(struct xen *x, const struct xen_dom *dom,
                     struct machine *m)
{
    int rc;

    rc = add_tsc(x, dom->domid, m);
    if (!rc)
        rc = add_context(x, dom->domid, m);
    if (!rc)
        rc = add_params(x, dom->domid, m);
    if (!rc && dom->type == XEN_TYPE_HVM)
        rc = add_emulator(x, dom->domid, m);
    return rc;
}
