/* Fills messages, and gives the exit status of a program. */
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fg_say(struct fg_message *message, const char *format, ...) {
    if (!message)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message->text, sizeof message->text, format, args);
    va_end(args);
}

void fg_say_errno(struct fg_message *message, int error, const char *format, ...) {
    if (!message)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(message->text, sizeof message->text, format, args);
    va_end(args);
    const size_t used = strlen(message->text);
    char text[128];
    snprintf(message->text + used, sizeof message->text - used, ": %s", strerror_r(error, text, sizeof text));
}

void fg_say_in(struct fg_message *message, const char *prefix) {
    if (!message)
        return;
    const struct fg_message inner = *message;
    snprintf(message->text, sizeof message->text, "%.200s: %.300s", prefix, inner.text);
}

int fg_exit_status(enum fg_status status) {
    switch (status) {
    case FG_OK:
        return 0;
    case FG_USAGE:
        return 2;
    case FG_DEVICE_LOST:
        return 70;
    case FG_INPUT:
    case FG_ENVIRONMENT:
    case FG_TIMEOUT:
        break;
    }
    return 3;
}
