/* Sends answers: through libmodbus where it has one, which takes the values from a mapping, and as bytes
 * where it has none. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/modbus/service.h"

#define TCP_HEADER 7 /* bytes before the function; on a serial line it is one, the unit */

uint16_t fg_modbus_crc(const uint8_t *bytes, uint32_t size) {
    uint16_t crc = 0xffff;
    for (uint32_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc >> 1 ^ (crc & 1 ? 0xa001 : 0));
    }
    return crc;
}

/* Fills the mapping with the values that are read; libmodbus echoes a write from the request. */
static void fill_mapping(modbus_mapping_t *mapping, const struct fg_modbus_request *request,
                         const uint16_t *values) {
    uint16_t at = request->address;
    switch (request->function) {
    case FG_MODBUS_READ_COILS:
        for (uint32_t i = 0; i < request->count; i++)
            mapping->tab_bits[at + i] = (uint8_t)values[i];
        break;
    case FG_MODBUS_READ_DISCRETE_INPUTS:
        for (uint32_t i = 0; i < request->count; i++)
            mapping->tab_input_bits[at + i] = (uint8_t)values[i];
        break;
    case FG_MODBUS_READ_HOLDING_REGISTERS:
        memcpy(mapping->tab_registers + at, values, request->count * sizeof *values);
        break;
    case FG_MODBUS_READ_INPUT_REGISTERS:
        memcpy(mapping->tab_input_registers + at, values, request->count * sizeof *values);
        break;
    default:
        break;
    }
}

/* Sends function and data behind the header of the request's frame. */
static bool send_bytes(modbus_t *modbus, const uint8_t *frame, const uint8_t *pdu, uint32_t size) {
    uint8_t bytes[TCP_HEADER + FG_MODBUS_MAX_PDU + 2];
    const uint32_t header = (uint32_t)modbus_get_header_length(modbus);
    uint32_t whole = header + size;
    memcpy(bytes, frame, header);
    memcpy(bytes + header, pdu, size);
    ssize_t sent;
    if (header == TCP_HEADER) {
        bytes[4] = (uint8_t)((size + 1) >> 8);
        bytes[5] = (uint8_t)(size + 1);
        sent = send(modbus_get_socket(modbus), bytes, whole, MSG_NOSIGNAL);
    } else {
        const uint16_t crc = fg_modbus_crc(bytes, whole);
        bytes[whole++] = (uint8_t)crc;
        bytes[whole++] = (uint8_t)(crc >> 8);
        sent = write(modbus_get_socket(modbus), bytes, whole);
    }
    return sent == (ssize_t)whole;
}

/* libmodbus adds 128 to the function of an exception, which takes it away again from one that has it. */
static bool send_exception(modbus_t *modbus, const uint8_t *frame, enum fg_modbus_exception exception) {
    uint8_t head[TCP_HEADER + 1];
    const uint32_t header = (uint32_t)modbus_get_header_length(modbus);
    memcpy(head, frame, header + 1);
    head[header] &= 0x7f;
    return modbus_reply_exception(modbus, head, exception) != -1;
}

bool fg_modbus_send(struct fg_modbus_service *service, modbus_t *modbus, const uint8_t *frame, uint32_t size,
                    const struct fg_modbus_reply *reply) {
    if (reply->exception != FG_MODBUS_DONE)
        return send_exception(modbus, frame, reply->exception);
    if (reply->size > 0)
        return send_bytes(modbus, frame, reply->pdu, reply->size);
    fill_mapping(service->mapping, &reply->request, reply->values);
    return modbus_reply(modbus, frame, (int)size, service->mapping) != -1;
}
