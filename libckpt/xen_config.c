/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * libxl's domain configuration: libxl reads, prints and parses it; nothing
 * here looks at the JSON itself.
 */
#include "xen_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "xen_private.h"

static int parse(struct xen *x, const char *json, libxl_domain_config *config)
{
    libxl_domain_config_init(config);
    if (libxl_domain_config_from_json(x->ctx, config, json)) {
        libxl_domain_config_dispose(config);
        return fail(x->c, -EUCLEAN,
                    "libxl does not understand the stored configuration (%s).",
                    xen_words(x));
    }
    return 0;
}

int xen_config_read(struct xen *x, uint32_t domid, char **json_out)
{
    libxl_domain_config config;
    int rc = 0;

    *json_out = NULL;
    libxl_domain_config_init(&config);
    if (libxl_retrieve_domain_configuration(x->ctx, domid, &config, NULL)) {
        rc = fail(x->c, -EIO,
                  "domain %u: libxl has no configuration of it (%s).", domid,
                  xen_words(x));
        goto out;
    }
    *json_out = libxl_domain_config_to_json(x->ctx, &config);
    if (!*json_out)
        rc = fail(x->c, -ENOMEM, "domain %u: its configuration", domid);
out:
    libxl_domain_config_dispose(&config);
    return rc;
}

static const char *format_name(libxl_disk_format format)
{
    const char *name = libxl_disk_format_to_string(format);

    return format == LIBXL_DISK_FORMAT_UNKNOWN || !name ? "" : name;
}

int xen_config_disks(struct xen *x, const char *json,
                     struct xen_disk **disks_out, size_t *nr_out)
{
    libxl_domain_config config;
    struct xen_disk *disks;
    int i, rc;

    *disks_out = NULL;
    *nr_out = 0;
    rc = parse(x, json, &config);
    if (rc)
        return rc;
    disks = calloc((size_t)config.num_disks + 1, sizeof(*disks));
    for (i = 0; disks && i < config.num_disks; i++) {
        const libxl_device_disk *d = &config.disks[i];

        disks[i].vdev = strdup(d->vdev ? d->vdev : "");
        disks[i].target = strdup(d->pdev_path ? d->pdev_path : "");
        disks[i].format = strdup(format_name(d->format));
        disks[i].readonly = !d->readwrite;
        disks[i].cdrom = d->is_cdrom;
        disks[i].remote = d->backend_domid != 0;
        disks[i].is_phy = d->backend == LIBXL_DISK_BACKEND_PHY;
    }
    libxl_domain_config_dispose(&config);
    if (!disks)
        return fail(x->c, -ENOMEM, "the list of disks");
    *disks_out = disks;
    *nr_out = (size_t)i;
    return 0;
}

void xen_disks_free(struct xen_disk *disks, size_t nr)
{
    size_t i;

    for (i = 0; i < nr; i++) {
        free(disks[i].vdev);
        free(disks[i].target);
        free(disks[i].format);
    }
    free(disks);
}

static bool is_host_usb(const char *device)
{
    return !strncmp(device, "host:", 5);
}

/* Both are for the emulated serial ports, or both for the old USB devices: one
 * in @one, or several in @list; NULL: none of them @is so. */
static const char *find_text(const char *one, char *const *list,
                             bool (*is)(const char *))
{
    if (one && is(one))
        return one;
    for (; list && *list; list++)
        if (is(*list))
            return *list;
    return NULL;
}

static const char *find_host_usb(const libxl_domain_config *config)
{
    if (config->b_info.type != LIBXL_DOMAIN_TYPE_HVM)
        return NULL;
    return find_text(config->b_info.u.hvm.usbdevice,
                     config->b_info.u.hvm.usbdevice_list, is_host_usb);
}

int xen_config_check(struct xen *x, const char *domain, const char *json)
{
    libxl_domain_config config;
    const char *what = NULL;
    int rc;

    rc = parse(x, json, &config);
    if (rc)
        return rc;
    if (config.num_pcidevs)
        what = "a passed-through PCI device";
    else if (config.num_dtdevs)
        what = "a passed-through device-tree device";
    else if (config.num_usbdevs || find_host_usb(&config))
        what = "a passed-through USB device";
    else if (config.num_rdms)
        what = "reserved device memory";
    else if (config.num_vtpms)
        what = "a virtual TPM, whose state lives in another domain";
    libxl_domain_config_dispose(&config);
    if (what)
        return fail(x->c, -ENOTSUP,
                    "domain \"%s\" has %s: its state cannot be part of a "
                    "checkpoint. Detach it first.",
                    domain, what);
    return 0;
}

/* --- what two domains cannot both have ------------------------------------ */

static bool is_of_host(const char *serial)
{
    return strcmp(serial, "pty") && strcmp(serial, "null") &&
           strcmp(serial, "none") && strncmp(serial, "vc", 2);
}

static bool is_listening(const char *serial)
{
    return !strncmp(serial, "tcp:", 4) || !strncmp(serial, "telnet:", 7) ||
           !strncmp(serial, "websocket:", 10) || !strncmp(serial, "unix:", 5);
}

static const char *find_serial(const libxl_domain_config *config,
                               bool (*is)(const char *))
{
    if (config->b_info.type != LIBXL_DOMAIN_TYPE_HVM)
        return NULL;
    return find_text(config->b_info.u.hvm.serial,
                     config->b_info.u.hvm.serial_list, is);
}

static const char *find_socket(const libxl_domain_config *config)
{
    for (int i = 0; i < config->num_channels; i++)
        if (config->channels[i].connection == LIBXL_CHANNEL_CONNECTION_SOCKET)
            return config->channels[i].u.socket.path;
    return NULL;
}

static bool is_fixed(const libxl_vnc_info *vnc)
{
    return !libxl_defbool_is_default(vnc->enable) &&
           libxl_defbool_val(vnc->enable) &&
           !libxl_defbool_is_default(vnc->findunused) &&
           !libxl_defbool_val(vnc->findunused);
}

static bool has_fixed_vnc(const libxl_domain_config *config)
{
    if (config->b_info.type == LIBXL_DOMAIN_TYPE_HVM &&
        is_fixed(&config->b_info.u.hvm.vnc))
        return true;
    for (int i = 0; i < config->num_vfbs; i++)
        if (is_fixed(&config->vfbs[i].vnc))
            return true;
    return false;
}

int xen_config_check_beside(struct xen *x, const char *json)
{
    const char *what = NULL, *which = NULL;
    libxl_domain_config config;
    int rc;

    rc = parse(x, json, &config);
    if (rc)
        return rc;
    for (int i = 0; i < config.num_nics && !which; i++)
        which = config.nics[i].ifname;
    if (which)
        what = "the network interface (vifname) ";
    else if ((which = find_serial(&config, is_listening)))
        what = "the serial port ";
    else if ((which = find_socket(&config)))
        what = "the channel's socket ";
    else if (has_fixed_vnc(&config)) {
        what = "a VNC port that is fixed (vncunused=0)";
        which = "";
    }
    if (what)
        rc = fail(x->c, -EEXIST,
                  "the new domain needs %s%s, which the old one holds. Let the "
                  "old one be destroyed before the new one stands "
                  "(--destroy-first).",
                  what, which ? which : "");
    libxl_domain_config_dispose(&config);
    return rc;
}

int xen_config_check_fork(struct xen *x, const char *json)
{
    libxl_domain_config config;
    const char *which;
    int rc;

    rc = parse(x, json, &config);
    if (rc)
        return rc;
    if (config.num_p9s)
        rc = fail(x->c, -ENOTSUP,
                  "the host's folder %s is shared with the domain (p9): a fork "
                  "would write to it as well. Fork one that was created "
                  "without it.",
                  config.p9s[0].path ? config.p9s[0].path : "");
    else if ((which = find_host_usb(&config)))
        rc = fail(x->c, -ENOTSUP,
                  "the domain has the host's USB device (usbdevice \"%s\"), "
                  "which two cannot have. Fork one that was created without "
                  "it.",
                  which);
    if (!rc && (which = find_serial(&config, is_of_host)))
        warn(x->c, "serial port %s stays the original's: a fork has a pty",
             which);
    if (!rc && (which = find_socket(&config)))
        warn(x->c, "the channel's socket %s stays the original's: a fork has a "
                   "pty",
             which);
    libxl_domain_config_dispose(&config);
    return rc;
}

/* The guest does not see to what its ports lead. */
static int own_serial(struct xen *x, char **serial)
{
    if (!*serial || !is_of_host(*serial))
        return 0;
    free(*serial);
    *serial = strdup("pty");
    return *serial ? 0 : fail(x->c, -ENOMEM, "a serial port");
}

/* Ports of its own in place of the original's. */
static int own_ports(struct xen *x, libxl_domain_config *config)
{
    libxl_domain_build_info *b = &config->b_info;
    int rc = 0;

    for (int i = 0; i < config->num_channels; i++) {
        libxl_device_channel *ch = &config->channels[i];

        if (ch->connection != LIBXL_CHANNEL_CONNECTION_SOCKET)
            continue;
        free(ch->u.socket.path);
        ch->u.socket.path = NULL;
        ch->connection = LIBXL_CHANNEL_CONNECTION_PTY;
    }
    for (int i = 0; i < config->num_vfbs; i++)
        libxl_defbool_set(&config->vfbs[i].vnc.findunused, true);
    if (b->type != LIBXL_DOMAIN_TYPE_HVM)
        return 0;
    libxl_defbool_set(&b->u.hvm.vnc.findunused, true);
    rc = own_serial(x, &b->u.hvm.serial);
    for (char **s = b->u.hvm.serial_list; !rc && s && *s; s++)
        rc = own_serial(x, s);
    return rc;
}

static int set_targets(struct xen *x, libxl_domain_config *config,
                       const struct xen_identity *id)
{
    size_t i;
    int j;

    for (i = 0; i < id->nr_disks; i++) {
        for (j = 0; j < config->num_disks; j++) {
            libxl_device_disk *d = &config->disks[j];

            if (!d->vdev || strcmp(d->vdev, id->vdevs[i]))
                continue;
            free(d->pdev_path);
            d->pdev_path = strdup(id->targets[i]);
            if (!d->pdev_path)
                return fail(x->c, -ENOMEM, "disk %s", id->vdevs[i]);
        }
    }
    return 0;
}

static void drop_network(libxl_domain_config *config)
{
    for (int i = 0; i < config->num_nics; i++)
        libxl_device_nic_dispose(&config->nics[i]);
    config->num_nics = 0;
}

/* A new machine: nothing of it may be mistaken for the old one. */
static int make_fresh(struct xen *x, libxl_domain_config *config)
{
    int i;

    libxl_uuid_generate(&config->c_info.uuid);
    for (i = 0; i < config->num_nics; i++) {
        uint8_t *mac = config->nics[i].mac;

        /* Xen's own OUI, as libxl gives its MACs. */
        if (getrandom(mac, 6, 0) != 6)
            return fail(x->c, -errno, "random numbers for a MAC");
        mac[0] = 0x00;
        mac[1] = 0x16;
        mac[2] = 0x3e;
        mac[3] &= 0x7f;
        free(config->nics[i].ifname); /* the old one's vif has that name */
        config->nics[i].ifname = NULL;
    }
    return own_ports(x, config);
}

/* What a guest did with random numbers of that instant it must not do again:
 * also one that is rolled back is told, if it is one that looks. */
static int new_generation(struct xen *x, libxl_domain_config *config,
                          bool fresh)
{
    libxl_ms_vm_genid *id = &config->b_info.u.hvm.ms_vm_genid;

    if (config->b_info.type != LIBXL_DOMAIN_TYPE_HVM ||
        (!fresh && libxl_ms_vm_genid_is_zero(id)))
        return 0;
    return getrandom(id, 16, 0) == 16
               ? 0
               : fail(x->c, -errno, "random numbers for a generation id");
}

int xen_config_rewrite(struct xen *x, const char *json,
                       const struct xen_identity *id, char **json_out,
                       char uuid_out[37])
{
    libxl_domain_config config;
    int rc;

    *json_out = NULL;
    rc = parse(x, json, &config);
    if (rc)
        return rc;
    if (id->name) {
        free(config.c_info.name);
        config.c_info.name = strdup(id->name);
    }
    if (id->no_network)
        drop_network(&config);
    rc = set_targets(x, &config, id);
    if (!rc && id->fresh)
        rc = make_fresh(x, &config);
    if (!rc)
        rc = new_generation(x, &config, id->fresh);
    if (rc)
        goto out;
    snprintf(uuid_out, 37, LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(config.c_info.uuid));
    *json_out = libxl_domain_config_to_json(x->ctx, &config);
    if (!*json_out || !config.c_info.name)
        rc = fail(x->c, -ENOMEM, "the new configuration");
out:
    libxl_domain_config_dispose(&config);
    return rc;
}

/* What libxl lets a domain of x86 have beyond its target (LIBXL_MAXMEM_CONSTANT
 * in libxl_internal.h), for it is built with no more than both together. */
#define BEYOND_TARGET_KIB 1024

static void resize(libxl_domain_build_info *b,
                   const libxl_domain_build_info *now, uint64_t nr_pages)
{
    uint64_t kib = nr_pages * (XC_PAGE_SIZE / 1024);

    b->target_memkb = now->target_memkb;
    b->max_memkb = now->max_memkb;
    if (b->target_memkb + BEYOND_TARGET_KIB < kib)
        b->target_memkb = kib - BEYOND_TARGET_KIB;
    if (b->max_memkb < b->target_memkb)
        b->max_memkb = b->target_memkb;
}

int xen_config_resize(struct xen *x, uint32_t domid, uint64_t nr_pages,
                      char **json_io)
{
    libxl_domain_config config, now;
    char *json;
    int rc;

    rc = parse(x, *json_io, &config);
    if (rc)
        return rc;
    libxl_domain_config_init(&now);
    /* One that went down after its cut has the size it had before. */
    if (libxl_retrieve_domain_configuration(x->ctx, domid, &now, NULL))
        resize(&config.b_info, &config.b_info, nr_pages);
    else
        resize(&config.b_info, &now.b_info, nr_pages);
    json = libxl_domain_config_to_json(x->ctx, &config);
    if (json) {
        free(*json_io);
        *json_io = json;
    } else {
        rc = fail(x->c, -ENOMEM, "domain %u: its configuration", domid);
    }
    libxl_domain_config_dispose(&now);
    libxl_domain_config_dispose(&config);
    return rc;
}

int xen_config_memory(struct xen *x, const char *json, uint64_t *bytes_out)
{
    libxl_domain_config config;
    uint64_t need_kb = 0;
    int rc;

    rc = parse(x, json, &config);
    if (rc)
        return rc;
    /* 0 or ERROR_* */
    if (libxl_domain_need_memory(x->ctx, &config, 0, &need_kb))
        rc = fail(x->c, -EIO, "libxl cannot tell the memory needed (%s)",
                  xen_words(x));
    *bytes_out = need_kb * 1024;
    libxl_domain_config_dispose(&config);
    return rc;
}
