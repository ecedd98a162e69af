/* What the Modbus map answers to reads, and what it takes for a request: every rule, bytes in, values and
 * exceptions out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/modbus/identity.h"
#include "tests/runtime/modbus/modbus_request.h"

static uint16_t input_register(struct map *map, uint16_t address) {
    assert_int_equal(send_word(map, 4, address, 1), FG_MODBUS_DONE);
    return map->answer.values[0];
}

static uint32_t input_pair(struct map *map, uint16_t address) {
    assert_int_equal(send_word(map, 4, address, 2), FG_MODBUS_DONE);
    return (uint32_t)map->answer.values[0] << 16 | map->answer.values[1];
}

static uint32_t status_bits(struct map *map) {
    uint32_t bits = 0;
    assert_int_equal(send_word(map, 2, 0, 16), FG_MODBUS_DONE);
    for (uint32_t i = 0; i < 16; i++) {
        assert_in_range(map->answer.values[i], 0, 1);
        bits |= (uint32_t)map->answer.values[i] << i;
    }
    assert_int_equal(input_register(map, FG_INPUT_STATUS), bits);
    return bits;
}

/* ---- Status bits ---- */

static void each_status_bit_is_at_its_place(void **state) {
    (void)state;
    static const struct {
        size_t field;
        uint32_t bit;
    } BITS[] = {
        {offsetof(struct fg_snapshot, online), 0},
        {offsetof(struct fg_snapshot, busy), 2},
        {offsetof(struct fg_snapshot, result_valid), 3},
        {offsetof(struct fg_snapshot, fault), 7},
        {offsetof(struct fg_snapshot, exposure_complete), 8},
        {offsetof(struct fg_snapshot, result_toggle), 9},
        {offsetof(struct fg_snapshot, missed_trigger), 10},
        {offsetof(struct fg_snapshot, result_overrun), 11},
        {offsetof(struct fg_snapshot, updating), 12},
        {offsetof(struct fg_snapshot, degraded), 13},
        {offsetof(struct fg_snapshot, reject_active), 14},
        {offsetof(struct fg_snapshot, heartbeat), 15},
    };
    for (size_t i = 0; i < sizeof BITS / sizeof *BITS; i++) {
        struct map map = make_ready_map();
        map.snapshot = (struct fg_snapshot){0};
        *((bool *)&map.snapshot + BITS[i].field) = true;
        assert_int_equal(status_bits(&map), 1u << BITS[i].bit);
    }
}

static void trigger_ready_means_that_a_trigger_is_taken(void **state) {
    (void)state;
    static const struct {
        bool able;
        uint8_t coils;
        bool ready;
    } CASES[] = {
        {true, FG_COIL_TRIGGER_ENABLE, true},
        {true, FG_COIL_TRIGGER_ENABLE | FG_COIL_TRIGGER, true},
        {false, FG_COIL_TRIGGER_ENABLE, false},
        {true, 0, false},
        {true, FG_COIL_TRIGGER_ENABLE | FG_COIL_OFFLINE, false},
        {true, FG_COIL_OFFLINE, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct map map = make_ready_map();
        map.snapshot.able = CASES[i].able;
        map.snapshot.coils = CASES[i].coils;
        assert_int_equal(status_bits(&map) >> FG_STATUS_TRIGGER_READY & 1, CASES[i].ready);
    }
}

static void a_verdict_shows_only_while_it_is_valid(void **state) {
    (void)state;
    static const struct {
        enum fg_verdict verdict;
        bool valid, expired;
        uint32_t bits; /* 3 to 6 */
    } CASES[] = {
        {FG_PASS, true, false, 0x18},        {FG_DEFECT, true, false, 0x28},
        {FG_INOPERATIVE, true, false, 0x48}, {FG_PASS, false, false, 0},
        {FG_DEFECT, false, false, 0},        {FG_INOPERATIVE, false, false, 0},
        {FG_PASS, true, true, 0x08},         {FG_DEFECT, true, true, 0x08},
        {FG_INOPERATIVE, true, true, 0x08},  {(enum fg_verdict)0, true, false, 0x08},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct map map = make_ready_map();
        map.snapshot.result.verdict = CASES[i].verdict;
        map.snapshot.result_valid = CASES[i].valid;
        map.snapshot.result_expired = CASES[i].expired;
        assert_int_equal(status_bits(&map) & 0x78, CASES[i].bits);
    }
}

/* ---- Input registers ---- */

/* Every field another value. */
static struct fg_snapshot full_snapshot(void) {
    struct fg_snapshot s = {
        .error = 17,
        .uptime_s = 0x00010203,
        .results_queued = 5,
        .start_counter = 9,
        .clients = 10,
        .clients_refused = 11,
        .exceptions = 12,
        .result_sequence = 0xa1a2,
        .last_trigger_id = 0x0b0c0d0e,
        .active_slot = 2,
        .outcome = 33,
        .counters = {0x00100001, 0x00100002, 0x00100003, 0x00100004, 0x00100005, 0x00100006, 0x00100007,
                     0x00100008},
        .total_min = 641,
        .total_mean = 651,
        .total_p99 = 661,
        .total_max = 671,
        .resident_mib = 701,
        .arena_used_mib = 711,
        .arena_size_mib = 721,
        .gpu_free_mib = 731,
        .proposed = {0x02560257, [7] = 0x02700271},
        .drift = 0.741f,
        .drift_state = FG_DRIFT_DRIFTED,
        .configuration_checksum = 0x80818283,
        .bundle_checksum = 0x84858687,
        .security_counter = 841,
        .version = 10,
        .bundle_name = "hazelnut-7",
    };
    s.result = (struct fg_result){
        .id = 0x17181920,
        .verdict = FG_DEFECT,
        .score = 7.25f,
        .threshold = 0.5f,
        .slot = 24,
        .x = 26,
        .y = 27,
        .w = 28,
        .h = 29,
        .area = 0x00031000,
        .trigger_unix_ms = 1750000000123,
        .encoder = -2,
        .exposure = 371,
        .inference = 381,
        .total = 391,
    };
    s.result.view[0] = (struct fg_view_result){.verdict = FG_PASS,
                                               .reason = FG_REASON_DEADLINE,
                                               .score = 1.25f,
                                               .threshold = 7.5f,
                                               .x = 1,
                                               .y = 2,
                                               .w = 3,
                                               .h = 4,
                                               .area = 5};
    s.result.view[1] = (struct fg_view_result){.verdict = FG_INOPERATIVE,
                                               .reason = FG_REASON_NOT_FINITE,
                                               .score = 1.25f,
                                               .threshold = 0.25f,
                                               .x = 1,
                                               .y = 2,
                                               .w = 3,
                                               .h = 4,
                                               .area = 5};
    s.result.view[7] = (struct fg_view_result){.verdict = FG_DEFECT,
                                               .score = 7.25f,
                                               .threshold = 0.5f,
                                               .x = 246,
                                               .y = 247,
                                               .w = 248,
                                               .h = 249,
                                               .area = 0x00250000,
                                               .decided = true};
    return s;
}

/* Each register with high word first, and where the pairs are. The numbers are written here once more, so
 * that this is a check of registers.h. */
static const uint16_t REGISTERS[FG_MODBUS_INPUT_REGISTERS] = {[1] = 17,
                                                              [2] = 0x0001,
                                                              [3] = 0x0203,
                                                              [4] = 0x1234,
                                                              [5] = 0x5678,
                                                              [6] = 0x3f80,
                                                              [7] = 0,
                                                              [8] = 5,
                                                              [9] = 9,
                                                              [10] = 10,
                                                              [11] = 11,
                                                              [12] = 12,
                                                              [16] = 0xa1a2,
                                                              [17] = 0x1718,
                                                              [18] = 0x1920,
                                                              [19] = 2,
                                                              [20] = 1,
                                                              [21] = 0x1b34,
                                                              [22] = 0,
                                                              [23] = 5000,
                                                              [24] = 24,
                                                              [25] = 0,
                                                              [26] = 26,
                                                              [27] = 27,
                                                              [28] = 28,
                                                              [29] = 29,
                                                              [30] = 3,
                                                              [31] = 0x1000,
                                                              [32] = 0x684e,
                                                              [33] = 0xe180,
                                                              [34] = 123,
                                                              [35] = 0xffff,
                                                              [36] = 0xfffe,
                                                              [37] = 371,
                                                              [38] = 381,
                                                              [39] = 391,
                                                              [40] = 0xa1a2,
                                                              [42] = 0x0b0c,
                                                              [43] = 0x0d0e,
                                                              [44] = 2,
                                                              [45] = 33,
                                                              [48] = 0x10,
                                                              [49] = 1,
                                                              [50] = 0x10,
                                                              [51] = 2,
                                                              [52] = 0x10,
                                                              [53] = 3,
                                                              [54] = 0x10,
                                                              [55] = 4,
                                                              [56] = 0x10,
                                                              [57] = 5,
                                                              [58] = 0x10,
                                                              [59] = 6,
                                                              [60] = 0x10,
                                                              [61] = 7,
                                                              [62] = 0x10,
                                                              [63] = 8,
                                                              [64] = 641,
                                                              [65] = 651,
                                                              [66] = 661,
                                                              [67] = 671,
                                                              [70] = 701,
                                                              [71] = 711,
                                                              [72] = 721,
                                                              [73] = 731,
                                                              [74] = 741,
                                                              [75] = 2,
                                                              [80] = 0x8081,
                                                              [81] = 0x8283,
                                                              [82] = 0x8485,
                                                              [83] = 0x8687,
                                                              [84] = 841,
                                                              [85] = 10,
                                                              [96] = 0x6861,
                                                              [97] = 0x7a65,
                                                              [98] = 0x6c6e,
                                                              [99] = 0x7574,
                                                              [100] = 0x2d37,
                                                              /* View 0, a PASS. */
                                                              [128] = 1,
                                                              [131] = 12500,
                                                              [132] = 1,
                                                              [133] = 9464,
                                                              [143] = 0xa1a2,
                                                              /* View 1, INOPERATIVE. */
                                                              [144] = 3,
                                                              [145] = 6,
                                                              [146] = 0xffff,
                                                              [147] = 0xffff,
                                                              [149] = 2500,
                                                              [159] = 0xa1a2,
                                                              /* View 7, a DEFECT that decided. */
                                                              [240] = 2,
                                                              [242] = 1,
                                                              [243] = 0x1b34,
                                                              [245] = 5000,
                                                              [246] = 246,
                                                              [247] = 247,
                                                              [248] = 248,
                                                              [249] = 249,
                                                              [250] = 0x25,
                                                              [252] = 1,
                                                              [255] = 0xa1a2,
                                                              [256] = 0x0256,
                                                              [257] = 0x0257,
                                                              [270] = 0x0270,
                                                              [271] = 0x0271};
static const uint16_t PAIRS[] = {2,  4,  6,  17, 20,  22,  30,  32,  35,  42,  48,  50,  52,  54,  56, 58,
                                 60, 62, 80, 82, 130, 132, 138, 146, 148, 154, 242, 244, 250, 256, 270};

static void each_input_register_is_at_its_place_and_gaps_read_0(void **state) {
    (void)state;
    for (int low_first = 0; low_first < 2; low_first++) {
        struct map map = make_ready_map();
        map.snapshot = full_snapshot();
        map.rules.low_first = low_first;
        uint16_t expected[FG_MODBUS_INPUT_REGISTERS];
        memcpy(expected, REGISTERS, sizeof expected);
        for (size_t i = 0; low_first && i < sizeof PAIRS / sizeof *PAIRS; i++) {
            expected[PAIRS[i]] = REGISTERS[PAIRS[i] + 1];
            expected[PAIRS[i] + 1] = REGISTERS[PAIRS[i]];
        }
        for (uint16_t i = 0; i < FG_MODBUS_INPUT_REGISTERS; i++)
            if (input_register(&map, i) != expected[i])
                fail_msg("register %u is 0x%04x, not 0x%04x", i, input_register(&map, i), expected[i]);
        /* And in one block, as PLCs read. */
        assert_int_equal(send_word(&map, 4, 1, 125), FG_MODBUS_DONE);
        assert_memory_equal(map.answer.values, expected + 1, 125 * sizeof *expected);
        assert_int_equal(send_word(&map, 4, 147, 125), FG_MODBUS_DONE);
        assert_memory_equal(map.answer.values, expected + 147, 125 * sizeof *expected);
    }
}

static void a_name_of_64_bytes_fills_its_registers(void **state) {
    (void)state;
    struct map map = make_ready_map();
    for (uint32_t i = 0; i < FG_BUNDLE_NAME_SIZE; i++)
        map.snapshot.bundle_name[i] = (char)('!' + i);
    assert_int_equal(send_word(&map, 4, FG_INPUT_BUNDLE_NAME, 32), FG_MODBUS_DONE);
    for (uint32_t i = 0; i < 32; i++)
        assert_int_equal(map.answer.values[i], ('!' + 2 * i) << 8 | ('!' + 2 * i + 1));
}

static void an_inoperative_result_has_a_reason_and_no_score(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot = full_snapshot();
    map.snapshot.result.verdict = FG_INOPERATIVE;
    for (enum fg_reason reason = FG_REASON_NOT_READY; reason <= FG_REASON_DEVICE_LOST; reason++) {
        map.snapshot.result.reason = reason;
        assert_int_equal(input_register(&map, FG_INPUT_VERDICT), 3);
        assert_int_equal(input_register(&map, FG_INPUT_REASON), reason);
        assert_int_equal(input_pair(&map, FG_INPUT_SCORE), UINT32_MAX);
    }
    assert_int_equal(FG_REASON_DEVICE_LOST, 9);
}

static void only_a_defect_has_a_box(void **state) {
    (void)state;
    static const enum fg_verdict OTHERS[] = {FG_PASS, FG_INOPERATIVE};
    for (size_t i = 0; i < 2; i++) {
        struct map map = make_ready_map();
        map.snapshot = full_snapshot();
        map.snapshot.result.verdict = OTHERS[i];
        assert_int_equal(send_word(&map, 4, FG_INPUT_BOX_X, 6), FG_MODBUS_DONE);
        for (uint32_t j = 0; j < 6; j++)
            assert_int_equal(map.answer.values[j], 0);
    }
}

static void a_result_without_trouble_has_no_reason(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.result = (struct fg_result){.verdict = FG_PASS, .reason = FG_REASON_DEADLINE};
    assert_int_equal(input_register(&map, FG_INPUT_REASON), 0);
}

static void scores_are_rounded_and_never_wrap(void **state) {
    (void)state;
    static const struct {
        float score;
        uint32_t shown;
    } CASES[] = {
        {0, 0},
        {-1, 0},
        {0.00006f, 1},
        {0.00004f, 0},
        {0.125f, 1250},
        {0.99999f, 10000},
        {429497, UINT32_MAX - 1},
        {3e38f, UINT32_MAX - 1},
        {NAN, UINT32_MAX},
        {INFINITY, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct map map = make_ready_map();
        map.snapshot.result = (struct fg_result){.verdict = FG_PASS, .score = CASES[i].score};
        assert_int_equal(input_pair(&map, FG_INPUT_SCORE), CASES[i].shown);
    }
}

static void times_and_sizes_stop_at_65535(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.result = (struct fg_result){.exposure = 65535, .inference = 65536, .total = UINT32_MAX};
    map.snapshot.total_min = map.snapshot.total_mean = map.snapshot.total_p99 = map.snapshot.total_max =
        70000;
    map.snapshot.resident_mib = map.snapshot.arena_used_mib = 1u << 20;
    map.snapshot.arena_size_mib = map.snapshot.gpu_free_mib = 1u << 20;
    map.snapshot.drift = 70;
    static const uint16_t FULL[] = {FG_INPUT_EXPOSURE_TIME, FG_INPUT_INFERENCE_TIME,  FG_INPUT_TOTAL_TIME,
                                    FG_INPUT_TOTAL_MIN,     FG_INPUT_TOTAL_MEAN,      FG_INPUT_TOTAL_P99,
                                    FG_INPUT_TOTAL_MAX,     FG_INPUT_RESIDENT_MEMORY, FG_INPUT_ARENA_USED,
                                    FG_INPUT_ARENA_SIZE,    FG_INPUT_GPU_FREE,        FG_INPUT_DRIFT};
    for (size_t i = 0; i < sizeof FULL / sizeof *FULL; i++)
        assert_int_equal(input_register(&map, FULL[i]), 65535);
}

static void counters_stay_full(void **state) {
    (void)state;
    uint32_t counter = UINT32_MAX - 1;
    fg_count(&counter);
    assert_int_equal(counter, UINT32_MAX);
    fg_count(&counter);
    assert_int_equal(counter, UINT32_MAX);
    struct map map = make_ready_map();
    map.snapshot.counters.overruns = counter;
    assert_int_equal(input_pair(&map, FG_INPUT_RESULT_OVERRUNS), UINT32_MAX);
}

/* ---- Reading coils and holding registers ---- */

static void coils_read_as_they_are(void **state) {
    (void)state;
    for (uint32_t coils = 0; coils < 1u << 7; coils++) {
        struct map map = make_ready_map();
        map.snapshot.coils = (uint8_t)coils;
        assert_int_equal(send_word(&map, 1, 0, FG_MODBUS_COILS), FG_MODBUS_DONE);
        for (uint32_t i = 0; i < FG_MODBUS_COILS; i++)
            assert_int_equal(map.answer.values[i], coils >> i & 1);
    }
    struct map map = make_ready_map();
    map.snapshot.coils = FG_COIL_OFFLINE;
    assert_int_equal(send_word(&map, 1, 3, 3), FG_MODBUS_DONE);
    assert_int_equal(map.answer.values[0], 0);
    assert_int_equal(map.answer.values[1], 1);
    assert_int_equal(map.answer.values[2], 0);
}

static void coils_and_holding_registers_without_a_row_read_0(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot.coils = 0x7f;
    memset(&map.snapshot.holding, 0xff, sizeof map.snapshot.holding);
    assert_int_equal(send_word(&map, 1, 0, 16), FG_MODBUS_DONE);
    for (uint16_t i = 0; i < 16; i++)
        assert_int_equal(map.answer.values[i], i < 7);
    assert_int_equal(send_word(&map, 3, 0, 32), FG_MODBUS_DONE);
    for (uint16_t i = 0; i < 32; i++)
        assert_int_equal(map.answer.values[i], i < 7 || i >= 16 ? 0xffff : 0);
}

static void thresholds_of_views_read_as_pairs(void **state) {
    (void)state;
    struct map map = make_ready_map();
    for (uint32_t view = 0; view < FG_VIEWS; view++)
        map.snapshot.holding.threshold[view] = 0x00050006 + view;
    for (int low_first = 0; low_first < 2; low_first++) {
        map.rules.low_first = low_first;
        assert_int_equal(send_word(&map, 3, 16, 16), FG_MODBUS_DONE);
        for (uint32_t view = 0; view < FG_VIEWS; view++) {
            assert_int_equal(map.answer.values[2 * view + (uint32_t)low_first], 5);
            assert_int_equal(map.answer.values[2 * view + !low_first], 6 + view);
        }
    }
    /* One that does not fit into register 1. */
    assert_int_equal(send_word(&map, 3, FG_HOLDING_THRESHOLD, 1), FG_MODBUS_DONE);
    assert_int_equal(map.answer.values[0], UINT16_MAX);
    map.snapshot.holding.threshold[0] = 5000;
    assert_int_equal(send_word(&map, 3, FG_HOLDING_THRESHOLD, 1), FG_MODBUS_DONE);
    assert_int_equal(map.answer.values[0], 5000);
}

static void holding_registers_read_as_written_but_the_code(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.rules.unlock_code = CODE;
    map.rights.unlocked = true;
    map.snapshot.holding = (struct fg_holding){
        .slot = 1, .threshold = {2}, .command = 3, .watchdog = 4, .reject = 0x00050006, .pulse = 7};
    static const uint16_t HIGH_FIRST[] = {1, 2, 3, 4, 5, 6, 7, 0}, LOW_FIRST[] = {1, 2, 3, 4, 6, 5, 7, 0};
    assert_int_equal(send_word(&map, 3, 0, 8), FG_MODBUS_DONE);
    assert_memory_equal(map.answer.values, HIGH_FIRST, sizeof HIGH_FIRST);
    map.rules.low_first = true;
    assert_int_equal(send_word(&map, 3, 0, 8), FG_MODBUS_DONE);
    assert_memory_equal(map.answer.values, LOW_FIRST, sizeof LOW_FIRST);
    EXPECT_NOTHING(&map);
}

/* ---- Input registers among the holding registers ---- */

static void input_registers_read_the_same_by_function_3(void **state) {
    (void)state;
    struct map map = make_ready_map();
    map.snapshot = full_snapshot();
    uint16_t whole[FG_MODBUS_INPUT_REGISTERS];
    for (uint16_t i = 0; i < FG_MODBUS_INPUT_REGISTERS; i++)
        whole[i] = input_register(&map, i);
    for (uint16_t i = 0; i + 125 <= FG_MODBUS_INPUT_REGISTERS; i++) {
        assert_int_equal(send_word(&map, 3, 1000 + i, 125), FG_MODBUS_DONE);
        assert_memory_equal(map.answer.values, whole + i, 250);
    }
    assert_int_equal(send_word(&map, 3, 1271, 1), FG_MODBUS_DONE);
    assert_int_equal(send_word(&map, 3, 1271, 2), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_word(&map, 3, 1272, 1), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_word(&map, 3, 999, 2), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_word(&map, 4, 1000, 1), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_word(&map, 6, 1000, 1), FG_MODBUS_ILLEGAL_ADDRESS);
}

/* ---- Function 23 ---- */

static enum fg_modbus_exception exchange(struct map *map, uint16_t read, uint16_t count, uint16_t address,
                                         uint16_t value) {
    const uint8_t pdu[] = {23,
                           (uint8_t)(read >> 8),
                           (uint8_t)read,
                           0,
                           (uint8_t)count,
                           (uint8_t)(address >> 8),
                           (uint8_t)address,
                           0,
                           1,
                           2,
                           (uint8_t)(value >> 8),
                           (uint8_t)value};
    return send_bytes(map, pdu, sizeof pdu);
}

static void function_23_writes_only_where_it_can_read_too(void **state) {
    (void)state;
    struct map map = make_ready_map();
    assert_int_equal(exchange(&map, 0, 32, FG_HOLDING_WATCHDOG, 77), FG_MODBUS_DONE);
    EXPECT(&map, {FG_COMMAND_WATCHDOG, 77});
    map.snapshot.holding.watchdog = 77; /* as the line shows it next */
    fg_modbus_read(&map.request, &map.snapshot, &map.rules, map.answer.values);
    assert_int_equal(map.answer.values[3], 77);
    assert_int_equal(exchange(&map, 1005, 1, FG_HOLDING_WATCHDOG, 78), FG_MODBUS_DONE);
    fg_modbus_read(&map.request, &map.snapshot, &map.rules, map.answer.values);
    assert_int_equal(map.answer.values[0], 0x5678);
    assert_int_equal(exchange(&map, 31, 2, FG_HOLDING_WATCHDOG, 79), FG_MODBUS_ILLEGAL_ADDRESS);
    EXPECT_NOTHING(&map);
    assert_int_equal(exchange(&map, 0, 1, 8, 79), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(exchange(&map, 0, 1, FG_HOLDING_PULSE, 0), FG_MODBUS_ILLEGAL_VALUE);
    map.rights.may_write = false;
    assert_int_equal(exchange(&map, 0, 1, FG_HOLDING_WATCHDOG, 80), FG_MODBUS_BUSY);
    EXPECT_NOTHING(&map);
}

/* ---- Function 43/14 ---- */

/* Checks an answer of function 43/14: its objects, each as its number and its text. */
static void expect_objects(uint8_t access, uint8_t first, uint32_t count, const uint8_t *numbers) {
    static const char *const TEXTS[] = {"Flawgate", "flawgate", FG_VERSION, "",
                                        "Flawgate edge inspection appliance"};
    const uint8_t asked[] = {43, 14, access, first};
    struct fg_modbus_request request;
    uint8_t pdu[FG_MODBUS_MAX_PDU];
    uint32_t size, at = 7;
    assert_int_equal(fg_modbus_decode(asked, sizeof asked, &request), FG_MODBUS_DONE);
    assert_int_equal(fg_modbus_identify(&request, pdu, &size), FG_MODBUS_DONE);
    const uint8_t head[] = {43, 14, access, 0x82, 0, 0, (uint8_t)count};
    assert_memory_equal(pdu, head, sizeof head);
    for (uint32_t i = 0; i < count; i++) {
        const char *text = TEXTS[numbers[i]];
        assert_int_equal(pdu[at], numbers[i]);
        assert_int_equal(pdu[at + 1], strlen(text));
        assert_memory_equal(pdu + at + 2, text, strlen(text));
        at += 2 + (uint32_t)strlen(text);
    }
    assert_int_equal(size, at);
}

static enum fg_modbus_exception identify(uint8_t access, uint8_t object) {
    const uint8_t asked[] = {43, 14, access, object};
    struct fg_modbus_request request;
    uint8_t pdu[FG_MODBUS_MAX_PDU];
    uint32_t size;
    assert_int_equal(fg_modbus_decode(asked, sizeof asked, &request), FG_MODBUS_DONE);
    return fg_modbus_identify(&request, pdu, &size);
}

static void the_device_says_what_it_is(void **state) {
    (void)state;
    expect_objects(1, 0, 3, (const uint8_t[]){0, 1, 2});
    expect_objects(1, 2, 1, (const uint8_t[]){2});
    expect_objects(1, 4, 3, (const uint8_t[]){0, 1, 2}); /* no basic object: from the first */
    expect_objects(2, 0, 4, (const uint8_t[]){0, 1, 2, 4});
    expect_objects(2, 4, 1, (const uint8_t[]){4});
    expect_objects(2, 3, 4, (const uint8_t[]){0, 1, 2, 4});
    expect_objects(3, 0x80, 4, (const uint8_t[]){0, 1, 2, 4});
    for (uint8_t object = 0; object < 255; object++)
        if (object <= 2 || object == 4)
            expect_objects(4, object, 1, &object);
        else
            assert_int_equal(identify(4, object), FG_MODBUS_ILLEGAL_ADDRESS);
    for (uint32_t access = 0; access < 256; access++)
        if (access < 1 || access > 4)
            assert_int_equal(identify((uint8_t)access, 0), FG_MODBUS_ILLEGAL_VALUE);
    struct map map = make_ready_map();
    assert_int_equal(send_bytes(&map, (const uint8_t[]){43, 13, 1, 0}, 4), FG_MODBUS_ILLEGAL_FUNCTION);
    assert_int_equal(send_bytes(&map, (const uint8_t[]){43, 14, 1}, 3), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_bytes(&map, (const uint8_t[]){43, 14, 1, 0, 0}, 5), FG_MODBUS_ILLEGAL_VALUE);
}

/* ---- What is no request of this map ---- */

static void every_other_function_is_illegal(void **state) {
    (void)state;
    for (uint32_t function = 0; function < 256; function++) {
        struct map map = make_ready_map();
        bool known = (function >= 1 && function <= 6) || function == 15 || function == 16 || function == 23;
        uint8_t pdu[] = {(uint8_t)function, 0, 0, 0, 1};
        enum fg_modbus_exception exception = send_bytes(&map, pdu, sizeof pdu);
        assert_int_equal(exception == FG_MODBUS_ILLEGAL_FUNCTION, !known);
        exception = send_bytes(&map, pdu, 1);
        assert_int_equal(exception, known ? FG_MODBUS_ILLEGAL_VALUE : FG_MODBUS_ILLEGAL_FUNCTION);
        EXPECT_NOTHING(&map);
        /* An undecoded one is refused too. */
        map.request = (struct fg_modbus_request){.function = (uint8_t)function, .count = 1};
        fg_modbus_answer(&map.request, &map.snapshot, &map.rules, &map.rights, &map.answer);
        assert_int_equal(map.answer.exception == FG_MODBUS_ILLEGAL_FUNCTION, !known);
    }
}

static void counts_keep_the_protocols_limits(void **state) {
    (void)state;
    static const struct {
        uint8_t function;
        uint16_t most;
    } READS[] = {{1, 2000}, {2, 2000}, {3, 125}, {4, 125}};
    for (size_t i = 0; i < 4; i++) {
        struct map map = make_ready_map();
        uint8_t function = READS[i].function;
        assert_int_equal(send_word(&map, function, 0, 0), FG_MODBUS_ILLEGAL_VALUE);
        assert_int_equal(send_word(&map, function, 0, 1), FG_MODBUS_DONE);
        /* Legal in the protocol, so what is wrong with it is that the table is shorter. */
        assert_int_equal(send_word(&map, function, 0, READS[i].most),
                         function == 4 ? FG_MODBUS_DONE : FG_MODBUS_ILLEGAL_ADDRESS);
        assert_int_equal(send_word(&map, function, 0, READS[i].most + 1), FG_MODBUS_ILLEGAL_VALUE);
        assert_int_equal(send_word(&map, function, 0, 65535), FG_MODBUS_ILLEGAL_VALUE);
    }
    struct map map = make_ready_map();
    const uint16_t values[FG_MODBUS_MAX_WRITE_BITS] = {0};
    assert_int_equal(send_many(&map, 15, 0, 0, values), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_many(&map, 15, 0, FG_MODBUS_MAX_WRITE_BITS, values), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 16, 0, 0, values), FG_MODBUS_ILLEGAL_VALUE);
    for (uint16_t read = 0; read <= 126; read++)
        for (uint16_t written = 0; written <= 121; written += 121) {
            uint8_t pdu[FG_MODBUS_MAX_PDU] = {
                23, 0, 0, 0, (uint8_t)read, 0, 0, 0, (uint8_t)written, (uint8_t)(2 * written)};
            assert_int_equal(send_bytes(&map, pdu, 10u + 2u * written), read < 1 || read > 125 || written == 0
                                                                            ? FG_MODBUS_ILLEGAL_VALUE
                                                                            : FG_MODBUS_ILLEGAL_ADDRESS);
        }
    assert_int_equal(send_many(&map, 16, 0, FG_MODBUS_MAX_WRITE_REGISTERS, values),
                     FG_MODBUS_ILLEGAL_ADDRESS);
    uint8_t coils[FG_MODBUS_MAX_PDU] = {15, 0, 0, 1969 >> 8, 1969 & 255, 247};
    assert_int_equal(send_bytes(&map, coils, 253), FG_MODBUS_ILLEGAL_VALUE);
    uint8_t registers[FG_MODBUS_MAX_PDU] = {16, 0, 0, 0, 124, 248};
    assert_int_equal(send_bytes(&map, registers, 253), FG_MODBUS_ILLEGAL_VALUE);
    EXPECT_NOTHING(&map);
}

static void a_request_has_exactly_its_bytes(void **state) {
    (void)state;
    static const struct {
        uint8_t pdu[12];
        uint32_t size;
    } WHOLE[] = {
        {{1, 0, 0, 0, 1}, 5},        {{2, 0, 0, 0, 1}, 5},
        {{3, 0, 0, 0, 1}, 5},        {{4, 0, 0, 0, 1}, 5},
        {{5, 0, 0, 0xff, 0}, 5},     {{6, 0, 3, 0, 1}, 5},
        {{15, 0, 0, 0, 2, 1, 1}, 7}, {{16, 0, 2, 0, 2, 4, 0, 1, 0, 1}, 10},
    };
    for (size_t i = 0; i < sizeof WHOLE / sizeof *WHOLE; i++)
        for (uint32_t size = 1; size <= 12; size++) {
            struct map map = make_ready_map();
            assert_int_equal(send_bytes(&map, WHOLE[i].pdu, size),
                             size == WHOLE[i].size ? FG_MODBUS_DONE : FG_MODBUS_ILLEGAL_VALUE);
            if (size != WHOLE[i].size)
                EXPECT_NOTHING(&map);
        }
    /* Its own count of bytes must agree as well. */
    struct map map = make_ready_map();
    const uint8_t coils[] = {15, 0, 0, 0, 2, 2, 1}, registers[] = {16, 0, 3, 0, 1, 4, 0, 1};
    assert_int_equal(send_bytes(&map, coils, sizeof coils), FG_MODBUS_ILLEGAL_VALUE);
    assert_int_equal(send_bytes(&map, registers, sizeof registers), FG_MODBUS_ILLEGAL_VALUE);
}

static void addresses_outside_are_illegal(void **state) {
    (void)state;
    static const struct {
        uint8_t function;
        uint16_t size, word;
    } TABLES[] = {
        {1, 16, 1}, {2, 16, 1}, {3, 32, 1}, {4, 272, 1}, {5, 7, 0}, {6, 8, 0},
    };
    for (size_t i = 0; i < sizeof TABLES / sizeof *TABLES; i++) {
        struct map map = make_ready_map();
        uint8_t function = TABLES[i].function;
        uint16_t size = TABLES[i].size, word = TABLES[i].word;
        assert_int_equal(send_word(&map, function, size - 1, word), FG_MODBUS_DONE);
        map.answer.commands.count = 0;
        assert_int_equal(send_word(&map, function, size, word), FG_MODBUS_ILLEGAL_ADDRESS);
        assert_int_equal(send_word(&map, function, 65535, word), FG_MODBUS_ILLEGAL_ADDRESS);
        if (function <= 4) {
            assert_int_equal(send_word(&map, function, size - 1, 2), FG_MODBUS_ILLEGAL_ADDRESS);
            assert_int_equal(send_word(&map, function, 65535, 2), FG_MODBUS_ILLEGAL_ADDRESS);
        }
        EXPECT_NOTHING(&map);
    }
    static const uint16_t VALUES[] = {1, 1};
    struct map map = make_ready_map();
    assert_int_equal(send_many(&map, 15, 6, 2, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 16, 7, 2, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 15, 65535, 2, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    assert_int_equal(send_many(&map, 16, 65535, 2, VALUES), FG_MODBUS_ILLEGAL_ADDRESS);
    EXPECT_NOTHING(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_status_bit_is_at_its_place),
        cmocka_unit_test(trigger_ready_means_that_a_trigger_is_taken),
        cmocka_unit_test(a_verdict_shows_only_while_it_is_valid),
        cmocka_unit_test(each_input_register_is_at_its_place_and_gaps_read_0),
        cmocka_unit_test(a_name_of_64_bytes_fills_its_registers),
        cmocka_unit_test(an_inoperative_result_has_a_reason_and_no_score),
        cmocka_unit_test(only_a_defect_has_a_box),
        cmocka_unit_test(a_result_without_trouble_has_no_reason),
        cmocka_unit_test(scores_are_rounded_and_never_wrap),
        cmocka_unit_test(times_and_sizes_stop_at_65535),
        cmocka_unit_test(counters_stay_full),
        cmocka_unit_test(coils_read_as_they_are),
        cmocka_unit_test(coils_and_holding_registers_without_a_row_read_0),
        cmocka_unit_test(thresholds_of_views_read_as_pairs),
        cmocka_unit_test(holding_registers_read_as_written_but_the_code),
        cmocka_unit_test(input_registers_read_the_same_by_function_3),
        cmocka_unit_test(function_23_writes_only_where_it_can_read_too),
        cmocka_unit_test(the_device_says_what_it_is),
        cmocka_unit_test(every_other_function_is_illegal),
        cmocka_unit_test(counts_keep_the_protocols_limits),
        cmocka_unit_test(a_request_has_exactly_its_bytes),
        cmocka_unit_test(addresses_outside_are_illegal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
