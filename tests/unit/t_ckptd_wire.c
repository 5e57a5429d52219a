/* SPDX-License-Identifier: LGPL-2.1-only */
/* What a captured role could send: wrong sizes, wrong types, texts without
 * an end. */
#include "unit.h"

#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fds[2];
static struct wire m;

static int open_pair(void **state)
{
    (void)state;
    memset(&m, 0, sizeof(m));
    return wire_pair(fds);
}

static int close_pair(void **state)
{
    (void)state;
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static void every_type_comes_through(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < WIRE_NR; type++) {
        memset(&m, 0, sizeof(m));
        m.type = type;
        assert_int_equal(wire_send(fds[0], &m), 0);
        assert_int_equal(wire_recv(fds[1], &m), 0);
        assert_int_equal(m.type, type);
    }
}

static void a_part_is_as_long_as_what_it_carries(void **state)
{
    const size_t before = offsetof(struct wire, u.part.bytes);

    (void)state;
    for (size_t len = before - 1; len <= before + 6; len++) {
        memset(&m, 0, sizeof(m));
        m.type = WIRE_PART;
        m.u.part.len_bytes = m.u.part.total_bytes = 5;
        assert_int_equal(send(fds[0], &m, len, 0), (ssize_t)len);
        assert_int_equal(wire_recv(fds[1], &m),
                         len == before + 5 ? 0 : -EPROTO);
    }
}

static void another_size_is_no_message(void **state)
{
    (void)state;
    m.type = WIRE_JOB;
    assert_int_equal(send(fds[0], &m, 12, 0), 12);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    m.type = WIRE_READY;
    assert_int_equal(send(fds[0], &m, 100, 0), 100);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    m.type = WIRE_NR;
    assert_int_equal(send(fds[0], &m, 8, 0), 8);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    assert_int_equal(send(fds[0], &m, 3, 0), 3);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    assert_int_equal(wire_send(fds[0], &m), -EPROTO);
}

static void texts_end_whatever_was_sent(void **state)
{
    (void)state;
    m.type = WIRE_SUBMIT;
    memset(&m.u, 'x', sizeof(m.u));
    m.u.submit.task.verb = VERB_TAKE;
    m.u.submit.task.flags = m.u.submit.task.domid = 0;
    assert_int_equal(wire_send(fds[0], &m), 0);
    assert_int_equal(wire_recv(fds[1], &m), 0);
    assert_int_equal(strlen(m.u.submit.task.domain), TEXT_NAME - 1);
    assert_int_equal(strlen(m.u.submit.task.group), TEXT_GROUP - 1);
    assert_int_equal(strlen(m.u.submit.task.domains), TEXT_DOMAINS - 1);
    assert_int_equal(strlen(m.u.submit.key), TEXT_KEY - 1);
    assert_int_equal(strlen(m.u.submit.task.exclude[15]), 15);
}

static void numbers_that_lead_outside_are_refused(void **state)
{
    (void)state;
    m.type = WIRE_SUBMIT;
    m.u.submit.task.verb = VERB_NR;
    assert_int_equal(wire_send(fds[0], &m), 0);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    m.type = WIRE_PART;
    m.u.part.offset = 10;
    m.u.part.total_bytes = 20;
    m.u.part.len_bytes = 11;
    assert_int_equal(wire_send(fds[0], &m), 0);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
    m.u.part.len_bytes = WIRE_PART_BYTES + 1;
    m.u.part.total_bytes = WIRE_RESULT_MAX;
    assert_int_equal(wire_send(fds[0], &m), 0);
    assert_int_equal(wire_recv(fds[1], &m), -EPROTO);
}

static int through(void)
{
    assert_int_equal(wire_send(fds[0], &m), 0);
    return wire_recv(fds[1], &m);
}

static void what_is_not_to_be_asked_for_is_refused(void **state)
{
    static const uint32_t counts[] = {0, 1, 256, 257};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        wire_begin(&m, WIRE_GUEST);
        m.u.guest.request = GUEST_FORK;
        m.u.guest.count = counts[i];
        assert_int_equal(through(), i == 1 || i == 2 ? 0 : -EPROTO);
    }
    for (uint32_t flag = 1; flag; flag <<= 1) {
        const uint32_t own =
            TASK_EXISTING_OK | TASK_OWN_LAST | TASK_STAND_BY | TASK_BY_POLICY;

        wire_begin(&m, WIRE_SUBMIT);
        m.u.submit.task.flags = flag;
        assert_int_equal(through(),
                         flag & own || flag > TASK_BY_POLICY ? -EPROTO : 0);
    }
    wire_begin(&m, WIRE_SUBMIT);
    m.u.submit.task.domid = 5;
    assert_int_equal(through(), -EPROTO);
}

/* 1000 jobs that ended, of each kind by turns, asked of from the newest on. */
static void the_last_jobs_of_each_kind_are_kept(void **state)
{
    static const struct wire_job kinds[] = {
        {.state = JOB_DONE, .verb = VERB_TAKE, .origin = ORIGIN_SOCKET},
        {.state = JOB_FAILED, .verb = VERB_TAKE, .origin = ORIGIN_SCHEDULE},
        {.state = JOB_DONE, .verb = VERB_SHOW, .origin = ORIGIN_SOCKET},
        {.state = JOB_CANCELLED, .verb = VERB_FORK, .origin = ORIGIN_GUEST},
        {.state = JOB_POST, .verb = VERB_TAKE, .origin = ORIGIN_SCHEDULE},
    };
    struct jobs_seen seen = {.asked = 0};
    uint32_t kept[5] = {0};

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        kept[i % 5] += !job_is_old(&kinds[i % 5], &seen);
    assert_int_equal(kept[0], 200);
    assert_int_equal(kept[1] + kept[3], JOBS_KEPT_OTHERS);
    assert_int_equal(kept[2], JOBS_KEPT_QUERIES);
    assert_int_equal(kept[4], 200); /* under way */
    for (size_t i = 0; i < 100; i++)
        kept[0] += !job_is_old(&kinds[0], &seen);
    assert_int_equal(kept[0], JOBS_KEPT_ASKED);
}

static void names_of_more_than_a_line_are_refused(void **state)
{
    (void)state;
    wire_begin(&m, WIRE_SUBMIT);
    strcpy(m.u.submit.key, "a\nguest 1");
    assert_int_equal(through(), -EPROTO);
    wire_begin(&m, WIRE_SUBMIT);
    strcpy(m.u.submit.task.domain, "a\tb");
    assert_int_equal(through(), -EPROTO);
    wire_begin(&m, WIRE_SUBMIT);
    strcpy(m.u.submit.task.domains, "web\tdb \303\244");
    assert_int_equal(through(), 0);
    wire_begin(&m, WIRE_DOMAIN);
    strcpy(m.u.domain.name, "web\177");
    assert_int_equal(through(), -EPROTO);
    wire_begin(&m, WIRE_JOB); /* from who is trusted: words may have lines */
    strcpy(m.u.job.words, "a\nb");
    assert_int_equal(through(), 0);
}

static void words_come_out_as_they_went_in(void **state)
{
    char words[12] = "", one[4];

    (void)state;
    assert_false(word_nth(words, DOMAIN_END, 0, one, sizeof(one)));
    assert_true(word_add(words, sizeof(words), DOMAIN_END, "abc"));
    assert_true(word_add(words, sizeof(words), DOMAIN_END, "d e"));
    assert_false(word_add(words, sizeof(words), DOMAIN_END, "f\tg"));
    assert_false(word_add(words, sizeof(words), DOMAIN_END, "four"));
    assert_true(word_add(words, sizeof(words), DOMAIN_END, "hi"));
    assert_string_equal(words, "abc\td e\thi");
    for (size_t n = 0; n < 3; n++) {
        assert_true(word_nth(words, DOMAIN_END, n, one, sizeof(one)));
        assert_string_equal(one, n == 0 ? "abc" : n == 1 ? "d e" : "hi");
    }
    assert_false(word_nth(words, DOMAIN_END, 3, one, sizeof(one)));
    assert_false(word_nth(words, DOMAIN_END, 4, one, sizeof(one)));
    assert_false(word_nth(words, DOMAIN_END, 0, one, 3)); /* no room */
}

static void an_end_and_a_full_one_are_told(void **state)
{
    int rc = 0;

    (void)state;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    assert_int_equal(wire_recv(fds[1], &m), -EAGAIN);
    m.type = WIRE_METRICS;
    m.u.part.len_bytes = m.u.part.total_bytes = WIRE_PART_BYTES;
    for (int i = 0; i < 10000 && !rc; i++)
        rc = wire_send(fds[0], &m);
    assert_int_equal(rc, -EAGAIN);
    shutdown(fds[0], SHUT_WR);
    while (!(rc = wire_recv(fds[1], &m)))
        continue;
    assert_int_equal(rc, -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_comes_through, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(a_part_is_as_long_as_what_it_carries,
                                        open_pair, close_pair),
        cmocka_unit_test_setup_teardown(another_size_is_no_message, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(texts_end_whatever_was_sent, open_pair,
                                        close_pair),
        cmocka_unit_test_setup_teardown(numbers_that_lead_outside_are_refused,
                                        open_pair, close_pair),
        cmocka_unit_test_setup_teardown(what_is_not_to_be_asked_for_is_refused,
                                        open_pair, close_pair),
        cmocka_unit_test(the_last_jobs_of_each_kind_are_kept),
        cmocka_unit_test_setup_teardown(names_of_more_than_a_line_are_refused,
                                        open_pair, close_pair),
        cmocka_unit_test(words_come_out_as_they_went_in),
        cmocka_unit_test_setup_teardown(an_end_and_a_full_one_are_told,
                                        open_pair, close_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
