/* Notes for the log about what clients do. Clients can do it thousands of times a second: of each kind, one
 * line a second is written. Of those that come in between, the last is kept and written a second later with
 * their number.
 *
 * Errors: none. Owner: the caller, of a zeroed struct. Thread: one at a time. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_NOTES_H
#define FG_RUNTIME_MODBUS_NOTES_H

#include <stdint.h>

#include "runtime/base/log.h"

#define FG_NOTE_BYTES 256 /* a longer text is cut */

enum fg_note_kind {
    FG_NOTE_CONNECTED,
    FG_NOTE_CLOSED,
    FG_NOTE_REFUSED,
    FG_NOTE_EVICTED,
    FG_NOTE_EXCEPTION,
    FG_NOTE_REFUSED_WRITE,
    FG_NOTE_WRONG_CODE,
    FG_NOTE_SYSTEM,  /* the system gives no descriptor or memory */
    FG_NOTE_DAMAGED, /* bytes of a serial line that are no frame */
    FG_NOTE_KINDS
};

struct fg_notes {
    struct {
        int64_t next_ns; /* no line of the kind before this */
        uint32_t held;   /* notes that wait for it */
        enum fg_priority priority;
        char text[FG_NOTE_BYTES]; /* of the last one that waits */
    } kind[FG_NOTE_KINDS];
};

/* Notes what happened at now (fg_clock_ns), as printf does. */
void fg_notes_add(struct fg_notes *notes, enum fg_note_kind kind, int64_t now, enum fg_priority priority,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Writes what has waited for a second. */
void fg_notes_write(struct fg_notes *notes, int64_t now);
/* When the next one has waited for a second; INT64_MAX: none waits. */
int64_t fg_notes_due(const struct fg_notes *notes);

#endif
