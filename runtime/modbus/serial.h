/* Opens a serial port for Modbus RTU: any tty, raw, with eight data bits, at one of the rates that termios
 * has a constant for.
 *
 * Errors: FG_INPUT for a rate that there is not, FG_ENVIRONMENT for a port that cannot be opened or set.
 * Owner: the caller closes the descriptor. Thread: any. NULL: a message may be. */
#ifndef FG_RUNTIME_MODBUS_SERIAL_H
#define FG_RUNTIME_MODBUS_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

enum fg_parity { FG_PARITY_NONE, FG_PARITY_EVEN, FG_PARITY_ODD };

struct fg_serial_settings {
    const char *device; /* "/dev/ttyS0" */
    uint32_t baud;      /* 1200 to 921600 */
    enum fg_parity parity;
    uint32_t stop_bits; /* 1 or 2 */
    bool rs485;         /* the kernel switches the sender on and off (TIOCSRS485) */
};

/* Opens the port, which then neither blocks nor becomes the process's terminal. */
FG_MUST_USE enum fg_status fg_serial_open(const struct fg_serial_settings *settings, int *port,
                                          struct fg_message *message);

/* Nanoseconds that one character takes on the wire. */
int64_t fg_serial_character_ns(const struct fg_serial_settings *settings);

#endif
