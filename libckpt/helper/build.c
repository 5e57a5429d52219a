/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The builder: makes one domain with libxl, from a migration stream or by
 * booting it, answers with its id, and waits for the verdict.  A control
 * socket that closes instead means our operation died or gave up: the domain
 * is destroyed.  Kept, it is watched until it is gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "build_wire.h"
#include "roles.h"
#include "safe_io.h"
#include "xen_build.h"

/* The configuration, owned; NULL when the request is not one. */
static char *read_request(int control, struct build_request *req)
{
    char *config;

    if (safe_read_all(control, req, sizeof(*req)) ||
        req->magic != BUILD_MAGIC || !req->config_bytes ||
        req->config_bytes > BUILD_CONFIG_MAX)
        return NULL;
    config = malloc(req->config_bytes);
    if (!config)
        return NULL;
    if (safe_read_all(control, config, req->config_bytes) ||
        config[req->config_bytes - 1]) {
        free(config);
        return NULL;
    }
    return config;
}

static int is_kept(int control)
{
    struct build_verdict v;

    return !safe_read_all(control, &v, sizeof(v)) &&
           v.magic == BUILD_MAGIC && v.keep;
}

int build_role(int control)
{
    int stream = control + 1;
    struct build_answer ans = { .magic = BUILD_MAGIC };
    struct build_request req;
    char *config;

    if (role_detach() < 0)
        return 1;
    config = read_request(control, &req);
    if (!config)
        return 1;
    ans.rc = xen_build(config, req.has_stream ? stream : -1, &ans.domid,
                       ans.words, sizeof(ans.words));
    free(config);
    close(stream);
    /* An operation that died meanwhile shows as the missing verdict. */
    if (send(control, &ans, sizeof(ans), MSG_NOSIGNAL) < 0 && ans.rc)
        return 1;
    if (ans.rc)
        return 1;
    if (!is_kept(control))
        return xen_build_destroy(ans.domid) ? 1 : 0;
    close(control);
    return watch_domain(ans.domid);
}
