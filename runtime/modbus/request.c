/* Decodes requests: each function's length and counts. */
#include "runtime/modbus/request.h"

#include <assert.h>

#define IDENTIFICATION 14 /* the one type of function 43 that is answered */

static uint16_t read_word(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static enum fg_modbus_exception decode_coils(const uint8_t *pdu, uint32_t size,
                                             struct fg_modbus_request *request) {
    if (size < 6)
        return FG_MODBUS_ILLEGAL_VALUE;
    uint32_t bytes = (request->count + 7u) / 8u;
    if (request->count < 1 || request->count > FG_MODBUS_MAX_WRITE_BITS || pdu[5] != bytes ||
        size != 6 + bytes)
        return FG_MODBUS_ILLEGAL_VALUE;
    for (uint32_t i = 0; i < request->count && i < FG_MODBUS_COILS; i++)
        request->values[i] = pdu[6 + i / 8] >> i % 8 & 1;
    return FG_MODBUS_DONE;
}

/* Decodes the registers of a write: their number of bytes stands at the given place, their values behind it.
 */
static enum fg_modbus_exception decode_registers(const uint8_t *pdu, uint32_t size, uint32_t at,
                                                 uint32_t count, uint32_t most,
                                                 struct fg_modbus_request *request) {
    if (size <= at)
        return FG_MODBUS_ILLEGAL_VALUE;
    uint32_t bytes = count * 2u;
    if (count < 1 || count > most || pdu[at] != bytes || size != at + 1 + bytes)
        return FG_MODBUS_ILLEGAL_VALUE;
    for (uint32_t i = 0; i < count && i < FG_MODBUS_HOLDING_REGISTERS; i++)
        request->values[i] = read_word(pdu + at + 1 + 2 * i);
    return FG_MODBUS_DONE;
}

static enum fg_modbus_exception decode_exchange(const uint8_t *pdu, uint32_t size,
                                                struct fg_modbus_request *request) {
    if (size < 10 || request->count < 1 || request->count > FG_MODBUS_MAX_READ_REGISTERS)
        return FG_MODBUS_ILLEGAL_VALUE;
    request->write_address = read_word(pdu + 5);
    request->write_count = read_word(pdu + 7);
    return decode_registers(pdu, size, 9, request->write_count, FG_MODBUS_MAX_EXCHANGED_REGISTERS, request);
}

static enum fg_modbus_exception decode_read(uint32_t most, uint32_t size,
                                            const struct fg_modbus_request *request) {
    return size == 5 && request->count >= 1 && request->count <= most ? FG_MODBUS_DONE
                                                                      : FG_MODBUS_ILLEGAL_VALUE;
}

static enum fg_modbus_exception decode_identify(const uint8_t *pdu, uint32_t size,
                                                struct fg_modbus_request *request) {
    if (size < 2 || pdu[1] != IDENTIFICATION)
        return FG_MODBUS_ILLEGAL_FUNCTION;
    if (size != 4)
        return FG_MODBUS_ILLEGAL_VALUE;
    request->access = pdu[2];
    request->object = pdu[3];
    return FG_MODBUS_DONE;
}

enum fg_modbus_exception fg_modbus_decode(const uint8_t *pdu, uint32_t size,
                                          struct fg_modbus_request *request) {
    assert(size >= 1 && size <= FG_MODBUS_MAX_PDU);
    *request = (struct fg_modbus_request){.function = pdu[0]};
    if (size >= 5) {
        request->address = read_word(pdu + 1);
        request->count = read_word(pdu + 3);
    }
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        return decode_read(FG_MODBUS_MAX_READ_BITS, size, request);
    case FG_MODBUS_READ_HOLDING_REGISTERS:
    case FG_MODBUS_READ_INPUT_REGISTERS:
        return decode_read(FG_MODBUS_MAX_READ_REGISTERS, size, request);
    case FG_MODBUS_WRITE_COIL:
        if (size != 5 || (request->count != 0x0000 && request->count != 0xff00))
            return FG_MODBUS_ILLEGAL_VALUE;
        request->values[0] = request->count == 0xff00;
        request->count = 1;
        return FG_MODBUS_DONE;
    case FG_MODBUS_WRITE_REGISTER:
        if (size != 5)
            return FG_MODBUS_ILLEGAL_VALUE;
        request->values[0] = request->count;
        request->count = 1;
        return FG_MODBUS_DONE;
    case FG_MODBUS_WRITE_COILS:
        return decode_coils(pdu, size, request);
    case FG_MODBUS_WRITE_REGISTERS:
        return decode_registers(pdu, size, 5, request->count, FG_MODBUS_MAX_WRITE_REGISTERS, request);
    case FG_MODBUS_EXCHANGE_REGISTERS:
        return decode_exchange(pdu, size, request);
    case FG_MODBUS_IDENTIFY:
        return decode_identify(pdu, size, request);
    default:
        return FG_MODBUS_ILLEGAL_FUNCTION;
    }
}

bool fg_modbus_is_write(uint8_t function) {
    return function == FG_MODBUS_WRITE_COIL || function == FG_MODBUS_WRITE_REGISTER ||
           function == FG_MODBUS_WRITE_COILS || function == FG_MODBUS_WRITE_REGISTERS ||
           function == FG_MODBUS_EXCHANGE_REGISTERS;
}
