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
    FG_KEY_ADDRESS,   /* char[FG_CONFIG_ADDRESS] */
    FG_KEY_PATH,      /* char[FG_CONFIG_TEXT], made relative to the file's folder */
    FG_KEY_CHOICE,    /* an enum, or a bool: the index of the word */
    FG_KEY_PATHS,     /* char[][FG_CONFIG_TEXT] and a count */
    FG_KEY_ADDRESSES, /* char[][FG_CONFIG_ADDRESS] and a count */
};

struct fg_key {
    const char *section; /* "" at the top; "line" has a title */
    const char *name;
    enum fg_key_kind kind;
    size_t offset; /* in struct fg_config; of the first line's for "line" */
    size_t count;  /* PATHS, ADDRESSES: offset of the count */
    double fallback, min, max;
    const char *text; /* default text; CHOICE: the words, "a|b", of which fallback is the default's index */
};

extern const struct fg_key FG_KEYS[];
extern const size_t FG_KEY_TOTAL;

#endif
