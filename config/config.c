#include "config/config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "config/keys.h"

#define MOST_SECTIONS 16
#define MOST_KEYS 16    /* of one section */
#define MOST_PASSES 100 /* over a file: one more than the errors of syntax that are told */

static const char TITLES[FG_CONFIG_IOS][12] = {"trigger", "reject", "pass", "ready", "fault", "heartbeat"};

const char *fg_config_io_title(enum fg_config_io line) {
    return TITLES[line];
}

/* One pass over the file. libconfuse's functions have no argument of ours: one file is read at a time. */
static struct {
    struct fg_config *config;
    struct fg_report *syntax;         /* of all passes: what libconfuse refuses */
    struct fg_report values;          /* of this pass: what we refuse */
    int32_t given[64][FG_CONFIG_IOS]; /* line where each key was given; 0: not yet */
    uint32_t entries[64];             /* of lists: how many have been put, */
    bool ended[64];                   /* and that its end was reported, by a call with no new entry */
    int32_t stopped_line;             /* where libconfuse gave up, and at which word */
    char stopped_word[64];
} pass;

/* ---- What libconfuse tells us ---- */

/* Its messages name the option that they are about in quotes. */
static void on_error(cfg_t *cfg, const char *format, va_list args) {
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    pass.stopped_line = cfg->line;
    const char *open = strchr(text, '\''), *close = open ? strchr(open + 1, '\'') : NULL;
    if (close)
        snprintf(pass.stopped_word, sizeof pass.stopped_word, "%.*s", (int)(close - open - 1), open + 1);
    fg_report_add(pass.syntax, "%s:%d: %s", pass.config->path, cfg->line, text);
}

static size_t find_key(const char *section, const char *name) {
    size_t i = 0;
    while (i < FG_KEY_TOTAL &&
           (strcmp(FG_KEYS[i].section, section) != 0 || strcmp(FG_KEYS[i].name, name) != 0))
        i++;
    return i;
}

static uint32_t find_title(const char *title) {
    uint32_t i = 0;
    while (i < FG_CONFIG_IOS && strcmp(TITLES[i], title) != 0)
        i++;
    return i;
}

/* Called after each value, the only moment at which its line is known. */
static int on_value(cfg_t *cfg, cfg_opt_t *option) {
    const bool top = strcmp(cfg->name, "root") == 0;
    const size_t key = find_key(top ? "" : cfg->name, option->name);
    const uint32_t line = cfg->title ? find_title(cfg->title) : 0;
    if (key == FG_KEY_TOTAL || line == FG_CONFIG_IOS || !option->nvalues)
        return 0;
    const struct fg_key_place place = {pass.config, &pass.values, &FG_KEYS[key], line, cfg->line};
    int32_t *given = &pass.given[key][line];
    const bool list = option->flags & CFGF_LIST, first = option->nvalues == 1;
    if (list && pass.entries[key] == option->nvalues && !pass.ended[key]) {
        pass.ended[key] = true;
        return 0;
    }
    pass.entries[key] = option->nvalues;
    pass.ended[key] = false;
    if (*given && (!list || first))
        fg_report_add(&pass.values, "%s:%d: %s is given twice, first in line %d", pass.config->path,
                      cfg->line, option->name, (int)*given);
    *given = cfg->line;
    fg_key_put(&place, option->values[option->nvalues - 1]->string, option->nvalues - 1);
    return 0;
}

static int on_section(cfg_t *cfg, cfg_opt_t *option) {
    const cfg_t *section = option->values[option->nvalues - 1]->section;
    if (section->title && find_title(section->title) == FG_CONFIG_IOS)
        fg_report_add(&pass.values,
                      "%s:%d: line %.40s: must be one of trigger, reject, pass, ready, fault and heartbeat",
                      pass.config->path, cfg->line, section->title);
    return 0;
}

/* ---- The schema, from the table ---- */

struct schema {
    cfg_opt_t top[MOST_SECTIONS + MOST_KEYS + 1];
    cfg_opt_t section[MOST_SECTIONS][MOST_KEYS + 1];
};

/* libconfuse reads every value as a text; what it means is ours. */
static cfg_opt_t key_option(const struct fg_key *key) {
    static const cfg_opt_t single = CFG_STR(NULL, NULL, CFGF_NODEFAULT),
                           list = CFG_STR_LIST(NULL, NULL, CFGF_NONE);
    cfg_opt_t option = key->fallback ? single : list;
    option.name = key->name;
    option.validcb = on_value;
    return option;
}

static void make_schema(struct schema *schema) {
    static const cfg_opt_t end = CFG_END(), plain = CFG_SEC(NULL, NULL, CFGF_NONE),
                           titled = CFG_SEC(NULL, NULL, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
    const char *names[MOST_SECTIONS];
    size_t sections = 0, tops = 0, counts[MOST_SECTIONS] = {0};
    for (size_t i = 0; i < FG_KEY_TOTAL; i++) {
        const struct fg_key *key = &FG_KEYS[i];
        if (!*key->section) {
            schema->top[tops++] = key_option(key);
            continue;
        }
        size_t s = 0;
        while (s < sections && strcmp(names[s], key->section) != 0)
            s++;
        if (s == sections)
            names[sections++] = key->section;
        schema->section[s][counts[s]++] = key_option(key);
    }
    for (size_t s = 0; s < sections; s++) {
        cfg_opt_t *option = &schema->top[tops++];
        *option = strcmp(names[s], "line") == 0 ? titled : plain;
        option->name = names[s];
        option->subopts = schema->section[s];
        option->validcb = on_section;
        schema->section[s][counts[s]] = end;
    }
    schema->top[tops] = end;
}

/* ---- Passes ---- */

static void put_defaults(struct fg_config *config) {
    struct fg_report none = {0};
    for (size_t i = 0; i < FG_KEY_TOTAL; i++)
        for (uint32_t line = 0; line < (strcmp(FG_KEYS[i].section, "line") ? 1 : FG_CONFIG_IOS); line++)
            if (FG_KEYS[i].fallback)
                fg_key_put(&(struct fg_key_place){config, &none, &FG_KEYS[i], line, 0}, FG_KEYS[i].fallback,
                           0);
    fg_report_free(&none);
}

/* The end of what begins at a bracket or a word: behind the matching bracket, the closing quote or the word.
 */
static char *skip_value(char *at) {
    int depth = 0;
    do {
        if (*at == '"' || *at == '\'') {
            const char quote = *at++;
            while (*at && *at != quote)
                at += *at == '\\' && at[1] ? 2 : 1;
            at += *at != 0;
        } else if (*at == '{' || *at == '}') {
            depth += *at++ == '{' ? 1 : -1;
        } else if (depth) {
            at += *at != 0;
        } else {
            at += strcspn(at, " \t\r\n{}\"'");
        }
    } while (depth > 0 && *at);
    return at;
}

/* Makes comments white space, since libconfuse counts their lines more than once. */
static void blank_comments(char *text) {
    for (char *at = text; *at;) {
        const bool word_begins = at == text || strchr(" \t\r\n={},", at[-1]);
        char *end = at;
        if (*at == '"' || *at == '\'') {
            at = skip_value(at);
            continue;
        }
        if (*at == '#' || (word_begins && at[0] == '/' && at[1] == '/')) {
            end = at + strcspn(at, "\n");
        } else if (word_begins && at[0] == '/' && at[1] == '*') {
            end = strstr(at + 2, "*/");
            end = end ? end + 2 : at + strlen(at);
        }
        at += end == at; /* no comment begins here */
        for (; at < end; at++)
            *at = *at == '\n' ? '\n' : ' ';
    }
}

static char *skip_space(char *at) {
    return at + strspn(at, " \t\r\n");
}

/* Sets aside the statement that libconfuse gave up at, so that what follows can be read: NAME = VALUE, or
 * NAME TITLE { ... }. False: it is not to be found. */
static bool set_aside(char *text) {
    char *at = text;
    for (int32_t line = 1; line < pass.stopped_line; line++) {
        at = strchr(at, '\n');
        if (!at)
            return false;
        at++;
    }
    const size_t length = strlen(pass.stopped_word), rest = strcspn(at, "\n");
    char *const line_end = at + rest;
    do {
        at = length ? strstr(at, pass.stopped_word) : NULL;
        if (!at || at >= line_end)
            return false;
        at += length;
    } while (isalnum((unsigned char)*at) || *at == '_' || *at == '-' || *at == '.');
    char *const begin = at - length;
    at = skip_space(at);
    if (*at == '=' || (*at == '+' && at[1] == '=')) {
        at = skip_value(skip_space(at + (*at == '+' ? 2 : 1)));
    } else if (*at == '{') {
        at = skip_value(at);
    } else if (*skip_space(skip_value(at)) == '{') {
        at = skip_value(skip_space(skip_value(at)));
    }
    for (char *c = begin; c < at; c++)
        *c = *c == '\n' ? '\n' : ' '; /* lines keep their numbers */
    return true;
}

/* False: libconfuse gave up, and pass says where. */
static bool read_once(const char *text, struct fg_config *config) {
    struct schema schema;
    make_schema(&schema);
    put_defaults(config);
    memset(pass.given, 0, sizeof pass.given);
    memset(pass.entries, 0, sizeof pass.entries);
    memset(pass.ended, 0, sizeof pass.ended);
    pass.stopped_line = 0;
    pass.stopped_word[0] = 0;
    fg_report_free(&pass.values);
    cfg_t *cfg = cfg_init(schema.top, CFGF_NONE);
    if (!cfg)
        return false;
    cfg_set_error_function(cfg, on_error);
    const bool whole = cfg_parse_buf(cfg, text) == CFG_SUCCESS;
    cfg_free(cfg);
    return whole;
}

/* ---- What one key alone cannot say ---- */

static void check_lines(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    for (int a = 0; a < FG_CONFIG_IOS; a++)
        for (int b = 0; b < a; b++)
            if (*config->io[a].name && strcmp(config->io[a].name, config->io[b].name) == 0)
                fg_report_add(report, "%s: lines %s and %s have the same name, %s", path, TITLES[b],
                              TITLES[a], config->io[a].name);
    /* A released line is the safe state (line.md section 3), so polarity and fail_safe say the same. */
    const bool named = *config->io[FG_IO_REJECT].name, low = config->io[FG_IO_REJECT].active_low;
    if (config->fail_safe == FG_REJECT_ALL && !(named && low))
        fg_report_add(
            report,
            "%s: fail_safe = reject-all needs line reject with active_low = true: released, it rejects",
            path);
    if (config->fail_safe == FG_STOP_LINE && named && low)
        fg_report_add(
            report,
            "%s: line reject is active_low, so it rejects when released: that is fail_safe = reject-all",
            path);
    if (config->io[FG_IO_READY].active_low)
        fg_report_add(report, "%s: line ready is active_low: a dead appliance would be ready", path);
    if (config->io[FG_IO_PASS].active_low)
        fg_report_add(report, "%s: line pass is active_low: a dead appliance would pass every part", path);
}

static void check_together(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    if (!config->view[0].bundles)
        fg_report_add(report, "%s: bundles is missing: the list of slots", path);
    if (!*config->camera[0].path)
        fg_report_add(report, "%s: camera.path is missing: the folder with the pictures", path);
    if (config->reject.delay < config->deadline_ms * 10 + config->reject.lead)
        fg_report_add(
            report,
            "%s: reject.delay_ms = %g is shorter than deadline_ms + reject.lead_ms = %g: a part could "
            "pass its reject point before its verdict",
            path, config->reject.delay / 10.0, config->deadline_ms + config->reject.lead / 10.0);
    if (config->threshold.min > config->threshold.max)
        fg_report_add(report, "%s: threshold.min = %g is above threshold.max = %g", path,
                      (double)config->threshold.min, (double)config->threshold.max);
    if (config->view[0].bundles && config->job.slot >= config->view[0].bundles)
        fg_report_add(report, "%s: job.slot = %u, but bundles has only slots 0 to %u", path, config->job.slot,
                      config->view[0].bundles - 1);
    check_lines(config, report);
}

/* ---- The file ---- */

/* The file's text, ended by zero; NULL with a line in the report. */
static char *read_file(const char *path, size_t *size, struct fg_report *report) {
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(FG_CONFIG_MAX_BYTES + 1) : NULL;
    if (!text) {
        char reason[128];
        fg_report_add(report, "%s: cannot read: %s", path, strerror_r(errno, reason, sizeof reason));
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
    config->cameras = config->views = config->trigger.queue = 1;
    if (strlen(path) >= sizeof config->path) {
        fg_report_add(report, "%.100s...: the path is too long", path);
        return FG_ENVIRONMENT;
    }
    size_t size;
    char *text = read_file(path, &size, report);
    if (!text)
        return FG_ENVIRONMENT;
    memcpy(config->path, path, strlen(path) + 1);
    const uint32_t checksum = (uint32_t)crc32(0, (const unsigned char *)text, (unsigned)size);
    const uint32_t before = report->lines;
    pass.config = config;
    pass.syntax = report;
    blank_comments(text);
    /* What libconfuse refuses is told, set aside, and the rest is read again: all errors, not the first. */
    bool whole = false;
    for (int i = 0; i < MOST_PASSES && !whole; i++) {
        memset(config->view[0].bundle, 0, sizeof config->view[0].bundle);
        config->view[0].bundles = config->modbus.writers = 0;
        whole = read_once(text, config);
        if (!whole && !set_aside(text))
            break;
    }
    free(text);
    if (pass.values.text)
        for (char *line = strtok(pass.values.text, "\n"); line; line = strtok(NULL, "\n"))
            fg_report_add(report, "%s", line);
    fg_report_free(&pass.values);
    if (whole)
        check_together(config, report);
    else if (report->lines == before)
        fg_report_add(report, "%s: cannot be read", path);
    config->checksum = checksum;
    return report->lines == before ? FG_OK : FG_INPUT;
}
