/* Drawn requests, whole and damaged, against the server; each answer is compared, byte for byte, with what a
 * second decoder says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/runtime/modbus/modbus_bench.h"
#include "tests/runtime/modbus/second_decoder.h"

#define REQUESTS 60000

static uint32_t state_of_draw = 12345;

static uint32_t draw(uint32_t below) {
    state_of_draw ^= state_of_draw << 13;
    state_of_draw ^= state_of_draw >> 17;
    state_of_draw ^= state_of_draw << 5;
    return state_of_draw % below;
}

/* The line takes every write and changes nothing, so that the tables stay as they are. */
static enum fg_modbus_exception apply_nothing(void *context, const struct fg_commands *commands) {
    (void)context;
    (void)commands;
    return FG_MODBUS_DONE;
}

static void put_word(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* An address near the edges of the tables, or any. */
static uint32_t draw_address(void) {
    static const uint32_t NEAR[] = {0, 0, 8, 16, 28, 130, 265, 995, 1000, 1150, 1268, 65530};
    return draw(8) ? (NEAR[draw(sizeof NEAR / sizeof *NEAR)] + draw(8)) & 0xffff : draw(65536);
}

static uint32_t draw_count(void) {
    static const uint32_t NEAR[] = {0, 1, 1, 2, 2, 3, 8, 14, 17, 120, 122, 124, 126, 1967, 1999};
    return draw(8) ? NEAR[draw(sizeof NEAR / sizeof *NEAR)] + draw(3) : draw(65536);
}

/* Draws a request that is often whole; gives its size. */
static uint32_t draw_request(uint8_t pdu[FG_MODBUS_MAX_PDU]) {
    static const uint8_t KNOWN[] = {1, 2, 3, 4, 5, 6, 15, 16, 23, 43};
    const uint32_t count = draw_count();
    uint32_t size = 5;
    for (uint32_t i = 0; i < FG_MODBUS_MAX_PDU; i++)
        pdu[i] = (uint8_t)draw(draw(2) ? 256 : 3);
    pdu[0] = draw(20) ? KNOWN[draw(sizeof KNOWN)] : (uint8_t)draw(256);
    put_word(pdu + 1, draw_address());
    put_word(pdu + 3, count);
    if (pdu[0] == 5)
        put_word(pdu + 3, draw(4) ? draw(2) * 0xff00 : draw(65536));
    if (pdu[0] == 15 || pdu[0] == 16) {
        pdu[5] = (uint8_t)(pdu[0] == 15 ? (count + 7) / 8 : count * 2);
        size = 6u + pdu[5];
    } else if (pdu[0] == 23) {
        const uint32_t written = draw_count();
        put_word(pdu + 5, draw_address());
        put_word(pdu + 7, written);
        pdu[9] = (uint8_t)(written * 2);
        size = 10u + pdu[9];
    } else if (pdu[0] == 43) {
        pdu[1] = draw(8) ? 14 : pdu[1];
        pdu[2] = (uint8_t)draw(6);
        pdu[3] = (uint8_t)draw(7);
        size = 4;
    }
    if (draw(10) == 0)
        size = 1 + draw(FG_MODBUS_MAX_PDU);
    if (draw(20) == 0)
        pdu[draw(10)] ^= (uint8_t)(1u << draw(8));
    return size < FG_MODBUS_MAX_PDU ? size : FG_MODBUS_MAX_PDU;
}

/* Reads the tables one address at a time. */
static void read_device(modbus_t *client, struct second_device *device) {
    for (int i = 0; i < 272; i++)
        assert_int_equal(modbus_read_input_registers(client, i, 1, &device->input[i]), 1);
    for (int i = 0; i < 32; i++)
        assert_int_equal(modbus_read_registers(client, i, 1, &device->holding[i]), 1);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(modbus_read_bits(client, i, 1, &device->coil[i]), 1);
        assert_int_equal(modbus_read_input_bits(client, i, 1, &device->input_bit[i]), 1);
        device->coil_writable[i] = i < 7;
    }
    for (int i = 0; i < 32; i++)
        device->holding_writable[i] = i < 8 || i >= 16;
}

static bool is_owed(const uint8_t *answer, uint32_t size, const uint8_t *request,
                    const struct second_answer *owed) {
    const bool refused = answer[0] & 0x80;
    if (refused && (size != 2 || answer[0] != (request[0] | 0x80)))
        return false;
    if (owed->exception)
        return refused && answer[1] == owed->exception;
    if (refused) /* the line's own reasons */
        return owed->judged && (answer[1] == 3 || answer[1] == 6);
    return (owed->length == 0 || size == (uint32_t)owed->length) &&
           memcmp(answer, owed->bytes, (size_t)owed->known) == 0;
}

/* The counters of clients and exceptions move meanwhile. */
static bool shows_counters(const uint8_t *request) {
    const uint32_t first = (uint32_t)request[1] << 8 | request[2],
                   count = (uint32_t)request[3] << 8 | request[4];
    const uint32_t from = request[0] == 4 ? first : first - 1000;
    return (request[0] == 3 || request[0] == 4 || request[0] == 23) && from <= 12 && from + count > 10;
}

static void every_answer_is_what_a_second_decoder_says(void **state) {
    (void)state;
    struct bench bench = bench_make();
    bench.now.holding = (struct fg_holding){.slot = 1, .threshold = {5000}, .reject = 70000, .pulse = 10};
    bench.now.result = (struct fg_result){.id = 70001, .verdict = FG_DEFECT, .score = 2.5f, .x = 7, .w = 9};
    bench.now.result_valid = true;
    fg_snapshot_publish(&bench.cell, &bench.now);
    const struct fg_modbus_line line = {.cell = &bench.cell, .apply = apply_nothing};
    struct fg_message message = {0};
    if (fg_modbus_server_open(&bench.settings, &line, &bench.server, &message) != FG_OK)
        fail_msg("%s", message.text);
    assert_int_equal(pthread_create(&bench.thread, NULL, bench_run, &bench), 0);

    struct second_device device = {0};
    modbus_t *reader = bench_open_client(&bench);
    read_device(reader, &device);
    int client = bench_connect(&bench);
    uint32_t refused = 0, done = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint8_t frame[7 + FG_MODBUS_MAX_PDU], answer[FG_MODBUS_MAX_PDU];
        uint8_t *pdu = frame + 7;
        const uint32_t size = draw_request(pdu);
        const uint8_t head[7] = {(uint8_t)(i >> 8),          (uint8_t)i,          0,   0,
                                 (uint8_t)((size + 1) >> 8), (uint8_t)(size + 1), UNIT};
        memcpy(frame, head, sizeof head);
        send_all(client, frame, 7 + size);
        const uint32_t got = receive_answer(client, (uint16_t)i, answer);
        struct second_answer owed = second_decode(pdu, (int)size, &device);
        if (!owed.exception && owed.known > 2 && size >= 5 && shows_counters(pdu))
            owed.known = 2;
        if (!is_owed(answer, got, pdu, &owed)) {
            char text[3 * FG_MODBUS_MAX_PDU + 1] = "";
            for (uint32_t k = 0; k < size; k++)
                sprintf(text + 3 * k, "%02x ", pdu[k]);
            fail_msg("request %u: %s: answered %02x %02x (%u bytes), owed exception %d, %d bytes", i, text,
                     answer[0], answer[1], got, owed.exception, owed.length);
        }
        refused += owed.exception != 0;
        done += !(answer[0] & 0x80);
    }
    assert_true(refused > REQUESTS / 10 && done > REQUESTS / 10); /* both have been tried */
    close(client);
    bench_close_client(reader);
    bench_stop(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_answer_is_what_a_second_decoder_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
