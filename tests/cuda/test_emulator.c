/* The emulator finds what it is there for: kernels with a missing barrier, an index off by one, threads that
 * never reach a barrier or a shuffle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cuda/broken.h"

#define BLOCKS 4

static void test_barriers(void **state) {
    (void)state;
    float in[64 * BLOCKS], out[BLOCKS];
    for (int i = 0; i < 64 * BLOCKS; i++)
        in[i] = (float)(i * i % 97);
    int wrong = 0;
    for (uint64_t seed = 0; seed < 16; seed++)
        for (int barriers = 0; barriers < 2; barriers++) {
            fg_broken_sum(seed, in, BLOCKS, out, barriers);
            for (int b = 0; b < BLOCKS; b++) {
                float sum = 0;
                for (int i = 0; i < 64; i++)
                    sum += in[64 * b + i];
                if (barriers)
                    assert_true(out[b] == sum);
                else
                    wrong += out[b] != sum;
            }
        }
    printf("%d of %d sums without barriers are wrong\n", wrong, 16 * BLOCKS);
    assert_true(wrong > 8 * BLOCKS);
}

/* Runs it in a process of its own: whether that ended by itself, with 0. */
static bool survives(void (*run)(int), int argument) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr); /* without it the log is only longer */
        run(argument);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void copy(int shift) {
    float *in = calloc(64, sizeof *in), out[64];
    fg_broken_copy(in, out, shift);
    free(in);
}

static void shuffle(int lanes) {
    float out;
    fg_broken_shuffle(lanes, &out);
}

static void test_index(void **state) {
    (void)state;
    assert_true(survives(copy, 0));
#ifdef __SANITIZE_ADDRESS__
    assert_false(survives(copy, 1));
    assert_false(survives(copy, -1));
#else
    print_message("only the address sanitizer sees an index off by one\n");
#endif
}

static void test_who_never_comes(void **state) {
    (void)state;
    assert_true(survives(fg_broken_wait, 0) && survives(fg_broken_wait, 64));
    assert_false(survives(fg_broken_wait, 63));
    assert_false(survives(fg_broken_wait, 1));
    assert_true(survives(shuffle, 0) && survives(shuffle, 32));
    assert_false(survives(shuffle, 31));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barriers),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_who_never_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
