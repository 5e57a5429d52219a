/* SPDX-License-Identifier: LGPL-2.1-only */
/* GET /metrics, by libmicrohttpd inside of our own loop: no thread. */
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "front.h"

#define CONNECTIONS_MAX 16u
#define TIMEOUT_S 10u

struct http {
    struct front *f;
    struct MHD_Daemon *mhd;
    ev_io io;
    ev_timer timer;
};

static enum MHD_Result answer(void *arg, struct MHD_Connection *conn,
                              const char *url, const char *method,
                              const char *version, const char *upload,
                              size_t *upload_bytes, void **state)
{
    struct http *h = arg;
    struct MHD_Response *response;
    unsigned status = MHD_HTTP_OK;
    enum MHD_Result result;
    char *text = NULL;

    (void)version, (void)upload, (void)upload_bytes, (void)state;
    if (strcmp(method, MHD_HTTP_METHOD_GET))
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    else if (strcmp(url, "/metrics"))
        status = MHD_HTTP_NOT_FOUND;
    else if (!(text = metrics_text(h->f)))
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
    response = text ? MHD_create_response_from_buffer(strlen(text), text,
                                                      MHD_RESPMEM_MUST_FREE)
                    : MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
                                                      MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/plain; version=0.0.4; charset=utf-8");
    result = MHD_queue_response(conn, status, response);
    MHD_destroy_response(response);
    return result;
}

/* After each turn: when the library wants the next one at the latest. */
static void turn(struct http *h)
{
    MHD_UNSIGNED_LONG_LONG ms;

    MHD_run(h->mhd);
    ev_timer_stop(h->f->loop, &h->timer);
    if (MHD_get_timeout(h->mhd, &ms) == MHD_YES) {
        ev_timer_set(&h->timer, (double)ms / 1000., 0.);
        ev_timer_start(h->f->loop, &h->timer);
    }
}

static void on_io(struct ev_loop *loop, ev_io *w, int events)
{
    (void)loop, (void)events;
    turn(w->data);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)loop, (void)events;
    turn(w->data);
}

struct http *http_open(struct front *f, int listen_fd)
{
    struct http *h = calloc(1, sizeof(*h));
    const union MHD_DaemonInfo *info;

    if (!h)
        return NULL;
    h->f = f;
    h->mhd = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, answer, h, MHD_OPTION_LISTEN_SOCKET,
        listen_fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
    info =
        h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        log_msg(LOG_ERR, "the metrics cannot be served");
        http_close(h);
        return NULL;
    }
    ev_io_init(&h->io, on_io, info->epoll_fd, EV_READ);
    ev_init(&h->timer, on_timer);
    h->io.data = h->timer.data = h;
    ev_io_start(f->loop, &h->io);
    return h;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    ev_io_stop(h->f->loop, &h->io);
    ev_timer_stop(h->f->loop, &h->timer);
    if (h->mhd)
        MHD_stop_daemon(h->mhd);
    free(h);
}
