/* Writes bundles: from values into memory, and from an open bundle into a file, which is put in place
 * whole. */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/base/bytes.h"
#include "runtime/base/file.h"
#include "runtime/base/half.h"
#include "runtime/bundle/file.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

/* A bundle that is being written: streams go to the file as they come, head, fields and table at the end. */
struct writer {
    struct fg_file file;
    bool open;
    struct fg_message *message;
    size_t fields; /* bytes of the fields */
    uint32_t entries, next;
    uint64_t offset; /* where the next stream begins in the file */
    z_stream deflate;
    bool deflating;
    unsigned char head[FG_BUNDLE_HEAD + FG_BUNDLE_FIELD_BYTES + FG_BUNDLE_ENTRIES * FG_BUNDLE_ENTRY];
    unsigned char chunk[CHUNK_BYTES], block[FG_BUNDLE_BLOCK * sizeof(float)];
};

static size_t measure_head(const struct writer *w) {
    return FG_BUNDLE_HEAD + w->fields + (size_t)w->entries * FG_BUNDLE_ENTRY;
}

/* Checks the header, then opens the file: at path, or in memory. */
static enum fg_status begin_file(struct writer *w, const char *path, bool in_memory,
                                 const struct fg_bundle_header *header, uint32_t entries) {
    if (sodium_init() < 0)
        return fg_fail(w->message, FG_ENVIRONMENT, "libsodium does not start on this machine");
    w->entries = entries;
    enum fg_status status = fg_bundle_fields_write(header, w->head + FG_BUNDLE_HEAD, &w->fields, w->message);
    if (status != FG_OK)
        return fg_fail_in(w->message, status, path);
    status = in_memory ? fg_file_create_in_memory(&w->file, path, w->message)
                       : fg_file_create(&w->file, path, w->message);
    w->open = status == FG_OK;
    w->offset = measure_head(w);
    /* Keeps room for head, fields and table, which are known last. */
    return status == FG_OK ? fg_file_write(&w->file, w->head, measure_head(w), w->message) : status;
}

static void put_entry(struct writer *w, const char *name, const struct fg_tensor *t, enum fg_dtype dtype,
                      uint64_t stored, const uint8_t hash[FG_HASH_SIZE]) {
    assert(w->next < w->entries && strlen(name) < FG_NAME_SIZE);
    unsigned char *e = w->head + FG_BUNDLE_HEAD + w->fields + (size_t)w->next++ * FG_BUNDLE_ENTRY;
    memcpy(e, name, strlen(name) + 1); /* the entry is zeroed already */
    fg_put_u32(e + 64, (uint32_t)t->n);
    fg_put_u32(e + 68, (uint32_t)t->h);
    fg_put_u32(e + 72, (uint32_t)t->w);
    fg_put_u32(e + 76, (uint32_t)t->c);
    fg_put_u32(e + 80, dtype == FG_U8    ? FG_BUNDLE_BYTE
                       : dtype == FG_I8  ? FG_BUNDLE_INT8
                       : dtype == FG_F16 ? FG_BUNDLE_FLOAT16
                                         : FG_BUNDLE_FLOAT32);
    fg_put_u64(e + 84, w->offset);
    fg_put_u64(e + 92, stored);
    memcpy(e + 100, hash, FG_HASH_SIZE);
    w->offset += stored;
}

static void shuffle_values(const void *values, size_t first, size_t count, enum fg_dtype dtype,
                           unsigned char *block) {
    if (fg_dtype_size(dtype) == 1) {
        memcpy(block, (const uint8_t *)values + first, count);
        return;
    }
    const float *from = (const float *)values + first;
    for (size_t i = 0; i < count; i++)
        if (dtype == FG_F16) {
            const uint16_t half = fg_float_to_half(from[i]);
            block[i] = (unsigned char)(half & 0xff);
            block[count + i] = (unsigned char)(half >> 8);
        } else {
            const uint32_t bits = fg_float_bits(from[i]);
            for (size_t k = 0; k < 4; k++)
                block[k * count + i] = (unsigned char)(bits >> 8 * k & 0xff);
        }
}

/* Deflates values (floats, or bytes for u8 and int8) as one stream and enters it in the table. */
static enum fg_status put_stream(struct writer *w, const char *name, const struct fg_tensor *t,
                                 enum fg_dtype dtype, const void *values) {
    const size_t count = fg_tensor_count(t), width = fg_dtype_size(dtype);
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, FG_HASH_SIZE);
    deflateReset(&w->deflate);
    w->deflate.avail_in = 0;
    uint64_t stored = 0;
    size_t done = 0;
    int result;
    do {
        if (w->deflate.avail_in == 0 && done < count) {
            const size_t n = count - done < FG_BUNDLE_BLOCK ? count - done : FG_BUNDLE_BLOCK;
            shuffle_values(values, done, n, dtype, w->block);
            w->deflate.next_in = w->block;
            w->deflate.avail_in = (uInt)(n * width);
            done += n;
        }
        w->deflate.next_out = w->chunk;
        w->deflate.avail_out = (uInt)CHUNK_BYTES;
        result = deflate(&w->deflate, done < count ? Z_NO_FLUSH : Z_FINISH);
        assert(result == Z_OK || result == Z_STREAM_END);
        const size_t made = CHUNK_BYTES - w->deflate.avail_out;
        crypto_generichash_update(&hash, w->chunk, made);
        stored += made;
        enum fg_status status = fg_file_write(&w->file, w->chunk, made, w->message);
        if (status != FG_OK)
            return status;
    } while (result != Z_STREAM_END);
    uint8_t digest[FG_HASH_SIZE];
    crypto_generichash_final(&hash, digest, sizeof digest);
    put_entry(w, name, t, dtype, stored, digest);
    return FG_OK;
}

/* Lays good pictures out as the file has them. */
static void encode_good(const struct fg_good *good, size_t count, uint8_t *bytes) {
    memset(bytes, 0, count * FG_BUNDLE_GOOD_BYTES);
    for (size_t i = 0; i < count; i++, bytes += FG_BUNDLE_GOOD_BYTES) {
        fg_put_u32(bytes, fg_float_bits(good[i].score));
        bytes[4] = (uint8_t)good[i].group;
        memcpy(bytes + 16, good[i].hash, FG_GOOD_HASH);
    }
}

static enum fg_status put_evidence(struct writer *w, const struct fg_bundle *bundle,
                                   const struct fg_bundle_header *header,
                                   const struct fg_evidence *evidence) {
    const struct fg_calibration *c = &header->calibration;
    const size_t count = (size_t)c->pictures + c->odd;
    uint8_t *good = malloc(count * FG_BUNDLE_GOOD_BYTES + 1);
    if (!good)
        return fg_fail(w->message, FG_ENVIRONMENT, "no memory for the scores of %zu pictures", count);
    encode_good(evidence->good, count, good);
    const void *const values[FG_ANNEXES] = {[FG_ANNEX_INPUT] = evidence->input,
                                            [FG_ANNEX_MAP] = evidence->map,
                                            [FG_ANNEX_SCENE_MEAN] = evidence->scene_mean,
                                            [FG_ANNEX_SCENE_SCALE] = evidence->scene_scale,
                                            [FG_ANNEX_PLACE_MEAN] = evidence->place_mean,
                                            [FG_ANNEX_PLACE_SCALE] = evidence->place_scale,
                                            [FG_ANNEX_GOOD] = good};
    enum fg_status status = FG_OK;
    for (int i = FG_ANNEX_EVIDENCE; i < FG_ANNEXES && status == FG_OK; i++) {
        const struct fg_tensor t = fg_annex_tensor(bundle, header, (enum fg_annex)i);
        if (t.n)
            status = put_stream(w, fg_annex_name((enum fg_annex)i), &t, t.dtype, values[i]);
    }
    free(good);
    return status;
}

/* Writes head, fields and table of an unsigned bundle. */
static enum fg_status put_head(struct writer *w) {
    assert(w->next == w->entries);
    memcpy(w->head, FG_BUNDLE_MAGIC, 4);
    fg_put_u32(w->head + 4, FG_BUNDLE_VERSION);
    fg_put_u64(w->head + 8, w->offset);
    fg_put_u32(w->head + 16, (uint32_t)w->fields);
    fg_put_u32(w->head + 20, w->entries);
    fg_bundle_hash(w->head, measure_head(w), w->head + FG_BUNDLE_HEAD_HASH);
    return fg_file_write_at(&w->file, 0, w->head, measure_head(w), w->message);
}

static void close_writer(struct writer *w) {
    if (w->open)
        fg_file_abandon(&w->file);
    if (w->deflating)
        deflateEnd(&w->deflate);
    free(w);
}

/* Makes a writer; NULL, with a message, where there is no memory for it. */
static struct writer *open_writer(const char *path, struct fg_message *message) {
    struct writer *w = calloc(1, sizeof *w);
    if (w) {
        w->message = message;
        /* Z_RLE codes runs and entropy only: weights have no repeated texts, and a search for them would
         * take most of the time and make the file no smaller. */
        w->deflating = deflateInit2(&w->deflate, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS, MAX_MEM_LEVEL,
                                    Z_RLE) == Z_OK;
        if (w->deflating)
            return w;
        close_writer(w);
    }
    fg_say(message, "%.300s: no memory to write it", path);
    return NULL;
}

/* Deflates a parameter: as int8 where it has weights of 8 bits, else as the narrowest float that holds it. */
static enum fg_status put_param(struct writer *w, const struct fg_param *param, const float *values,
                                const int8_t *weight) {
    const struct fg_tensor t = fg_param_tensor(param);
    const size_t count = fg_tensor_count(&t);
    if (!weight)
        return put_stream(w, param->name, &t, fg_half_holds(values, count) ? FG_F16 : FG_F32, values);
    if (memchr(weight, INT8_MIN, count))
        return fg_fail(w->message, FG_USAGE, "%s has a weight of -128; -127 is the least", param->name);
    return put_stream(w, param->name, &t, FG_I8, weight);
}

/* Gives the output channels of all int8 weights; 0: there is none. */
static size_t count_channels(const struct fg_network *network, const struct fg_quantised *quantised) {
    size_t count = 0;
    for (uint32_t i = 0; i < network->params && quantised; i++)
        if (quantised[i].weight)
            count += (size_t)fg_param_channels(&network->param[i]);
    return count;
}

static enum fg_status put_annex(struct writer *w, enum fg_annex annex, enum fg_dtype dtype, size_t count,
                                const void *values) {
    const struct fg_tensor t = {.n = 1, .h = 1, .w = 1, .c = (int32_t)count};
    return put_stream(w, fg_annex_name(annex), &t, dtype, values);
}

/* Deflates what int8 weights need, in their order. */
static enum fg_status put_int8(struct writer *w, const struct fg_network *network,
                               const struct fg_quantised *quantised, size_t channels) {
    float *scale = malloc(channels * sizeof *scale), input_scale[FG_NETWORK_PARAMS];
    uint8_t input_zero[FG_NETWORK_PARAMS];
    size_t count = 0, at = 0;
    enum fg_status status = FG_OK;
    if (!scale)
        return fg_fail(w->message, FG_ENVIRONMENT, "no memory for the scales of int8 weights");
    for (uint32_t i = 0; i < network->params; i++) {
        const struct fg_param *param = &network->param[i];
        const struct fg_quantised *q = &quantised[i];
        if (!q->weight)
            continue;
        if (q->reading.zero < 0 || q->reading.zero > UINT8_MAX)
            status = fg_fail(w->message, FG_USAGE, "%s: the zero of its input is %d, but must be 0 to 255",
                             param->name, (int)q->reading.zero);
        input_scale[count] = q->reading.scale;
        input_zero[count++] = (uint8_t)q->reading.zero;
        memcpy(scale + at, q->scale, (size_t)fg_param_channels(param) * sizeof *scale);
        at += (size_t)fg_param_channels(param);
    }
    if (status == FG_OK)
        status = put_annex(w, FG_ANNEX_WEIGHT_SCALE, FG_F32, channels, scale);
    if (status == FG_OK)
        status = put_annex(w, FG_ANNEX_INPUT_SCALE, FG_F32, count, input_scale);
    if (status == FG_OK)
        status = put_annex(w, FG_ANNEX_INPUT_ZERO, FG_U8, count, input_zero);
    free(scale);
    return status;
}

static enum fg_status put_tensors(struct writer *w, const struct fg_network *network,
                                  const float *const *values, const struct fg_quantised *quantised) {
    const size_t channels = count_channels(network, quantised);
    enum fg_status status = FG_OK;
    for (uint32_t i = 0; i < network->params && status == FG_OK; i++)
        if (fg_param_folded(&network->param[i]))
            status = put_param(w, &network->param[i], values[i], quantised ? quantised[i].weight : NULL);
    return status == FG_OK && channels ? put_int8(w, network, quantised, channels) : status;
}

enum fg_status fg_bundle_make(const char *path, const struct fg_bundle_header *header,
                              const float *const *values, const struct fg_quantised *quantised,
                              struct fg_bundle **bundle, struct fg_message *message) {
    struct writer *w = open_writer(path, message);
    if (!w)
        return FG_ENVIRONMENT;
    struct fg_bundle_header uncalibrated = *header;
    uncalibrated.calibrated = false;
    uncalibrated.spec.score = FG_SCORE_SUM; /* calibration chooses it */
    enum fg_status status = FG_OK;
    struct fg_network *network = malloc(sizeof *network);
    if (!network)
        status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to write it", path);
    if (status == FG_OK)
        status = fg_network_init(network, &uncalibrated.spec, message);
    if (status == FG_OK) {
        uint32_t entries = count_channels(network, quantised) ? FG_ANNEX_EVIDENCE : 0;
        for (uint32_t i = 0; i < network->params; i++)
            entries += fg_param_folded(&network->param[i]);
        status = begin_file(w, path, true, &uncalibrated, entries);
    }
    if (status == FG_OK)
        status = put_tensors(w, network, values, quantised);
    if (status == FG_OK)
        status = put_head(w);
    if (status == FG_OK) {
        w->open = false;
        status = fg_bundle_take(w->file.descriptor, path, bundle, message);
        /* The reader's rules are the only ones: what it refuses the caller should not have given. */
        if (status == FG_INPUT)
            status = FG_USAGE;
    }
    free(network);
    close_writer(w);
    return status;
}

/* Copies one stream as it is. A damaged one is refused, because its hash in a new table would hide the
 * damage. */
static enum fg_status copy_stream(struct writer *w, const struct fg_bundle *bundle,
                                  const struct fg_bundle_tensor *tensor, const char *name,
                                  const struct fg_tensor *t) {
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, NULL, 0, FG_HASH_SIZE);
    for (uint64_t done = 0; done < tensor->stored;) {
        const size_t n = tensor->stored - done < CHUNK_BYTES ? (size_t)(tensor->stored - done) : CHUNK_BYTES;
        enum fg_status status = fg_bundle_read(bundle, tensor->offset + done, w->chunk, n, w->message);
        if (status == FG_OK)
            status = fg_file_write(&w->file, w->chunk, n, w->message);
        if (status != FG_OK)
            return status;
        crypto_generichash_update(&hash, w->chunk, n);
        done += n;
    }
    uint8_t digest[FG_HASH_SIZE];
    crypto_generichash_final(&hash, digest, sizeof digest);
    if (memcmp(digest, tensor->hash, sizeof digest) != 0)
        return fg_fail(w->message, FG_INPUT,
                       "%.250s: %s is damaged: its checksum does not match; copy the bundle again",
                       bundle->path, name);
    put_entry(w, name, t, tensor->dtype, tensor->stored, digest);
    return FG_OK;
}

static enum fg_status copy_tensors(struct writer *w, const struct fg_bundle *bundle) {
    enum fg_status status = FG_OK;
    for (uint32_t i = 0; i < bundle->tensors && status == FG_OK; i++) {
        const struct fg_param *param = &bundle->network.param[bundle->tensor[i].param];
        const struct fg_tensor t = fg_param_tensor(param);
        status = copy_stream(w, bundle, &bundle->tensor[i], param->name, &t);
    }
    return status;
}

/* Copies the annexes from first on, but not end, that the bundle has. */
static enum fg_status copy_annexes(struct writer *w, const struct fg_bundle *bundle, enum fg_annex first,
                                   enum fg_annex end) {
    enum fg_status status = FG_OK;
    for (int i = first; i < (int)end && status == FG_OK; i++) {
        const struct fg_tensor t = fg_annex_tensor(bundle, &bundle->header, (enum fg_annex)i);
        if (t.n)
            status = copy_stream(w, bundle, &bundle->annex[i], fg_annex_name((enum fg_annex)i), &t);
    }
    return status;
}

static uint32_t count_annexes(const struct fg_bundle *bundle, const struct fg_bundle_header *header) {
    uint32_t count = 0;
    for (int i = 0; i < FG_ANNEXES; i++)
        count += (uint32_t)fg_annex_tensor(bundle, header, (enum fg_annex)i).n;
    return count;
}

/* Writes an open bundle's streams under a new header. */
static enum fg_status put_bundle(struct writer *w, const struct fg_bundle *bundle, const char *path,
                                 bool in_memory, const struct fg_bundle_header *header,
                                 const struct fg_evidence *evidence) {
    assert(evidence || !header->calibrated ||
           count_annexes(bundle, header) == count_annexes(bundle, &bundle->header));
    enum fg_status status =
        begin_file(w, path, in_memory, header, bundle->tensors + count_annexes(bundle, header));
    if (status == FG_OK)
        status = copy_tensors(w, bundle);
    if (status == FG_OK)
        status = copy_annexes(w, bundle, 0, FG_ANNEX_EVIDENCE);
    if (status == FG_OK && header->calibrated)
        status = evidence ? put_evidence(w, bundle, header, evidence)
                          : copy_annexes(w, bundle, FG_ANNEX_EVIDENCE, FG_ANNEXES);
    return status == FG_OK ? put_head(w) : status;
}

enum fg_status fg_bundle_write(const struct fg_bundle *bundle, const char *path,
                               const struct fg_bundle_header *header, const struct fg_evidence *evidence,
                               struct fg_message *message) {
    struct writer *w = open_writer(path, message);
    if (!w)
        return FG_ENVIRONMENT;
    enum fg_status status = put_bundle(w, bundle, path, false, header, evidence);
    if (status == FG_OK) {
        w->open = false;
        status = fg_file_commit(&w->file, message);
    }
    close_writer(w);
    return status;
}

enum fg_status fg_bundle_copy(const struct fg_bundle *bundle, const struct fg_bundle_header *header,
                              const struct fg_evidence *evidence, struct fg_bundle **copy,
                              struct fg_message *message) {
    struct writer *w = open_writer(bundle->path, message);
    if (!w)
        return FG_ENVIRONMENT;
    enum fg_status status = put_bundle(w, bundle, bundle->path, true, header, evidence);
    if (status == FG_OK) {
        w->open = false;
        status = fg_bundle_take(w->file.descriptor, bundle->path, copy, message);
    }
    close_writer(w);
    return status;
}
