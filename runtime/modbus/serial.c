/* Sets a tty by termios. */
#include "runtime/modbus/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/system.h"

static bool find_speed(uint32_t baud, speed_t *speed) {
    static const struct {
        uint32_t baud;
        speed_t speed;
    } SPEEDS[] = {{1200, B1200},     {2400, B2400},     {4800, B4800},    {9600, B9600},
                  {19200, B19200},   {38400, B38400},   {57600, B57600},  {115200, B115200},
                  {230400, B230400}, {460800, B460800}, {921600, B921600}};
    for (size_t i = 0; i < sizeof SPEEDS / sizeof *SPEEDS; i++)
        if (SPEEDS[i].baud == baud) {
            *speed = SPEEDS[i].speed;
            return true;
        }
    return false;
}

/* tcsetattr succeeds when it could set anything at all, and fails with EINVAL on a port that is as it was
 * asked for but for parity, which a pseudo terminal has not. So the rate is read back. */
static bool set_port(int port, const struct fg_serial_settings *settings, speed_t speed) {
    struct termios set, found;
    if (tcgetattr(port, &set) != 0)
        return false;
    cfmakeraw(&set);
    set.c_cflag &= ~(tcflag_t)(CSTOPB | PARENB | PARODD | CRTSCTS);
    set.c_cflag |= CLOCAL | CREAD | (settings->stop_bits == 2 ? (tcflag_t)CSTOPB : 0) |
                   (settings->parity != FG_PARITY_NONE ? (tcflag_t)PARENB : 0) |
                   (settings->parity == FG_PARITY_ODD ? (tcflag_t)PARODD : 0);
    set.c_iflag |= settings->parity != FG_PARITY_NONE ? (tcflag_t)INPCK : 0;
    set.c_cc[VMIN] = 1;
    set.c_cc[VTIME] = 0;
    cfsetispeed(&set, speed);
    cfsetospeed(&set, speed);
    if ((tcsetattr(port, TCSANOW, &set) != 0 && errno != EINVAL) || tcgetattr(port, &found) != 0)
        return false;
    if (cfgetospeed(&found) != speed) {
        errno = EINVAL;
        return false;
    }
    return tcflush(port, TCIOFLUSH) == 0;
}

/* What the device tree says of polarity and delays stays. */
static bool set_rs485(int port) {
    struct serial_rs485 mode;
    if (ioctl(port, TIOCGRS485, &mode) != 0)
        return false;
    mode.flags |= SER_RS485_ENABLED;
    if (!(mode.flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND)))
        mode.flags |= SER_RS485_RTS_ON_SEND;
    mode.flags &= ~(uint32_t)SER_RS485_RX_DURING_TX; /* it would read its own answers as requests */
    return ioctl(port, TIOCSRS485, &mode) == 0;
}

enum fg_status fg_serial_open(const struct fg_serial_settings *settings, int *port,
                              struct fg_message *message) {
    speed_t speed;
    *port = -1;
    if (!find_speed(settings->baud, &speed))
        return fg_fail(message, FG_INPUT, "%s: there is no rate of %u baud", settings->device,
                       settings->baud);
    enum fg_status status = fg_system_tty(settings->device, message);
    if (status != FG_OK)
        return status;
    const int opened = open(settings->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (opened < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "cannot open the serial port %s",
                             settings->device);
    if (!set_port(opened, settings, speed))
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "%s cannot be set to %u baud",
                               settings->device, settings->baud);
    else if (settings->rs485 && !set_rs485(opened))
        status =
            fg_fail_errno(message, FG_ENVIRONMENT, errno,
                          "%s has no RS-485 mode (does the adapter switch its sender by itself? then set "
                          "modbus_rtu.rs485 = false)",
                          settings->device);
    if (status == FG_OK)
        *port = opened;
    else
        close(opened);
    return status;
}

int64_t fg_serial_character_ns(const struct fg_serial_settings *settings) {
    const uint32_t bits = 1 + 8 + (settings->parity != FG_PARITY_NONE ? 1u : 0u) + settings->stop_bits;
    return bits * FG_S / settings->baud;
}
