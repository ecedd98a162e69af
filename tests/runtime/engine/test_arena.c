/* The arena: exact sizes, zeroed and aligned pieces, banks that do not touch each other, and no way past the
 * end, the seal or a size that overflows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>

#include "runtime/engine/arena.h"

static struct fg_message message;
static struct fg_backend *backend;

static int open_backend(void **state) {
    (void)state;
    return fg_cpu_open(1, 1, &backend, &message) != FG_OK;
}

static int close_backend(void **state) {
    (void)state;
    backend->close(backend);
    return 0;
}

static struct fg_arena *open_arena(size_t fixed, size_t bank, uint32_t banks) {
    struct fg_arena *arena = NULL;
    if (fg_arena_open(backend, FG_STORE_HOST, fixed, bank, banks, &arena, &message) != FG_OK)
        fail_msg("%s", message.text);
    return arena;
}

static unsigned char *take(struct fg_bank *bank, size_t bytes) {
    void *piece = NULL;
    if (fg_bank_take(bank, bytes, "a piece", &piece, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal((uintptr_t)piece % FG_ALIGNMENT, 0);
    for (size_t i = 0; i < bytes; i++)
        assert_int_equal(((unsigned char *)piece)[i], 0);
    return piece;
}

static void refused(struct fg_bank *bank, size_t bytes, const char *because) {
    void *piece = &piece;
    assert_int_equal(fg_bank_take(bank, bytes, "the frames", &piece, &message), FG_ENVIRONMENT);
    assert_null(piece);
    assert_non_null(strstr(message.text, "the frames"));
    if (!strstr(message.text, because))
        fail_msg("\"%s\" does not say \"%s\"", message.text, because);
}

/* A plan of rounded pieces fits to the byte, and not one byte more. */
static void test_exact(void **state) {
    (void)state;
    static const size_t pieces[] = {1, 256, 257, 1000, 3 * 4096};
    size_t plan = 0;
    for (int i = 0; i < 5; i++)
        plan += fg_size_align(pieces[i]);
    struct fg_arena *arena = open_arena(100, plan, 2);
    assert_int_equal(fg_arena_size(arena), 256 + 2 * plan);
    assert_int_equal(fg_arena_high_water(arena), 0);
    struct fg_bank *bank = fg_arena_bank(arena, 0);
    for (int i = 0; i < 5; i++)
        take(bank, pieces[i]);
    assert_int_equal(fg_arena_high_water(arena), plan);
    refused(bank, 1, "left");
    refused(bank, SIZE_MAX, "left");
    refused(bank, SIZE_MAX - 100, "left"); /* rounding up would wrap around */
    assert_int_equal(fg_arena_high_water(arena), plan);
    fg_arena_close(arena);
}

static void test_banks_are_apart(void **state) {
    (void)state;
    struct fg_arena *arena = open_arena(300, 5000, 3);
    unsigned char *piece[4] = {take(fg_arena_fixed(arena), 512)};
    for (uint32_t i = 0; i < 3; i++)
        piece[i + 1] = take(fg_arena_bank(arena, i), 5000);
    for (int i = 0; i < 4; i++)
        memset(piece[i], i + 1, i ? 5000 : 512);
    fg_bank_empty(fg_arena_bank(arena, 1));
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; i != 2 && k < (i ? 5000 : 512); k++)
            assert_int_equal(piece[i][k], i + 1);
    fg_arena_close(arena);
}

/* A bank filled again begins from zero, and the high-water mark keeps the largest filling. */
static void test_filled_again(void **state) {
    (void)state;
    struct fg_arena *arena = open_arena(0, 4096, 1);
    struct fg_bank *bank = fg_arena_bank(arena, 0);
    memset(take(bank, 2048), 0xee, 2048);
    memset(take(bank, 1024), 0xee, 1024);
    fg_bank_empty(bank);
    take(bank, 1024); /* checks the zeroes */
    assert_int_equal(bank->used, 1024);
    assert_int_equal(fg_arena_high_water(arena), 3072);
    fg_arena_close(arena);
}

/* Where asserts are on, what was given back is poison. The address sanitizer does not even let it be read. */
static void test_poison(void **state) {
    (void)state;
#if defined FG_DEBUG && !defined __SANITIZE_ADDRESS__
    struct fg_arena *arena = open_arena(0, 4096, 1);
    const float *piece = (const float *)take(fg_arena_bank(arena, 0), 1000);
    fg_bank_empty(fg_arena_bank(arena, 0));
    for (int i = 0; i < 250; i++)
        assert_true(piece[i] != piece[i]);
    fg_arena_close(arena);
#else
    skip();
#endif
}

static void test_sealed(void **state) {
    (void)state;
    struct fg_arena *arena = open_arena(4096, 0, 0);
    struct fg_bank *fixed = fg_arena_fixed(arena);
    take(fixed, 100);
    fg_bank_seal(fixed);
    refused(fixed, 100, "sealed");
    fg_arena_close(arena);
}

static bool all_there(void *memory) {
    unsigned char present[64] = {0};
    assert_int_equal(mincore(memory, (size_t)64 * 4096, present), 0);
    for (int i = 0; i < 64; i++)
        if (!(present[i] & 1))
            return false;
    return true;
}

/* Whether pages that are asked for at once come at once: qemu 7 for programs does not pass that on. */
static bool populates(void) {
    const size_t size = (size_t)64 * 4096;
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    const bool there = all_there(memory);
    munmap(memory, size);
    return there;
}

/* No page is left to be faulted in on the line. */
static void test_every_page_is_there(void **state) {
    (void)state;
    if (!populates())
        skip();
    struct fg_arena *arena = open_arena(0, (size_t)64 * 4096, 1);
    assert_true(all_there(fg_arena_bank(arena, 0)->memory));
    fg_arena_close(arena);
}

static void test_impossible_sizes(void **state) {
    (void)state;
    static const struct {
        size_t fixed, bank;
        uint32_t banks;
        enum fg_status status;
    } cases[] = {{0, 0, 0, FG_USAGE},
                 {0, 0, 3, FG_USAGE},
                 {0, 4096, FG_MAX_BANKS + 1, FG_USAGE},
                 {SIZE_MAX, 0, 0, FG_USAGE}, /* rounds up past the end to nothing */
                 {4096, SIZE_MAX - 10, 1, FG_USAGE},
                 {4096, SIZE_MAX / 4, 5, FG_USAGE},
                 {(size_t)1 << 60, 0, 0, FG_ENVIRONMENT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fg_arena *arena = (struct fg_arena *)cases;
        memset(&message, 0, sizeof message);
        assert_int_equal(fg_arena_open(backend, FG_STORE_HOST, cases[i].fixed, cases[i].bank, cases[i].banks,
                                       &arena, &message),
                         cases[i].status);
        assert_null(arena);
        assert_true(message.text[0]);
    }
    fg_arena_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_banks_are_apart),
        cmocka_unit_test(test_filled_again),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_sealed),
        cmocka_unit_test(test_every_page_is_there),
        cmocka_unit_test(test_impossible_sizes),
    };
    return cmocka_run_group_tests(tests, open_backend, close_backend);
}
