/* Keeps each kind of note to one line a second. */
#include "runtime/modbus/notes.h"

#include <stdarg.h>
#include <stdio.h>

#include "runtime/base/clock.h"

void fg_notes_add(struct fg_notes *notes, enum fg_note_kind kind, int64_t now, enum fg_priority priority,
                  const char *format, ...) {
    char *text = notes->kind[kind].text;
    va_list args;
    va_start(args, format);
    vsnprintf(text, FG_NOTE_BYTES, format, args);
    va_end(args);
    notes->kind[kind].priority = priority;
    if (now < notes->kind[kind].next_ns) {
        notes->kind[kind].held++;
        return;
    }
    notes->kind[kind].next_ns = now + FG_S;
    fg_log(priority, "%s", text);
}

void fg_notes_write(struct fg_notes *notes, int64_t now) {
    for (int i = 0; i < FG_NOTE_KINDS; i++) {
        if (notes->kind[i].held == 0 || now < notes->kind[i].next_ns)
            continue;
        if (notes->kind[i].held == 1)
            fg_log(notes->kind[i].priority, "%s", notes->kind[i].text);
        else
            fg_log(notes->kind[i].priority, "%s (the last of %u like this in the last second)",
                   notes->kind[i].text, notes->kind[i].held);
        notes->kind[i].held = 0;
        notes->kind[i].next_ns = now + FG_S;
    }
}

int64_t fg_notes_due(const struct fg_notes *notes) {
    int64_t due = INT64_MAX;
    for (int i = 0; i < FG_NOTE_KINDS; i++)
        if (notes->kind[i].held > 0 && notes->kind[i].next_ns < due)
            due = notes->kind[i].next_ns;
    return due;
}
