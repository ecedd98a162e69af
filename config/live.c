/* Compares and copies values by the tables of keys. */
#include "config/live.h"

#include <stdio.h>
#include <string.h>

#include "config/keys.h"

#define KEY_SIZE 128 /* of "view NAME.KEY" */

/* Each is read anew whenever it is needed, or has its copies renewed when it is adopted. Rules between keys
 * (check.c) hold for the mixture too: keys of one rule are all here or none is. */
static const char *const LIVE[] = {
    "deadline_ms",
    "missed_reject",
    "plc_watchdog_ms",
    "stop_limit_ms",
    "trigger.min_interval_ms",
    "reject.delay_ms",
    "reject.pulse_ms",
    "reject.lead_ms",
    "modbus.writers",
    "results.ack_timeout_ms",
    "threshold.min",
    "threshold.max",
    "lock.code",
    "modbus.idle_timeout_ms",
};

static bool is_live(const char *key) {
    for (size_t i = 0; i < sizeof LIVE / sizeof *LIVE; i++)
        if (!strcmp(LIVE[i], key))
            return true;
    return false;
}

/* ---- One value ---- */

/* Bytes of a value that is no text and no list. */
static size_t get_size(enum fg_option_kind kind) {
    switch (kind) {
    case FG_OPTION_BOOL:
        return sizeof(bool);
    case FG_OPTION_DOUBLE:
    case FG_OPTION_SEED:
    case FG_OPTION_SIZE:
        return 8;
    case FG_OPTION_REGION:
        return 4 * sizeof(uint32_t);
    default:
        return sizeof(uint32_t);
    }
}

static bool is_list(const struct fg_option *option) {
    return option->kind == FG_OPTION_PATHS || option->kind == FG_OPTION_ADDRESSES;
}

/* Entries of a list, and 1 of any other value. */
static uint32_t count_entries(const struct fg_option *option, const char *values) {
    uint32_t count = 1;
    if (is_list(option))
        memcpy(&count, values + option->count, sizeof count);
    return count;
}

static bool is_same(const struct fg_option *option, const char *a, const char *b) {
    const uint32_t count = count_entries(option, a);
    if (!option->size) /* it is no text */
        return !memcmp(a + option->offset, b + option->offset, get_size(option->kind));
    if (count != count_entries(option, b))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const size_t at = option->offset + i * option->size;
        if (strcmp(a + at, b + at) != 0)
            return false;
    }
    return true;
}

static void copy_value(const struct fg_option *option, char *to, const char *from) {
    const size_t size = option->size ? option->size : get_size(option->kind);
    const size_t entries = is_list(option) ? (size_t)option->max : 1;
    memcpy(to + option->offset, from + option->offset, entries * size);
    if (is_list(option))
        memcpy(to + option->count, from + option->count, sizeof(uint32_t));
}

/* ---- All values ---- */

/* What is done with every key whose values differ. */
struct visit {
    struct fg_config *adopt; /* gets the live ones; NULL: they are only told */
    fg_live_function *tell;  /* NULL: nobody is told */
    void *argument;
    bool restart; /* a key differs that is not live */
};

static void tell_difference(struct visit *v, const char *key) {
    const bool live = is_live(key);
    v->restart |= !live;
    if (v->tell)
        v->tell(v->argument, key, live);
}

/* Writes how the file names a section: "camera TOP." */
static void name_section(const struct fg_config *config, uint32_t s, uint32_t i, char name[KEY_SIZE]) {
    const char *title = s == FG_SECTION_CAMERA ? config->camera[i].name
                        : s == FG_SECTION_VIEW ? config->view[i].name
                        : s == FG_SECTION_IO   ? fg_config_io_title((enum fg_config_io)i)
                                               : "";
    const char *section = FG_CONFIG_SECTIONS[s].name;
    const bool alone = !*section || (s == FG_SECTION_VIEW && !*title); /* its keys stand in no section */
    snprintf(name, KEY_SIZE, "%s%s%s%s", alone ? "" : section, *title ? " " : "", title, alone ? "" : ".");
}

static uint32_t count_sections(const struct fg_config *config, uint32_t s) {
    return s == FG_SECTION_CAMERA ? config->cameras
           : s == FG_SECTION_VIEW ? config->views
           : s == FG_SECTION_IO   ? (uint32_t)FG_CONFIG_IOS
                                  : 1;
}

/* Compares the keys of one section. The keys at the top that are view 0's are compared as the view's. */
static void visit_section(struct visit *v, const struct fg_config *config, const struct fg_config *next,
                          uint32_t s, uint32_t i) {
    const struct fg_config_section *section = &FG_CONFIG_SECTIONS[s];
    char name[KEY_SIZE], key[2 * KEY_SIZE];
    const size_t at = i * section->stride;
    name_section(next, s, i, name);
    for (size_t k = 0; k < section->keys.count; k++) {
        const struct fg_option *option = &section->keys.option[k];
        if ((s == FG_SECTION_TOP && is_list(option)) ||
            is_same(option, (const char *)config + at, (const char *)next + at))
            continue;
        snprintf(key, sizeof key, "%s%s", name, option->name);
        tell_difference(v, key);
        if (v->adopt && is_live(key))
            copy_value(option, (char *)v->adopt + at, (const char *)next + at);
    }
}

/* Compares what stands in no table: titles, and what drivers' keys filled. */
static void visit_rest(struct visit *v, const struct fg_config *config, const struct fg_config *next) {
    bool same = config->cameras == next->cameras;
    for (uint32_t i = 0; i < next->cameras; i++) {
        const struct fg_config_camera *a = &config->camera[i], *b = &next->camera[i];
        same &= !strcmp(a->name, b->name) && a->driver == b->driver &&
                !memcmp(a->settings, b->settings, sizeof a->settings);
    }
    if (!same)
        tell_difference(v, "camera");
    same = config->views == next->views;
    for (uint32_t i = 0; i < next->views; i++)
        same &= !strcmp(config->view[i].name, next->view[i].name) &&
                config->view[i].camera == next->view[i].camera;
    if (!same)
        tell_difference(v, "view");
    if (config->board.driver != next->board.driver ||
        memcmp(config->board.settings, next->board.settings, sizeof next->board.settings) != 0)
        tell_difference(v, "board");
}

static void visit_all(struct visit *v, const struct fg_config *config, const struct fg_config *next) {
    for (uint32_t s = 0; s < FG_CONFIG_SECTION_COUNT; s++)
        for (uint32_t i = 0; i < count_sections(next, s); i++)
            visit_section(v, config, next, s, i);
    visit_rest(v, config, next);
}

void fg_live_compare(const struct fg_config *config, const struct fg_config *next, fg_live_function *tell,
                     void *argument) {
    struct visit v = {.tell = tell, .argument = argument};
    visit_all(&v, config, next);
}

void fg_live_adopt(struct fg_config *config, const struct fg_config *next) {
    struct visit v = {.adopt = config};
    visit_all(&v, config, next);
    if (!v.restart)
        config->checksum = next->checksum;
}
