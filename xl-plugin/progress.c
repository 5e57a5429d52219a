/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 *   memory copied: 37%, 1.2 GiB of 3.4 GiB, 412.0 MiB/s, 5.70 s left
 *
 * The rate is an average that forgets, taken over at least RATE_US and begun
 * again with each phase.  The line is cut to the terminal's width (a wrapped
 * line cannot be overwritten) and padded over the one before.
 */
#include "progress.h"

#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "print.h"
#include "text.h"

#define RATE_US 200000
#define RATE_KEPT 0.7
#define LINE_LEN 256

struct line {
    char text[LINE_LEN];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l,
                                                      const char *fmt, ...)
{
    va_list ap;
    int nr;

    va_start(ap, fmt);
    nr = vsnprintf(l->text + l->len, LINE_LEN - l->len, fmt, ap);
    va_end(ap);
    if (nr > 0)
        l->len += (size_t)nr;
    if (l->len >= LINE_LEN)
        l->len = LINE_LEN - 1;
}

void progress_init(struct progress *p, FILE *f, bool is_on)
{
    p->f = f;
    p->is_on = is_on;
}

static size_t terminal_columns(FILE *f)
{
    struct winsize w;

    if (ioctl(fileno(f), TIOCGWINSZ, &w) < 0 || w.ws_col < 20)
        return 80;
    return w.ws_col;
}

static void take_rate(struct progress *p, const struct ckpt_progress *now)
{
    const char *phase = now->phase ? now->phase : "";
    double fresh;

    if (strncmp(p->phase, phase, PROGRESS_PHASE_LEN - 1) != 0 ||
        now->done_bytes < p->last_bytes || now->elapsed_us < p->last_us) {
        snprintf(p->phase, sizeof(p->phase), "%s", phase);
        p->last_bytes = now->done_bytes;
        p->last_us = now->elapsed_us;
        p->rate = 0;
        return;
    }
    if (now->elapsed_us - p->last_us < RATE_US)
        return;
    fresh = (double)(now->done_bytes - p->last_bytes) /
            (double)(now->elapsed_us - p->last_us);
    p->rate =
        p->rate > 0 ? RATE_KEPT * p->rate + (1 - RATE_KEPT) * fresh : fresh;
    p->last_bytes = now->done_bytes;
    p->last_us = now->elapsed_us;
}

/* Rounded down: 100 % is the end. */
static unsigned percent(const struct ckpt_progress *now)
{
    if (now->done_bytes >= now->total_bytes)
        return 100;
    return (unsigned)(100.0 * (double)now->done_bytes /
                      (double)now->total_bytes);
}

static void compose(const struct progress *p, const struct ckpt_progress *now,
                    struct line *l)
{
    char a[PRINT_LEN], b[PRINT_LEN];
    double left_us;

    l->len = 0;
    add(l, "%s", p->phase);
    if (now->total_bytes)
        add(l, ": %u%%, %s of %s", percent(now), print_size(a, now->done_bytes),
            print_size(b, now->total_bytes));
    else if (now->done_bytes)
        add(l, ": %s", print_size(a, now->done_bytes));
    if (p->rate > 0)
        add(l, ", %s/s", print_size(a, (uint64_t)(p->rate * 1e6)));
    if (p->rate > 0 && now->total_bytes > now->done_bytes) {
        left_us = (double)(now->total_bytes - now->done_bytes) / p->rate;
        if (left_us < 1e12) /* more than eleven days is no answer */
            add(l, ", %s left", print_duration(a, (uint64_t)left_us));
    }
    if (p->is_stopping)
        add(l, ", stopping");
}

void progress_show(struct progress *p, const struct ckpt_progress *now)
{
    struct line l;
    size_t columns, shown, most;

    take_rate(p, now);
    if (!p->is_on)
        return;
    compose(p, now, &l);
    most = terminal_columns(p->f) - 1;
    if (l.len > most)
        l.text[most] = '\0';
    putc('\r', p->f);
    columns = text_print(p->f, l.text);
    shown = atomic_exchange(&p->shown, columns);
    if (shown > columns)
        fprintf(p->f, "%*s", (int)(shown - columns), "");
    fflush(p->f);
}

void progress_erase(struct progress *p)
{
    size_t shown = atomic_exchange(&p->shown, 0);

    if (!shown)
        return;
    fprintf(p->f, "\r%*s\r", (int)shown, "");
    fflush(p->f);
}
