/* Writes to the device: any byte feeds it, and a last 'V' switches it off (the kernel's "magic close"). */
#include "board/watchdog/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum fg_status fg_watchdog_open(const char *device, int *descriptor, struct fg_message *message) {
    *descriptor = open(device, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (*descriptor >= 0)
        return FG_OK;
    return fg_fail_errno(message, FG_ENVIRONMENT, errno, "watchdog: cannot open %.300s%s", device,
                         errno == EBUSY ? " (another program feeds it: systemd's RuntimeWatchdogSec=?)" : "");
}

enum fg_status fg_watchdog_feed(int descriptor, struct fg_message *message) {
    if (write(descriptor, "", 1) == 1)
        return FG_OK;
    return fg_fail_errno(message, FG_ENVIRONMENT, errno, "watchdog: it cannot be fed");
}

void fg_watchdog_close(int descriptor) {
    if (write(descriptor, "V", 1) != 1) {
        /* It goes on counting; nothing can be done about that here. */
    }
    close(descriptor);
}
