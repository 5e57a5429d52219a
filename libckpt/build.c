/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Our side of a build: start the builder, send it the configuration, stream
 * the image, read the domain's id, decide.
 *
 *   control socket   request, configuration ->   <- answer   verdict ->
 *   stream socket    the image as a libxl migration stream ->
 */
#include "build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "build_wire.h"
#include "ctx.h"
#include "launch.h"
#include "safe_io.h"
#include "stream_write.h"

struct build {
    int control;
    uint32_t domid;
};

static int send_request(struct ckpt *c, int control, const char *config,
                        int has_stream)
{
    struct build_request req = {
        .magic = BUILD_MAGIC,
        .config_bytes = (uint32_t)strlen(config) + 1,
        .has_stream = (uint32_t)has_stream,
    };

    if (req.config_bytes > BUILD_CONFIG_MAX)
        return fail(c, -E2BIG, "the domain's configuration");
    if (send(control, &req, sizeof(req), MSG_NOSIGNAL) != sizeof(req) ||
        send(control, config, req.config_bytes, MSG_NOSIGNAL) !=
            (ssize_t)req.config_bytes)
        return fail(c, -EPIPE, "talking to the domain builder");
    return 0;
}

/* The builder's answer; its words when it has any. */
static int read_answer(struct ckpt *c, int control, uint32_t *domid_out)
{
    struct build_answer ans;
    int rc;

    rc = safe_read_all(control, &ans, sizeof(ans));
    if (rc || ans.magic != BUILD_MAGIC)
        return fail(c, -EIO, "the domain builder died.");
    ans.words[sizeof(ans.words) - 1] = '\0';
    *domid_out = ans.domid;
    if (!ans.rc)
        return 0;
    return fail(c, ans.rc < 0 ? ans.rc : -EIO,
                "Xen could not build the domain (%s).", ans.words);
}

int build_start(struct ckpt *c, const char *config, struct image *img,
                struct build **b_out, uint32_t *domid_out)
{
    int control[2] = { -1, -1 }, stream[2] = { -1, -1 };
    struct build *b;
    int rc, r;

    *b_out = NULL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return fail(c, -ENOMEM, "building a domain");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) < 0) {
        rc = fail(c, -errno, "socketpair");
        goto out;
    }
    rc = launch_helper(c, "build", (int[]){ control[1], stream[1] }, 2);
    if (rc)
        goto out;
    close(control[1]);
    close(stream[1]);
    control[1] = stream[1] = -1;
    rc = send_request(c, control[0], config, !!img);
    if (rc)
        goto out;
    if (img)
        rc = stream_write(c, img, stream[0]);
    /* When the builder left early its own words say why. */
    if (!rc || rc == -EPIPE || rc == -ECONNRESET) {
        close(stream[0]);
        stream[0] = -1;
        r = read_answer(c, control[0], &b->domid);
        rc = r ? r : rc;
    }
    if (rc)
        goto out;
    b->control = control[0];
    *domid_out = b->domid;
    *b_out = b;
out:
    if (rc) {
        if (control[0] >= 0)
            close(control[0]);
        free(b);
    }
    if (control[1] >= 0)
        close(control[1]);
    if (stream[0] >= 0)
        close(stream[0]);
    if (stream[1] >= 0)
        close(stream[1]);
    return rc;
}

int build_keep(struct ckpt *c, struct build *b)
{
    struct build_verdict v = { .magic = BUILD_MAGIC, .keep = 1 };
    int rc = 0;

    if (send(b->control, &v, sizeof(v), MSG_NOSIGNAL) != sizeof(v))
        rc = fail(c, -EPIPE, "the monitor of domain %u died", b->domid);
    close(b->control);
    free(b);
    return rc;
}

void build_abort(struct build *b)
{
    char word;

    if (!b)
        return;
    shutdown(b->control, SHUT_WR);
    while (read(b->control, &word, 1) > 0)
        ; /* until the builder has destroyed it and left */
    close(b->control);
    free(b);
}
