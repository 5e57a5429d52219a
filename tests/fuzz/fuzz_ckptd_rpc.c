/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * A line of a client with all rights, as the front takes it: parsed, checked,
 * sent to a parent that is a socket nobody reads for long.  What comes out is
 * one line of JSON a request, or nothing.
 */
#include <ev.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"
#include "rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct front f;
static struct client cl;
static int parent[2], peer[2];

static void begin(void)
{
    f.loop = ev_loop_new(EVFLAG_AUTO);
    f.metrics = metrics_new();
    if (!f.loop || !f.metrics || wire_pair(parent) ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, peer))
        abort();
    fcntl(parent[1], F_SETFL, O_NONBLOCK);
    fcntl(peer[1], F_SETFL, O_NONBLOCK);
    f.parent_fd = parent[0];
    f.clients[0] = &cl;
    f.nr_jobs = 2;
    f.jobs[0].w.id = 1;
    f.jobs[0].w.state = JOB_DONE;
    f.jobs[1].w.id = 2;
    f.jobs[1].w.state = JOB_RUNNING;
    cl.f = &f;
    cl.fd = peer[0];
    cl.right = RIGHT_ADMIN;
}

/* Every reply is a document. */
static void check_replies(void)
{
    static char text[REQUEST_MAX];
    ssize_t n = read(peer[1], text, sizeof(text) - 1);
    struct ckpt c = {.url = NULL};
    yajl_val tree;

    if (n <= 0)
        return;
    if (text[n - 1] != '\n')
        abort();
    text[n - 1] = '\0';
    if (strchr(text, '\n') ||
        json_parse(&c, "reply", text, sizeof(text), &tree))
        abort();
    yajl_tree_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct wire m;
    char *line;

    if (!f.loop)
        begin();
    if (len >= REQUEST_MAX || memchr(data, '\n', len))
        return 0;
    line = strndup((const char *)data, len);
    if (!line)
        return 0;
    rpc_line(&cl, line);
    free(line);
    check_replies();
    while (!wire_recv(parent[1], &m)) /* which checks every one of them */
        if (m.type != WIRE_SUBMIT && m.type != WIRE_CANCEL &&
            m.type != WIRE_POLICY_ASK)
            abort();
    memset(cl.waits, 0, sizeof(cl.waits));
    cl.is_closing = false;
    return 0;
}
