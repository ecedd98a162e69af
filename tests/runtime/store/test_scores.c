/* The score log: it goes on after a restart, forgets the oldest, and a power cut at any byte loses at most
 * the record that was being written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/store/scores.h"

#define ROOM 16u
#define BYTES 32

static char path[64];
static struct fg_message message;

static int make_path(void **state) {
    (void)state;
    strcpy(path, "/tmp/flawgate-scores-XXXXXX");
    const int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    return unlink(path);
}

static int remove_path(void **state) {
    (void)state;
    unlink(path);
    return 0;
}

static struct fg_score make_score(uint32_t part) {
    return (struct fg_score){.part = part,
                             .unix_s = 1700000000 + part,
                             .score = (float)part / 8,
                             .threshold = 0.25f,
                             .checksum = 0xfeedbeef,
                             .verdict = 2,
                             .reason = 10,
                             .view = 7,
                             .slot = 15,
                             .decided = true};
}

static void add_parts(uint32_t first, uint32_t last) {
    struct fg_scores scores;
    assert_int_equal(fg_scores_open(&scores, path, ROOM, &message), FG_OK);
    for (uint32_t part = first; part <= last; part++) {
        const struct fg_score score = make_score(part);
        assert_int_equal(fg_scores_add(&scores, &score, &message), FG_OK);
    }
    assert_int_equal(fg_scores_flush(&scores, &message), FG_OK);
    fg_scores_close(&scores);
}

/* The log has these parts, whole and in order, but for one. */
static void expect_parts(uint32_t first, uint32_t last, uint32_t without, uint32_t expected_torn) {
    struct fg_score *score;
    uint32_t count, torn, at = 0;
    assert_int_equal(fg_scores_read(path, &score, &count, &torn, &message), FG_OK);
    for (uint32_t part = first; part <= last; part++) {
        if (part == without)
            continue;
        assert_true(at < count);
        const struct fg_score expected = make_score(part), *s = &score[at++];
        assert_int_equal(s->part, part);
        assert_int_equal(s->unix_s, expected.unix_s);
        assert_true(s->score == expected.score && s->threshold == expected.threshold);
        assert_int_equal(s->checksum, expected.checksum);
        assert_true(s->verdict == 2 && s->reason == 10 && s->view == 7 && s->slot == 15 && s->decided &&
                    !s->doubtful);
    }
    assert_int_equal(count, at);
    assert_int_equal(torn, expected_torn);
    free(score);
}

static void it_goes_on_after_a_restart(void **state) {
    (void)state;
    add_parts(1, 3);
    add_parts(4, 9);
    expect_parts(1, 9, 0, 0);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size,
                     BYTES * (ROOM + 1)); /* its disk space is taken from the first moment on */
}

static void a_full_ring_forgets_the_oldest(void **state) {
    (void)state;
    add_parts(1, 40);
    expect_parts(25, 40, 0, 0);
    add_parts(41, 43);
    expect_parts(28, 43, 0, 0);
}

/* A record is torn after any of its bytes: the place's older record shows through behind it. */
static void a_power_cut_at_any_byte_tears_one_record_only(void **state) {
    (void)state;
    add_parts(1, 20); /* part 20 has the place of part 4 */
    const off_t at = BYTES + (20 - 1 - ROOM) * BYTES;
    unsigned char whole[BYTES], old[BYTES];
    const int file = open(path, O_RDWR);
    assert_int_equal(pread(file, whole, BYTES, at), BYTES);
    for (int i = 0; i < BYTES; i++)
        old[i] = (unsigned char)~whole[i];
    for (int cut = 1; cut < BYTES; cut++) {
        unsigned char torn[BYTES];
        memcpy(torn, old, BYTES);
        memcpy(torn, whole, (size_t)cut);
        assert_int_equal(pwrite(file, torn, BYTES, at), BYTES);
        expect_parts(5, 19, 0, 1);
    }
    close(file);
    add_parts(20, 21); /* the torn record's place is taken first */
    expect_parts(6, 21, 0, 0);
}

static void a_torn_record_in_the_middle_is_skipped(void **state) {
    (void)state;
    add_parts(1, 10);
    const int file = open(path, O_RDWR);
    assert_int_equal(pwrite(file, "x", 1, BYTES * 5 + 17), 1);
    close(file);
    expect_parts(1, 10, 5, 1);
    add_parts(11, 12);
    expect_parts(1, 12, 5, 1);
}

/* The sequence of 32 bits begins again in the middle of the ring. */
static void the_sequence_may_wrap(void **state) {
    (void)state;
    struct fg_scores scores;
    assert_int_equal(fg_scores_open(&scores, path, ROOM, &message), FG_OK);
    scores.next = UINT32_MAX - 4;
    for (uint32_t part = 1; part <= 9; part++) {
        const struct fg_score score = make_score(part);
        assert_int_equal(fg_scores_add(&scores, &score, &message), FG_OK);
    }
    fg_scores_close(&scores);
    expect_parts(1, 9, 0, 0);
    add_parts(10, 11);
    expect_parts(1, 11, 0, 0);
}

static void what_is_no_log_is_refused_and_stays(void **state) {
    (void)state;
    struct fg_scores scores;
    struct fg_score *score;
    uint32_t count, torn;
    const int file = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(file, "something else that is longer than a header is", 46), 46);
    close(file);
    assert_int_equal(fg_scores_open(&scores, path, ROOM, &message), FG_INPUT);
    assert_non_null(strstr(message.text, path));
    assert_int_equal(fg_scores_read(path, &score, &count, &torn, &message), FG_INPUT);
    struct stat found;
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, 46);
    unlink(path);
    assert_int_equal(fg_scores_read(path, &score, &count, &torn, &message), FG_INPUT);
    assert_int_equal(fg_scores_open(&scores, "/nonexistent/scores", ROOM, &message), FG_ENVIRONMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_goes_on_after_a_restart, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_full_ring_forgets_the_oldest, make_path, remove_path),
        cmocka_unit_test_setup_teardown(a_power_cut_at_any_byte_tears_one_record_only, make_path,
                                        remove_path),
        cmocka_unit_test_setup_teardown(a_torn_record_in_the_middle_is_skipped, make_path, remove_path),
        cmocka_unit_test_setup_teardown(the_sequence_may_wrap, make_path, remove_path),
        cmocka_unit_test_setup_teardown(what_is_no_log_is_refused_and_stays, make_path, remove_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
