/* Sections: their titles become numbers, and a number leads to values, driver and settings. */
#include "config/sections.h"

#include <stdio.h>
#include <string.h>

#include "config/text.h"

_Static_assert(FG_CONFIG_CAMERAS <= FG_SECTIONS_TITLES && FG_CONFIG_VIEWS <= FG_SECTIONS_TITLES &&
                   FG_CONFIG_IOS <= FG_SECTIONS_TITLES,
               "every title has a place");
_Static_assert(FG_SECTIONS_TITLES <= 10, "every title's number has one digit");

/* ---- Where values are ---- */

void *fg_sections_values(const struct fg_sections *sections, uint32_t section, uint32_t i) {
    return (char *)sections->config + i * FG_CONFIG_SECTIONS[section].stride;
}

void *fg_sections_settings(const struct fg_sections *sections, uint32_t section, uint32_t i) {
    return section == FG_SECTION_CAMERA ? sections->config->camera[i].settings
                                        : sections->config->board.settings;
}

const struct fg_config_driver *fg_sections_drivers(const struct fg_sections *sections, uint32_t section,
                                                   uint32_t *count) {
    const struct fg_config_drivers *drivers = sections->drivers;
    *count = section == FG_SECTION_CAMERA  ? drivers->cameras
             : section == FG_SECTION_BOARD ? drivers->boards
                                           : 0;
    return section == FG_SECTION_CAMERA ? drivers->camera : drivers->board;
}

const struct fg_config_driver *fg_sections_driver(const struct fg_sections *sections, uint32_t section,
                                                  uint32_t i) {
    uint32_t count;
    const struct fg_config_driver *driver = fg_sections_drivers(sections, section, &count);
    const uint32_t at =
        section == FG_SECTION_CAMERA ? sections->config->camera[i].driver : sections->config->board.driver;
    return at < count ? &driver[at] : NULL;
}

/* Finds the name of a camera or a view. */
static char *find_name(const struct fg_sections *sections, uint32_t section, uint32_t i) {
    return section == FG_SECTION_CAMERA ? sections->config->camera[i].name : sections->config->view[i].name;
}

static bool is_named(uint32_t section) {
    return section == FG_SECTION_CAMERA || section == FG_SECTION_VIEW;
}

const char *fg_sections_name(const struct fg_sections *sections, uint32_t section, uint32_t i,
                             char text[FG_SECTIONS_NAME]) {
    const char *name = FG_CONFIG_SECTIONS[section].name;
    const char *title = is_named(section)          ? find_name(sections, section, i)
                        : section == FG_SECTION_IO ? fg_config_io_title((enum fg_config_io)i)
                                                   : "";
    snprintf(text, FG_SECTIONS_NAME, "%s%s%s%s", name, *title ? " " : "", title, *name ? "." : "");
    return text;
}

/* ---- Titles ---- */

/* Gives an io its number. */
static int32_t number_io(const struct fg_sections *sections, const char *title, int32_t line) {
    for (int32_t i = 0; i < FG_CONFIG_IOS; i++)
        if (strcmp(fg_config_io_title((enum fg_config_io)i), title) == 0)
            return i;
    fg_report_add(sections->report,
                  "%s:%d: line%s%.40s: must be one of trigger, reject, pass, ready, fault and heartbeat",
                  sections->config->path, (int)line, *title ? " " : "", title);
    return FG_TEXT_REMOVE;
}

/* Gives a camera or view its number: that of its name, or the next. All without a name are the same one. */
static int32_t number_name(struct fg_sections *sections, uint32_t section, const char *title, int32_t line) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const struct fg_config_section *kind = &FG_CONFIG_SECTIONS[section];
    uint32_t i = 0;
    for (; i < sections->count[section]; i++)
        if (strcmp(find_name(sections, section, i), title) == 0)
            return (int32_t)i;
    if (title[strspn(title, allowed)] || strlen(title) >= FG_CONFIG_NAME) {
        fg_report_add(sections->report, "%s:%d: %s %.40s: a name has at most %d letters, digits, - and _",
                      sections->config->path, (int)line, kind->name, title, FG_CONFIG_NAME - 1);
        return FG_TEXT_REMOVE;
    }
    if (i == kind->most) {
        fg_report_add(sections->report, "%s:%d: %s %s: there may be at most %u", sections->config->path,
                      (int)line, kind->name, title, kind->most);
        return FG_TEXT_REMOVE;
    }
    memcpy(find_name(sections, section, i), title, strlen(title) + 1);
    sections->count[section]++;
    return (int32_t)i;
}

static int32_t number_section(void *argument, const struct fg_text_section *text) {
    struct fg_sections *sections = argument;
    uint32_t section = 0;
    for (; section < FG_CONFIG_SECTION_COUNT; section++) {
        const struct fg_config_section *kind = &FG_CONFIG_SECTIONS[section];
        if (kind->most > 1 && strlen(kind->name) == text->name_length &&
            memcmp(kind->name, text->name, text->name_length) == 0)
            break;
    }
    if (section == FG_CONFIG_SECTION_COUNT)
        return FG_TEXT_AS_IT_IS;
    char title[64];
    snprintf(title, sizeof title, "%.*s", (int)text->title_length, text->title);
    const int32_t i = is_named(section) ? number_name(sections, section, title, text->line)
                                        : number_io(sections, title, text->line);
    if (i < 0)
        return i;
    int32_t *line = &sections->line[section][i];
    if (*line && *title) {
        fg_report_add(sections->report, "%s:%d: %s %s is given twice, first in line %d",
                      sections->config->path, (int)text->line, FG_CONFIG_SECTIONS[section].name, title,
                      (int)*line);
        return FG_TEXT_REMOVE;
    }
    *line = text->line;
    return i;
}

/* Reports cameras, or views, without a name where there are several. */
static void check_names(const struct fg_sections *sections, uint32_t section) {
    for (uint32_t i = 0; i < sections->count[section] && sections->count[section] > 1; i++)
        if (!*find_name(sections, section, i))
            fg_report_add(sections->report, "%s:%d: %s has no name: where there are several, each needs one",
                          sections->config->path, (int)sections->line[section][i],
                          FG_CONFIG_SECTIONS[section].name);
}

char *fg_sections_open(struct fg_sections *sections, const char *text) {
    char *numbered = fg_text_number(text, number_section, sections);
    for (uint32_t section = 0; section < FG_CONFIG_SECTION_COUNT; section++) {
        if (is_named(section))
            check_names(sections, section);
        if (!sections->count[section])
            sections->count[section] = 1;
    }
    sections->count[FG_SECTION_IO] = FG_CONFIG_IOS;
    sections->config->cameras = sections->count[FG_SECTION_CAMERA];
    sections->config->views = sections->count[FG_SECTION_VIEW];
    return numbered;
}
