/* The sections of a configuration while it is read: which the file has, and where each keeps its values.
 *
 * The arguments section and i below are an index of FG_CONFIG_SECTIONS and a number less than count[section].
 *
 * Errors: lines of the report. Owner: the caller, of all that the struct points to. Thread: one at a time.
 * NULL: no argument may be. */
#ifndef FG_CONFIG_SECTIONS_H
#define FG_CONFIG_SECTIONS_H

#include "config/keys.h"

#define FG_SECTIONS_TITLES 8 /* most sections of one name */
#define FG_SECTIONS_NAME 80  /* bytes of "camera top.", with the ending zero */

struct fg_sections {
    const struct fg_config_drivers *drivers;
    struct fg_config *config;
    struct fg_report *report;
    /* Number of sections of each name: 1 or more, also where the file has none. */
    uint32_t count[FG_CONFIG_SECTION_COUNT];
    /* Lines of the file where the titles stand; 0: the file has no such section. */
    int32_t line[FG_CONFIG_SECTION_COUNT][FG_SECTIONS_TITLES];
};

/* Starts with a text without comments, whose cameras and views get their names in config. Gives the text with
 * a number for each title, to be freed; NULL: no memory. Titles that are wrong go to the report. */
char *fg_sections_open(struct fg_sections *sections, const char *text);

/* Gives what fg_option_put takes as values for the section's own keys. */
void *fg_sections_values(const struct fg_sections *sections, uint32_t section, uint32_t i);

/* Gives the driver of a camera or of the board. NULL: the section has none, or it is not known. */
const struct fg_config_driver *fg_sections_driver(const struct fg_sections *sections, uint32_t section,
                                                  uint32_t i);
/* Gives what fg_option_put takes as values for the driver's keys. */
void *fg_sections_settings(const struct fg_sections *sections, uint32_t section, uint32_t i);
/* Gives the drivers that a section may have; *count is 0 where it is neither a camera nor the board. */
const struct fg_config_driver *fg_sections_drivers(const struct fg_sections *sections, uint32_t section,
                                                   uint32_t *count);

/* Writes what messages put before a key of the section, "camera top.", or "" at the top. Gives text. */
const char *fg_sections_name(const struct fg_sections *sections, uint32_t section, uint32_t i,
                             char text[FG_SECTIONS_NAME]);

#endif
