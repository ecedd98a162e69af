/* What function 43/14 (read device identification) says of this program: vendor, product code, version and
 * product name.
 *
 * Errors: Modbus exceptions. Owner: the caller, of every argument; none is kept. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_IDENTITY_H
#define FG_RUNTIME_MODBUS_IDENTITY_H

#include "runtime/modbus/request.h"

/* Writes function and data of the answer, and gives their size. Access 1 lists the basic objects, 2 and 3 all
 * of them, 4 gives one; a list that is to begin at an object that there is not begins at the first. The
 * exception is FG_MODBUS_ILLEGAL_VALUE for another access and FG_MODBUS_ILLEGAL_ADDRESS for one object that
 * there is not. */
enum fg_modbus_exception fg_modbus_identify(const struct fg_modbus_request *request,
                                            uint8_t pdu[FG_MODBUS_MAX_PDU], uint32_t *size);

#endif
