/* SPDX-License-Identifier: LGPL-2.1-only */
/* How often a guest may ask: what it has left is in its record. */
#include "guests.h"

#define US_PER_MILLI 3600000 /* of a token, at one an hour */

/* What has come in since: only whole thousandths, and time moves on by just
 * these, so that asking often does not keep the bucket empty. */
static void refill(struct record *r, const struct policy *p, int64_t now)
{
    const int64_t full = (int64_t)p->guest_burst * 1000;
    const int64_t rate = p->guest_rate_hour;
    int64_t passed_us = now - r->tokens_us, gained;

    if (!r->tokens_us || passed_us < 0) /* the clock was set back */
        r->tokens_us = now;
    if (!passed_us || passed_us < 0 || !rate)
        return;
    if (passed_us > full * US_PER_MILLI / rate) /* it is full; no overflow */
        passed_us = full * US_PER_MILLI / rate + 1;
    gained = passed_us * rate / US_PER_MILLI;
    if (r->tokens_milli + gained >= full) {
        r->tokens_milli = full;
        r->tokens_us = now;
        return;
    }
    r->tokens_milli += gained;
    r->tokens_us += gained * US_PER_MILLI / rate;
}

/* A bucket of `burst` tokens that fills with `rate` an hour. */
bool rate_take(struct record *r, const struct policy *p, int64_t now,
               int64_t *wait_s_out)
{
    if (!r->tokens_us)
        r->tokens_milli = (int64_t)p->guest_burst * 1000;
    refill(r, p, now);
    if (r->tokens_milli > (int64_t)p->guest_burst * 1000)
        r->tokens_milli = (int64_t)p->guest_burst * 1000;
    if (r->tokens_milli >= 1000) {
        r->tokens_milli -= 1000;
        return true;
    }
    *wait_s_out = p->guest_rate_hour
                      ? (1000 - r->tokens_milli) * 36 /
                                (10 * (int64_t)p->guest_rate_hour) +
                            1
                      : -1;
    return false;
}

void rate_give(struct record *r, const struct policy *p)
{
    const int64_t full = (int64_t)p->guest_burst * 1000;

    r->tokens_milli += 1000;
    if (r->tokens_milli > full)
        r->tokens_milli = full;
}
