/* Requests for tests of the Modbus map: bytes in, exception, values and commands out. Include after cmocka.
 *
 * Errors: a failure fails the test; a refused request gives its exception. Owner: the caller owns the map.
 * Thread: the test's. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_MODBUS_REQUEST_H
#define FG_TESTS_RUNTIME_MODBUS_MODBUS_REQUEST_H

#include <string.h>

#include "runtime/modbus/map.h"

#define CODE 4711 /* unlock code, where a test locks */

/* A line that is ready, and an open map. */
struct map {
    struct fg_snapshot snapshot;
    struct fg_modbus_rules rules;
    struct fg_modbus_rights rights;
    struct fg_modbus_request request;
    struct fg_modbus_answer answer;
};

static inline struct map make_ready_map(void) {
    struct map map = {
        .snapshot = {.online = true, .able = true, .coils = FG_COIL_TRIGGER_ENABLE},
        .rules =
            {.slots = 3, .views = 1, .threshold = {1000, 20000}, .reject = {50, 100000}, .pulse = {1, 5000}},
        .rights = {.may_write = true},
    };
    map.snapshot.holding = (struct fg_holding){.reject = 500, .pulse = 100};
    return map;
}

static inline enum fg_modbus_exception send_bytes(struct map *map, const uint8_t *pdu, uint32_t size) {
    memset(&map->answer, 0, sizeof map->answer);
    enum fg_modbus_exception exception = fg_modbus_decode(pdu, size, &map->request);
    if (exception != FG_MODBUS_DONE)
        return exception;
    fg_modbus_answer(&map->request, &map->snapshot, &map->rules, &map->rights, &map->answer);
    return map->answer.exception;
}

/* Sends one of functions 1 to 6: an address and a word. */
static inline enum fg_modbus_exception send_word(struct map *map, uint8_t function, uint16_t address,
                                                 uint16_t word) {
    const uint8_t pdu[] = {function, (uint8_t)(address >> 8), (uint8_t)address, (uint8_t)(word >> 8),
                           (uint8_t)word};
    return send_bytes(map, pdu, sizeof pdu);
}

/* Sends function 15 or 16 with count values. */
static inline enum fg_modbus_exception send_many(struct map *map, uint8_t function, uint16_t address,
                                                 uint16_t count, const uint16_t *values) {
    uint8_t pdu[FG_MODBUS_MAX_PDU] = {function, (uint8_t)(address >> 8), (uint8_t)address,
                                      (uint8_t)(count >> 8), (uint8_t)count};
    uint32_t bytes = function == 15 ? (count + 7u) / 8 : count * 2u;
    pdu[5] = (uint8_t)bytes;
    assert_true(6 + bytes <= sizeof pdu);
    for (uint32_t i = 0; i < count; i++)
        if (function == 15) {
            pdu[6 + i / 8] |= (uint8_t)(values[i] << i % 8);
        } else {
            pdu[6 + 2 * i] = (uint8_t)(values[i] >> 8);
            pdu[7 + 2 * i] = (uint8_t)values[i];
        }
    return send_bytes(map, pdu, 6 + bytes);
}

/* The commands of the last answer are exactly these. */
static inline void expect_commands(const struct map *map, uint32_t count, const struct fg_command *commands) {
    assert_int_equal(map->answer.commands.count, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(map->answer.commands.command[i].kind, commands[i].kind);
        assert_int_equal(map->answer.commands.command[i].value, commands[i].value);
    }
}
#define EXPECT(map, ...)                                                                                     \
    expect_commands(map, sizeof((struct fg_command[]){__VA_ARGS__}) / sizeof(struct fg_command),             \
                    (struct fg_command[]){__VA_ARGS__})
#define EXPECT_NOTHING(map) assert_int_equal((map)->answer.commands.count, 0)

#endif
