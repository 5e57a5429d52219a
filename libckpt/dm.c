/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Device-mapper by ioctl on /dev/mapper/control.  Every call is one struct
 * dm_ioctl, followed by room for what goes with it or comes back; the device
 * is named by its number, or by its uuid where the number may be another's by
 * now.  Nothing is allocated.
 *
 * Resuming makes the kernel emit a change event without LVM's cookie; udev's
 * rules know such events and leave LVM's links as they are.
 */
#include "dm.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctx.h"
#include "dm_call.h"

_Static_assert(DM_NAME_MAX == DM_NAME_LEN, "as the kernel's");
_Static_assert(DM_UUID_MAX == DM_UUID_LEN, "as the kernel's");

struct call {
    struct dm_ioctl io;
    _Alignas(8) char data[2048];
};

int dm_open(int *fd_out)
{
    *fd_out = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    return *fd_out < 0 ? -errno : 0;
}

static void prepare(struct call *call, unsigned flags)
{
    dm_call_prepare(&call->io, sizeof(*call), offsetof(struct call, data),
                    flags);
}

static int call_dev(int fd, unsigned long request, struct call *call, dev_t dev)
{
    call->io.dev = dm_call_encode(dev);
    return ioctl(fd, request, call) < 0 ? -errno : 0;
}

static void fill_device(const struct call *call, struct dm_device *out)
{
    memset(out, 0, sizeof(*out));
    out->dev = dm_call_decode(call->io.dev);
    snprintf(out->name, sizeof(out->name), "%s", call->io.name);
    snprintf(out->uuid, sizeof(out->uuid), "%s", call->io.uuid);
    out->is_suspended = call->io.flags & DM_SUSPEND_FLAG;
}

int dm_info(int fd, dev_t dev, struct dm_device *out)
{
    struct call call;
    int rc;

    prepare(&call, 0);
    rc = call_dev(fd, DM_DEV_STATUS, &call, dev);
    if (!rc)
        fill_device(&call, out);
    return rc;
}

int dm_find(int fd, const char *name, struct dm_device *out)
{
    struct call call;

    prepare(&call, 0);
    snprintf(call.io.name, sizeof(call.io.name), "%s", name);
    if (ioctl(fd, DM_DEV_STATUS, &call) < 0)
        return -errno;
    fill_device(&call, out);
    return 0;
}

static int line(int fd, dev_t dev, unsigned flags, struct dm_target *out)
{
    const struct dm_target_spec *spec;
    struct call call;
    size_t room;
    int rc;

    prepare(&call, flags);
    rc = call_dev(fd, DM_TABLE_STATUS, &call, dev);
    if (rc)
        return rc;
    if (call.io.flags & DM_BUFFER_FULL_FLAG || call.io.target_count != 1 ||
        call.io.data_start != offsetof(struct call, data))
        return -ENOTSUP;
    spec = (const struct dm_target_spec *)(const void *)call.data;
    room = sizeof(call.data) - sizeof(*spec);
    out->size_bytes = spec->length * 512;
    snprintf(out->type, sizeof(out->type), "%s", spec->target_type);
    if ((size_t)snprintf(out->params, sizeof(out->params), "%.*s", (int)room,
                         call.data + sizeof(*spec)) >= sizeof(out->params))
        return -ENOTSUP;
    return 0;
}

int dm_table(int fd, dev_t dev, struct dm_target *out)
{
    return line(fd, dev, DM_STATUS_TABLE_FLAG, out);
}

int dm_status(int fd, dev_t dev, struct dm_target *out)
{
    return line(fd, dev, DM_NOFLUSH_FLAG, out);
}

int dm_suspend(int fd, dev_t dev)
{
    struct call call;

    /* A file system mounted in dom0 is no guest's disk: nothing to freeze. */
    prepare(&call, DM_SUSPEND_FLAG | DM_SKIP_LOCKFS_FLAG);
    return call_dev(fd, DM_DEV_SUSPEND, &call, dev);
}

int dm_resume(int fd, dev_t dev)
{
    struct call call;

    prepare(&call, DM_SKIP_LOCKFS_FLAG);
    return call_dev(fd, DM_DEV_SUSPEND, &call, dev);
}

/* libdevmapper's flags for udev, in the upper half of what it calls a cookie:
 * an event of an activation, whose content is nobody else's business. */
#define UDEV_SUBSYSTEM_NO (1u << 17)
#define UDEV_DISK_NO (1u << 18)
#define UDEV_OTHER_NO (1u << 19)
#define UDEV_PRIMARY (1u << 22)

int dm_resume_hidden(int fd, dev_t dev)
{
    struct call call;

    prepare(&call, DM_SKIP_LOCKFS_FLAG);
    call.io.event_nr =
        UDEV_SUBSYSTEM_NO | UDEV_DISK_NO | UDEV_OTHER_NO | UDEV_PRIMARY;
    return call_dev(fd, DM_DEV_SUSPEND, &call, dev);
}

int dm_message(int fd, dev_t dev, const char *text)
{
    struct dm_target_msg *msg;
    struct call call;

    prepare(&call, 0);
    msg = (struct dm_target_msg *)(void *)call.data;
    if (strlen(text) >= sizeof(call.data) - sizeof(*msg))
        return -EMSGSIZE;
    memcpy(msg->message, text, strlen(text) + 1);
    return call_dev(fd, DM_TARGET_MSG, &call, dev);
}

static int load(int fd, struct call *call, const struct dm_target *t)
{
    struct dm_target_spec *spec;
    const size_t len = strlen(t->params);

    spec = (struct dm_target_spec *)(void *)call->data;
    if (len >= sizeof(call->data) - sizeof(*spec))
        return -EMSGSIZE;
    spec->length = t->size_bytes / 512;
    snprintf(spec->target_type, sizeof(spec->target_type), "%s", t->type);
    memcpy(call->data + sizeof(*spec), t->params, len + 1);
    call->io.target_count = 1;
    return ioctl(fd, DM_TABLE_LOAD, call) < 0 ? -errno : 0;
}

int dm_create(int fd, const char *name, dev_t *dev_out)
{
    struct call call;

    prepare(&call, 0);
    snprintf(call.io.name, sizeof(call.io.name), "%s", name);
    if (ioctl(fd, DM_DEV_CREATE, &call) < 0)
        return -errno;
    *dev_out = dm_call_decode(call.io.dev);
    return 0;
}

int dm_load(int fd, dev_t dev, const struct dm_target *t, bool is_read_only)
{
    struct call call;

    prepare(&call, is_read_only ? DM_READONLY_FLAG : 0);
    call.io.dev = dm_call_encode(dev);
    return load(fd, &call, t);
}

int dm_clear(int fd, dev_t dev)
{
    struct call call;

    prepare(&call, 0);
    return call_dev(fd, DM_TABLE_CLEAR, &call, dev);
}

int dm_try(int fd, const char *name, const struct dm_target *t)
{
    struct call call;
    dev_t dev;
    int rc, r;

    rc = dm_create(fd, name, &dev);
    if (rc)
        return rc;
    rc = dm_load(fd, dev, t, true);
    prepare(&call, 0);
    r = call_dev(fd, DM_DEV_REMOVE, &call, dev);
    return rc ? rc : r;
}

int dm_set_uuid(int fd, const char *name, const char *uuid)
{
    struct call call;

    prepare(&call, DM_UUID_FLAG);
    snprintf(call.io.name, sizeof(call.io.name), "%s", name);
    snprintf(call.data, DM_UUID_LEN, "%s", uuid);
    return ioctl(fd, DM_DEV_RENAME, &call) < 0 ? -errno : 0;
}

bool dm_parse_dev(const char *text, dev_t *dev_out)
{
    unsigned major_nr, minor_nr;
    int len = 0;

    if (sscanf(text, "%u:%u%n", &major_nr, &minor_nr, &len) != 2 ||
        (text[len] && text[len] != ' '))
        return false;
    *dev_out = makedev(major_nr, minor_nr);
    return true;
}

bool dm_is_plain_name(const char *s)
{
    const size_t len = strlen(s);

    return len > 0 && len < DM_NAME_MAX && *s != '-' && *s != '.' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789+_.-#:=@") == len;
}

/* Dashes of the names are doubled, so the single one stands between them. */
bool dm_split_name(const char *name, char vg_out[DM_NAME_MAX],
                   char lv_out[DM_NAME_MAX])
{
    char *out[2] = {vg_out, lv_out};
    size_t len[2] = {0, 0};
    unsigned i = 0;

    if (strlen(name) >= DM_NAME_MAX)
        return false;
    for (; *name; name++) {
        if (*name == '-' && name[1] != '-') {
            if (i == 1)
                return false; /* "vg0-lv-real": one of LVM's inner ones */
            i = 1;
            continue;
        }
        if (*name == '-')
            name++;
        out[i][len[i]++] = *name;
    }
    vg_out[len[0]] = '\0';
    lv_out[len[1]] = '\0';
    return len[0] && len[1];
}

static size_t append_doubled(char *out, size_t len, const char *s)
{
    for (; *s && len < DM_NAME_MAX; s++) {
        out[len++] = *s;
        if (*s == '-' && len < DM_NAME_MAX)
            out[len++] = '-';
    }
    return len;
}

bool dm_join_name(const char *vg, const char *lv, char name_out[DM_NAME_MAX])
{
    size_t len = append_doubled(name_out, 0, vg);

    if (len < DM_NAME_MAX)
        name_out[len++] = '-';
    len = append_doubled(name_out, len, lv);
    if (len >= DM_NAME_MAX)
        return false;
    name_out[len] = '\0';
    return true;
}

void dm_suspend_arg(const struct dm_device *dev,
                    char out[DM_UUID_MAX + DM_NAME_MAX])
{
    snprintf(out, DM_UUID_MAX + DM_NAME_MAX, "%s %s",
             dev->uuid[0] ? dev->uuid : "-", dev->name);
}

int dm_undo_suspend(struct ckpt *c, const char *arg)
{
    const size_t len = strcspn(arg, " ");
    struct dm_device dev;
    struct call call;
    int fd, rc;

    if (len == 0 || len >= sizeof(call.io.uuid))
        return fail(c, -EINVAL, "device-mapper: %s", arg);
    rc = dm_open(&fd);
    if (rc)
        return fail(c, rc, "/dev/mapper/control");
    prepare(&call, 0);
    if (strncmp(arg, "- ", 2))
        memcpy(call.io.uuid, arg, len);
    else
        snprintf(call.io.name, sizeof(call.io.name), "%s", arg + 2);
    if (ioctl(fd, DM_DEV_STATUS, &call) < 0) {
        rc = errno == ENXIO ? 0 : fail(c, -errno, "device-mapper: %s", arg);
        goto out;
    }
    fill_device(&call, &dev);
    rc = dev.is_suspended ? dm_resume(fd, dev.dev) : 0;
    if (rc)
        fail(c, rc, "resuming device %s", dev.name);
out:
    close(fd);
    return rc;
}
