/* Strings and numbers of JSON. */
#include "runtime/base/json.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Gives the length of the UTF-8 sequence that text begins with. It is 0 where there is no valid one: a stray
 * or missing byte, a longer form than needed, a surrogate, or a number above U+10FFFF. Text ends with a 0,
 * which ends a sequence too. */
static size_t measure_sequence(const unsigned char *text) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* the least number for each length */
    const unsigned char first = *text;
    if (first < 0x80)
        return 1;
    const size_t length = first >= 0xc2 && first < 0xe0   ? 2
                          : first >= 0xe0 && first < 0xf0 ? 3
                          : first >= 0xf0 && first < 0xf5 ? 4
                                                          : 0;
    uint32_t number = first & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        number = number << 6 | (text[i] & 0x3fu);
    }
    const bool surrogate = number >= 0xd800 && number < 0xe000;
    return length && number >= least[length] && number <= 0x10ffff && !surrogate ? length : 0;
}

void fg_json_text(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        const size_t length = measure_sequence(at);
        if (!length)
            fputs("\xef\xbf\xbd", out); /* U+FFFD */
        else if (*at == '"' || *at == '\\')
            fprintf(out, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(out, "\\u%04x", *at);
        else
            fwrite(at, 1, length, out);
        at += length ? length : 1;
    }
    fputc('"', out);
}

void fg_json_number(FILE *out, double value) {
    if (isfinite(value))
        fprintf(out, "%.9g", value);
    else
        fputs("null", out);
}
