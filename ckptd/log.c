/* SPDX-License-Identifier: LGPL-2.1-only */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    enum log_to to;
    char path[256];
    char who[32];
    unsigned verbose;
} l = {.who = "ckptd"};

int log_open(const char *to, const char *who)
{
    log_who(who);
    if (!strcmp(to, "stderr")) {
        l.to = LOG_TO_STDERR;
        return 0;
    }
    if (!strcmp(to, "syslog")) {
        l.to = LOG_TO_SYSLOG;
        /* At once: a role is about to leave /dev/log behind. */
        openlog("ckptd", LOG_PID | LOG_NDELAY, LOG_DAEMON);
        return 0;
    }
    if (*to != '/' || strlen(to) >= sizeof(l.path))
        return -EINVAL;
    strcpy(l.path, to);
    l.to = LOG_TO_FILE;
    return log_reopen();
}

int log_reopen(void)
{
    int fd;

    if (l.to != LOG_TO_FILE)
        return 0;
    fd = open(l.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
              0640);
    if (fd < 0)
        return -errno;
    if (dup2(fd, STDERR_FILENO) < 0) {
        close(fd);
        return -errno;
    }
    close(fd);
    return 0;
}

void log_who(const char *who)
{
    snprintf(l.who, sizeof(l.who), "%s", who);
}

void log_verbose(unsigned level)
{
    l.verbose = level;
}

bool log_is_syslog(void)
{
    return l.to == LOG_TO_SYSLOG;
}

unsigned log_verbosity(void)
{
    return l.verbose;
}

/* Names from guests and clients: one line stays one line. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            *text = '?';
}

static void put(int priority, const char *fmt, va_list ap)
{
    char text[1024], when[32];
    struct tm tm;
    time_t now;

    vsnprintf(text, sizeof(text), fmt, ap);
    clean(text);
    if (l.to == LOG_TO_SYSLOG) {
        syslog(priority, "%s: %s", l.who, text);
        return;
    }
    now = time(NULL);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S%z", localtime_r(&now, &tm));
    /* one write, so that the lines of several processes do not mix */
    dprintf(STDERR_FILENO, "%s %s[%d]: %s\n", when, l.who, (int)getpid(), text);
}

void log_msg(int priority, const char *fmt, ...)
{
    const int saved_errno = errno;
    va_list ap;

    if (priority > LOG_NOTICE + (int)l.verbose)
        return;
    va_start(ap, fmt);
    put(priority, fmt, ap);
    va_end(ap);
    errno = saved_errno;
}

bool log_rate_pass(struct log_rate *r)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    if ((uint64_t)ts.tv_sec >= r->begin_s + 10) {
        r->begin_s = (uint64_t)ts.tv_sec;
        r->nr = 0;
    }
    if (r->nr >= LOG_RATE_NR) {
        r->left_out++;
        return false;
    }
    r->nr++;
    return true;
}

void log_bounded(struct log_rate *r, int priority, const char *fmt, ...)
{
    va_list ap;

    if (!log_rate_pass(r))
        return;
    if (r->left_out)
        log_msg(priority, "(%u messages like the next were left out)",
                r->left_out);
    r->left_out = 0;
    va_start(ap, fmt);
    if (priority <= LOG_NOTICE + (int)l.verbose)
        put(priority, fmt, ap);
    va_end(ap);
}
