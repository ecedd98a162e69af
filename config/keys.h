/* Every key of the configuration, section by section: what it may be and where its value goes. The keys of a
 * driver lie beside the driver. To add a key, add a member to config.h and a row to its section in keys.c,
 * and explain it in example.conf.
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: only what option.h allows in an option. */
#ifndef FG_CONFIG_KEYS_H
#define FG_CONFIG_KEYS_H

#include "config/config.h"

/* The sections, in the order of FG_CONFIG_SECTIONS. */
enum fg_config_section_index {
    FG_SECTION_TOP, /* what stands in no section */
    FG_SECTION_CAMERA,
    FG_SECTION_VIEW,
    FG_SECTION_BOARD,
    FG_SECTION_IO,
    FG_SECTION_TRIGGER,
    FG_SECTION_RESULTS,
    FG_SECTION_REJECT,
    FG_SECTION_MODBUS,
    FG_SECTION_MODBUS_RTU,
    FG_SECTION_JOB,
    FG_SECTION_THRESHOLD,
    FG_SECTION_LOCK,
    FG_SECTION_STORE,
    FG_SECTION_COMPUTE,
    FG_SECTION_GPU,
    FG_SECTION_STATE,
    FG_SECTION_WATCHDOG,
    FG_CONFIG_SECTION_COUNT
};

struct fg_config_section {
    const char *name;       /* "" at the top */
    struct fg_options keys; /* offsets in struct fg_config, for the first section of that name */
    uint32_t most;          /* most sections of that name; where it is above 1, each has a title */
    size_t stride;          /* bytes from the values of one to those of the next */
};

extern const struct fg_config_section FG_CONFIG_SECTIONS[FG_CONFIG_SECTION_COUNT];

/* The rates that the words of modbus_rtu.baud mean, in their order. */
extern const uint32_t FG_CONFIG_BAUDS[];

#endif
