#include "config/config.h"

#include <confuse.h>
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "config/keys.h"

#define MOST_SECTIONS 16
#define MOST_KEYS 16 /* of one section */

static const char TITLES[FG_CONFIG_LINES][12] = {"trigger", "reject", "pass", "ready", "fault", "heartbeat"};

const char *fg_config_line_title(enum fg_config_line line) {
    return TITLES[line];
}

/* libconfuse's error function has no argument of ours: one file is read at a time. */
static struct fg_report *reading;

static void add_error(cfg_t *cfg, const char *format, va_list args) {
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    fg_report_add(reading, "%s:%d: %s", cfg && cfg->filename ? cfg->filename : "configuration",
                  cfg ? cfg->line : 0, text);
}

/* The options of one section, from the table. Keys of the top level stand beside the sections. */
static void make_option(cfg_opt_t *option, const struct fg_key *key) {
    char *name = (char *)(uintptr_t)key->name;
    char *text = (char *)(uintptr_t)key->text;
    switch (key->kind) {
    case FG_KEY_COUNT:
        *option = (cfg_opt_t)CFG_INT(name, (long)key->fallback, CFGF_NONE);
        break;
    case FG_KEY_TENTH_MS:
    case FG_KEY_FLOAT:
        *option = (cfg_opt_t)CFG_FLOAT(name, key->fallback, CFGF_NONE);
        break;
    case FG_KEY_BOOL:
        *option = (cfg_opt_t)CFG_BOOL(name, key->fallback != 0 ? cfg_true : cfg_false, CFGF_NONE);
        break;
    case FG_KEY_NAME:
    case FG_KEY_ADDRESS:
    case FG_KEY_PATH:
        *option = (cfg_opt_t)CFG_STR(name, text, CFGF_NONE);
        break;
    case FG_KEY_CHOICE:
        *option = (cfg_opt_t)CFG_STR(name, NULL, CFGF_NODEFAULT);
        break;
    case FG_KEY_PATHS:
    case FG_KEY_ADDRESSES:
        *option = (cfg_opt_t)CFG_STR_LIST(name, NULL, CFGF_NONE);
        break;
    }
}

struct schema {
    cfg_opt_t top[MOST_SECTIONS + MOST_KEYS + 1];
    cfg_opt_t section[MOST_SECTIONS][MOST_KEYS + 1];
};

static void make_schema(struct schema *schema) {
    static const cfg_opt_t end = CFG_END();
    const char *names[MOST_SECTIONS];
    size_t sections = 0, tops = 0, counts[MOST_SECTIONS] = {0};
    for (size_t i = 0; i < FG_KEY_TOTAL; i++) {
        const struct fg_key *key = &FG_KEYS[i];
        if (!*key->section) {
            make_option(&schema->top[tops++], key);
            continue;
        }
        size_t s = 0;
        while (s < sections && strcmp(names[s], key->section))
            s++;
        if (s == sections)
            names[sections++] = key->section;
        make_option(&schema->section[s][counts[s]++], key);
    }
    for (size_t s = 0; s < sections; s++) {
        char *name = (char *)(uintptr_t)names[s];
        schema->section[s][counts[s]] = end;
        const bool line = !strcmp(name, "line");
        schema->top[tops++] = (cfg_opt_t)CFG_SEC(
            name, schema->section[s], line ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE);
    }
    schema->top[tops] = end;
}

/* Where a value goes, and what its place is called in a message. */
struct place {
    struct fg_config *config;
    struct fg_report *report;
    char *at;
    char name[64];
    const char *file;
    int line;
};

static void wrong(const struct place *place, const char *what) {
    /* libconfuse knows where a section began, but not where a key of the top level stands. */
    if (place->line)
        fg_report_add(place->report, "%s:%d: %s %s", place->file, place->line, place->name, what);
    else
        fg_report_add(place->report, "%s: %s %s", place->file, place->name, what);
}

static void put_text(const struct place *place, char *to, size_t size, const char *text) {
    if (strlen(text) >= size) {
        char what[64];
        snprintf(what, sizeof what, "is longer than %zu characters", size - 1);
        wrong(place, what);
        return;
    }
    snprintf(to, size, "%s", text);
}

/* Relative to the configuration's folder. */
static void put_path(const struct place *place, char *to, const char *text) {
    char folder[FG_CONFIG_TEXT], path[2 * FG_CONFIG_TEXT];
    snprintf(folder, sizeof folder, "%s", place->config->path);
    if (*text == '/' || !*text)
        snprintf(path, sizeof path, "%s", text);
    else
        snprintf(path, sizeof path, "%s/%s", dirname(folder), text);
    put_text(place, to, FG_CONFIG_TEXT, path);
}

static void put_number(const struct place *place, const struct fg_key *key, double value) {
    if (!isfinite(value) || value < key->min || value > key->max) {
        char what[96];
        snprintf(what, sizeof what, "= %g: must be from %g to %g", value, key->min, key->max);
        wrong(place, what);
        return;
    }
    if (key->kind == FG_KEY_FLOAT)
        *(float *)(void *)place->at = (float)value;
    else
        *(uint32_t *)(void *)place->at = (uint32_t)lrint(key->kind == FG_KEY_TENTH_MS ? value * 10 : value);
}

/* The index of a word in "a|b|c"; -1 when it is none of them. */
static int32_t choice(const char *words, const char *word) {
    int32_t i = 0;
    for (const char *at = words;; i++) {
        const size_t length = strcspn(at, "|");
        if (strlen(word) == length && !memcmp(at, word, length))
            return i;
        if (!at[length])
            return -1;
        at += length + 1;
    }
}

static void put_choice(const struct place *place, const struct fg_key *key, const char *word) {
    const int32_t i = word ? choice(key->text, word) : (int32_t)key->fallback;
    if (i < 0) {
        char what[128];
        snprintf(what, sizeof what, "= \"%.40s\": must be one of %s", word, key->text);
        wrong(place, what);
        return;
    }
    /* Two bools are choices; every enum has 32 bits. */
    if (place->at == (char *)&place->config->modbus.low_first)
        *(bool *)(void *)place->at = i != 0;
    else
        *(uint32_t *)(void *)place->at = (uint32_t)i;
}

static void put_list(struct place *place, const struct fg_key *key, cfg_t *section) {
    const unsigned count = cfg_size(section, key->name);
    const size_t size = key->kind == FG_KEY_PATHS ? FG_CONFIG_TEXT : FG_CONFIG_ADDRESS;
    if (count < key->min || count > key->max) {
        char what[96];
        snprintf(what, sizeof what, "has %u entries: must have %g to %g", count, key->min, key->max);
        wrong(place, what);
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        const char *text = cfg_getnstr(section, key->name, i);
        if (key->kind == FG_KEY_PATHS)
            put_path(place, place->at + i * size, text);
        else
            put_text(place, place->at + i * size, size, text);
    }
    *(uint32_t *)(void *)((char *)place->config + key->count) = count;
}

static void put(struct place *place, const struct fg_key *key, cfg_t *section) {
    switch (key->kind) {
    case FG_KEY_COUNT:
        put_number(place, key, (double)cfg_getint(section, key->name));
        break;
    case FG_KEY_TENTH_MS:
    case FG_KEY_FLOAT:
        put_number(place, key, cfg_getfloat(section, key->name));
        break;
    case FG_KEY_BOOL:
        *(bool *)(void *)place->at = cfg_getbool(section, key->name) == cfg_true;
        break;
    case FG_KEY_NAME:
        put_text(place, place->at, FG_CONFIG_NAME, cfg_getstr(section, key->name));
        break;
    case FG_KEY_ADDRESS:
        put_text(place, place->at, FG_CONFIG_ADDRESS, cfg_getstr(section, key->name));
        break;
    case FG_KEY_PATH:
        put_path(place, place->at, cfg_getstr(section, key->name));
        break;
    case FG_KEY_CHOICE:
        put_choice(place, key, cfg_getstr(section, key->name));
        break;
    case FG_KEY_PATHS:
    case FG_KEY_ADDRESSES:
        put_list(place, key, section);
        break;
    }
}

/* All keys of one section; shift is where a titled line stands behind the first. */
static void put_section(struct fg_config *config, struct fg_report *report, cfg_t *cfg, const char *name,
                        const char *title, size_t shift) {
    for (size_t i = 0; i < FG_KEY_TOTAL; i++) {
        const struct fg_key *key = &FG_KEYS[i];
        if (strcmp(key->section, name))
            continue;
        cfg_t *section = *name && !title ? cfg_getsec(cfg, name) : cfg;
        struct place place = {.config = config,
                              .report = report,
                              .at = (char *)config + key->offset + shift,
                              .file = config->path,
                              .line = *name ? section->line : 0};
        snprintf(place.name, sizeof place.name, "%s%s%s%s%s", name, *name ? "." : "", title ? title : "",
                 title ? "." : "", key->name);
        put(&place, key, section);
    }
}

static void put_lines(struct fg_config *config, struct fg_report *report, cfg_t *cfg) {
    for (unsigned i = 0; i < cfg_size(cfg, "line"); i++) {
        cfg_t *section = cfg_getnsec(cfg, "line", i);
        const char *title = cfg_title(section);
        size_t line = 0;
        while (title && line < FG_CONFIG_LINES && strcmp(title, TITLES[line]))
            line++;
        if (title && line < FG_CONFIG_LINES)
            put_section(config, report, section, "line", title, line * sizeof config->line[0]);
        else
            fg_report_add(
                report,
                "%s:%d: section line \"%s\" is none of trigger, reject, pass, ready, fault and heartbeat",
                config->path, section->line, title ? title : "");
    }
}

/* What one key alone cannot say. */
static void check_together(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    if (!*config->camera.path)
        fg_report_add(report, "%s: camera.path is missing: the folder with the pictures", path);
    if (config->reject.delay < config->deadline_ms * 10 + config->reject.lead)
        fg_report_add(report,
                      "%s: reject.delay_ms = %g is shorter than deadline_ms + reject.lead_ms = %g: a part "
                      "could pass its "
                      "reject point before its verdict",
                      path, config->reject.delay / 10.0, config->deadline_ms + config->reject.lead / 10.0);
    if (config->threshold.min > config->threshold.max)
        fg_report_add(report, "%s: threshold.min = %g is above threshold.max = %g", path,
                      (double)config->threshold.min, (double)config->threshold.max);
    if (config->job.slot >= config->bundles && config->bundles)
        fg_report_add(report, "%s: job.slot = %u, but bundles lists only slots 0 to %u", path,
                      config->job.slot, config->bundles - 1);
    for (int a = 0; a < FG_CONFIG_LINES; a++)
        for (int b = 0; b < a; b++)
            if (*config->line[a].name && !strcmp(config->line[a].name, config->line[b].name))
                fg_report_add(report, "%s: lines %s and %s have the same name, %s", path, TITLES[b],
                              TITLES[a], config->line[a].name);
}

/* The file's text, ended by zero; NULL with a line in the report. */
static char *read_file(const char *path, size_t *size, struct fg_report *report) {
    FILE *file = fopen(path, "rb");
    char *text = malloc(FG_CONFIG_MAX_BYTES + 1);
    if (!file || !text) {
        const int error = file ? ENOMEM : errno;
        char reason[128];
        fg_report_add(report, "%s: cannot read: %s", path, strerror_r(error, reason, sizeof reason));
        goto fail;
    }
    *size = fread(text, 1, FG_CONFIG_MAX_BYTES + 1, file);
    if (ferror(file) || *size > FG_CONFIG_MAX_BYTES || memchr(text, 0, *size)) {
        fg_report_add(report, "%s: not a configuration: %s", path,
                      *size > FG_CONFIG_MAX_BYTES ? "longer than 1 MiB" : "not text");
        goto fail;
    }
    fclose(file);
    text[*size] = 0;
    return text;
fail:
    if (file)
        fclose(file);
    free(text);
    return NULL;
}

enum fg_status fg_config_read(const char *path, struct fg_config *config, struct fg_report *report) {
    memset(config, 0, sizeof *config);
    if (strlen(path) >= sizeof config->path) {
        fg_report_add(report, "%.100s...: the path is too long", path);
        return FG_ENVIRONMENT;
    }
    strcpy(config->path, path);
    size_t size;
    char *text = read_file(path, &size, report);
    if (!text)
        return FG_ENVIRONMENT;
    config->checksum = (uint32_t)crc32(0, (const unsigned char *)text, (unsigned)size);
    struct schema schema;
    make_schema(&schema);
    cfg_t *cfg = cfg_init(schema.top, CFGF_NONE);
    if (!cfg) {
        fg_report_add(report, "%s: no memory to read it", path);
        free(text);
        return FG_ENVIRONMENT;
    }
    const uint32_t before = report->lines;
    reading = report;
    cfg_set_error_function(cfg, add_error);
    cfg->filename = strdup(path); /* for messages; libconfuse frees it */
    if (cfg_parse_buf(cfg, text) == CFG_SUCCESS) {
        static const char *const sections[] = {"",          "camera", "board",  "trigger",
                                               "results",   "reject", "modbus", "job",
                                               "threshold", "lock",   "compute"};
        for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
            put_section(config, report, cfg, sections[i], NULL, 0);
        put_lines(config, report, cfg);
        check_together(config, report);
    } else if (report->lines == before) {
        fg_report_add(report, "%s: cannot be read", path);
    }
    cfg_free(cfg);
    free(text);
    return report->lines == before ? FG_OK : FG_INPUT;
}
