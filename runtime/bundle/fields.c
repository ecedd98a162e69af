/* Encodes and decodes the fields of a bundle's header, and bounds each of them. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "runtime/base/bytes.h"
#include "runtime/bundle/file.h"

struct field {
    const char *name;
    size_t offset, size; /* where the value is in struct fg_bundle_header, and its bytes there */
    uint32_t largest;
    uint16_t id;
    uint8_t type, flags;
};

#define FIELD(number, kind, bits, member, most)                                                              \
    {.name = #member,                                                                                        \
     .offset = offsetof(struct fg_bundle_header, member),                                                    \
     .size = sizeof(((struct fg_bundle_header *)NULL)->member),                                              \
     .largest = (most),                                                                                      \
     .id = (number),                                                                                         \
     .type = FG_BUNDLE_##kind,                                                                               \
     .flags = (bits)},

static const struct field FIELDS[] = {FG_BUNDLE_FIELDS(FIELD)};

static_assert(FG_BACKBONES > 1, "a largest value of 0 would let any backbone in");
static_assert(FG_RESNET18 == 0 && FG_RESNET34 == 1 && FG_RESNET50 == 2 && FG_WIDE_RESNET50_2 == 3,
              "bundles that exist hold these numbers");

#define COUNT (sizeof FIELDS / sizeof *FIELDS)

/* Encodes one value; returns its length. */
static size_t encode_value(const struct field *field, const struct fg_bundle_header *header,
                           unsigned char *bytes) {
    const unsigned char *member = (const unsigned char *)header + field->offset;
    uint32_t u32;
    uint64_t u64;
    switch (field->type) {
    case FG_BUNDLE_U64:
        memcpy(&u64, member, sizeof u64);
        fg_put_u64(bytes, u64);
        return 8;
    case FG_BUNDLE_SWITCH:
        fg_put_u32(bytes, *(const bool *)(const void *)member);
        return 4;
    case FG_BUNDLE_TEXT: {
        const size_t length = strnlen((const char *)member, field->size - 1);
        memcpy(bytes, member, length);
        return length;
    }
    case FG_BUNDLE_BYTES:
        memcpy(bytes, member, field->size);
        return field->size;
    default: /* u32, f32 */
        memcpy(&u32, member, sizeof u32);
        fg_put_u32(bytes, u32);
        return 4;
    }
}

static enum fg_status decode_value(const struct field *field, const unsigned char *bytes, size_t length,
                                   struct fg_bundle_header *header, struct fg_message *message) {
    unsigned char *member = (unsigned char *)header + field->offset;
    const bool text = field->type == FG_BUNDLE_TEXT;
    const size_t expected = field->type == FG_BUNDLE_SWITCH ? 4 : field->size;
    if (text ? length >= field->size : length != expected)
        return fg_fail(message, FG_INPUT, "field %s: %zu bytes, but %s %zu", field->name, length,
                       text ? "it must be below" : "it has", expected);
    if (field->type == FG_BUNDLE_U64) {
        const uint64_t value = fg_get_u64(bytes);
        memcpy(member, &value, sizeof value);
    } else if (field->type == FG_BUNDLE_TEXT) {
        for (size_t i = 0; i < length; i++)
            if (bytes[i] < 0x20 || bytes[i] > 0x7e)
                return fg_fail(message, FG_INPUT, "field %s: byte %zu is not printable ASCII", field->name,
                               i);
        memcpy(member, bytes, length);
    } else if (field->type == FG_BUNDLE_BYTES) {
        memcpy(member, bytes, length);
    } else {
        const uint32_t value = fg_get_u32(bytes);
        const uint32_t largest = field->type == FG_BUNDLE_SWITCH ? 1 : field->largest;
        if (field->type == FG_BUNDLE_F32 && !isfinite(fg_bits_float(value)))
            return fg_fail(message, FG_INPUT, "field %s: not a finite number", field->name);
        if (largest && value > largest)
            return fg_fail(message, FG_INPUT, "field %s: %u, but at most %u is possible", field->name, value,
                           largest);
        if (field->type == FG_BUNDLE_SWITCH)
            *(bool *)(void *)member = value != 0;
        else
            memcpy(member, &value, sizeof value);
    }
    return FG_OK;
}

/* Checks the rules over more than one field. */
static enum fg_status check_header(const struct fg_bundle_header *header, struct fg_message *message) {
    const struct fg_contract *contract = &header->contract;
    if (!contract->width != !contract->height)
        return fg_fail(message, FG_INPUT, "contract of %dx%d pixels: both or none must be 0", contract->width,
                       contract->height);
    if (fg_score_is_local(header->spec.score) && !header->calibrated)
        return fg_fail(message, FG_INPUT, "score %s: a bundle that is not calibrated cannot have it",
                       fg_score_name(header->spec.score));
    if (contract->channels != 0 && contract->channels != 1 && contract->channels != 3)
        return fg_fail(message, FG_INPUT, "contract of %d channels: must be 0, 1 or 3", contract->channels);
    return FG_OK;
}

/* Gives the index behind fields that come before id and may be absent, as in a bundle of an older program. */
static size_t skip_optional(size_t next, uint32_t id) {
    while (next < COUNT && FIELDS[next].id < id && !(FIELDS[next].flags & FG_BUNDLE_MUST))
        next++;
    return next;
}

enum fg_status fg_bundle_fields_read(const unsigned char *bytes, size_t size, struct fg_bundle_header *header,
                                     struct fg_message *message) {
    memset(header, 0, sizeof *header);
    size_t next = 0; /* index in FIELDS: the field that comes next, but for unknown ones */
    uint32_t last = 0;
    for (size_t at = 0; at < size;) {
        if (size - at < FG_BUNDLE_FIELD)
            return fg_fail(message, FG_INPUT, "the fields end inside one");
        const uint32_t id = fg_get_u16(bytes + at), length = fg_get_u32(bytes + at + 4);
        const uint8_t type = bytes[at + 2], flags = bytes[at + 3];
        at += FG_BUNDLE_FIELD;
        if (length > size - at)
            return fg_fail(message, FG_INPUT, "field %u: its length %u is beyond the fields' end", id,
                           length);
        if (id <= last)
            return fg_fail(message, FG_INPUT, "field %u stands behind field %u: must be ascending, each once",
                           id, last);
        if (flags & ~FG_BUNDLE_MUST)
            return fg_fail(message, FG_INPUT, "field %u: unknown flags %u", id, flags);
        last = id;
        next = skip_optional(next, id);
        if (next < COUNT && id == FIELDS[next].id) {
            const struct field *field = &FIELDS[next++];
            if (type != field->type)
                return fg_fail(message, FG_INPUT, "field %s: type %u, but it is of type %u", field->name,
                               type, field->type);
            enum fg_status status = decode_value(field, bytes + at, length, header, message);
            if (status != FG_OK)
                return status;
        } else if (next < COUNT && id > FIELDS[next].id) {
            break;
        } else if (flags & FG_BUNDLE_MUST) {
            return fg_fail(message, FG_INPUT,
                           "field %u must be understood, but this version does not know it; update flawgate",
                           id);
        }
        at += length;
    }
    next = skip_optional(next, UINT32_MAX);
    if (next < COUNT)
        return fg_fail(message, FG_INPUT, "field %s is missing", FIELDS[next].name);
    return check_header(header, message);
}

/* Gives the flags that a field has in a file with this value, a u32 where they depend on it. */
static uint8_t find_flags(const struct field *field, const unsigned char *value) {
    return field->flags == FG_BUNDLE_MUST_UNLESS_0 ? (fg_get_u32(value) ? FG_BUNDLE_MUST : 0) : field->flags;
}

enum fg_status fg_bundle_fields_write(const struct fg_bundle_header *header, unsigned char *bytes,
                                      size_t *size, struct fg_message *message) {
    size_t at = 0;
    for (size_t i = 0; i < COUNT; i++) {
        const size_t length = encode_value(&FIELDS[i], header, bytes + at + FG_BUNDLE_FIELD);
        fg_put_u16(bytes + at, FIELDS[i].id);
        bytes[at + 2] = FIELDS[i].type;
        bytes[at + 3] = find_flags(&FIELDS[i], bytes + at + FG_BUNDLE_FIELD);
        fg_put_u32(bytes + at + 4, (uint32_t)length);
        at += FG_BUNDLE_FIELD + length;
    }
    *size = at;
    /* The reader's rules are the only ones: what it would refuse is not written. */
    struct fg_bundle_header copy;
    return fg_bundle_fields_read(bytes, at, &copy, message) == FG_OK ? FG_OK : FG_USAGE;
}
