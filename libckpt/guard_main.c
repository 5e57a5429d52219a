/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The guard itself (guard.h): a process of its own, started before a guest is
 * touched, that outlives the operation only to undo what that left behind.
 *
 * It forks once at the start, so that whoever started it can reap the parent
 * at once and knows that it stands.  Then it sleeps on the socket and on the
 * operation's pidfd: the socket alone would not do, for a process forked from
 * the operation may hold a copy of the other end.
 *
 * Undoing goes in rounds.  A round tries every standing harm once, last one
 * first, so that one stubborn LVM lock does not keep a guest suspended.  Only
 * volumes wait for each other: a volume whose rename could not be undone must
 * not be touched under its old name.  Between rounds it waits, longer each
 * time; if a guest acknowledged that it is to suspend, for that guest: it may do
 * so minutes later, or never, and is waited for ten minutes from when it was last
 * seen paused.  With nothing else left to undo the operation's lock is let go
 * for that.  Nothing is said before the first round is over: a hanging syslog
 * must not keep a guest suspended either.  What no round could undo is said
 * loudly, with the command for an administrator.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "ctx.h"
#include "guard_undo.h"
#include "xen_undo.h"

struct watch {
    int fd;    /* the socket; it closes as the lock does */
    int lock_fd;
    int pidfd; /* of the operation; -1 if it cannot be had */
    pid_t pid;
    bool is_dead;
    bool is_bye;
    struct harm *harms; /* standing, oldest first */
    size_t nr, room;
    struct guard_record *held; /* between HOLD and FLUSH */
    size_t nr_held, room_held;
    bool is_holding;
};

/* --- saying it ------------------------------------------------------------- */

static void report(int priority, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void report(int priority, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    dprintf(2, "ckpt-guard: %s\n", text); /* fails when nobody listens */
    syslog(priority, "%s", text);
}

static void report_undone(const struct harm *h)
{
    char object[GUARD_ARG_MAX + 16];

    harm_name(h, object, sizeof(object));
    report(LOG_NOTICE, "undone: %s %s", harm_what(h), object);
}

static void report_standing(const struct harm *h)
{
    char object[GUARD_ARG_MAX + 16];

    harm_name(h, object, sizeof(object));
    report(LOG_CRIT, "NOT UNDONE: %s %s (%s); by hand: %s %s",
           harm_what(h), object, h->error, harm_by_hand(h), object);
}

/* --- undoing --------------------------------------------------------------- */

/* xl's monitor leaves when the guest suspends, which may be yet. */
static bool waits_for_guest(const struct watch *w, const struct harm *h)
{
    if (h->pending)
        return true;
    for (size_t i = 0; h->r.harm == GUARD_MONITOR && i < w->nr; i++)
        if (w->harms[i].r.harm == GUARD_SUSPEND && !w->harms[i].is_undone &&
            w->harms[i].r.domid == h->r.domid)
            return true;
    return false;
}

static size_t nr_standing(const struct watch *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->nr; i++)
        n += !w->harms[i].is_undone;
    return n;
}

static size_t nr_waiting(const struct watch *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->nr; i++)
        n += !w->harms[i].is_undone && waits_for_guest(w, &w->harms[i]);
    return n;
}

static void look_at_pending(struct watch *w)
{
    for (size_t i = w->nr; i-- > 0;)
        if (w->harms[i].pending)
            harm_undo(&w->harms[i]);
}

/* Guests that may suspend are looked at first, and after whatever may have taken
 * its time. */
static void undo_round(struct watch *w)
{
    bool is_volume_stuck = false;

    look_at_pending(w);
    for (size_t i = w->nr; i-- > 0;) {
        struct harm *h = &w->harms[i];
        const bool is_volume = harm_is_volume(h);

        if (h->is_undone || h->pending)
            continue;
        if ((is_volume && is_volume_stuck) || waits_for_guest(w, h)) {
            snprintf(h->error, sizeof(h->error),
                     "waits for what is not undone");
        } else {
            harm_undo(h);
            look_at_pending(w);
        }
        is_volume_stuck = is_volume_stuck || (is_volume && !h->is_undone);
    }
}

/* In the order they were undone. */
static void report_round(struct watch *w)
{
    for (size_t i = w->nr; i-- > 0;) {
        if (w->harms[i].is_undone && !w->harms[i].is_said)
            report_undone(&w->harms[i]);
        w->harms[i].is_said = w->harms[i].is_undone;
    }
}

static void drop(struct watch *w, size_t i)
{
    harm_fini(&w->harms[i]);
    w->nr--;
    memmove(&w->harms[i], &w->harms[i + 1], (w->nr - i) * sizeof(w->harms[0]));
}

/* A monitor was not tried yet, if it waited for a guest that never came. */
static size_t report_standing_or_undo(struct harm *h)
{
    if (h->r.harm == GUARD_MONITOR)
        harm_undo(h);
    if (!h->is_undone)
        report_standing(h);
    return !h->is_undone;
}

/* What was tried often enough; how many. */
static size_t drop_stubborn(struct watch *w)
{
    size_t n = 0;

    for (size_t i = w->nr; i-- > 0;) {
        if (w->harms[i].is_undone || waits_for_guest(w, &w->harms[i]))
            continue;
        n += report_standing_or_undo(&w->harms[i]);
        drop(w, i);
    }
    return n;
}

static bool is_of_checkpoint(uint32_t harm)
{
    return harm == GUARD_LV_REMOVE || harm == GUARD_DISK_MADE;
}

/* A checkpoint that was committed keeps its volumes, whenever we died. */
static void forget_committed(struct watch *w)
{
    size_t i, n = 0;
    bool committed = false;

    for (i = 0; i < w->nr; i++)
        if (w->harms[i].r.harm == GUARD_UNLESS_FILE &&
            !access(w->harms[i].r.arg, F_OK))
            committed = true;
    for (i = 0; i < w->nr; i++) {
        if (w->harms[i].r.harm == GUARD_UNLESS_FILE ||
            (committed && is_of_checkpoint(w->harms[i].r.harm))) {
            harm_fini(&w->harms[i]);
            continue;
        }
        w->harms[n++] = w->harms[i];
    }
    w->nr = n;
}

/* Waits for @base, and for guests that suspend meanwhile, which go on at once. */
static void wait_for(struct watch *w, struct pollfd *base, nfds_t nr, int ms)
{
    struct pollfd *fds = calloc(nr + w->nr + 1, sizeof(*fds));
    nfds_t n = nr;

    if (!fds) { /* no memory: looks now and then */
        poll(base, nr, ms < 0 || ms > 100 ? 100 : ms);
        look_at_pending(w);
        return;
    }
    if (nr)
        memcpy(fds, base, nr * sizeof(*fds));
    for (size_t i = 0; i < w->nr; i++)
        if (w->harms[i].pending) {
            fds[n].fd = xen_pending_fd(w->harms[i].pending);
            fds[n++].events = POLLIN;
        }
    poll(fds, n, ms);
    if (nr)
        memcpy(base, fds, nr * sizeof(*fds));
    free(fds);
    look_at_pending(w);
}

static void wait_between(struct watch *w, unsigned wait_ms)
{
    const uint64_t end_us = now_us() + wait_ms * 1000ull;
    const size_t nr = nr_waiting(w);

    for (uint64_t now = now_us(); now < end_us && nr_waiting(w) == nr;
         now = now_us())
        wait_for(w, NULL, 0, (int)((end_us - now + 999) / 1000));
}

static bool is_one_paused(const struct watch *w)
{
    for (size_t i = 0; i < w->nr; i++)
        if (w->harms[i].pending && xen_pending_is_paused(w->harms[i].pending))
            return true;
    return false;
}

/* A take that comes now claims what may suspend yet, and its guard waits for
 * that instead of this one (xen_suspend_claim.h).  So nobody has to wait for
 * this one any more, which may be there for minutes. */
static void let_go(struct watch *w)
{
    int null;

    if (w->fd < 0)
        return;
    for (size_t i = 0; i < w->nr; i++)
        if (w->harms[i].pending)
            report(LOG_WARNING,
                   "domain %u was asked to suspend, and may do so yet: then it "
                   "is resumed",
                   w->harms[i].r.domid);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Who reads what the operation says reads until all have closed it. */
    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    if (null >= 0)
        close(null);
    close(w->lock_fd);
    close(w->fd);
    w->fd = w->lock_fd = -1;
}

#define SUSPEND_WAIT_MS 600000u /* for a guest that acknowledged */

static int undo_all(struct watch *w)
{
    static const unsigned waits_ms[] = {100,  300,   1000,  2000, 4000,
                                        8000, 15000, 30000, 60000};
    const size_t nr_waits = sizeof(waits_ms) / sizeof(waits_ms[0]);
    uint64_t patience_us = now_us() + SUSPEND_WAIT_MS * 1000ull;
    size_t nr_stubborn = 0;

    undo_round(w);
    openlog("ckpt-guard", LOG_PID, LOG_DAEMON);
    report(LOG_WARNING, "operation of process %d %s; undoing %zu thing%s",
           (int)w->pid, w->is_bye ? "failed" : "died", w->nr,
           w->nr == 1 ? "" : "s");
    for (size_t n = 0;; n++) {
        report_round(w);
        if (n >= nr_waits)
            nr_stubborn += drop_stubborn(w);
        if (is_one_paused(w))
            patience_us = now_us() + SUSPEND_WAIT_MS * 1000ull;
        if (nr_standing(w) == 0 || (n >= nr_waits && now_us() >= patience_us))
            break;
        if (nr_standing(w) == nr_waiting(w))
            let_go(w);
        wait_between(w, waits_ms[n < nr_waits ? n : nr_waits - 1]);
        undo_round(w);
    }
    for (size_t i = w->nr; i-- > 0;)
        if (!w->harms[i].is_undone)
            nr_stubborn += report_standing_or_undo(&w->harms[i]);
    return nr_stubborn ? 1 : 0;
}

/* --- listening ------------------------------------------------------------- */

static void add_harm(struct watch *w, const struct guard_record *r)
{
    struct harm *harms;

    if (w->nr == w->room) {
        harms = realloc(w->harms, (w->room * 2 + 16) * sizeof(*harms));
        if (!harms) {
            report(LOG_CRIT,
                   "out of memory: harm %u of domain %u (%s) is not "
                   "guarded",
                   r->harm, r->domid, r->arg);
            return;
        }
        w->harms = harms;
        w->room = w->room * 2 + 16;
    }
    harm_init(&w->harms[w->nr++], r);
}

static struct harm *find(struct watch *w, unsigned token)
{
    for (size_t i = w->nr; i-- > 0;)
        if (w->harms[i].r.token == token)
            return &w->harms[i];
    return NULL;
}

static void del_harm(struct watch *w, unsigned token)
{
    struct harm *h = find(w, token);

    if (h)
        drop(w, (size_t)(h - w->harms));
}

static void undo_now(struct watch *w, unsigned token)
{
    struct harm *h = find(w, token);

    if (h)
        harm_undo(h);
}

static void apply(struct watch *w, const struct guard_record *r)
{
    if (r->op == GUARD_OP_ADD)
        add_harm(w, r);
    else if (r->op == GUARD_OP_DEL)
        del_harm(w, r->token);
    else if (r->op == GUARD_OP_UNDO)
        undo_now(w, r->token);
}

static void hold_record(struct watch *w, const struct guard_record *r)
{
    struct guard_record *held;

    if (w->nr_held == w->room_held) {
        held = realloc(w->held, (w->room_held * 2 + 16) * sizeof(*held));
        if (!held) {
            apply(w, r); /* better too early than not at all */
            return;
        }
        w->held = held;
        w->room_held = w->room_held * 2 + 16;
    }
    w->held[w->nr_held++] = *r;
}

static void dispatch(struct watch *w, const struct guard_record *r)
{
    if (r->op == GUARD_OP_BYE) {
        w->is_bye = true;
    } else if (r->op == GUARD_OP_HOLD) {
        w->is_holding = true;
    } else if (r->op == GUARD_OP_FLUSH) {
        for (size_t i = 0; i < w->nr_held; i++)
            apply(w, &w->held[i]);
        w->nr_held = 0;
        w->is_holding = false;
    } else if (w->is_holding) {
        hold_record(w, r);
    } else {
        apply(w, r);
    }
}

/* One packet. 1: took it; 0: the end; -EAGAIN: none there now. */
static int take_record(struct watch *w)
{
    struct guard_record r;
    ssize_t n;

    n = recv(w->fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0)
        return errno == EINTR ? 1 : errno == EAGAIN ? -EAGAIN : 0;
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof(r) || r.magic != GUARD_MAGIC ||
        (r.op == GUARD_OP_ADD && r.harm >= GUARD_NR))
        report(LOG_CRIT, "a record that is not understood: library and "
                         "ckpt-helper are of different versions");
    else
        dispatch(w, &r);
    return 1;
}

static void listen_until_end(struct watch *w)
{
    struct pollfd fds[2] = {{.fd = w->fd, .events = POLLIN},
                            {.fd = w->pidfd, .events = POLLIN}};
    int n;

    for (;;) {
        while ((n = take_record(w)) == 1)
            ;
        if (n == 0 || w->is_dead) /* then all it wrote has been read */
            return;
        wait_for(w, fds, 2, -1);
        w->is_dead = fds[1].revents != 0;
    }
}

/* --- standing up ----------------------------------------------------------- */

static void leave_the_terminal(void)
{
    static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,  SIGPIPE,
                                  SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2};
    struct sigaction ign = {.sa_handler = SIG_IGN};
    int fd;

    setsid();
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &ign, NULL);
    if (chdir("/") < 0)
        report(LOG_WARNING, "chdir /: %s", strerror(errno));
    /* Memory pressure must not take the guard before the guarded. */
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "-1000", 5) != 5)
            syslog(LOG_DEBUG, "oom_score_adj: %s", strerror(errno));
        close(fd);
    }
}

int guard_main(int fd)
{
    const int lock_fd = fd + 1; /* or nothing */
    struct watch w = {.fd = fd, .lock_fd = lock_fd};
    struct ucred peer;
    socklen_t len = sizeof(peer);
    pid_t pid;
    int rc = 0;

    /* Who made the socket: the operation. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        fprintf(stderr, "ckpt-guard: descriptor %d: %s\n", fd, strerror(errno));
        return 1;
    }
    w.pid = peer.pid;
    w.pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    w.is_dead = w.pidfd < 0 && errno == ESRCH;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(lock_fd, F_SETFD, FD_CLOEXEC);
    pid = fork();
    if (pid < 0) {
        fprintf(stderr, "ckpt-guard: fork: %s\n", strerror(errno));
        return 1;
    }
    if (pid > 0)
        _exit(0);
    leave_the_terminal();
    listen_until_end(&w);
    forget_committed(&w);
    if (w.nr > 0)
        rc = undo_all(&w);
    for (size_t i = 0; i < w.nr; i++)
        harm_fini(&w.harms[i]);
    free(w.harms);
    /* The operation waits for the socket to close, to find the lock free. */
    close(w.lock_fd);
    close(w.fd);
    return rc;
}
