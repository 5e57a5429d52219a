/* SPDX-License-Identifier: LGPL-2.1-only */
#ifndef CKPTD_LOG_H
#define CKPTD_LOG_H
/*
 * One line a message, to standard error, a file or syslog.  The parent alone
 * has the file open; the roles and jobs inherit it as their stderr.
 */
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

enum log_to {
    LOG_TO_STDERR,
    LOG_TO_FILE,
    LOG_TO_SYSLOG
};

/* "stderr", "syslog", or a file's absolute path.  0, or -errno. */
int log_open(const char *to, const char *who);
/* A file is opened anew under the same name, as after a rotation. */
int log_reopen(void);
/* The name of this process in its lines. */
void log_who(const char *who);
/* More is said with -v: 0 notices, 1 info, 2 debug. */
void log_verbose(unsigned level);
/* For the arguments of a role. */
unsigned log_verbosity(void);
bool log_is_syslog(void);

void log_msg(int priority, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A message a guest or a client can cause at will: at most so many in ten
 * seconds per @r; how many were left out is said with the next one.  Zero
 * bytes are valid. */
struct log_rate {
    uint64_t begin_s;
    unsigned nr, left_out;
};
#define LOG_RATE_NR 5u
bool log_rate_pass(struct log_rate *r);
void log_bounded(struct log_rate *r, int priority, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
