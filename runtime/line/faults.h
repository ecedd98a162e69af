/* Faults of the line: latched for the PLC, logged when they come and when they are cleared.
 *
 * Errors: none. Owner: the line owns its faults. Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_FAULTS_H
#define FG_RUNTIME_LINE_FAULTS_H

#include <stdbool.h>

#include "runtime/modbus/registers.h"

struct fg_line;

/* Latches a fault. The error code is that of the first one that is not cleared, but for the loss of the
 * device, which a PLC has to read whatever was wrong before. */
void fg_faults_raise(struct fg_line *l, enum fg_fault fault);
/* Latches a fault that stops the line until it is cleared. */
void fg_faults_halt(struct fg_line *l, enum fg_fault fault);
/* Whether a fault is latched. */
bool fg_faults_has(const struct fg_line *l, enum fg_fault fault);
/* Clears all that is latched, drift too, and lets the line go on. What is still so stays: the loss of the
 * device, a camera that is gone, edges that nobody sees, bundles that failed their self-test. A camera that
 * failed its test is tested again. */
void fg_faults_clear(struct fg_line *l);

void fg_faults_missed_trigger(struct fg_line *l);
/* A part was not rejected in time, or cannot be; why is for the log. */
void fg_faults_missed_reject(struct fg_line *l, const char *why);

#endif
