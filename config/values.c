/* fg_key_put: from what is written to what is stored. */
#include <arpa/inet.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

static void wrong(const struct fg_key_place *place, const char *text, const char *what) {
    const struct fg_key *key = place->key;
    const bool line = strcmp(key->section, "line") == 0;
    fg_report_add(place->report, "%s:%d: %s%s%s%s%s = \"%.60s\": %s", place->config->path, (int)place->line,
                  key->section, *key->section ? (line ? " " : ".") : "",
                  line ? fg_config_io_title(place->line_section) : "", line ? "." : "", key->name, text,
                  what);
}

static void put_text(const struct fg_key_place *place, char *to, size_t size, const char *text) {
    char what[64];
    snprintf(what, sizeof what, "at most %zu characters are allowed", size - 1);
    if (strlen(text) < size)
        memcpy(to, text, strlen(text) + 1);
    else
        wrong(place, text, what);
}

/* Relative to the configuration's folder. */
static void put_path(const struct fg_key_place *place, char *to, const char *text) {
    char folder[FG_CONFIG_TEXT], path[2 * FG_CONFIG_TEXT];
    memcpy(folder, place->config->path, sizeof folder);
    if (*text == '/' || !*text)
        snprintf(path, sizeof path, "%s", text);
    else
        snprintf(path, sizeof path, "%s/%s", dirname(folder), text);
    put_text(place, to, FG_CONFIG_TEXT, path);
}

static void put_address(const struct fg_key_place *place, char *to, const char *text) {
    struct in6_addr address;
    if (inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1)
        put_text(place, to, FG_CONFIG_ADDRESS, text);
    else
        wrong(place, text, "must be a numeric IPv4 or IPv6 address");
}

static void put_number(const struct fg_key_place *place, void *to, const char *text) {
    const struct fg_key *key = place->key;
    char *end;
    const double value = strtod(text, &end), scale = key->kind == FG_KEY_TENTH_MS ? 10 : 1;
    const bool whole = key->kind == FG_KEY_FLOAT || fabs(value * scale - nearbyint(value * scale)) < 1e-6;
    if (end == text || *end || !(value >= key->min && value <= key->max) || !whole) {
        char what[96];
        const char *kind = key->kind == FG_KEY_COUNT      ? "a whole number"
                           : key->kind == FG_KEY_TENTH_MS ? "a multiple of 0.1"
                                                          : "a number";
        snprintf(what, sizeof what, "must be %s from %g to %g", kind, key->min, key->max);
        wrong(place, text, what);
    } else if (key->kind == FG_KEY_FLOAT) {
        *(float *)to = (float)value;
    } else {
        *(uint32_t *)to = (uint32_t)nearbyint(value * scale);
    }
}

static void put_bool(const struct fg_key_place *place, bool *to, const char *text) {
    const bool yes = strcmp(text, "true") == 0;
    if (yes || strcmp(text, "false") == 0)
        *to = yes;
    else
        wrong(place, text, "must be true or false");
}

static void put_choice(const struct fg_key_place *place, uint32_t *to, const char *text) {
    const char *word = place->key->words;
    for (uint32_t i = 0;; i++) {
        const size_t length = strcspn(word, "|");
        if (strlen(text) == length && memcmp(word, text, length) == 0) {
            *to = i;
            return;
        }
        if (!word[length])
            break;
        word += length + 1;
    }
    char what[96];
    snprintf(what, sizeof what, "must be one of %s", place->key->words);
    wrong(place, text, what);
}

void fg_key_put(const struct fg_key_place *place, const char *text, uint32_t i) {
    const struct fg_key *key = place->key;
    char *to = (char *)place->config + key->offset + place->line_section * sizeof place->config->io[0];
    switch (key->kind) {
    case FG_KEY_COUNT:
    case FG_KEY_TENTH_MS:
    case FG_KEY_FLOAT:
        put_number(place, to, text);
        break;
    case FG_KEY_BOOL:
        put_bool(place, (bool *)to, text);
        break;
    case FG_KEY_NAME:
        put_text(place, to, FG_CONFIG_NAME, text);
        break;
    case FG_KEY_ADDRESS:
        put_address(place, to, text);
        break;
    case FG_KEY_PATH:
        put_path(place, to, text);
        break;
    case FG_KEY_CHOICE:
        put_choice(place, (uint32_t *)(void *)to, text);
        break;
    case FG_KEY_PATHS:
    case FG_KEY_ADDRESSES:
        if (i >= (uint32_t)key->max) {
            wrong(place, text, "the list is full");
            break;
        }
        if (key->kind == FG_KEY_PATHS)
            put_path(place, to + i * FG_CONFIG_TEXT, text);
        else
            put_address(place, to + i * FG_CONFIG_ADDRESS, text);
        *(uint32_t *)(void *)((char *)place->config + key->count) = i + 1;
        break;
    }
}
