/* In the debug, asan and tsan presets the libraries' asserts are on: what a programmer does wrong ends the
 * program. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/network/network.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || defined FG_DEBUG
#define CHECKED true
#else
#define CHECKED false
#endif

/* How a child ends that asks a library for what there is not. */
static int end_of_child(void) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        close(STDERR_FILENO);
        _exit(fg_backbone_name(FG_BACKBONES) != NULL);
    }
    int ended;
    assert_int_equal(waitpid(child, &ended, 0), child);
    return ended;
}

static void test_an_assert_ends_the_program(void **state) {
    (void)state;
    if (!CHECKED)
        skip();
    const int ended = end_of_child();
    assert_true(WIFSIGNALED(ended));
    assert_int_equal(WTERMSIG(ended), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_an_assert_ends_the_program)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
