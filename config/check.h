/* What one key of the configuration alone cannot say. */
#ifndef FG_CONFIG_CHECK_H
#define FG_CONFIG_CHECK_H

#include "config/config.h"

/* Adds a line to the report for everything in the configuration that does not go together. */
void fg_config_check(const struct fg_config *config, struct fg_report *report);

#endif
