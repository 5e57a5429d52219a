/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Disks that only the operator knows how to snapshot: a program of theirs in
 * /etc/xen/ckpt/disk.d is asked (docs/specs/disk-hook.md).  Programs there run
 * as root, so each must belong to root and be writable by nobody else, or all
 * of them are refused.
 *
 * It runs also in the pause, for at most CUT_TIMEOUT_MS; that is why this
 * driver has not DISK_CAP_QUICK_CUT and comes last.  A hook that overstays is
 * killed, and the operation fails and is taken back by the hook's own undo.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctx.h"
#include "disk.h"
#include "disk_content.h"
#include "disk_deed.h"
#include "disk_manual.h"
#include "spawn.h"

#define PROBE_TIMEOUT_MS 10000u
#define CUT_TIMEOUT_MS 2000u
#define TIMEOUT_MS 120000u
#define NR_WORDS_MAX 8u

/* From arm to drain. */
struct manual {
    char hook[MANUAL_NAME_MAX];
    char id[32];
};

static const char *hook_dir(void)
{
    const char *dir = getenv("CKPT_DISK_HOOKS");

    return dir ? dir : "/etc/xen/ckpt/disk.d";
}

/* --- running one ----------------------------------------------------------- */

static bool is_hook_name(const char *s)
{
    const size_t len = strlen(s);

    return len && len < MANUAL_NAME_MAX && s[0] != '.' && s[0] != '-' &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789._-") == len;
}

static int find_hook(struct ckpt *c, const char *hook, char path[512])
{
    struct stat st;

    if (!is_hook_name(hook))
        return fail(c, -EINVAL, "%s: no name of a disk hook.", hook);
    snprintf(path, 512, "%s/%s", hook_dir(), hook);
    if (stat(path, &st) < 0)
        return fail(c, errno == ENOENT ? -EUCLEAN : -errno, "disk hook %s",
                    path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        st.st_mode & (S_IWGRP | S_IWOTH) || !(st.st_mode & S_IXUSR))
        return fail(c, -EPERM,
                    "disk hook %s: must be a program of root's that nobody "
                    "else can write to (chown root, chmod 755).",
                    path);
    return 0;
}

/* HOOK VERB KEY=VALUE...; the pairs after @verb, ended by NULL.  *out_out
 * (NULL: not wanted) is owned. */
static int ask(struct ckpt *c, const char *hook, unsigned timeout_ms,
               char **out_out, const char *verb, ...)
{
    const char *argv[3 + NR_WORDS_MAX] = {NULL, verb}, *key;
    char *words[NR_WORDS_MAX] = {NULL};
    char path[512];
    size_t nr = 0;
    va_list ap;
    int rc;

    rc = find_hook(c, hook, path);
    if (rc)
        return rc;
    argv[0] = path;
    va_start(ap, verb);
    while (!rc && nr < NR_WORDS_MAX && (key = va_arg(ap, const char *))) {
        if (asprintf(&words[nr], "%s=%s", key, va_arg(ap, const char *)) < 0) {
            words[nr] = NULL;
            rc = fail(c, -ENOMEM, "disk hook %s", hook);
        } else {
            argv[2 + nr] = words[nr];
            nr++;
        }
    }
    va_end(ap);
    if (!rc)
        rc = spawn_run(c, argv, timeout_ms, out_out);
    while (nr > 0)
        free(words[--nr]);
    return rc ? fail_prefix(c, rc, "disk hook %s, %s", hook, verb) : 0;
}

int manual_answer(const char *text, const char *key, char *out,
                  size_t room_bytes)
{
    const size_t key_len = strlen(key);
    size_t len;

    for (; *text; text += len + (text[len] == '\n')) {
        len = strcspn(text, "\n");
        if (len <= key_len || strncmp(text, key, key_len) ||
            text[key_len] != '=')
            continue;
        if (len - key_len > room_bytes)
            return -ENAMETOOLONG;
        memcpy(out, text + key_len + 1, len - key_len - 1);
        out[len - key_len - 1] = '\0';
        for (const char *s = out; *s; s++)
            if ((unsigned char)*s <= ' ' || *s == 0x7f)
                return -EINVAL;
        return *out ? 0 : -ENOENT;
    }
    return -ENOENT;
}

/* --- whose is it ----------------------------------------------------------- */

/* 0: it says the disk is its.  -ENOTSUP: it says nothing. */
static int probe_one(struct disk *d, const char *hook)
{
    char mine[8] = "", *out;
    int rc;

    rc = ask(d->c, hook, PROBE_TIMEOUT_MS, &out, "probe", "vdev", d->vdev,
             "target", d->target, "format", d->format ? d->format : "", NULL);
    if (rc)
        return rc == -ENOTSUP ? -EIO : rc;
    rc = manual_answer(out, "mine", mine, sizeof(mine));
    free(out);
    return !rc && !strcmp(mine, "yes") ? 0 : -ENOTSUP;
}

static int order(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* The first in the order of names. */
static int find_owner(struct disk *d, char hook[MANUAL_NAME_MAX])
{
    struct dirent **list;
    int n, rc = -ENOTSUP;

    n = scandir(hook_dir(), &list, is_visible, order);
    if (n < 0)
        return errno == ENOENT ? fail(d->c, -ENOTSUP, "there are no hooks.")
                               : fail(d->c, -errno, "%s", hook_dir());
    for (int i = 0; i < n; i++) {
        if (rc == -ENOTSUP) {
            rc = probe_one(d, list[i]->d_name);
            if (!rc)
                snprintf(hook, MANUAL_NAME_MAX, "%.63s", list[i]->d_name);
        }
        free(list[i]);
    }
    free(list);
    return rc == -ENOTSUP
               ? fail(d->c, rc, "no hook of %s takes it.", hook_dir())
               : rc;
}

static int manual_probe(struct disk *d)
{
    char hook[MANUAL_NAME_MAX];

    return find_owner(d, hook);
}

/* --- arm, cut, drain, undo ------------------------------------------------- */

static void manual_undo(struct disk *d)
{
    free(d->priv);
    d->priv = NULL;
    disk_deed_undo_all(d);
}

/* "HOOK:NAME", of what the hook printed. */
static int take_snapshot_name(struct disk *d, const char *hook, const char *out)
{
    char name[256], size[32] = "0";

    if (manual_answer(out, "snapshot", name, sizeof(name)))
        return fail(d->c, -EIO,
                    "disk hook %s, arm: it has to print snapshot=NAME, a name "
                    "without spaces of at most 255 bytes.",
                    hook);
    free(d->snapshot);
    if (asprintf(&d->snapshot, "%s:%s", hook, name) < 0) {
        d->snapshot = NULL;
        return fail(d->c, -ENOMEM, "%s", d->target);
    }
    if (!manual_answer(out, "size", size, sizeof(size)))
        d->size_bytes = strtoull(size, NULL, 10);
    return 0;
}

static int manual_arm(struct disk *d, const char *id)
{
    char words[GUARD_ARG_MAX], *out;
    struct manual *p;
    int rc;

    free(d->priv);
    d->priv = p = calloc(1, sizeof(*p));
    if (!p)
        return fail(d->c, -ENOMEM, "%s", d->target);
    rc = find_owner(d, p->hook);
    if (rc)
        return rc;
    snprintf(p->id, sizeof(p->id), "%s", id);
    if ((size_t)snprintf(words, sizeof(words), "arm %s %s %s %s", p->hook, id,
                         d->vdev, d->target) >= sizeof(words))
        return fail(d->c, -ENAMETOOLONG, "%s", d->target);
    rc = disk_deed_words(d, GUARD_DISK_MADE, words);
    if (!rc)
        rc = ask(d->c, p->hook, TIMEOUT_MS, &out, "arm", "vdev", d->vdev,
                 "target", d->target, "id", id, NULL);
    if (rc)
        return rc;
    rc = take_snapshot_name(d, p->hook, out);
    free(out);
    return rc;
}

static int beat(struct disk *d, const char *verb, unsigned timeout_ms)
{
    const struct manual *p = d->priv;

    return ask(d->c, p->hook, timeout_ms, NULL, verb, "vdev", d->vdev, "target",
               d->target, "id", p->id, "snapshot", strchr(d->snapshot, ':') + 1,
               NULL);
}

static int manual_cut(struct disk *d)
{
    return beat(d, "cut", CUT_TIMEOUT_MS);
}

static int manual_drain(struct disk *d)
{
    int rc = beat(d, "drain", TIMEOUT_MS);

    if (!rc) {
        free(d->priv);
        d->priv = NULL;
    }
    return rc;
}

/* --- rollback, fork, remove, check ----------------------------------------- */

/* "HOOK:NAME" into both. */
static int split(struct ckpt *c, const char *snapshot,
                 char hook[MANUAL_NAME_MAX], const char **name_out)
{
    const size_t len = strcspn(snapshot, ":");

    if (!snapshot[len] || len >= MANUAL_NAME_MAX || strchr(snapshot, ' '))
        return fail(c, -EINVAL, "%s: no snapshot of a disk hook.", snapshot);
    memcpy(hook, snapshot, len);
    hook[len] = '\0';
    *name_out = snapshot + len + 1;
    return 0;
}

static int manual_rollback(struct disk *d, const char *snapshot)
{
    char words[GUARD_ARG_MAX], hook[MANUAL_NAME_MAX];
    const char *name;
    int rc;

    rc = split(d->c, snapshot, hook, &name);
    if (rc)
        return rc;
    if ((size_t)snprintf(words, sizeof(words), "rollback %s %s %s %s", hook,
                         name, d->vdev, d->target) >= sizeof(words))
        return fail(d->c, -ENAMETOOLONG, "%s", d->target);
    rc = disk_deed_words(d, GUARD_DISK_MOVED, words);
    memcpy(words, "keepback", 8);
    if (!rc)
        rc = disk_deed_words_after(d, words);
    return rc ? rc
              : ask(d->c, hook, TIMEOUT_MS, NULL, "rollback", "vdev", d->vdev,
                    "target", d->target, "snapshot", name, NULL);
}

static int manual_rollback_end(struct disk *d, bool keep_new)
{
    if (!keep_new)
        return disk_deed_undo_all(d);
    disk_keep(d);
    return disk_deed_undo_after(d);
}

static int manual_fork(struct disk *d, const char *snapshot, const char *name,
                       char **target_out)
{
    char words[GUARD_ARG_MAX], hook[MANUAL_NAME_MAX], target[384], *out;
    const char *of;
    int rc;

    rc = split(d->c, snapshot, hook, &of);
    if (rc)
        return rc;
    if ((size_t)snprintf(words, sizeof(words), "fork %s %s %s %s", hook, of,
                         d->vdev, name) >= sizeof(words))
        return fail(d->c, -ENAMETOOLONG, "%s", name);
    rc = disk_deed_words(d, GUARD_DISK_MOVED, words);
    if (!rc)
        rc = ask(d->c, hook, TIMEOUT_MS, &out, "fork", "vdev", d->vdev,
                 "snapshot", of, "name", name, NULL);
    if (rc)
        return rc;
    rc = manual_answer(out, "target", target, sizeof(target));
    free(out);
    if (rc)
        return fail(d->c, -EIO,
                    "disk hook %s, fork: it has to print target=PATH.", hook);
    *target_out = strdup(target);
    return *target_out ? 0 : fail(d->c, -ENOMEM, "%s", target);
}

static int with_snapshot(struct ckpt *c, const char *snapshot, const char *verb)
{
    char hook[MANUAL_NAME_MAX];
    const char *name;
    int rc;

    rc = split(c, snapshot, hook, &name);
    return rc ? rc
              : ask(c, hook, TIMEOUT_MS, NULL, verb, "snapshot", name, NULL);
}

static int manual_remove(struct ckpt *c, const char *snapshot)
{
    return with_snapshot(c, snapshot, "remove");
}

static int manual_check(struct ckpt *c, const char *snapshot)
{
    int rc = with_snapshot(c, snapshot, "check");

    return rc == -EIO ? -EUCLEAN : rc;
}

/* "VERB HOOK A B REST": the deeds above. */
static int manual_take_back(struct ckpt *c, const char *words)
{
    char verb[16], hook[MANUAL_NAME_MAX], a[256], b[256];
    int n = 0;

    if (sscanf(words, "%15s %63s %255s %255s %n", verb, hook, a, b, &n) != 4)
        return fail(c, -EINVAL, "manual: no deed: %s.", words);
    if (!strcmp(verb, "arm"))
        return ask(c, hook, TIMEOUT_MS, NULL, "undo", "id", a, "vdev", b,
                   "target", words + n, NULL);
    if (!strcmp(verb, "rollback"))
        return ask(c, hook, TIMEOUT_MS, NULL, "rollback-undo", "snapshot", a,
                   "vdev", b, "target", words + n, NULL);
    if (!strcmp(verb, "keepback"))
        return ask(c, hook, TIMEOUT_MS, NULL, "rollback-keep", "snapshot", a,
                   "vdev", b, "target", words + n, NULL);
    if (!strcmp(verb, "fork"))
        return ask(c, hook, TIMEOUT_MS, NULL, "fork-undo", "snapshot", a,
                   "vdev", b, "name", words + n, NULL);
    return fail(c, -EINVAL, "manual: no deed: %s.", words);
}

const struct disk_driver disk_manual = {
    .name = "manual",
    .caps = DISK_CAP_FORK,
    .probe = manual_probe,
    .arm = manual_arm,
    .cut = manual_cut,
    .drain = manual_drain,
    .undo = manual_undo,
    .rollback = manual_rollback,
    .rollback_end = manual_rollback_end,
    .fork = manual_fork,
    .remove = manual_remove,
    .check = manual_check,
    .take_back = manual_take_back,
    .changed = disk_no_changed,
    .open = disk_no_content,
    .close = disk_content_close,
    .read = disk_content_read,
    .show = disk_no_show,
    .hide = disk_no_hide,
};
