/* Rules between the keys of a configuration, which no key's own range can say.
 *
 * Errors: lines of the report. Owner: the caller, of both. Thread: any. NULL: no argument may be. */
#ifndef FG_CONFIG_CHECK_H
#define FG_CONFIG_CHECK_H

#include "config/config.h"

/* Adds a line to the report for each rule that the configuration breaks. */
void fg_config_check(const struct fg_config *config, struct fg_report *report);

#endif
