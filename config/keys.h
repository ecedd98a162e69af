/* Every key of the configuration: where it stands, what it may be, and where its value goes. */
#ifndef FG_CONFIG_KEYS_H
#define FG_CONFIG_KEYS_H

#include <stddef.h>

#include "config/config.h"

enum fg_key_kind {
    FG_KEY_COUNT,     /* uint32_t */
    FG_KEY_TENTH_MS,  /* uint32_t in 0.1 ms, written in ms */
    FG_KEY_FLOAT,     /* float */
    FG_KEY_BOOL,      /* bool */
    FG_KEY_NAME,      /* char[FG_CONFIG_NAME] */
    FG_KEY_ADDRESS,   /* char[FG_CONFIG_ADDRESS], a numeric IPv4 or IPv6 address */
    FG_KEY_PATH,      /* char[FG_CONFIG_TEXT], made relative to the file's folder */
    FG_KEY_CHOICE,    /* an enum: the index of the word */
    FG_KEY_PATHS,     /* char[][FG_CONFIG_TEXT] and a count */
    FG_KEY_ADDRESSES, /* char[][FG_CONFIG_ADDRESS] and a count */
};

struct fg_key {
    const char *section; /* "" at the top; "line" has a title */
    const char *name;
    enum fg_key_kind kind;
    size_t offset;        /* in struct fg_config; of the first line's for "line" */
    const char *fallback; /* as it would be written; NULL for lists, which start empty */
    double min, max;      /* of a number; most entries of a list */
    const char *words;    /* CHOICE: "a|b" */
    size_t count;         /* lists: offset of the count */
};

extern const struct fg_key FG_KEYS[];
extern const size_t FG_KEY_TOTAL;

/* Where a value stands, for messages, and where it goes. */
struct fg_key_place {
    struct fg_config *config;
    struct fg_report *report;
    const struct fg_key *key;
    uint32_t line_section; /* enum fg_config_io, where the section is "line" */
    int32_t line;          /* in the file */
};

/* Stores a value as it was written; for a list, its entry i. What is wrong with it goes to the report. */
void fg_key_put(const struct fg_key_place *place, const char *text, uint32_t i);

#endif
