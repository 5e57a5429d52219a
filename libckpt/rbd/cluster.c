/* SPDX-License-Identifier: LGPL-2.1-only */
/* The connection: a user of a cluster, one pool, one namespace in it. */
#include <errno.h>
#include <string.h>

#include "session.h"

/* Nothing of this process is for others to see, and nothing is read twice. */
static const char *const settings[][2] = {
    {"log_to_stderr", "false"}, {"err_to_stderr", "false"},
    {"log_file", "/dev/null"},  {"admin_socket", ""},
    {"rbd_cache", "false"},
};

/* The value of @key in ":KEY=VALUE:KEY=VALUE", or NULL. */
static const char *option(const char *options, const char *key, char out[512])
{
    const size_t key_len = strlen(key);
    size_t len;

    for (const char *s = options; *s; s += len) {
        s += *s == ':';
        len = strcspn(s, ":");
        if (len > key_len && len - key_len <= 512 &&
            !strncmp(s, key, key_len) && s[key_len] == '=') {
            memcpy(out, s + key_len + 1, len - key_len - 1);
            out[len - key_len - 1] = '\0';
            return out;
        }
    }
    return NULL;
}

static int configure(struct session *s, const char *options)
{
    static const char *const keys[] = {"keyring", "mon_host"};
    char text[512];
    const char *value, *conf = option(options, "conf", text);
    int rc;

    rc = rados_conf_read_file(s->cluster, conf);
    if (rc)
        return no(s, rc, "%s", conf ? conf : "/etc/ceph/ceph.conf");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        value = option(options, keys[i], text);
        rc = value ? rados_conf_set(s->cluster, keys[i], value) : 0;
        if (rc)
            return no(s, rc, "%s=%s", keys[i], value);
    }
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        rc = rados_conf_set(s->cluster, settings[i][0], settings[i][1]);
        if (rc)
            return no(s, rc, "%s", settings[i][0]);
    }
    return 0;
}

int cluster_connect(struct session *s, char *const args[])
{
    const char *pool = args[0], *space = args[1], *options = args[2], *id;
    char text[512];
    int rc;

    if (s->cluster)
        return no(s, -EISCONN, "%s", pool);
    id = option(options, "id", text);
    rc = rados_create(&s->cluster, id ? id : "admin");
    if (rc) {
        s->cluster = NULL;
        return no(s, rc, "the Ceph client");
    }
    rc = configure(s, options);
    if (rc)
        return rc;
    rc = rados_connect(s->cluster);
    if (rc)
        return no(s, rc, "the Ceph cluster cannot be reached as client.%s",
                  id ? id : "admin");
    rc = rados_ioctx_create(s->cluster, pool, &s->io);
    if (rc)
        return no(s, rc, "Ceph pool %s", pool);
    if (strcmp(space, "-"))
        rados_ioctx_set_namespace(s->io, space);
    rados_cluster_fsid(s->cluster, s->result, sizeof(s->result));
    return 0;
}

void cluster_close(struct session *s)
{
    if (s->io)
        rados_ioctx_destroy(s->io);
    if (s->cluster)
        rados_shutdown(s->cluster);
    s->io = NULL;
    s->cluster = NULL;
}
