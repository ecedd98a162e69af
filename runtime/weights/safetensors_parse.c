/* Parses the header of a safetensors file: strict JSON of exactly the format's form. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/size.h"
#include "runtime/weights/safetensors_file.h"

#define MOST_TENSORS 8192

/* The element types, with the bytes of one element. */
static const struct {
    char name[8];
    uint64_t bytes;
} TYPES[] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I32", 4},  {"I16", 2},
    {"I8", 1},  {"U64", 8}, {"U32", 4},  {"U16", 2}, {"U8", 1},  {"BOOL", 1},
};

#define TYPE_COUNT (sizeof TYPES / sizeof *TYPES)

/* Where the parser stands. Nothing is nested deeper than the format's three levels, so there is no
 * recursion. */
struct cursor {
    const struct fg_safetensors *file;
    const char *begin, *at, *end;
    struct fg_message *message;
};

/* Fails with the byte where the parser stands. */
static enum fg_status refuse_header(const struct cursor *c, const char *what) {
    return fg_fail(c->message, FG_INPUT, "%.300s: header, byte %zu: %s", c->file->path,
                   (size_t)(c->at - c->begin), what);
}

static void skip_space(struct cursor *c) {
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
}

/* Takes one character, with space around it, if it is the next. */
static bool take_mark(struct cursor *c, char wanted) {
    skip_space(c);
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    skip_space(c);
    return true;
}

/* Takes a name: a string of printable ASCII without escapes, shorter than size. */
static enum fg_status take_name(struct cursor *c, char *name, size_t size) {
    if (!take_mark(c, '"'))
        return refuse_header(c, "a name in quotes must stand here");
    size_t length = 0;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at < 0x20 || *c->at > 0x7e || *c->at == '\\')
            return refuse_header(c, "a name may have printable ASCII only");
        if (length + 1 == size)
            return refuse_header(c, "a name is too long");
        name[length++] = *c->at;
    }
    name[length] = 0;
    return take_mark(c, '"') ? FG_OK : refuse_header(c, "a name does not end");
}

/* Skips any JSON string. */
static enum fg_status skip_text(struct cursor *c) {
    if (!take_mark(c, '"'))
        return refuse_header(c, "a text in quotes must stand here");
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if ((unsigned char)*c->at < 0x20)
            return refuse_header(c, "a control character in a text");
        if (*c->at != '\\')
            continue;
        c->at++;
        if (c->at == c->end || !strchr("\"\\/bfnrtu", *c->at) || !*c->at)
            return refuse_header(c, "an unknown escape in a text");
        if (*c->at != 'u')
            continue;
        for (int i = 0; i < 4; i++)
            if (++c->at >= c->end || !strchr("0123456789abcdefABCDEF", *c->at) || !*c->at)
                return refuse_header(c, "an escape in a text has not four digits");
    }
    return take_mark(c, '"') ? FG_OK : refuse_header(c, "a text does not end");
}

static enum fg_status take_number(struct cursor *c, uint64_t *value) {
    const char *first = c->at;
    *value = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*c->at - '0'), value))
            return refuse_header(c, "a number is too large");
    if (c->at == first || (*first == '0' && c->at - first > 1))
        return refuse_header(c, "a whole number must stand here");
    skip_space(c);
    return FG_OK;
}

/* Takes a list of at most room numbers. */
static enum fg_status take_numbers(struct cursor *c, uint64_t *numbers, uint32_t room, uint32_t *count) {
    *count = 0;
    if (!take_mark(c, '['))
        return refuse_header(c, "a list must stand here");
    if (take_mark(c, ']'))
        return FG_OK;
    do {
        if (*count == room)
            return refuse_header(c, "a list is too long");
        enum fg_status status = take_number(c, &numbers[(*count)++]);
        if (status != FG_OK)
            return status;
    } while (take_mark(c, ','));
    return take_mark(c, ']') ? FG_OK : refuse_header(c, "a list does not end");
}

static enum fg_status skip_metadata(struct cursor *c) {
    if (!take_mark(c, '{'))
        return refuse_header(c, "__metadata__ must be a map of texts");
    if (take_mark(c, '}'))
        return FG_OK;
    do {
        enum fg_status status = skip_text(c);
        if (status == FG_OK && !take_mark(c, ':'))
            status = refuse_header(c, "a colon must stand here");
        if (status == FG_OK)
            status = skip_text(c);
        if (status != FG_OK)
            return status;
    } while (take_mark(c, ','));
    return take_mark(c, '}') ? FG_OK : refuse_header(c, "__metadata__ does not end");
}

static enum fg_status take_type(struct cursor *c, const char **type) {
    char name[16];
    enum fg_status status = take_name(c, name, sizeof name);
    for (size_t i = 0; i < TYPE_COUNT && status == FG_OK; i++)
        if (!strcmp(name, TYPES[i].name)) {
            *type = TYPES[i].name;
            return FG_OK;
        }
    return status == FG_OK ? refuse_header(c, "an unknown element type") : status;
}

/* Says whether there are as many bytes between the offsets as type and shape need. */
static bool has_right_size(const struct fg_safetensors_tensor *t) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (t->type == TYPES[i].name)
            bytes = TYPES[i].bytes;
    for (uint32_t i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, t->shape[i], &bytes))
            return false;
    return bytes == t->bytes;
}

/* Takes {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}: each key once, in any order. */
static enum fg_status take_tensor(struct cursor *c, struct fg_safetensors_tensor *t) {
    enum { TYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };
    uint64_t offsets[2] = {0, 0};
    uint32_t count, seen = 0;
    if (!take_mark(c, '{'))
        return refuse_header(c, "a tensor's map must stand here");
    do {
        char key[16];
        enum fg_status status = take_name(c, key, sizeof key);
        if (status == FG_OK && !take_mark(c, ':'))
            status = refuse_header(c, "a colon must stand here");
        if (status != FG_OK)
            return status;
        const uint32_t bit = !strcmp(key, "dtype")          ? TYPE
                             : !strcmp(key, "shape")        ? SHAPE
                             : !strcmp(key, "data_offsets") ? OFFSETS
                                                            : 0;
        if (!bit || seen & bit)
            return refuse_header(c, "a tensor has dtype, shape and data_offsets, each once");
        seen |= bit;
        if (bit == TYPE) {
            status = take_type(c, &t->type);
        } else if (bit == SHAPE) {
            status = take_numbers(c, t->shape, FG_SAFETENSORS_RANK, &t->rank);
        } else {
            status = take_numbers(c, offsets, 2, &count);
            if (status == FG_OK && (count != 2 || offsets[0] > offsets[1]))
                status = refuse_header(c, "data_offsets must be begin and end");
        }
        if (status != FG_OK)
            return status;
    } while (take_mark(c, ','));
    if (!take_mark(c, '}') || seen != ALL)
        return refuse_header(c, "a tensor has dtype, shape and data_offsets, each once");
    t->offset = offsets[0];
    t->bytes = offsets[1] - offsets[0];
    return has_right_size(t) ? FG_OK : refuse_header(c, "a tensor's offsets do not fit its type and shape");
}

/* Adds an empty tensor to the list; gives NULL, with a message and a status, when there is no room. */
static struct fg_safetensors_tensor *add_tensor(struct fg_safetensors *file, const struct cursor *c,
                                                enum fg_status *status) {
    if (file->tensors == MOST_TENSORS) {
        *status = refuse_header(c, "too many tensors");
        return NULL;
    }
    if ((file->tensors & (file->tensors - 1)) == 0) { /* full at each power of two */
        const size_t room = file->tensors ? 2 * (size_t)file->tensors : 1;
        struct fg_safetensors_tensor *list = realloc(file->tensor, room * sizeof *list);
        if (!list) {
            *status = fg_fail(c->message, FG_ENVIRONMENT, "%.300s: no memory for its header", file->path);
            return NULL;
        }
        file->tensor = list;
    }
    struct fg_safetensors_tensor *place = &file->tensor[file->tensors++];
    memset(place, 0, sizeof *place);
    return place;
}

/* Takes one entry of the header: a tensor or the metadata, of which there is at most one. */
static enum fg_status take_member(struct fg_safetensors *file, struct cursor *c, bool *metadata) {
    char name[FG_SAFETENSORS_NAME];
    enum fg_status status = take_name(c, name, sizeof name);
    if (status == FG_OK && !take_mark(c, ':'))
        status = refuse_header(c, "a colon must stand here");
    if (status != FG_OK)
        return status;
    if (!strcmp(name, "__metadata__")) {
        if (*metadata)
            return refuse_header(c, "__metadata__ is there twice");
        *metadata = true;
        return skip_metadata(c);
    }
    struct fg_safetensors_tensor *t = add_tensor(file, c, &status);
    if (!t)
        return status;
    memcpy(t->name, name, sizeof name);
    return take_tensor(c, t);
}

enum fg_status fg_safetensors_parse(struct fg_safetensors *file, const char *header, size_t size,
                                    struct fg_message *message) {
    struct cursor c = {.file = file, .begin = header, .at = header, .end = header + size, .message = message};
    bool metadata = false;
    if (!take_mark(&c, '{'))
        return refuse_header(&c, "a safetensors header begins with {");
    if (!take_mark(&c, '}')) {
        do {
            enum fg_status status = take_member(file, &c, &metadata);
            if (status != FG_OK)
                return status;
        } while (take_mark(&c, ','));
        if (!take_mark(&c, '}'))
            return refuse_header(&c, "the header does not end");
    }
    return c.at == c.end ? FG_OK : refuse_header(&c, "something stands behind the header's end");
}
