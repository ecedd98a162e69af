/* What the Modbus map makes of writes: every rule of coils and holding registers, bytes in, exceptions and
 * commands out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/runtime/modbus/modbus_request.h"

static void a_single_coil_is_on_or_off(void **state) {
    (void)state;
    static const uint16_t WRONG[] = {1, 0x00ff, 0xff01, 0xffff, 0xfe00};
    struct map map = make_ready_map();
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        assert_int_equal(send_word(&map, 5, FG_COIL_AT_TRIGGER_ENABLE, WRONG[i]), FG_MODBUS_ILLEGAL_VALUE);
        EXPECT_NOTHING(&map);
    }
}

/* ---- Writing coils ---- */

static void an_edge_is_told_from_the_coils_level(void **state) {
    (void)state;
    static const struct {
        uint16_t coil;
        enum fg_command_kind kind;
    } EDGES[] = {
        {FG_COIL_AT_TRIGGER, FG_COMMAND_TRIGGER},
        {FG_COIL_AT_RESULT_ACK, FG_COMMAND_RESULT_ACK},
        {FG_COIL_AT_CLEAR_FAULT, FG_COMMAND_CLEAR_FAULT},
        {FG_COIL_AT_RESET_COUNTERS, FG_COMMAND_RESET_COUNTERS},
    };
    for (size_t i = 0; i < sizeof EDGES / sizeof *EDGES; i++) {
        uint8_t bit = (uint8_t)(1u << EDGES[i].coil);
        struct map map = make_ready_map();
        uint8_t low = map.snapshot.coils, high = low | bit;
        assert_int_equal(send_word(&map, 5, EDGES[i].coil, 0xff00), FG_MODBUS_DONE);
        EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(bit, high)}, {EDGES[i].kind, 0});
        assert_true(map.answer.commands.single); /* so the line can set it back */
        assert_int_equal(send_word(&map, 5, EDGES[i].coil, 0), FG_MODBUS_DONE);
        EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(bit, low)});
        map.snapshot.coils = high;
        assert_int_equal(send_word(&map, 5, EDGES[i].coil, 0xff00), FG_MODBUS_DONE);
        EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(bit, high)});
        assert_int_equal(send_word(&map, 5, EDGES[i].coil, 0), FG_MODBUS_DONE);
        EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(bit, low)});
        static const uint16_t ON[] = {1};
        map.snapshot.coils = low;
        assert_int_equal(send_many(&map, 15, EDGES[i].coil, 1, ON), FG_MODBUS_DONE);
        assert_false(map.answer.commands.single);
        EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(bit, high)}, {EDGES[i].kind, 0});
    }
}

static void several_coils_are_written_at_once(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.holding.command = FG_CODE_SELF_TEST;
    static const uint16_t ALL[] = {1, 1, 1, 1, 0, 1, 1};
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 7, ALL), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(0x7f, 0x6f)}, {FG_COMMAND_TRIGGER, 0},
           {FG_COMMAND_RESULT_ACK, 0}, {FG_COMMAND_CLEAR_FAULT, 0}, {FG_COMMAND_RESET_COUNTERS, 0},
           {FG_COMMAND_RUN, 1});
    /* Coils outside the request keep their level. */
    map.snapshot.coils = 0x41;
    static const uint16_t TWO[] = {1, 0};
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_RESULT_ACK, 2, TWO), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(0x0c, 0x45)}, {FG_COMMAND_RESULT_ACK, 0});
}

static void a_trigger_that_cannot_be_taken_is_busy_and_missed(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.able = false;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_TRIGGER, 0xff00), FG_MODBUS_BUSY);
    EXPECT(&map, {FG_COMMAND_MISSED_TRIGGER, 0});
    /* Whole or not at all: nothing else of the request is done. */
    static const uint16_t WITH_ACK[] = {1, 1, 1};
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 3, WITH_ACK), FG_MODBUS_BUSY);
    EXPECT(&map, {FG_COMMAND_MISSED_TRIGGER, 0});
    /* No edge, no trigger, nothing missed. */
    map.snapshot.coils |= FG_COIL_TRIGGER;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_TRIGGER, 0xff00), FG_MODBUS_DONE);
    EXPECT(&map,
           {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_TRIGGER, FG_COIL_TRIGGER_ENABLE | FG_COIL_TRIGGER)});
}

static void a_trigger_is_ignored_while_disabled_or_offline(void **state) {
    (void)state;
    static const uint8_t COILS[] = {0, FG_COIL_OFFLINE, FG_COIL_OFFLINE | FG_COIL_TRIGGER_ENABLE};
    for (size_t i = 0; i < sizeof COILS / sizeof *COILS; i++)
        for (int able = 0; able < 2; able++) {
            struct map map = make_ready_map();
            map.snapshot.able = able;
            map.snapshot.coils = COILS[i];
            assert_int_equal(send_word(&map, 5, FG_COIL_AT_TRIGGER, 0xff00), FG_MODBUS_DONE);
            EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_TRIGGER, COILS[i] | FG_COIL_TRIGGER)});
        }
}

static void enable_and_offline_of_the_same_write_count(void **state) {
    (void)state;
    static const uint16_t ON_ON[] = {1, 1}, OFF_ON[] = {0, 1}, GO_OFFLINE[] = {1, 1, 0, 0, 1};
    struct map map = make_ready_map();
    map.snapshot.coils = 0;
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 2, ON_ON), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(3, 3)}, {FG_COMMAND_TRIGGER, 0});
    map.snapshot.able = false;
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 2, ON_ON), FG_MODBUS_BUSY);
    EXPECT(&map, {FG_COMMAND_MISSED_TRIGGER, 0});
    map = make_ready_map();
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 2, OFF_ON), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(3, 2)});
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 5, GO_OFFLINE), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(0x1f, 0x13)});
}

static void a_command_runs_what_register_2_says(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.holding.command = FG_CODE_SELF_TEST;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_COMMAND, 0x41)},
           {FG_COMMAND_RUN, FG_CODE_SELF_TEST});
    map.snapshot.outcome = FG_OUTCOME_RUNNING;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
    /* While command 2 waits for a frame, nothing else has to. */
    map.snapshot.saving = true;
    map.snapshot.holding.command = FG_CODE_SAVE;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_COMMAND, 0x41)}, {FG_COMMAND_RUN, FG_CODE_SAVE});
    assert_int_equal(send_word(&map, 6, FG_HOLDING_SLOT, 2), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_SLOT, 2});
    map.snapshot.saving = false;
    map.snapshot.outcome = FG_OUTCOME_DONE;
    map.snapshot.holding.command = FG_CODE_NONE;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_ILLEGAL_VALUE);
    EXPECT_NOTHING(&map);
    /* Lowering it asks for nothing. */
    map.snapshot.coils |= FG_COIL_COMMAND;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_COMMAND, FG_COIL_TRIGGER_ENABLE)});
}

/* ---- Writing holding registers ---- */

static void single_registers_keep_their_limits(void **state) {
    (void)state;
    static const struct {
        uint16_t address, value;
        enum fg_modbus_exception exception;
        enum fg_command_kind kind;
    } CASES[] = {
        {FG_HOLDING_SLOT, 0, FG_MODBUS_DONE, FG_COMMAND_SLOT},
        {FG_HOLDING_SLOT, 2, FG_MODBUS_DONE, FG_COMMAND_SLOT},
        {FG_HOLDING_SLOT, 3, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_SLOT, 65535, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_THRESHOLD, 0, FG_MODBUS_DONE, FG_COMMAND_THRESHOLD},
        {FG_HOLDING_THRESHOLD, 999, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_THRESHOLD, 1000, FG_MODBUS_DONE, FG_COMMAND_THRESHOLD},
        {FG_HOLDING_THRESHOLD, 20000, FG_MODBUS_DONE, FG_COMMAND_THRESHOLD},
        {FG_HOLDING_THRESHOLD, 20001, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_COMMAND, 0, FG_MODBUS_DONE, FG_COMMAND_CODE},
        {FG_HOLDING_COMMAND, 1, FG_MODBUS_DONE, FG_COMMAND_CODE},
        {FG_HOLDING_COMMAND, 2, FG_MODBUS_DONE, FG_COMMAND_CODE},
        {FG_HOLDING_COMMAND, 3, FG_MODBUS_DONE, FG_COMMAND_CODE},
        {FG_HOLDING_COMMAND, 4, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_COMMAND, 4, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_COMMAND, 5, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_WATCHDOG, 0, FG_MODBUS_DONE, FG_COMMAND_WATCHDOG},
        {FG_HOLDING_WATCHDOG, 65535, FG_MODBUS_DONE, FG_COMMAND_WATCHDOG},
        {FG_HOLDING_REJECT, 0, FG_MODBUS_ILLEGAL_VALUE, 0}, /* half a pair */
        {FG_HOLDING_REJECT + 1, 500, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_PULSE, 0, FG_MODBUS_ILLEGAL_VALUE, 0},
        {FG_HOLDING_PULSE, 1, FG_MODBUS_DONE, FG_COMMAND_PULSE},
        {FG_HOLDING_PULSE, 5000, FG_MODBUS_DONE, FG_COMMAND_PULSE},
        {FG_HOLDING_PULSE, 5001, FG_MODBUS_ILLEGAL_VALUE, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct map map = make_ready_map();
        for (int many = 0; many < 2; many++) {
            assert_int_equal(many ? send_many(&map, 16, CASES[i].address, 1, &CASES[i].value)
                                  : send_word(&map, 6, CASES[i].address, CASES[i].value),
                             CASES[i].exception);
            if (CASES[i].exception == FG_MODBUS_DONE)
                EXPECT(&map, {CASES[i].kind, CASES[i].value});
            else
                EXPECT_NOTHING(&map);
        }
    }
}

static void a_pair_is_written_by_one_request(void **state) {
    (void)state;
    static const uint16_t HIGH_FIRST[] = {1, 0x86a0}, LOW_FIRST[] = {0x86a0, 1}, ABOVE[] = {1, 0x86a1},
                          BELOW[] = {0, 49};
    struct map map = make_ready_map();
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, HIGH_FIRST), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_REJECT, 100000});
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, ABOVE), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, BELOW), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, LOW_FIRST), FG_MODBUS_ILLEGAL_VALUE);
    map.rules.low_first = true;
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, LOW_FIRST), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_REJECT, 100000});
    /* Half of it inside a longer request. */
    static const uint16_t VALUES[] = {1, 100, 100};
    assert_int_equal(send_many(&map, 16, FG_HOLDING_WATCHDOG, 2, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT + 1, 2, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT + 1, 3, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    EXPECT_NOTHING(&map);
}

static void a_block_is_written_whole_or_not_at_all(void **state) {
    (void)state;
    static const uint16_t GOOD[] = {1, 5000, 1, 42, 0, 600, 150, 0};
    static const struct fg_command ALL[] = {{FG_COMMAND_SLOT, 1},     {FG_COMMAND_THRESHOLD, 5000},
                                            {FG_COMMAND_CODE, 1},     {FG_COMMAND_WATCHDOG, 42},
                                            {FG_COMMAND_REJECT, 600}, {FG_COMMAND_PULSE, 150}};
    struct map map = make_ready_map();
    assert_int_equal(send_many(&map, 16, FG_HOLDING_SLOT, 8, GOOD), FG_MODBUS_DONE);
    expect_commands(&map, 6, ALL);
    static const struct {
        uint32_t at;
        uint16_t wrong;
    } WRONG[] = {{0, 3}, {1, 1}, {2, 4}, {4, 9}, {5, 3}, {6, 0}};
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        uint16_t values[8];
        memcpy(values, GOOD, sizeof values);
        values[WRONG[i].at] = WRONG[i].wrong;
        assert_int_equal(send_many(&map, 16, FG_HOLDING_SLOT, 8, values), FG_MODBUS_ILLEGAL_VALUE);
        EXPECT_NOTHING(&map);
    }
}

static void a_second_job_change_waits_for_the_first(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.holding.slot = 1;
    map.snapshot.outcome = FG_OUTCOME_RUNNING;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_SLOT, 2), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_SLOT, 9), FG_MODBUS_ILLEGAL_VALUE);
    /* The same slot again, as a cyclic block write has it, changes nothing. */
    static const uint16_t BLOCK[] = {1, 0, 0, 7};
    assert_int_equal(send_many(&map, 16, FG_HOLDING_SLOT, 4, BLOCK), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_SLOT, 1}, {FG_COMMAND_THRESHOLD, 0}, {FG_COMMAND_CODE, 0},
           {FG_COMMAND_WATCHDOG, 7});
    map.snapshot.outcome = FG_OUTCOME_DONE;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_SLOT, 2), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_SLOT, 2});
}

/* ---- Thresholds of views ---- */

static uint16_t threshold_address(uint32_t view) {
    return (uint16_t)(FG_HOLDING_VIEW_THRESHOLD + FG_VIEW_THRESHOLD_STRIDE * view);
}

static void each_view_has_a_threshold(void **state) {
    (void)state;
    static const uint16_t HIGH_FIRST[] = {1, 0x86a0}, LOW_FIRST[] = {0x86a0, 1}, ABOVE[] = {1, 0x86a1},
                          BELOW[] = {0, 999}, OWN[] = {0, 0};
    struct map map = make_ready_map();
    map.rules.views = FG_VIEWS;
    map.rules.threshold.max = 100000; /* more than register 1 can say */
    for (uint32_t view = 0; view < FG_VIEWS; view++) {
        const uint16_t address = threshold_address(view);
        const enum fg_command_kind kind = FG_COMMAND_THRESHOLD + view;
        map.rules.low_first = false;
        assert_int_equal(send_many(&map, 16, address, 2, HIGH_FIRST), FG_MODBUS_DONE);
        EXPECT(&map, {kind, 100000});
        assert_int_equal(send_many(&map, 16, address, 2, OWN), FG_MODBUS_DONE);
        EXPECT(&map, {kind, 0});
        assert_int_equal(send_many(&map, 16, address, 2, ABOVE), FG_MODBUS_ILLEGAL_VALUE);
        assert_int_equal(send_many(&map, 16, address, 2, BELOW), FG_MODBUS_ILLEGAL_VALUE);
        EXPECT_NOTHING(&map);
        map.rules.low_first = true;
        assert_int_equal(send_many(&map, 16, address, 2, LOW_FIRST), FG_MODBUS_DONE);
        EXPECT(&map, {kind, 100000});
    }
}

static void half_a_threshold_is_refused(void **state) {
    (void)state;
    static const uint16_t VALUES[] = {0, 5000, 0};
    struct map map = make_ready_map();
    map.rules.views = FG_VIEWS;
    for (uint16_t address = threshold_address(0); address < threshold_address(FG_VIEWS); address++) {
        assert_int_equal(send_word(&map, 6, address, 5000), FG_MODBUS_ILLEGAL_VALUE);
        if (address + 2 < threshold_address(FG_VIEWS))
            assert_int_equal(send_many(&map, 16, address, 3, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    }
    EXPECT_NOTHING(&map);
}

static void a_view_that_is_not_configured_has_no_threshold(void **state) {
    (void)state;
    static const uint16_t VALUES[] = {0, 5000, 0, 6000, 0, 7000}, OWN[] = {0, 0};
    struct map map = make_ready_map();
    map.rules.views = 2;
    assert_int_equal(send_many(&map, 16, FG_HOLDING_VIEW_THRESHOLD, 4, VALUES), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_THRESHOLD, 5000}, {FG_COMMAND_THRESHOLD + 1, 6000});
    /* Whole or not at all. */
    assert_int_equal(send_many(&map, 16, FG_HOLDING_VIEW_THRESHOLD, 6, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, threshold_address(2), 2, VALUES), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 16, threshold_address(7), 2, OWN), FG_MODBUS_ILLEGAL_VALUE);
    EXPECT_NOTHING(&map);
}

/* ---- What has no row ---- */

static void what_has_no_row_cannot_be_written(void **state) {
    (void)state;
    static const uint16_t VALUES[FG_MODBUS_HOLDING_REGISTERS] = {0};
    struct map map = make_ready_map();
    for (uint16_t coil = 7; coil <= 16; coil++) {
        assert_int_equal(send_word(&map, 5, coil, 0), FG_MODBUS_ILLEGAL_ADDRESS);
        assert_int_equal(send_many(&map, 15, coil, 1, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    }
    for (uint16_t address = 8; address <= 15; address++) {
        assert_int_equal(send_word(&map, 6, address, 0), FG_MODBUS_ILLEGAL_ADDRESS);
        assert_int_equal(send_many(&map, 16, address, 2, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    }
    assert_int_equal(send_word(&map, 6, 32, 0), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 15, 0, 16, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 16, 6, 3, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 16, 0, 32, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    map.snapshot.able = false;
    static const uint16_t TRIGGER[9] = {1, 1};
    assert_int_equal(send_many(&map, 15, 0, 9, TRIGGER), FG_MODBUS_ILLEGAL_ADDRESS);
    EXPECT_NOTHING(&map); /* not even a missed trigger */
}

/* ---- Lock ---- */

static void locked_registers_refuse_until_the_code_is_given(void **state) {
    (void)state;
    static const uint16_t PAIR[] = {0, 700}, THRESHOLD[] = {0, 5000};
    struct map map = make_ready_map();
    map.rules.unlock_code = CODE;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_THRESHOLD, 5000), FG_MODBUS_BUSY);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, PAIR), FG_MODBUS_BUSY);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_PULSE, 100), FG_MODBUS_BUSY);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_VIEW_THRESHOLD, 2, THRESHOLD), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
    /* What is not locked goes on. */
    assert_int_equal(send_word(&map, 6, FG_HOLDING_SLOT, 1), FG_MODBUS_DONE);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_COMMAND, 1), FG_MODBUS_DONE);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_WATCHDOG, 1), FG_MODBUS_DONE);

    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, CODE + 1), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(map.answer.code, FG_MODBUS_CODE_WRONG);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, CODE), FG_MODBUS_DONE);
    assert_int_equal(map.answer.code, FG_MODBUS_CODE_RIGHT);
    EXPECT_NOTHING(&map);
    map.rights.unlocked = true;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_THRESHOLD, 5000), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_THRESHOLD, 5000});
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 2, PAIR), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_REJECT, 700});
    assert_int_equal(send_many(&map, 16, FG_HOLDING_VIEW_THRESHOLD, 2, THRESHOLD), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_THRESHOLD, 5000});
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, 0), FG_MODBUS_DONE);
    assert_int_equal(map.answer.code, FG_MODBUS_CODE_NONE);
    EXPECT_NOTHING(&map);
}

static void a_request_may_bring_its_own_code(void **state) {
    (void)state;
    static const uint16_t WITH[] = {0, 700, 100, CODE}, WITHOUT[] = {0, 700, 100, 0},
                          WRONG[] = {0, 700, 100, CODE - 1};
    struct map map = make_ready_map();
    map.rules.unlock_code = CODE;
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 4, WITH), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_REJECT, 700}, {FG_COMMAND_PULSE, 100});
    assert_int_equal(map.answer.code, FG_MODBUS_CODE_RIGHT);
    map.rights.unlocked = true;
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 4, WITHOUT), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_REJECT, 4, WRONG), FG_MODBUS_ILLEGAL_VALUE);
    EXPECT_NOTHING(&map);
}

static void while_codes_are_refused_none_tells_whether_it_is_right(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.rules.unlock_code = CODE;
    map.rights.codes_refused = true;
    for (uint16_t code = CODE - 1; code <= CODE + 1; code++) {
        assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, code), FG_MODBUS_BUSY);
        assert_int_equal(map.answer.code, FG_MODBUS_NO_CODE);
    }
    /* To lock, and what is not locked, go on; so does who is unlocked already. */
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, 0), FG_MODBUS_DONE);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_WATCHDOG, 1), FG_MODBUS_DONE);
    map.rights.unlocked = true;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_PULSE, 100), FG_MODBUS_DONE);
}

static void the_lock_is_for_a_reload_too(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.rules.unlock_code = CODE;
    map.snapshot.holding.command = FG_CODE_RELOAD;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
    map.rights.unlocked = true;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_COILS, FG_WRITTEN_COILS(FG_COIL_COMMAND, 0x41)},
           {FG_COMMAND_RUN, FG_CODE_RELOAD});
    map.rights.unlocked = false;
    map.snapshot.holding.command = FG_CODE_SELF_TEST;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_COMMAND, 0xff00), FG_MODBUS_DONE);
}

static void without_a_lock_any_code_is_taken(void **state) {
    (void)state;
    struct map map = make_ready_map();
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, CODE), FG_MODBUS_DONE);
    EXPECT_NOTHING(&map);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_THRESHOLD, 5000), FG_MODBUS_DONE);
}

/* ---- Rights ---- */

static void who_may_not_write_reads_only(void **state) {
    (void)state;
    static const uint16_t VALUES[] = {1, 1};
    struct map map = make_ready_map();
    map.rights.may_write = false;
    map.snapshot.able = false;
    assert_int_equal(send_word(&map, 5, FG_COIL_AT_TRIGGER, 0xff00), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map); /* not even a missed trigger */
    assert_int_equal(send_word(&map, 6, FG_HOLDING_WATCHDOG, 1), FG_MODBUS_BUSY);
    assert_int_equal(send_many(&map, 15, FG_COIL_AT_TRIGGER_ENABLE, 2, VALUES), FG_MODBUS_BUSY);
    assert_int_equal(send_many(&map, 16, FG_HOLDING_COMMAND, 2, VALUES), FG_MODBUS_BUSY);
    map.rules.unlock_code = CODE;
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, CODE), FG_MODBUS_BUSY);
    assert_int_equal(send_word(&map, 6, FG_HOLDING_UNLOCK, 1),
                     FG_MODBUS_BUSY); /* nor does it learn the code */
    EXPECT_NOTHING(&map);
    assert_int_equal(send_word(&map, 6, 8, 1), FG_MODBUS_ILLEGAL_ADDRESS);
    for (uint8_t function = 1; function <= 4; function++)
        assert_int_equal(send_word(&map, function, 0, 1), FG_MODBUS_DONE);
}

/* ---- Anything at all ---- */

static void drawn_bytes_break_nothing(void **state) {
    (void)state;
    uint32_t draw = 1;
    for (uint32_t round = 0; round < 300000; round++) {
        uint8_t pdu[24];
        for (size_t i = 0; i < sizeof pdu; i++) {
            draw = draw * 1664525 + 1013904223;
            pdu[i] = (uint8_t)(draw >> 24);
        }
        /* Mostly near what is legal, so that more than the first check is reached. */
        pdu[0] %= 18;
        if (round % 4) {
            pdu[1] = pdu[3] = 0;
            pdu[2] %= 34;
            pdu[4] %= 9;
            pdu[5] = (uint8_t)(pdu[0] == 15 ? (pdu[4] + 7) / 8 : pdu[4] * 2);
        }
        uint32_t size = round % 3 == 0                 ? 1 + draw % (uint32_t)sizeof pdu
                        : pdu[0] == 15 || pdu[0] == 16 ? 6u + pdu[5] % 18u
                                                       : 5u;
        struct map map = make_ready_map();
        map.rules.unlock_code = CODE;
        map.snapshot.able = draw & 1;
        map.rights.unlocked = draw >> 1 & 1;
        map.snapshot.coils = draw >> 2 & 127;
        enum fg_modbus_exception exception = send_bytes(&map, pdu, size);
        assert_true(exception <= FG_MODBUS_ILLEGAL_VALUE || exception == FG_MODBUS_BUSY);
        const struct fg_commands *commands = &map.answer.commands;
        bool write = pdu[0] == 5 || pdu[0] == 6 || pdu[0] > 14;
        assert_true(write || commands->count == 0);
        if (exception != FG_MODBUS_DONE && commands->count > 0) {
            assert_int_equal(commands->count, 1);
            assert_int_equal(commands->command[0].kind, FG_COMMAND_MISSED_TRIGGER);
            assert_false(map.snapshot.able);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_coil_is_on_or_off),
        cmocka_unit_test(an_edge_is_told_from_the_coils_level),
        cmocka_unit_test(several_coils_are_written_at_once),
        cmocka_unit_test(a_trigger_that_cannot_be_taken_is_busy_and_missed),
        cmocka_unit_test(a_trigger_is_ignored_while_disabled_or_offline),
        cmocka_unit_test(enable_and_offline_of_the_same_write_count),
        cmocka_unit_test(a_command_runs_what_register_2_says),
        cmocka_unit_test(single_registers_keep_their_limits),
        cmocka_unit_test(a_pair_is_written_by_one_request),
        cmocka_unit_test(a_block_is_written_whole_or_not_at_all),
        cmocka_unit_test(a_second_job_change_waits_for_the_first),
        cmocka_unit_test(each_view_has_a_threshold),
        cmocka_unit_test(half_a_threshold_is_refused),
        cmocka_unit_test(a_view_that_is_not_configured_has_no_threshold),
        cmocka_unit_test(what_has_no_row_cannot_be_written),
        cmocka_unit_test(locked_registers_refuse_until_the_code_is_given),
        cmocka_unit_test(a_request_may_bring_its_own_code),
        cmocka_unit_test(while_codes_are_refused_none_tells_whether_it_is_right),
        cmocka_unit_test(the_lock_is_for_a_reload_too),
        cmocka_unit_test(without_a_lock_any_code_is_taken),
        cmocka_unit_test(who_may_not_write_reads_only),
        cmocka_unit_test(drawn_bytes_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
