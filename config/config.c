/* Reads the configuration: sections get numbers, libconfuse finds keys and values, the tables say what they
 * mean.
 *
 * libconfuse reads the text several times. What it refuses is told, set aside, and the rest is read again, so
 * that all errors are told; these readings find the drivers too. Only the last reading stores values, because
 * a driver may stand behind its keys. */
#include "config/config.h"

#include <confuse.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "config/check.h"
#include "config/sections.h"
#include "config/text.h"

#define MOST_KEYS 64      /* keys of one section, with those of all drivers */
#define MOST_READINGS 100 /* readings of a text: one more than the errors of syntax that are told */

/* What was written for one key of one section. */
struct given {
    int32_t line;     /* where it was written; 0: nothing was */
    uint32_t entries; /* how many entries a list has so far */
    bool ended;       /* whether libconfuse has told the list's end, by a call with no new entry */
};

/* libconfuse's functions have no argument of ours: one file is read at a time. */
static struct fg_sections sections;
static struct {
    bool storing; /* whether this is the last reading */
    struct {
        cfg_opt_t top[FG_CONFIG_SECTION_COUNT + MOST_KEYS + 1];
        cfg_opt_t section[FG_CONFIG_SECTION_COUNT][MOST_KEYS + 1];
    } schema;
    /* The key of a section that is a choice among what the program or the file has; name NULL: none. */
    struct fg_option choice[FG_CONFIG_SECTION_COUNT];
    char words[FG_CONFIG_SECTION_COUNT][FG_CONFIG_DRIVERS * FG_CONFIG_NAME];
    struct given given[FG_CONFIG_SECTION_COUNT][FG_SECTIONS_TITLES][MOST_KEYS];
    int32_t stopped_line;  /* where libconfuse gave up */
    char stopped_word[64]; /* the word that its message is about */
} reading;

/* ---- The schema, from the tables ---- */

static void add_word(char *words, const char *word) {
    strcat(strcat(words, *words ? "|" : ""), word);
}

/* Says whether names, lists and settings of the drivers have room. */
static bool can_hold_drivers(void) {
    const struct fg_config_drivers *drivers = sections.drivers;
    bool fit = drivers->cameras <= FG_CONFIG_DRIVERS && drivers->boards <= FG_CONFIG_DRIVERS;
    for (uint32_t section = 0; section < FG_CONFIG_SECTION_COUNT && fit; section++) {
        uint32_t count;
        const struct fg_config_driver *driver = fg_sections_drivers(&sections, section, &count);
        for (uint32_t i = 0; i < count; i++)
            fit = fit && strlen(driver[i].name) < FG_CONFIG_NAME && driver[i].settings <= FG_CONFIG_SETTINGS;
    }
    return fit;
}

static struct fg_option make_choice(const char *name, size_t offset) {
    return (struct fg_option){.name = name, .kind = FG_OPTION_CHOICE, .offset = offset};
}

/* Makes the keys that choose: a driver among those of the program, a camera among those of the file. */
static void make_choices(void) {
    const struct fg_config *config = sections.config;
    for (uint32_t i = 0; i < sections.drivers->cameras; i++)
        add_word(reading.words[FG_SECTION_CAMERA], sections.drivers->camera[i].name);
    for (uint32_t i = 0; i < sections.drivers->boards; i++)
        add_word(reading.words[FG_SECTION_BOARD], sections.drivers->board[i].name);
    for (uint32_t i = 0; i < config->cameras; i++)
        add_word(reading.words[FG_SECTION_VIEW], config->camera[i].name);
    reading.choice[FG_SECTION_CAMERA] = make_choice("driver", offsetof(struct fg_config, camera[0].driver));
    reading.choice[FG_SECTION_BOARD] = make_choice("driver", offsetof(struct fg_config, board.driver));
    reading.choice[FG_SECTION_VIEW] = make_choice("camera", offsetof(struct fg_config, view[0].camera));
    for (uint32_t section = 0; section < FG_CONFIG_SECTION_COUNT; section++)
        reading.choice[section].words = reading.words[section];
}

static bool is_list(const struct fg_option *key) {
    return key->kind == FG_OPTION_PATHS || key->kind == FG_OPTION_ADDRESSES;
}

static int take_value(cfg_t *cfg, cfg_opt_t *option);

/* Adds a key unless the section has one of the name; libconfuse reads every value as a text. False: there is
 * no room, or the key is a list for one driver and no list for another. */
static bool add_key(cfg_opt_t *keys, size_t *count, const struct fg_option *key) {
    static const cfg_opt_t single = CFG_STR(NULL, NULL, CFGF_NODEFAULT),
                           list = CFG_STR_LIST(NULL, NULL, CFGF_NONE);
    for (size_t i = 0; i < *count; i++)
        if (strcmp(keys[i].name, key->name) == 0)
            return is_list(key) == (keys[i].flags & CFGF_LIST);
    if (*count == MOST_KEYS - 1) /* the first place in given is the driver's */
        return false;
    keys[*count] = is_list(key) ? list : single;
    keys[*count].name = key->name;
    keys[*count].validcb = take_value;
    ++*count;
    return true;
}

/* Adds every key that a section may have with any driver. */
static bool add_keys(cfg_opt_t *keys, size_t *count, uint32_t section) {
    uint32_t drivers;
    const struct fg_config_driver *driver = fg_sections_drivers(&sections, section, &drivers);
    const struct fg_options *own = &FG_CONFIG_SECTIONS[section].keys;
    bool room = !reading.choice[section].name || add_key(keys, count, &reading.choice[section]);
    for (size_t k = 0; k < own->count; k++)
        room = room && add_key(keys, count, &own->option[k]);
    for (uint32_t d = 0; d < drivers; d++) {
        room =
            room && 1 + own->count + driver[d].keys.count <= MOST_KEYS; /* every key has a place in given */
        for (size_t k = 0; k < driver[d].keys.count; k++)
            room = room && add_key(keys, count, &driver[d].keys.option[k]);
    }
    return room;
}

static bool make_schema(void) {
    static const cfg_opt_t end = CFG_END(), plain = CFG_SEC(NULL, NULL, CFGF_NONE),
                           titled = CFG_SEC(NULL, NULL, CFGF_MULTI | CFGF_TITLE);
    size_t tops = 0;
    make_choices();
    bool room = add_keys(reading.schema.top, &tops, FG_SECTION_TOP);
    for (uint32_t section = FG_SECTION_TOP + 1; section < FG_CONFIG_SECTION_COUNT; section++) {
        cfg_opt_t *option = &reading.schema.top[tops++], *keys = reading.schema.section[section];
        size_t count = 0;
        room = room && add_keys(keys, &count, section);
        keys[count] = end;
        *option = FG_CONFIG_SECTIONS[section].most > 1 ? titled : plain;
        option->name = FG_CONFIG_SECTIONS[section].name;
        option->subopts = keys;
    }
    reading.schema.top[tops] = end;
    return room;
}

/* ---- What libconfuse tells us ---- */

/* Notes where libconfuse gave up. Its messages have the name of the key in quotes. */
static void take_error(cfg_t *cfg, const char *format, va_list args) {
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    reading.stopped_line = cfg->line;
    const char *open = strchr(text, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
    if (close)
        snprintf(reading.stopped_word, sizeof reading.stopped_word, "%.*s", (int)(close - open - 1),
                 open + 1);
    if (!reading.storing)
        fg_report_add(sections.report, "%s:%d: %s", sections.config->path, cfg->line, text);
}

/* One key of one section. */
struct place {
    uint32_t section, i;
    const struct fg_option *key;
    void *values;
    uint32_t at;  /* index of the key in given */
    int32_t line; /* where the value stands */
};

/* Finds the key of a section or its driver that has this name. False: there is none. */
static bool find_key(struct place *place, const char *name) {
    const struct fg_config_section *section = &FG_CONFIG_SECTIONS[place->section];
    const struct fg_config_driver *driver = fg_sections_driver(&sections, place->section, place->i);
    const struct fg_option *choice = &reading.choice[place->section];
    place->values = fg_sections_values(&sections, place->section, place->i);
    place->at = 0;
    place->key = choice;
    if (choice->name && strcmp(choice->name, name) == 0)
        return true;
    place->key = fg_options_find(&section->keys, name, strlen(name));
    if (place->key) {
        place->at = 1 + (uint32_t)(place->key - section->keys.option);
        return true;
    }
    place->key = driver ? fg_options_find(&driver->keys, name, strlen(name)) : NULL;
    if (!place->key)
        return false;
    place->values = fg_sections_settings(&sections, place->section, place->i);
    place->at = 1 + (uint32_t)(section->keys.count + (size_t)(place->key - driver->keys.option));
    return true;
}

/* Reports a key that another driver has. libconfuse has reported all that no driver has. */
static void refuse_key(const struct place *place, const char *name) {
    uint32_t count;
    char section[FG_SECTIONS_NAME];
    const struct fg_config_driver *driver = fg_sections_drivers(&sections, place->section, &count);
    const struct fg_config_driver *own = fg_sections_driver(&sections, place->section, place->i);
    for (uint32_t d = 0; d < count && own; d++)
        if (fg_options_find(&driver[d].keys, name, strlen(name))) {
            fg_report_add(sections.report, "%s:%d: %s%s is a key of the driver %s, but driver here is %s",
                          sections.config->path, (int)place->line,
                          fg_sections_name(&sections, place->section, place->i, section), name,
                          driver[d].name, own->name);
            return;
        }
}

/* Stores a value, or reports what is wrong with it. Paths are relative to the configuration's folder. */
static void store_value(const struct place *place, const char *text) {
    char path[2 * FG_CONFIG_TEXT], folder[FG_CONFIG_TEXT], section[FG_SECTIONS_NAME];
    const bool is_path = place->key->kind == FG_OPTION_PATH || place->key->kind == FG_OPTION_PATHS;
    const char *value = text;
    if (is_path && *text && *text != '/') {
        memcpy(folder, sections.config->path, sizeof folder);
        snprintf(path, sizeof path, "%s/%s", dirname(folder), text);
        value = path;
    }
    struct fg_message message;
    if (place->key->words && !*place->key->words)
        fg_say(&message, "the file's one camera has no name");
    else if (fg_option_put(place->key, place->values, value, &message) == FG_OK)
        return;
    const size_t shown = strcspn(text, "\r\n"); /* a value must not break the report's line */
    fg_report_add(sections.report, "%s:%d: %s%s = \"%.*s\": %s", sections.config->path, (int)place->line,
                  fg_sections_name(&sections, place->section, place->i, section), place->key->name,
                  shown < 60 ? (int)shown : 60, text, message.text);
}

/* Notes a driver in the readings before the last, which look at nothing else. An unknown one is reported in
 * the last reading. */
static void note_driver(const struct place *place, const char *text) {
    uint32_t *driver = (uint32_t *)(void *)((char *)place->values + place->key->offset);
    if (fg_option_put(place->key, place->values, text, NULL) != FG_OK)
        *driver = UINT32_MAX;
}

static bool find_section(const cfg_t *cfg, struct place *place) {
    while (place->section < FG_CONFIG_SECTION_COUNT &&
           strcmp(FG_CONFIG_SECTIONS[place->section].name, strcmp(cfg->name, "root") ? cfg->name : "") != 0)
        place->section++;
    if (place->section == FG_CONFIG_SECTION_COUNT)
        return false;
    place->i = cfg->title ? (uint32_t)strtoul(cfg->title, NULL, 10) : 0;
    return place->i < sections.count[place->section];
}

/* Says whether a list of bundles stands in no section of a file that has views. */
static bool is_outside_views(const struct place *place) {
    return place->section == FG_SECTION_TOP && is_list(place->key) && sections.line[FG_SECTION_VIEW][0];
}

/* libconfuse calls it after each value, the only moment at which the value's line is known. */
static int take_value(cfg_t *cfg, cfg_opt_t *option) {
    struct place place = {.line = cfg->line};
    if (!option->nvalues || !find_section(cfg, &place))
        return 0;
    const char *text = option->values[option->nvalues - 1]->string;
    const bool found = find_key(&place, option->name);
    if (!reading.storing) {
        if (found && place.key == &reading.choice[place.section] && place.section != FG_SECTION_VIEW)
            note_driver(&place, text);
        return 0;
    }
    if (!found) {
        refuse_key(&place, option->name);
        return 0;
    }
    struct given *given = &reading.given[place.section][place.i][place.at];
    const bool list = option->flags & CFGF_LIST, first = option->nvalues == 1;
    if (list && given->entries == option->nvalues && !given->ended) {
        given->ended = true;
        return 0;
    }
    given->entries = option->nvalues;
    given->ended = false;
    const int32_t before = given->line;
    given->line = place.line;
    if (before && (!list || first))
        fg_report_add(sections.report, "%s:%d: %s is given twice, first in line %d", sections.config->path,
                      cfg->line, option->name, (int)before);
    else if (!is_outside_views(&place))
        store_value(&place, text);
    else if (first)
        fg_report_add(sections.report,
                      "%s:%d: bundles stands in no view, but there are views: each has its own",
                      sections.config->path, cfg->line);
    return 0;
}

/* ---- Readings ---- */

/* Reads the text once. False: libconfuse gave up, and reading says where. */
static bool read_once(const char *text) {
    reading.stopped_line = 0;
    reading.stopped_word[0] = 0;
    cfg_t *cfg = cfg_init(reading.schema.top, CFGF_NONE);
    if (!cfg)
        return false;
    cfg_set_error_function(cfg, take_error);
    const bool whole = cfg_parse_buf(cfg, text) == CFG_SUCCESS;
    cfg_free(cfg);
    return whole;
}

static void put_defaults(void) {
    for (uint32_t section = 0; section < FG_CONFIG_SECTION_COUNT; section++)
        for (uint32_t i = 0; i < sections.count[section]; i++) {
            const struct fg_config_driver *driver = fg_sections_driver(&sections, section, i);
            fg_options_put_defaults(&FG_CONFIG_SECTIONS[section].keys,
                                    fg_sections_values(&sections, section, i));
            if (driver)
                fg_options_put_defaults(&driver->keys, fg_sections_settings(&sections, section, i));
        }
}

/* Says whether a key without a default was not given; a text that is empty counts as missing. */
static bool is_missing(const struct fg_option *key, const struct given *given, const void *values) {
    const bool text =
        key->kind == FG_OPTION_TEXT || key->kind == FG_OPTION_PATH || key->kind == FG_OPTION_ADDRESS;
    return !key->fallback && !is_list(key) &&
           (!given->line || (text && !((const char *)values)[key->offset]));
}

/* Reports what must be given and is not: a driver's keys without a default, and a view's camera where there
 * are several. */
static void report_missing(void) {
    const struct fg_config *config = sections.config;
    char section[FG_SECTIONS_NAME];
    for (uint32_t s = FG_SECTION_CAMERA; s <= FG_SECTION_BOARD; s++)
        for (uint32_t i = 0; i < sections.count[s]; i++) {
            const struct fg_config_driver *driver = fg_sections_driver(&sections, s, i);
            const struct given *given = &reading.given[s][i][1 + FG_CONFIG_SECTIONS[s].keys.count];
            for (size_t k = 0; driver && k < driver->keys.count; k++) {
                const struct fg_option *key = &driver->keys.option[k];
                if (is_missing(key, &given[k], fg_sections_settings(&sections, s, i)))
                    fg_report_add(sections.report, "%s: %s%s is missing: %s", config->path,
                                  fg_sections_name(&sections, s, i, section), key->name, key->help);
            }
        }
    if (config->cameras > 1 && !sections.line[FG_SECTION_VIEW][0])
        fg_report_add(sections.report, "%s: there are several cameras, but no view says which one it judges",
                      config->path);
    for (uint32_t i = 0; i < config->views && config->cameras > 1; i++)
        if (sections.line[FG_SECTION_VIEW][i] && !reading.given[FG_SECTION_VIEW][i][0].line)
            fg_report_add(sections.report, "%s: %scamera is missing: there are several cameras", config->path,
                          fg_sections_name(&sections, FG_SECTION_VIEW, i, section));
}

/* Marks the sections whose driver is not known. */
static void mark_unknown_drivers(void) {
    for (uint32_t i = 0; i < sections.config->cameras; i++)
        if (!fg_sections_driver(&sections, FG_SECTION_CAMERA, i))
            sections.config->camera[i].driver = FG_CONFIG_NO_DRIVER;
    if (!fg_sections_driver(&sections, FG_SECTION_BOARD, 0))
        sections.config->board.driver = FG_CONFIG_NO_DRIVER;
}

/* Reads the text until all of its errors are told: what libconfuse refuses is set aside and the rest read
 * again. */
static void read_text(char *text) {
    struct fg_config *config = sections.config;
    const uint32_t before = sections.report->lines;
    bool whole = false;
    for (int i = 0; i < MOST_READINGS && !whole; i++) {
        whole = read_once(text);
        if (!whole && !fg_text_set_aside(text, reading.stopped_line, reading.stopped_word))
            break;
    }
    if (!whole && sections.report->lines == before)
        fg_report_add(sections.report, "%s: cannot be read", config->path);
    put_defaults();
    reading.storing = true;
    read_once(text);
    if (whole)
        report_missing();
    mark_unknown_drivers();
    for (uint32_t i = 0; i < config->views; i++)
        config->view[i].rotation *= 90;         /* until here, the index of its word */
    if (config->job.require == FG_REQUIRE_AUTO) /* with several slots the default may be the wrong job */
        config->job.require = config->view[0].bundles > 1 ? FG_REQUIRE_YES : FG_REQUIRE_NO;
    if (whole)
        fg_config_check(config, sections.report);
}

enum fg_status fg_config_read(const char *path, const struct fg_config_drivers *drivers,
                              struct fg_config *config, struct fg_report *report) {
    memset(config, 0, sizeof *config);
    config->cameras = config->views = 1;
    if (strlen(path) >= sizeof config->path) {
        fg_report_add(report, "%.100s...: the path is too long", path);
        return FG_ENVIRONMENT;
    }
    size_t size;
    char *text = fg_text_read(path, &size, report);
    if (!text)
        return FG_ENVIRONMENT;
    memcpy(config->path, path, strlen(path) + 1);
    config->checksum = (uint32_t)crc32(0, (const unsigned char *)text, (unsigned)size);
    const uint32_t before = report->lines;
    memset(&reading, 0, sizeof reading);
    sections = (struct fg_sections){.drivers = drivers, .config = config, .report = report};
    fg_text_blank_comments(text);
    char *numbered = fg_sections_open(&sections, text);
    free(text);
    if (!numbered) {
        fg_report_add(report, "%s: no memory", path);
        return FG_ENVIRONMENT;
    }
    if (!can_hold_drivers() || !make_schema()) {
        fg_report_add(report, "%s: the drivers of this program are more than a configuration can hold", path);
        free(numbered);
        return FG_ENVIRONMENT;
    }
    read_text(numbered);
    free(numbered);
    return report->lines == before ? FG_OK : FG_INPUT;
}
