/* What a configuration needs of the system that it is checked on: the board's and the state's places, the
 * Modbus ports and the watchdog. Nothing that is asked disturbs a running flawgated.
 *
 * Errors: lines of the report. Owner: the caller, of all arguments. Thread: one at a time. NULL: no argument
 * may be. */
#ifndef FG_TOOLS_COMMANDS_CHECK_SYSTEM_H
#define FG_TOOLS_COMMANDS_CHECK_SYSTEM_H

#include "config/config.h"

/* Adds a line to report for each thing with which flawgated would not start, with the words that it would
 * say; and a line to notes for each that a person should know. What the running flawgated of this very line
 * has is a note. */
void fg_check_system(const struct fg_config *config, struct fg_report *report, struct fg_report *notes);

/* Prints every port that flawgated opens with this configuration, what it speaks there and who may write. */
void fg_check_print_ports(const struct fg_config *config);
/* Prints the same as the objects of a JSON list. */
void fg_check_print_json_ports(const struct fg_config *config);

#endif
