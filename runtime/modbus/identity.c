/* The objects of function 43/14, and the answer that lists them. */
#include "runtime/modbus/identity.h"

#include <string.h>

/* Kinds of access, and what the answer says that this device can do: the regular objects, by list and one by
 * one. */
enum { BASIC = 1, REGULAR = 2, EXTENDED = 3, SINGLE = 4, CONFORMITY = 0x82 };

#define LAST_BASIC 2u /* the objects up to this one are basic */

static const struct {
    uint8_t number;
    const char *text;
} OBJECTS[] = {{0, "Flawgate"}, {1, "flawgate"}, {2, FG_VERSION}, {4, "Flawgate edge inspection appliance"}};
#define COUNT (sizeof OBJECTS / sizeof *OBJECTS)

enum fg_modbus_exception fg_modbus_identify(const struct fg_modbus_request *request,
                                            uint8_t pdu[FG_MODBUS_MAX_PDU], uint32_t *size) {
    if (request->access < BASIC || request->access > SINGLE)
        return FG_MODBUS_ILLEGAL_VALUE;
    size_t first = 0, end = COUNT;
    while (request->access == BASIC && OBJECTS[end - 1].number > LAST_BASIC)
        end--;
    while (first < end && OBJECTS[first].number != request->object)
        first++;
    if (request->access == SINGLE) {
        if (first == end)
            return FG_MODBUS_ILLEGAL_ADDRESS;
        end = first + 1;
    } else if (first == end) {
        first = 0;
    }
    /* All of it fits into one answer: no object follows in another. */
    const uint8_t head[] = {request->function, 14, request->access, CONFORMITY, 0, 0, (uint8_t)(end - first)};
    memcpy(pdu, head, sizeof head);
    *size = sizeof head;
    for (size_t i = first; i < end; i++) {
        const size_t length = strlen(OBJECTS[i].text);
        pdu[(*size)++] = OBJECTS[i].number;
        pdu[(*size)++] = (uint8_t)length;
        memcpy(pdu + *size, OBJECTS[i].text, length);
        *size += (uint32_t)length;
    }
    return FG_MODBUS_DONE;
}
