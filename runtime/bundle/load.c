/* Inflates a bundle's streams block by block, each checked by its hash first, without taking memory. */
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/base/bytes.h"
#include "runtime/base/clock.h"
#include "runtime/base/half.h"
#include "runtime/bundle/file.h"

/* The scratch of one load holds what inflate asks for (about 7 KiB of state and a window of 32), a chunk of
 * the stream as stored, one block still shuffled, and one block of values. */
#define INFLATE_BYTES ((size_t)64 * 1024)
#define CHUNK_BYTES ((size_t)64 * 1024)
#define BLOCK_BYTES (FG_BUNDLE_BLOCK * sizeof(float))

struct loader {
    const struct fg_bundle *bundle;
    const struct fg_bundle_tensor *tensor;
    const char *name;
    struct fg_message *message;
    const struct fg_bundle_sink *sink;
    size_t each, channels; /* of int8 weights: each values of a channel follow one another, then the next's */
    unsigned char *pool, *chunk, *block;
    void *values;
    size_t pool_used;
    uint64_t read; /* bytes of the stream that have been read */
    z_stream z;
};

size_t fg_bundle_scratch(void) {
    return INFLATE_BYTES + CHUNK_BYTES + 2 * BLOCK_BYTES;
}

static void *take_from_pool(void *argument, unsigned items, unsigned size) {
    struct loader *l = argument;
    const size_t bytes = ((size_t)items * size + 63) & ~(size_t)63;
    if (bytes > INFLATE_BYTES - l->pool_used)
        return NULL;
    void *piece = l->pool + l->pool_used;
    l->pool_used += bytes;
    return piece;
}

static void leave_in_pool(void *argument, void *piece) {
    (void)argument;
    (void)piece;
}

static enum fg_status fail_damaged(const struct loader *l, const char *what) {
    return fg_fail(l->message, FG_INPUT, "%.250s: %s is damaged: %s; copy the bundle again", l->bundle->path,
                   l->name, what);
}

/* Reads the next piece of the stream into chunk; *size is 0 at the stream's end. */
static enum fg_status read_chunk(struct loader *l, size_t *size) {
    const uint64_t left = l->tensor->stored - l->read;
    *size = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
    enum fg_status status =
        fg_bundle_read(l->bundle, l->tensor->offset + l->read, l->chunk, *size, l->message);
    l->read += *size;
    return status;
}

/* Hashes the whole stream before anything of it is decoded. */
static enum fg_status check_hash(struct loader *l) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    size_t size;
    do {
        enum fg_status status = read_chunk(l, &size);
        if (status != FG_OK)
            return status;
        crypto_generichash_update(&state, l->chunk, size);
    } while (size);
    l->read = 0;
    uint8_t hash[FG_HASH_SIZE];
    crypto_generichash_final(&state, hash, sizeof hash);
    return memcmp(hash, l->tensor->hash, sizeof hash) != 0 ? fail_damaged(l, "its checksum does not match")
                                                           : FG_OK;
}

/* Inflates exactly size bytes into block; size 0: checks that the stream ends here. */
static enum fg_status inflate_block(struct loader *l, size_t size) {
    l->z.next_out = l->block;
    l->z.avail_out = size ? (uInt)size : 1;
    for (;;) {
        if (l->z.avail_in == 0 && l->read < l->tensor->stored) {
            size_t count;
            enum fg_status status = read_chunk(l, &count);
            if (status != FG_OK)
                return status;
            l->z.next_in = l->chunk;
            l->z.avail_in = (uInt)count;
        }
        const int result = inflate(&l->z, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            return fg_fail(l->message, FG_ENVIRONMENT,
                           "%.250s: this machine's zlib needs more than %zu bytes to inflate",
                           l->bundle->path, INFLATE_BYTES);
        if (result == Z_STREAM_END) {
            if (size ? l->z.avail_out > 0 : l->z.avail_out == 0)
                return fail_damaged(l, "its stream has another length");
            return FG_OK;
        }
        if (result != Z_OK && result != Z_BUF_ERROR)
            return fail_damaged(l, "its stream cannot be inflated");
        if (l->z.avail_out == 0)
            return size ? FG_OK : fail_damaged(l, "its stream is too long");
        if (result == Z_BUF_ERROR && l->z.avail_in == 0 && l->read == l->tensor->stored)
            return fail_damaged(l, "its stream ends early");
    }
}

static void unshuffle_half(const unsigned char *block, size_t count, float *values) {
    const unsigned char *low = block, *high = block + count;
    for (size_t i = 0; i < count; i++)
        values[i] = fg_half_to_float((uint16_t)(low[i] | high[i] << 8));
}

static void unshuffle_float(const unsigned char *block, size_t count, float *values) {
    const unsigned char *b0 = block, *b1 = b0 + count, *b2 = b1 + count, *b3 = b2 + count;
    for (size_t i = 0; i < count; i++)
        values[i] =
            fg_bits_float(b0[i] | (uint32_t)b1[i] << 8 | (uint32_t)b2[i] << 16 | (uint32_t)b3[i] << 24);
}

/* Refuses -128, which a byte can have and an int8 weight cannot. */
static enum fg_status check_int8(const struct loader *l, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (l->block[i] == 0x80)
            return fail_damaged(l, "it has a weight of -128");
    return FG_OK;
}

/* Multiplies int8 weights, the first of which is at a place of the tensor, by the scale of their channel. */
static void multiply_int8(const struct loader *l, size_t at, size_t count, float *values) {
    const int8_t *block = (const int8_t *)l->block;
    for (size_t i = 0; i < count;) {
        const float scale = l->tensor->scale[(at + i) / l->each % l->channels];
        const size_t left = l->each - (at + i) % l->each, end = left < count - i ? i + left : count;
        for (; i < end; i++)
            values[i] = (float)block[i] * scale;
    }
}

/* Gives the block's count values, the first of which is at a place of the tensor, in the sink's type. They
 * are in values, or in the block itself where they are its bytes or had to be narrowed. */
static enum fg_status convert_values(struct loader *l, size_t at, size_t count, const void **converted) {
    float *values = l->values;
    *converted = l->values;
    if (l->tensor->dtype == FG_I8) {
        const enum fg_status status = check_int8(l, count);
        if (status != FG_OK)
            return status;
    }
    if (fg_dtype_size(l->sink->dtype) == 1) {
        *converted = l->block;
        return FG_OK;
    }
    if (l->tensor->dtype == FG_F16 && l->sink->dtype == FG_F16) {
        uint16_t *halves = l->values;
        for (size_t i = 0; i < count; i++)
            halves[i] = (uint16_t)(l->block[i] | l->block[count + i] << 8);
        return FG_OK;
    }
    if (l->tensor->dtype == FG_F16)
        unshuffle_half(l->block, count, values);
    else if (l->tensor->dtype == FG_I8)
        multiply_int8(l, at, count, values);
    else
        unshuffle_float(l->block, count, values);
    if (l->sink->dtype == FG_F32)
        return FG_OK;
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = fg_float_to_half(values[i]);
        memcpy(l->block + i * sizeof half, &half, sizeof half);
        if (isfinite(values[i]) && !isfinite(fg_half_to_float(half)))
            return fg_fail(l->message, FG_INPUT,
                           "%.250s: %s has the value %g, too large for the float16 that this device computes "
                           "with; use device = cpu",
                           l->bundle->path, l->name, (double)values[i]);
    }
    *converted = l->block;
    return FG_OK;
}

static enum fg_status inflate_values(struct loader *l, size_t count) {
    const size_t width = fg_dtype_size(l->tensor->dtype);
    for (size_t done = 0; done < count;) {
        const size_t n = count - done < FG_BUNDLE_BLOCK ? count - done : FG_BUNDLE_BLOCK;
        enum fg_status status = inflate_block(l, n * width);
        if (status != FG_OK)
            return status;
        const void *values;
        status = convert_values(l, done, n, &values);
        if (status == FG_OK)
            status = l->sink->put(l->sink->argument, done, n, values, l->message);
        if (status != FG_OK)
            return status;
        done += n;
    }
    enum fg_status status = inflate_block(l, 0);
    if (status == FG_OK && (l->z.avail_in > 0 || l->read < l->tensor->stored))
        return fail_damaged(l, "bytes follow its stream");
    return status;
}

/* Sends a tensor's stream, which has the shape t; transposed: t is a transposed convolution's weight. */
static enum fg_status send_tensor(const struct fg_bundle *bundle, const struct fg_bundle_tensor *tensor,
                                  const char *name, const struct fg_tensor *t, bool transposed,
                                  const struct fg_bundle_sink *sink, void *scratch,
                                  struct fg_message *message) {
    unsigned char *memory = scratch;
    struct loader l = {.bundle = bundle,
                       .tensor = tensor,
                       .name = name,
                       .message = message,
                       .sink = sink,
                       .each = transposed ? 1 : fg_tensor_count(t) / (size_t)t->n,
                       .channels = (size_t)(transposed ? t->c : t->n),
                       .pool = memory,
                       .chunk = memory + INFLATE_BYTES,
                       .block = memory + INFLATE_BYTES + CHUNK_BYTES,
                       .values = memory + INFLATE_BYTES + CHUNK_BYTES + BLOCK_BYTES};
    const int64_t begin = fg_clock_ns();
    enum fg_status status = check_hash(&l);
    if (sink->read_ns)
        *sink->read_ns += fg_clock_ns() - begin;
    if (status != FG_OK)
        return status;
    l.z = (z_stream){.zalloc = take_from_pool, .zfree = leave_in_pool, .opaque = &l};
    if (inflateInit(&l.z) != Z_OK)
        return fg_fail(message, FG_ENVIRONMENT, "%.250s: zlib does not start: %s", bundle->path,
                       l.z.msg ? l.z.msg : "no memory");
    status = inflate_values(&l, fg_tensor_count(t));
    inflateEnd(&l.z);
    return status;
}

enum fg_status fg_bundle_send(const struct fg_bundle *bundle, uint32_t i, const struct fg_bundle_sink *sink,
                              void *scratch, struct fg_message *message) {
    const struct fg_bundle_tensor *tensor = &bundle->tensor[i];
    const struct fg_param *param = &bundle->network.param[tensor->param];
    const struct fg_tensor t = fg_param_tensor(param);
    if (sink->dtype == FG_I8 && tensor->dtype != FG_I8)
        return fg_fail(message, FG_USAGE, "%.250s: %s is wanted as int8, but it is stored as float",
                       bundle->path, param->name);
    return send_tensor(bundle, tensor, param->name, &t, param->transposed, sink, scratch, message);
}

static enum fg_status put_floats(void *argument, size_t at, size_t count, const void *values,
                                 struct fg_message *message) {
    (void)message;
    memcpy((float *)argument + at, values, count * sizeof(float));
    return FG_OK;
}

static enum fg_status put_bytes(void *argument, size_t at, size_t count, const void *values,
                                struct fg_message *message) {
    (void)message;
    memcpy((uint8_t *)argument + at, values, count);
    return FG_OK;
}

enum fg_status fg_bundle_load(const struct fg_bundle *bundle, uint32_t i, float *values, void *scratch,
                              struct fg_message *message) {
    return fg_bundle_send(bundle, i,
                          &(struct fg_bundle_sink){.dtype = FG_F32, .put = put_floats, .argument = values},
                          scratch, message);
}

static enum fg_status send_annex(const struct fg_bundle *bundle, enum fg_annex annex,
                                 const struct fg_bundle_sink *sink, void *scratch,
                                 struct fg_message *message) {
    const struct fg_tensor t = fg_annex_tensor(bundle, &bundle->header, annex);
    return send_tensor(bundle, &bundle->annex[annex], fg_annex_name(annex), &t, false, sink, scratch,
                       message);
}

enum fg_status fg_annex_read(const struct fg_bundle *bundle, enum fg_annex annex, void *values, void *scratch,
                             struct fg_message *message) {
    const bool bytes = bundle->annex[annex].dtype == FG_U8;
    const struct fg_bundle_sink sink = {bytes ? FG_U8 : FG_F32, bytes ? put_bytes : put_floats, values, NULL};
    return values ? send_annex(bundle, annex, &sink, scratch, message) : FG_OK;
}

enum fg_status fg_bundle_self_test(const struct fg_bundle *bundle, uint8_t *input, float *map, void *scratch,
                                   struct fg_message *message) {
    if (!bundle->header.calibrated)
        return fg_fail(message, FG_INPUT, "%.300s: it is not calibrated: it has no self-test", bundle->path);
    enum fg_status status = fg_annex_read(bundle, FG_ANNEX_INPUT, input, scratch, message);
    return status == FG_OK ? fg_annex_read(bundle, FG_ANNEX_MAP, map, scratch, message) : status;
}

/* Where good pictures go. */
struct good_sink {
    const char *path; /* the bundle's */
    struct fg_good *good;
};

/* Takes whole pictures: a block's bytes are a multiple of a picture's. */
static enum fg_status put_good(void *argument, size_t at, size_t count, const void *values,
                               struct fg_message *message) {
    static const uint8_t ZEROS[11];
    const uint8_t *bytes = values;
    const struct good_sink *sink = argument;
    struct fg_good *good = sink->good + at / FG_BUNDLE_GOOD_BYTES;
    for (size_t i = 0; i < count; i += FG_BUNDLE_GOOD_BYTES, bytes += FG_BUNDLE_GOOD_BYTES, good++) {
        good->score = fg_bits_float(fg_get_u32(bytes));
        good->group = bytes[4];
        memcpy(good->hash, bytes + 16, FG_GOOD_HASH);
        if (!isfinite(good->score) || good->group >= FG_GOOD_GROUPS || memcmp(bytes + 5, ZEROS, sizeof ZEROS))
            return fg_fail(message, FG_INPUT,
                           "%.250s: " FG_BUNDLE_GOOD ": picture %zu is wrong; copy the bundle again",
                           sink->path, (at + i) / FG_BUNDLE_GOOD_BYTES + 1);
    }
    return FG_OK;
}

_Static_assert(FG_BUNDLE_BLOCK % FG_BUNDLE_GOOD_BYTES == 0, "a block holds whole pictures");

enum fg_status fg_bundle_good(const struct fg_bundle *bundle, struct fg_good *good, void *scratch,
                              struct fg_message *message) {
    struct good_sink to = {bundle->path, good};
    const struct fg_bundle_sink sink = {FG_U8, put_good, &to, NULL};
    if (!fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_GOOD).n)
        return FG_OK;
    return send_annex(bundle, FG_ANNEX_GOOD, &sink, scratch, message);
}

enum fg_good_group fg_bundle_unseen(const struct fg_good *good, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (good[i].group == FG_GOOD_ADDED)
            return FG_GOOD_ADDED;
    return FG_GOOD_HELD_OUT;
}

/* Reads two entries of evidence as floats; each may be NULL. */
static enum fg_status read_pair(const struct fg_bundle *bundle, enum fg_annex first, float *mean,
                                float *scale, void *scratch, struct fg_message *message) {
    enum fg_status status = fg_annex_read(bundle, first, mean, scratch, message);
    return status == FG_OK ? fg_annex_read(bundle, first + 1, scale, scratch, message) : status;
}

enum fg_status fg_bundle_scene(const struct fg_bundle *bundle, float *mean, float *scale, void *scratch,
                               struct fg_message *message) {
    if (!fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_SCENE_MEAN).n)
        return fg_fail(message, FG_INPUT, "%.300s: it does not know the scene", bundle->path);
    return read_pair(bundle, FG_ANNEX_SCENE_MEAN, mean, scale, scratch, message);
}

enum fg_status fg_bundle_places(const struct fg_bundle *bundle, float *mean, float *scale, void *scratch,
                                struct fg_message *message) {
    const struct fg_tensor t = fg_annex_tensor(bundle, &bundle->header, FG_ANNEX_PLACE_SCALE);
    if (!t.n)
        return fg_fail(message, FG_INPUT, "%.300s: its score is not local", bundle->path);
    const enum fg_status status = read_pair(bundle, FG_ANNEX_PLACE_MEAN, mean, scale, scratch, message);
    for (size_t i = 0; status == FG_OK && i < fg_tensor_count(&t); i++)
        if ((mean && !isfinite(mean[i])) || (scale && !(scale[i] > 0 && isfinite(scale[i]))))
            return fg_fail(message, FG_INPUT,
                           "%.250s: place %zu: its mean or scale is wrong; copy the bundle again",
                           bundle->path, i + 1);
    return status;
}
