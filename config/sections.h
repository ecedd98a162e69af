/* The sections of a configuration while it is read: which the file has, and where each keeps its values. */
#ifndef FG_CONFIG_SECTIONS_H
#define FG_CONFIG_SECTIONS_H

#include "config/keys.h"

#define FG_SECTIONS_TITLES 8 /* most sections of one name */
#define FG_SECTIONS_NAME 80  /* bytes of "camera top.", with the ending zero */

/* Arguments section and i below are an index of FG_CONFIG_SECTIONS and a number less than count[section]. */
struct fg_sections {
    const struct fg_config_drivers *drivers;
    struct fg_config *config;
    struct fg_report *report;
    uint32_t
        count[FG_CONFIG_SECTION_COUNT]; /* sections of the name, 1 or more, also where the file has none */
    int32_t line[FG_CONFIG_SECTION_COUNT]
                [FG_SECTIONS_TITLES]; /* of a title in the file; 0: it is not there */
};

/* Starts with a text without comments, whose cameras and views get their names in config. Gives the text with
 * a number for each title, to be freed; NULL: no memory. Titles that are wrong go to the report. */
char *fg_sections_open(struct fg_sections *sections, const char *text);

/* What fg_option_put takes as values, for the section's own keys. */
void *fg_sections_values(const struct fg_sections *sections, uint32_t section, uint32_t i);

/* The driver of a camera or of the board. NULL: the section has none, or it is not known. */
const struct fg_config_driver *fg_sections_driver(const struct fg_sections *sections, uint32_t section,
                                                  uint32_t i);
/* What fg_option_put takes as values, for the driver's keys. */
void *fg_sections_settings(const struct fg_sections *sections, uint32_t section, uint32_t i);
/* The drivers that a section may have; count is 0 where it is neither a camera nor the board. */
const struct fg_config_driver *fg_sections_drivers(const struct fg_sections *sections, uint32_t section,
                                                   uint32_t *count);

/* How messages call it before a key: "camera top."; "" at the top. Gives text. */
const char *fg_sections_name(const struct fg_sections *sections, uint32_t section, uint32_t i,
                             char text[FG_SECTIONS_NAME]);

#endif
