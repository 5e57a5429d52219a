/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * LVM's commands.  A volume is looked up first and then named by its uuid as
 * well as by its name, so that what we remove or rename is what we looked at,
 * whatever an administrator renamed in between.  Names come from device-
 * mapper, from manifests and from ourselves; they are checked before they get
 * near a command line or a selection.
 */
#include "lvm.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

#include "ctx.h"
#include "guard.h"
#include "spawn.h"

/* LVM waits for locks without a limit of its own. */
#define LVM_TIMEOUT_MS 120000u
#define NR_TAGS_MAX 32

/* --- names ----------------------------------------------------------------- */

static bool is_name(const char *s)
{
    const size_t len = strlen(s);

    return len > 0 && len < DM_NAME_MAX && *s != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789+_.-") == len;
}

static bool is_uuid(const char *s)
{
    return strlen(s) == LVM_UUID_LEN && is_name(s);
}

int lvm_split(struct ckpt *c, const char *path, char vg_out[DM_NAME_MAX],
              char lv_out[DM_NAME_MAX])
{
    const char *slash = strchr(path, '/');

    if (slash && slash - path < DM_NAME_MAX &&
        strlen(slash + 1) < DM_NAME_MAX) {
        snprintf(vg_out, DM_NAME_MAX, "%.*s", (int)(slash - path), path);
        snprintf(lv_out, DM_NAME_MAX, "%s", slash + 1);
        if (is_name(vg_out) && is_name(lv_out))
            return 0;
    }
    return fail(c, -EINVAL, "%s: not of the form VG/LV.", path);
}

bool lvm_has_tag(const struct lvm_volume *v, const char *tag)
{
    const size_t len = strlen(tag);
    const char *s = v->tags;

    while (*s) {
        size_t n = strcspn(s, ",");

        if (n == len && !memcmp(s, tag, len))
            return true;
        s += n + (s[n] == ',');
    }
    return false;
}

/* --- the report ------------------------------------------------------------ */

static const char *field(yajl_val row, const char *name)
{
    const char *path[] = {name, NULL};
    const char *s = YAJL_GET_STRING(yajl_tree_get(row, path, yajl_t_string));

    return s ? s : "";
}

/* -ENOMSG when it does not fit, or is no number. */
static int copy_field(yajl_val row, const char *name, char *out,
                      size_t room_bytes)
{
    return (size_t)snprintf(out, room_bytes, "%s", field(row, name)) <
                   room_bytes
               ? 0
               : -ENOMSG;
}

static int number_field(yajl_val row, const char *name, uint64_t *out)
{
    const char *s = field(row, name);
    char *end;

    *out = 0;
    if (!*s)
        return 0; /* has none */
    errno = 0;
    *out = strtoull(s, &end, 10);
    return errno || *end ? -ENOMSG : 0;
}

static int read_row(yajl_val row, struct lvm_volume *v)
{
    uint64_t thin_id = 0;
    int rc;

    memset(v, 0, sizeof(*v));
    rc = copy_field(row, "vg_name", v->vg, sizeof(v->vg));
    if (!rc)
        rc = copy_field(row, "lv_name", v->name, sizeof(v->name));
    if (!rc)
        rc = copy_field(row, "lv_uuid", v->uuid, sizeof(v->uuid));
    if (!rc)
        rc = copy_field(row, "pool_lv", v->pool, sizeof(v->pool));
    if (!rc)
        rc = copy_field(row, "lv_attr", v->attr, sizeof(v->attr));
    if (!rc)
        rc = copy_field(row, "lv_tags", v->tags, sizeof(v->tags));
    if (!rc)
        rc = number_field(row, "lv_size", &v->size_bytes);
    if (!rc)
        rc = number_field(row, "thin_id", &thin_id);
    if (!rc && (!is_name(v->vg) || !is_name(v->name) || !is_uuid(v->uuid) ||
                strlen(v->attr) < 10 || thin_id > UINT32_MAX))
        rc = -ENOMSG;
    v->thin_id = (uint32_t)thin_id;
    return rc;
}

static yajl_val array_in(yajl_val of, const char *name)
{
    const char *path[] = {name, NULL};
    yajl_val v = of ? yajl_tree_get(of, path, yajl_t_array) : NULL;

    return YAJL_IS_ARRAY(v) ? v : NULL;
}

/* {"report": [{"lv": [{...}, ...]}]} */
static int parse_report(struct ckpt *c, const char *text, struct lvm_list *out)
{
    yajl_val root, report, rows = NULL;
    char why[128] = "";
    size_t nr;
    int rc = 0;

    root = yajl_tree_parse(text, why, sizeof(why));
    report = array_in(root, "report");
    if (report && YAJL_GET_ARRAY(report)->len == 1)
        rows = array_in(YAJL_GET_ARRAY(report)->values[0], "lv");
    if (!rows) {
        rc = fail(c, -EIO, "lvs: its report is not understood.");
        goto out;
    }
    nr = YAJL_GET_ARRAY(rows)->len;
    out->volumes = calloc(nr + 1, sizeof(*out->volumes));
    if (!out->volumes) {
        rc = fail(c, -ENOMEM, "lvs: its report");
        goto out;
    }
    for (; out->nr < nr && !rc; out->nr++)
        rc = read_row(YAJL_GET_ARRAY(rows)->values[out->nr],
                      &out->volumes[out->nr]);
    if (rc)
        rc = fail(c, -EIO, "lvs: a row of its report is not understood.");
out:
    if (root)
        yajl_tree_free(root);
    return rc;
}

static int list(struct ckpt *c, const char *vg, const char *selection,
                struct lvm_list *out)
{
    const char *argv[] = {
        "lvs",
        "-a",
        "--reportformat",
        "json",
        "--units",
        "b",
        "--nosuffix",
        "-o",
        "vg_name,lv_name,lv_uuid,pool_lv,lv_attr,lv_tags,lv_size,thin_id",
        "-S",
        selection,
        "--",
        vg,
        NULL,
    };
    char *text;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = spawn_run(c, argv, LVM_TIMEOUT_MS, &text);
    if (rc)
        return rc;
    rc = parse_report(c, text, out);
    free(text);
    if (rc)
        lvm_list_fini(out);
    return rc;
}

int lvm_list(struct ckpt *c, const char *vg, const char *const *names,
             struct lvm_list *out)
{
    char selection[8 * DM_NAME_MAX] = "segtype=\"thin-pool\"";
    size_t len = strlen(selection);

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; names[i]; i++) {
        if (!is_name(vg) || !is_name(names[i]) ||
            len + DM_NAME_MAX + 32 > sizeof(selection))
            return fail(c, -EINVAL, "%s/%s: not a logical volume.", vg,
                        names[i]);
        len += (size_t)snprintf(selection + len, sizeof(selection) - len,
                                " || lv_name=\"%s\"", names[i]);
    }
    return list(c, vg, selection, out);
}

void lvm_list_fini(struct lvm_list *l)
{
    free(l->volumes);
    memset(l, 0, sizeof(*l));
}

const struct lvm_volume *lvm_in(const struct lvm_list *l, const char *name)
{
    for (size_t i = 0; i < l->nr; i++)
        if (!strcmp(l->volumes[i].name, name))
            return &l->volumes[i];
    return NULL;
}

/* "LVM-", 32 digits of the group, 32 of the volume; in groups of 6-4-...-6. */
void lvm_uuid(const char *dm_uuid, char out[LVM_UUID_LEN + 1])
{
    const size_t len = strlen(dm_uuid);
    const char *s = dm_uuid + 4 + 32;
    size_t n = 0;

    for (size_t i = 0; len >= 4 + 64 && i < 32; i++) {
        if (i >= 6 && i < 30 && (i - 6) % 4 == 0)
            out[n++] = '-';
        out[n++] = s[i];
    }
    out[n] = '\0';
}

/* --- changes --------------------------------------------------------------- */

int lvm_snapshot(struct ckpt *c, const char *vg, const char *origin,
                 const char *name, const char *tags, unsigned flags)
{
    const char *argv[20 + 2 * NR_TAGS_MAX] = {"lvcreate", "-y", "-s", "-n",
                                              name};
    char origin_path[LVM_PATH_MAX],
        copy[sizeof(((struct lvm_volume *)0)->tags)];
    char *save = NULL;
    size_t n = 5, last = n + 2 + 2 * NR_TAGS_MAX;

    if (!is_name(vg) || !is_name(origin) || !is_name(name))
        return fail(c, -EINVAL, "%s/%s: no name for a logical volume.", vg,
                    name);
    argv[n++] = "--addtag";
    argv[n++] = LVM_TAG;
    snprintf(copy, sizeof(copy), "%s", tags ? tags : "");
    for (char *t = strtok_r(copy, ",", &save); t;
         t = strtok_r(NULL, ",", &save)) {
        if (n >= last)
            return fail(c, -E2BIG, "%s/%s: more than %d tags", vg, origin,
                        NR_TAGS_MAX);
        argv[n++] = "--addtag";
        argv[n++] = t;
    }
    argv[n++] = "--setactivationskip";
    argv[n++] = flags & (LVM_SNAP_HIDDEN | LVM_SNAP_SKIPPED) ? "y" : "n";
    if (flags & LVM_SNAP_HIDDEN) {
        argv[n++] = "-pr";
        argv[n++] = "-an";
    } else {
        argv[n++] = "-ay";
        argv[n++] = "--ignoreactivationskip";
    }
    snprintf(origin_path, sizeof(origin_path), "%s/%s", vg, origin);
    argv[n++] = "--";
    argv[n++] = origin_path;
    argv[n] = NULL;
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

int lvm_rename(struct ckpt *c, const char *vg, const char *from, const char *to)
{
    const char *argv[] = {"lvrename", "-y", "--", vg, from, to, NULL};

    if (!is_name(vg) || !is_name(from) || !is_name(to))
        return fail(c, -EINVAL, "%s/%s: not a logical volume.", vg, to);
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

int lvm_remove(struct ckpt *c, const char *vg, const char *lv, const char *uuid)
{
    char path[LVM_PATH_MAX], selection[LVM_UUID_LEN + 32];
    const char *argv[] = {"lvremove", "-f", "-y", "-S",
                          selection,  "--", path, NULL};

    if (!is_name(vg) || !is_name(lv) || !is_uuid(uuid))
        return fail(c, -EINVAL, "%s/%s: not a logical volume.", vg, lv);
    snprintf(path, sizeof(path), "%s/%s", vg, lv);
    snprintf(selection, sizeof(selection), "lv_uuid=\"%s\"", uuid);
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

int lvm_remove_tag(struct ckpt *c, const char *vg, const char *lv,
                   const char *tag)
{
    char path[LVM_PATH_MAX];
    const char *argv[] = {"lvchange", "-y", "--deltag", tag, "--", path, NULL};

    if (!is_name(vg) || !is_name(lv))
        return fail(c, -EINVAL, "%s/%s: not a logical volume.", vg, lv);
    snprintf(path, sizeof(path), "%s/%s", vg, lv);
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

int lvm_activate(struct ckpt *c, const char *vg, const char *lv, bool is_on)
{
    char path[LVM_PATH_MAX];
    const char *argv[] = {"lvchange", "-y", is_on ? "-ay" : "-an",
                          "--ignoreactivationskip", "--", path, NULL};

    if (!is_name(vg) || !is_name(lv))
        return fail(c, -EINVAL, "%s/%s: not a logical volume.", vg, lv);
    snprintf(path, sizeof(path), "%s/%s", vg, lv);
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

int lvm_create_thin(struct ckpt *c, const char *vg, const char *pool,
                    const char *name, uint64_t size_bytes)
{
    char size[32];
    const char *argv[] = {"lvcreate", "-y", "-n", name, "-V", size, "--addtag",
                          LVM_TAG, "--setactivationskip", "n", "-ay",
                          "--thinpool", pool, "--", vg, NULL};

    if (!is_name(vg) || !is_name(pool) || !is_name(name))
        return fail(c, -EINVAL, "%s/%s: no name for a logical volume.", vg,
                    name);
    snprintf(size, sizeof(size), "%llub", (unsigned long long)size_bytes);
    return spawn_run(c, argv, LVM_TIMEOUT_MS, NULL);
}

/* --- LVM's lock ------------------------------------------------------------ */

/* locking_dir="/run/lock/lvm" */
int lvm_lock_path(struct ckpt *c, const char *vg, char path[LVM_LOCK_MAX])
{
    static const char *const argv[] = {"lvmconfig", "--typeconfig", "full",
                                       "global/locking_dir", NULL};
    char *out, *dir;
    size_t len;
    int rc;

    rc = spawn_run(c, argv, LVM_TIMEOUT_MS, &out);
    if (rc)
        return rc;
    dir = out + strcspn(out, "\"");
    dir += strspn(dir, "\"");
    len = strcspn(dir, "\"\n");
    if (dir[0] != '/' || len + 3 + strlen(vg) >= LVM_LOCK_MAX)
        rc = fail(c, -EIO, "lvmconfig: global/locking_dir is not understood.");
    else
        snprintf(path, LVM_LOCK_MAX, "%.*s/V_%s", (int)len, dir, vg);
    free(out);
    return rc;
}

/* As LVM does it: whoever unlocks last may remove the file. */
static int try_lock(const char *path, int *fd_out)
{
    struct stat by_path, by_fd;
    int fd, rc;

    fd = open(path, O_CREAT | O_APPEND | O_RDWR | O_CLOEXEC, 0777);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_SH | LOCK_NB) < 0)
        rc = -errno;
    else if (stat(path, &by_path) < 0 || fstat(fd, &by_fd) < 0 ||
             by_path.st_ino != by_fd.st_ino || by_path.st_dev != by_fd.st_dev)
        rc = -EWOULDBLOCK;
    else
        rc = 0;
    if (rc)
        close(fd);
    else
        *fd_out = fd;
    return rc;
}

int lvm_lock(struct ckpt *c, const char *path, uint64_t wait_us, int *fd_out)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t begin_us = now_us();
    int rc;

    while ((rc = try_lock(path, fd_out)) == -EWOULDBLOCK) {
        if (now_us() - begin_us >= wait_us)
            return fail(c, -EBUSY,
                        "LVM is at work on the volume group (%s is "
                        "locked). Try again.",
                        path);
        rc = check_cancel(c);
        if (rc)
            return rc;
        nanosleep(&pause, NULL);
    }
    return rc ? fail(c, rc, "%s", path) : 0;
}

/* --- undoing --------------------------------------------------------------- */

/* "vg/lv": what has our tag.  "vg/lv uuid": that one. */
int lvm_undo_remove(struct ckpt *c, const char *arg)
{
    char vg[DM_NAME_MAX], lv[DM_NAME_MAX], path[GUARD_ARG_MAX];
    const size_t len = strcspn(arg, " ");
    const char *uuid = arg[len] ? arg + len + 1 : NULL;
    const char *names[] = {lv, NULL};
    const struct lvm_volume *v;
    struct lvm_list l;
    int rc;

    snprintf(path, sizeof(path), "%.*s", (int)len, arg);
    rc = lvm_split(c, path, vg, lv);
    if (!rc)
        rc = lvm_list(c, vg, names, &l);
    if (rc)
        return rc;
    v = lvm_in(&l, lv);
    if (v && (uuid ? !strcmp(uuid, v->uuid) : lvm_has_tag(v, LVM_TAG)))
        rc = lvm_remove(c, vg, lv, v->uuid);
    lvm_list_fini(&l);
    return rc;
}

/* "vg/now vg/before uuid" */
int lvm_undo_rename(struct ckpt *c, const char *arg)
{
    char now_vg[DM_NAME_MAX], now[DM_NAME_MAX];
    char vg[DM_NAME_MAX], before[DM_NAME_MAX];
    char words[GUARD_ARG_MAX], *save = NULL;
    const char *now_path, *before_path, *uuid;
    char selection[LVM_UUID_LEN + 32];
    struct lvm_list l;
    int rc;

    snprintf(words, sizeof(words), "%s", arg);
    now_path = strtok_r(words, " ", &save);
    before_path = strtok_r(NULL, " ", &save);
    uuid = strtok_r(NULL, " ", &save);
    if (!uuid || !is_uuid(uuid))
        return fail(c, -EINVAL, "not a renaming: %s.", arg);
    rc = lvm_split(c, now_path, now_vg, now);
    if (!rc)
        rc = lvm_split(c, before_path, vg, before);
    if (rc)
        return rc;
    snprintf(selection, sizeof(selection), "lv_uuid=\"%s\"", uuid);
    rc = list(c, vg, selection, &l);
    if (rc)
        return rc;
    /* Else it is gone, or not renamed, or renamed back. */
    if (lvm_in(&l, now))
        rc = lvm_rename(c, vg, now, before);
    lvm_list_fini(&l);
    return rc;
}
