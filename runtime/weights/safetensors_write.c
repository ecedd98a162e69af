/* Writes a network's parameters as a safetensors file, through one buffer. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/bytes.h"
#include "runtime/base/file.h"
#include "runtime/base/half.h"
#include "runtime/weights/safetensors_file.h"

#define CHUNK_BYTES ((size_t)64 * 1024)
#define MOST_MEMBER_BYTES 256 /* the header's bytes for one tensor: a name, four extents, two offsets */

/* One tensor to write. */
struct item {
    const struct fg_param *param;
    const char *name;
    const float *values; /* NULL when folding has taken it up */
    bool half;           /* written in float16, else in float32 */
};

/* A file that is written. */
struct output {
    struct fg_file file;
    struct item item[FG_NETWORK_PARAMS];
    uint32_t items;
    char header[FG_NETWORK_PARAMS * MOST_MEMBER_BYTES + 64];
    size_t header_size;
    unsigned char chunk[CHUNK_BYTES];
    size_t used;
    struct fg_message *message;
};

static size_t get_item_bytes(const struct item *item) {
    const struct fg_tensor t = fg_param_tensor(item->param);
    return fg_tensor_count(&t) * (item->half ? 2 : 4);
}

/* Gives the value of a folded batch norm's parameter: with eps 1e-5 such a batch norm changes nothing. */
static float get_folded_value(enum fg_param_kind kind) {
    switch (kind) {
    case FG_PARAM_BN_WEIGHT:
        return 1;
    case FG_PARAM_BN_VAR:
        return (float)(1 - 1e-5);
    default:
        assert(kind == FG_PARAM_BN_MEAN);
        return 0;
    }
}

/* Makes the JSON header, filled up with spaces so that the data begins at a multiple of 8. */
static void make_header(struct output *o) {
    const size_t size = sizeof o->header;
    size_t used = (size_t)snprintf(o->header, size, "{\"__metadata__\":{\"format\":\"pt\"}"), offset = 0;
    for (uint32_t i = 0; i < o->items; i++) {
        const struct item *item = &o->item[i];
        used += (size_t)snprintf(o->header + used, size - used, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                                 item->name, item->half ? "F16" : "F32");
        for (uint32_t k = 0; k < item->param->rank; k++)
            used +=
                (size_t)snprintf(o->header + used, size - used, "%s%d", k ? "," : "", item->param->shape[k]);
        used += (size_t)snprintf(o->header + used, size - used, "],\"data_offsets\":[%zu,%zu]}", offset,
                                 offset + get_item_bytes(item));
        offset += get_item_bytes(item);
    }
    o->header[used++] = '}';
    while (used % 8)
        o->header[used++] = ' ';
    assert(used < size);
    o->header_size = used;
}

static enum fg_status flush_chunk(struct output *o) {
    enum fg_status status = fg_file_write(&o->file, o->chunk, o->used, o->message);
    o->used = 0;
    return status;
}

static enum fg_status put_value(struct output *o, float value, bool half) {
    if (half)
        fg_put_u16(o->chunk + o->used, fg_float_to_half(value));
    else
        fg_put_u32(o->chunk + o->used, fg_float_bits(value));
    o->used += half ? 2 : 4;
    return o->used + 4 > CHUNK_BYTES ? flush_chunk(o) : FG_OK;
}

/* Puts the values in the stored order: channels before the window's positions. */
static enum fg_status put_item(struct output *o, const struct item *item) {
    const struct fg_tensor t = fg_param_tensor(item->param);
    const size_t rows = (size_t)t.n, channels = (size_t)t.c, window = (size_t)t.h * (size_t)t.w;
    const float folded = item->values ? 0 : get_folded_value(item->param->kind);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < window; p++) {
                enum fg_status status = put_value(
                    o, item->values ? item->values[(r * window + p) * channels + c] : folded, item->half);
                if (status != FG_OK)
                    return status;
            }
    return FG_OK;
}

static enum fg_status write_items(struct output *o, const char *path) {
    make_header(o);
    unsigned char length[8];
    fg_put_u64(length, o->header_size);
    enum fg_status status = fg_file_create(&o->file, path, o->message);
    if (status == FG_OK)
        status = fg_file_write(&o->file, length, sizeof length, o->message);
    if (status == FG_OK)
        status = fg_file_write(&o->file, o->header, o->header_size, o->message);
    for (uint32_t i = 0; i < o->items && status == FG_OK; i++)
        status = put_item(o, &o->item[i]);
    if (status == FG_OK)
        status = flush_chunk(o);
    if (status == FG_OK)
        return fg_file_commit(&o->file, o->message);
    fg_file_abandon(&o->file);
    return status;
}

enum fg_status fg_safetensors_write(const char *path, const struct fg_network *network,
                                    const float *const *values, struct fg_message *message) {
    struct output *o = calloc(1, sizeof *o);
    if (!o)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to write it", path);
    o->message = message;
    for (uint32_t i = 0; i < network->params; i++)
        o->item[o->items++] =
            (struct item){.param = &network->param[i], .name = network->param[i].name, .values = values[i]};
    enum fg_status status = write_items(o, path);
    free(o);
    return status;
}

enum fg_status fg_safetensors_write_teacher(const char *path, const struct fg_network *network,
                                            const float *const *values, struct fg_message *message) {
    const size_t prefix = strlen(FG_SAFETENSORS_PREFIX);
    struct output *o = calloc(1, sizeof *o);
    if (!o)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to write it", path);
    o->message = message;
    /* float32 goes first, so that each value lies at a multiple of its size. */
    for (int half = 0; half <= 1; half++)
        for (uint32_t i = 0; i < network->params; i++) {
            const struct fg_param *param = &network->param[i];
            const struct fg_tensor t = fg_param_tensor(param);
            if (strncmp(param->name, FG_SAFETENSORS_PREFIX, prefix) != 0 ||
                fg_half_holds(values[i], fg_tensor_count(&t)) != half)
                continue;
            o->item[o->items++] = (struct item){
                .param = param, .name = param->name + prefix, .values = values[i], .half = half};
        }
    enum fg_status status = write_items(o, path);
    free(o);
    return status;
}
