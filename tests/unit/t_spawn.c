/* SPDX-License-Identifier: LGPL-2.1-only */
/* spawn.h's promises, with the shell's little programs as helpers. */
#include "spawn.h"
#include <setjmp.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctx.h"

/* After ctx.h: it has a macro fail(). */
#include <cmocka.h>

#define LONG_MS 60000u
#define SH(script) ((const char *[]){"sh", "-c", script, NULL})

static struct ckpt c;

static int reset(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    return 0;
}

static void assert_error_has(const char *text)
{
    if (!strstr(c.error, text))
        fail_msg("\"%s\" is not in \"%s\"", text, c.error);
}

static void output_is_returned_whole(void **state)
{
    char *out = NULL;

    (void)state;
    assert_int_equal(spawn_run(&c, SH("printf 'one\\ntwo\\n'"), LONG_MS, &out),
                     0);
    assert_string_equal(out, "one\ntwo\n");
    free(out);
    assert_int_equal(spawn_run(&c, SH("echo unheard"), LONG_MS, NULL), 0);
    assert_int_equal(spawn_run(&c, SH("exit 0"), LONG_MS, &out), 0);
    assert_string_equal(out, "");
    free(out);
}

static void a_failure_has_program_status_and_last_line(void **state)
{
    char *out = NULL;

    (void)state;
    assert_int_equal(spawn_run(&c,
                               SH("echo out; echo first >&2;"
                                  "echo '  the last. ' >&2; exit 5"),
                               LONG_MS, &out),
                     -EIO);
    assert_null(out);
    assert_string_equal(c.error, "sh: exit status 5: the last.");
    assert_int_equal(
        spawn_run(&c, SH("printf unended >&2; exit 1"), LONG_MS, NULL), -EIO);
    assert_string_equal(c.error, "sh: exit status 1: unended.");
    assert_int_equal(spawn_run(&c, SH("exit 3"), LONG_MS, NULL), -EIO);
    assert_string_equal(c.error, "sh: exit status 3.");
    assert_int_equal(spawn_run(&c, SH("kill -9 $$"), LONG_MS, NULL), -EIO);
    assert_error_has("killed by signal 9");
}

static void a_missing_program_is_named(void **state)
{
    const char *nowhere[] = {"ckpt-no-such-program", NULL};
    const char *folder[] = {"/", NULL};

    (void)state;
    assert_int_equal(spawn_run(&c, nowhere, LONG_MS, NULL), -EIO);
    assert_error_has("ckpt-no-such-program");
    assert_int_equal(spawn_run(&c, folder, LONG_MS, NULL), -EIO);
    assert_string_not_equal(c.error, "");
}

static void arguments_arrive_as_they_are(void **state)
{
    const char *argv[] = {"printf", "%s|", "a b", "$HOME", "'\"*", "", NULL};
    char *out;

    (void)state;
    assert_int_equal(spawn_run(&c, argv, LONG_MS, &out), 0);
    assert_string_equal(out, "a b|$HOME|'\"*||");
    free(out);
}

static void sbin_is_searched_without_path(void **state)
{
    const char *argv[] = {"ldconfig", "-V", NULL};
    char *path = strdup(getenv("PATH")), *out;

    (void)state;
    setenv("PATH", "/nonexistent", 1);
    assert_int_equal(spawn_run(&c, argv, LONG_MS, &out), 0);
    free(out);
    unsetenv("PATH");
    assert_int_equal(spawn_run(&c, argv, LONG_MS, &out), 0);
    free(out);
    setenv("PATH", path, 1);
    free(path);
}

/* SIGKILL, the last resort, comes after 5 s. */
static void assert_ended_at(unsigned limit_ms, const char *words)
{
    const uint64_t begin = now_us();
    const char *argv[] = {"sleep", "100", NULL};

    assert_int_equal(spawn_run(&c, argv, limit_ms, NULL), -ETIMEDOUT);
    assert_true(now_us() - begin >= limit_ms * 1000u);
    assert_true(now_us() - begin < limit_ms * 1000u + 4000000u);
    assert_error_has(words);
}

static void overstaying_is_ended(void **state)
{
    (void)state;
    assert_ended_at(100, "sleep: ended after 0.100 s");
}

static void overstaying_is_ended_before_it_has_begun(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_ended_at((unsigned)i % 3, "sleep: ended after 0.00");
}

/* A FIFO that a helper opens: its end is the death of all who hold it. */
static int open_fifo(char dir[32], char path[48])
{
    int fd;

    strcpy(dir, "/tmp/t_spawn.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, 48, "%s/fifo", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_fifo_says(int fd, const char *text)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char got[32] = "";

    assert_int_equal(poll(&pfd, 1, (int)LONG_MS), 1);
    assert_true(read(fd, got, sizeof(got) - 1) >= 0);
    assert_string_equal(got, text);
}

static void close_fifo(int fd, const char *dir, const char *path)
{
    close(fd);
    unlink(path);
    rmdir(dir);
}

static void overstaying_ends_the_children_too(void **state)
{
    char dir[32], path[48], script[128];
    unsigned limit_ms = 300;
    bool has_begun = false;
    int fd;

    (void)state;
    for (; !has_begun && limit_ms < LONG_MS; limit_ms *= 2) {
        fd = open_fifo(dir, path);
        snprintf(script, sizeof(script),
                 "exec 3>%s; echo up >&3; sleep 100 & echo x >&2; wait", path);
        assert_int_equal(spawn_run(&c, SH(script), limit_ms, NULL),
                         -ETIMEDOUT);
        has_begun = strstr(c.error, ": x.") != NULL;
        if (has_begun) {
            assert_fifo_says(fd, "up\n");
            assert_fifo_says(fd, ""); /* the end */
        }
        close_fifo(fd, dir, path);
    }
    assert_true(has_begun);
}

static void a_deaf_program_is_killed(void **state)
{
    (void)state;
    assert_int_equal(
        spawn_run(&c,
                  SH("trap '' TERM; echo deaf >&2; while :; do sleep 1;"
                     "done"), /* lint: sleep ok: it overstays */
                  3000, NULL), /* time to say so, also on a busy machine */
        -ETIMEDOUT);
    assert_error_has("deaf");
}

static void one_mebibyte_is_the_limit(void **state)
{
    const char *fits[] = {"head", "-c", "1048576", "/dev/zero", NULL};
    const char *too_long[] = {"head", "-c", "1048577", "/dev/zero", NULL};
    const char *endless[] = {"cat", "/dev/zero", NULL};
    char *out = NULL;

    (void)state;
    assert_int_equal(spawn_run(&c, fits, LONG_MS, &out), 0);
    assert_int_equal(out[1048575], 0);
    free(out);
    out = NULL;
    assert_int_equal(spawn_run(&c, too_long, LONG_MS, &out), -EFBIG);
    assert_int_equal(spawn_run(&c, endless, LONG_MS, &out), -EFBIG);
    assert_null(out);
}

static void endless_stderr_is_no_burden(void **state)
{
    (void)state;
    assert_int_equal(spawn_run(&c,
                               SH("head -c 3000000 /dev/zero >&2;"
                                  "echo >&2; echo end >&2; exit 1"),
                               LONG_MS, NULL),
                     -EIO);
    assert_string_equal(c.error, "sh: exit status 1: end.");
}

static void only_0_to_2_are_open_in_the_child(void **state)
{
    int fds[3];
    char *out;

    (void)state;
    for (int i = 0; i < 3; i++)
        fds[i] = dup(0); /* not close-on-exec */
    assert_int_equal(fcntl(0, F_DUPFD, 900), 900);
    /* No glob: the shell would open the folder. */
    assert_int_equal(spawn_run(&c,
                               SH("i=0; while [ $i -lt 1000 ]; do"
                                  " [ ! -e /proc/$$/fd/$i ] || echo $i;"
                                  " i=$((i + 1)); done;"
                                  "readlink /proc/$$/fd/0"),
                               LONG_MS, &out),
                     0);
    assert_string_equal(out, "0\n1\n2\n/dev/null\n");
    free(out);
    close(900);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

static void signals_are_at_their_defaults(void **state)
{
    struct sigaction ign = {.sa_handler = SIG_IGN}, before, now;
    sigset_t set, mask_before, mask_now;
    const char *argv[] = {"grep", "-E", "^Sig(Blk|Ign):.*[1-9a-f]",
                          "/proc/self/status", NULL};

    (void)state;
    sigaction(SIGPIPE, &ign, &before);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &mask_before);
    /* grep finds nothing, and so exits 1 */
    assert_int_equal(spawn_run(&c, argv, LONG_MS, NULL), -EIO);
    assert_string_equal(c.error, "grep: exit status 1.");
    sigaction(SIGPIPE, &before, &now);
    assert_true(now.sa_handler == SIG_IGN);
    sigprocmask(SIG_SETMASK, &mask_before, &mask_now);
    assert_true(sigismember(&mask_now, SIGTERM));
    assert_true(sigismember(&mask_now, SIGRTMIN));
    assert_false(sigismember(&mask_now, SIGINT));
}

static volatile sig_atomic_t nr_sigchld;

static void reap_everything(int sig)
{
    (void)sig;
    nr_sigchld++;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static void a_caller_with_sigchld_of_its_own_is_left_alone(void **state)
{
    struct sigaction ign = {.sa_handler = SIG_IGN};
    struct sigaction reap = {.sa_handler = reap_everything};
    struct sigaction before, now;

    (void)state;
    sigaction(SIGCHLD, &ign, &before);
    assert_int_equal(spawn_run(&c, SH("exit 7"), LONG_MS, NULL), -EIO);
    assert_error_has("exit status 7");
    sigaction(SIGCHLD, &reap, &now);
    assert_true(now.sa_handler == SIG_IGN);
    assert_int_equal(spawn_run(&c, SH("exit 8"), LONG_MS, NULL), -EIO);
    assert_error_has("exit status 8");
    assert_int_equal(nr_sigchld, 0);
    sigaction(SIGCHLD, &before, NULL);
    /* and no zombie is left for anyone to find */
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
}

static void messages_are_in_english(void **state)
{
    char *out;

    (void)state;
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    assert_int_equal(spawn_run(&c, SH("echo $LC_ALL; env | grep -c ^LC_ALL="),
                               LONG_MS, &out),
                     0);
    assert_string_equal(out, "C\n1\n");
    assert_string_equal(getenv("LC_ALL"), "de_DE.UTF-8");
    free(out);
    unsetenv("LC_ALL");
}

static void what_it_leaves_behind_is_not_waited_for(void **state)
{
    const uint64_t begin = now_us();
    char *out;

    (void)state;
    assert_int_equal(spawn_run(&c, SH("sleep 30 & echo $!"), LONG_MS, &out), 0);
    assert_true(now_us() - begin < 20000000);
    assert_int_equal(kill((pid_t)atoi(out), SIGKILL), 0);
    free(out);
}

static void our_death_ends_it(void **state)
{
    char dir[32], path[48], script[128];
    int fd = open_fifo(dir, path);
    pid_t pid;

    (void)state;
    snprintf(script, sizeof(script), "exec 3>%s; echo up >&3; exec sleep 100",
             path);
    pid = fork();
    if (pid == 0) {
        spawn_run(&c, SH(script), LONG_MS, NULL);
        _exit(0);
    }
    assert_fifo_says(fd, "up\n");
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_fifo_says(fd, ""); /* the end */
    close_fifo(fd, dir, path);
}

static void a_daemon_gets_its_descriptors_and_outlives_us(void **state)
{
    const char *argv[] = {"sh", "-c",
                          "echo to-three >&3; read line <&4; (sleep 0.1;"
                          "echo \"later $line\" >&3) & exit 0",
                          NULL};
    int to[2], from[2], fds[2];
    char text[64] = "";
    size_t len = 0;
    ssize_t n;

    (void)state;
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    assert_int_equal(write(to[1], "word\n", 5), 5);
    fds[0] = from[1];
    fds[1] = to[0];
    assert_int_equal(spawn_daemon(&c, argv, fds, 2, LONG_MS), 0);
    close(from[1]);
    while ((n = read(from[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    assert_string_equal(text, "to-three\nlater word\n");
    close(from[0]);
    close(to[0]);
    close(to[1]);
}

static void *run_ten(void *arg)
{
    struct ckpt mine;
    char expected[16], script[32];
    char *out;

    memset(&mine, 0, sizeof(mine));
    for (int i = 0; i < 10; i++) {
        snprintf(expected, sizeof(expected), "%d.%d\n", (int)(intptr_t)arg, i);
        snprintf(script, sizeof(script), "echo %d.%d", (int)(intptr_t)arg, i);
        if (spawn_run(&mine, SH(script), LONG_MS, &out))
            return &c;
        if (strcmp(out, expected))
            return &c;
        free(out);
    }
    return NULL;
}

static void threads_do_not_meet(void **state)
{
    pthread_t thread[4];
    void *result;

    (void)state;
    for (intptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, run_ten, (void *)i),
                         0);
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], &result);
        assert_null(result);
    }
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void no_descriptor_is_lost(void **state)
{
    const int before = count_fds();
    char *out;

    (void)state;
    assert_int_equal(spawn_run(&c, SH("echo"), LONG_MS, &out), 0);
    free(out);
    assert_int_equal(spawn_run(&c, SH("exit 1"), LONG_MS, &out), -EIO);
    assert_int_equal(spawn_run(&c, SH("sleep 9"), 1, &out), -ETIMEDOUT);
    assert_int_equal(spawn_run(&c, (const char *[]){"no-such", NULL}, 1, &out),
                     -EIO);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, reset)
    const struct CMUnitTest tests[] = {
        T(output_is_returned_whole),
        T(a_failure_has_program_status_and_last_line),
        T(a_missing_program_is_named),
        T(arguments_arrive_as_they_are),
        T(sbin_is_searched_without_path),
        T(overstaying_is_ended),
        T(overstaying_is_ended_before_it_has_begun),
        T(overstaying_ends_the_children_too),
        T(a_deaf_program_is_killed),
        T(one_mebibyte_is_the_limit),
        T(endless_stderr_is_no_burden),
        T(only_0_to_2_are_open_in_the_child),
        T(signals_are_at_their_defaults),
        T(a_caller_with_sigchld_of_its_own_is_left_alone),
        T(messages_are_in_english),
        T(what_it_leaves_behind_is_not_waited_for),
        T(our_death_ends_it),
        T(a_daemon_gets_its_descriptors_and_outlives_us),
        T(threads_do_not_meet),
        T(no_descriptor_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
