/* Opens a bundle and checks all of it but its streams, before any of its values is used. */
#include "runtime/bundle/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/bytes.h"
#include "runtime/base/report.h"
#include "runtime/bundle/file.h"

/* A file that is being opened. */
struct opening {
    struct fg_bundle *bundle;
    struct fg_message *message;
    unsigned char *bytes; /* head, fields and table as the file has them; NULL until they are read */
    uint64_t size;        /* bytes of the file */
    size_t fields;        /* bytes of the fields */
    uint32_t entries;
};

__attribute__((format(printf, 2, 3))) static enum fg_status refuse(const struct opening *o,
                                                                   const char *format, ...) {
    struct fg_message inner;
    va_list args;
    va_start(args, format);
    vsnprintf(inner.text, sizeof inner.text, format, args);
    va_end(args);
    return fg_fail(o->message, FG_INPUT, "%.200s: %.300s", o->bundle->path, inner.text);
}

static size_t measure_head(const struct opening *o) {
    return FG_BUNDLE_HEAD + o->fields + (size_t)o->entries * FG_BUNDLE_ENTRY;
}

static const unsigned char *find_entry(const struct opening *o, uint32_t i) {
    return o->bytes + FG_BUNDLE_HEAD + o->fields + (size_t)i * FG_BUNDLE_ENTRY;
}

enum fg_status fg_bundle_read(const struct fg_bundle *bundle, uint64_t offset, void *bytes, size_t size,
                              struct fg_message *message) {
    char *at = bytes;
    while (size) {
        ssize_t count = pread(bundle->descriptor, at, size, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot read", bundle->path);
        if (count == 0)
            return fg_fail(message, FG_INPUT, "%.300s: ends early; it was cut while open", bundle->path);
        at += count;
        offset += (uint64_t)count;
        size -= (size_t)count;
    }
    return FG_OK;
}

void fg_bundle_hash(const unsigned char *bytes, size_t size, uint8_t hash[FG_HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    crypto_generichash_update(&state, bytes, FG_BUNDLE_HEAD_HASH);
    crypto_generichash_update(&state, bytes + FG_BUNDLE_HEAD, size - FG_BUNDLE_HEAD);
    crypto_generichash_final(&state, hash, FG_HASH_SIZE);
}

/* Checks magic, version, counts and sizes, in this order. */
static enum fg_status read_head(struct opening *o) {
    const struct fg_bundle *bundle = o->bundle;
    struct stat info;
    if (fstat(bundle->descriptor, &info))
        return fg_fail_errno(o->message, FG_INPUT, errno, "%.300s: cannot read", bundle->path);
    if (!S_ISREG(info.st_mode))
        return refuse(o, "not a file");
    o->size = (uint64_t)info.st_size;
    if (o->size < FG_BUNDLE_HEAD)
        return refuse(o, "not a bundle: %llu bytes, less than the head of one", (unsigned long long)o->size);
    unsigned char head[FG_BUNDLE_HEAD];
    enum fg_status status = fg_bundle_read(bundle, 0, head, sizeof head, o->message);
    if (status != FG_OK)
        return status;
    if (memcmp(head, FG_BUNDLE_MAGIC, 4) != 0)
        return refuse(o, "not a bundle (it does not begin with " FG_BUNDLE_MAGIC ")");
    if (fg_get_u32(head + 4) != FG_BUNDLE_VERSION)
        return refuse(o, "version %u of the bundle's format; this program reads version %u",
                      fg_get_u32(head + 4), FG_BUNDLE_VERSION);
    o->fields = fg_get_u32(head + 16);
    o->entries = fg_get_u32(head + 20);
    if (o->fields > FG_BUNDLE_FIELD_BYTES || o->entries > FG_BUNDLE_ENTRIES)
        return refuse(o,
                      "%zu bytes of fields and %u entries in the table, but at most %d and %d are possible",
                      o->fields, o->entries, FG_BUNDLE_FIELD_BYTES, FG_BUNDLE_ENTRIES);
    if (fg_get_u64(head + 8) != o->size || measure_head(o) > o->size)
        return refuse(o, "%llu bytes, but the bundle was written with %llu; copy it again",
                      (unsigned long long)o->size, (unsigned long long)fg_get_u64(head + 8));
    return FG_OK;
}

static enum fg_status read_table(struct opening *o) {
    o->bytes = malloc(measure_head(o));
    if (!o->bytes)
        return fg_fail(o->message, FG_ENVIRONMENT, "%.300s: no memory for the table", o->bundle->path);
    return fg_bundle_read(o->bundle, 0, o->bytes, measure_head(o), o->message);
}

/* Checks that streams lie one behind the other from the table to the file's end, without gap or overlap. */
static enum fg_status check_offsets(const struct opening *o) {
    uint64_t at = measure_head(o);
    for (uint32_t i = 0; i < o->entries; i++) {
        const uint64_t offset = fg_get_u64(find_entry(o, i) + 84), stored = fg_get_u64(find_entry(o, i) + 92);
        if (offset != at || stored < 1 || stored > o->size - at)
            return refuse(
                o,
                "entry %u of the table: stream of %llu bytes at %llu, but it must begin at %llu and "
                "end within the file's %llu bytes",
                i, (unsigned long long)stored, (unsigned long long)offset, (unsigned long long)at,
                (unsigned long long)o->size);
        at += stored;
    }
    if (at != o->size)
        return refuse(o, "%llu bytes behind the last stream", (unsigned long long)(o->size - at));
    return FG_OK;
}

static enum fg_status check_names(const struct opening *o) {
    for (uint32_t i = 0; i < o->entries; i++) {
        const char *name = (const char *)find_entry(o, i);
        const size_t length = strnlen(name, FG_NAME_SIZE);
        for (size_t k = 0; k < FG_NAME_SIZE; k++)
            if (k < length ? name[k] < 0x20 || name[k] > 0x7e : name[k] != 0)
                return refuse(o, "entry %u of the table: its name is not ASCII filled up with zeros", i);
        if (length == 0 || length == FG_NAME_SIZE)
            return refuse(o, "entry %u of the table: a name of %zu bytes", i, length);
        for (uint32_t j = 0; j < i; j++)
            if (!strcmp(name, (const char *)find_entry(o, j)))
                return refuse(o, "%s is there twice", name);
    }
    return FG_OK;
}

static enum fg_status check_hash(const struct opening *o) {
    uint8_t hash[FG_HASH_SIZE];
    fg_bundle_hash(o->bytes, measure_head(o), hash);
    if (memcmp(hash, o->bytes + FG_BUNDLE_HEAD_HASH, sizeof hash) != 0)
        return refuse(o, "damaged: the checksum of its header does not match; copy it again");
    o->bundle->checksum = (uint32_t)crc32_z(0, o->bytes, measure_head(o));
    memcpy(o->bundle->key_id, o->bytes + FG_BUNDLE_HEAD_SIGNED, sizeof o->bundle->key_id);
    return FG_OK;
}

static enum fg_status build_network(const struct opening *o) {
    struct fg_bundle *bundle = o->bundle;
    enum fg_status status =
        fg_bundle_fields_read(o->bytes + FG_BUNDLE_HEAD, o->fields, &bundle->header, o->message);
    if (status == FG_OK)
        status = fg_network_init(&bundle->network, &bundle->header.spec, o->message);
    return status == FG_OK ? FG_OK : fg_fail_in(o->message, status, bundle->path);
}

const char *fg_annex_name(enum fg_annex annex) {
    static const char *const NAMES[FG_ANNEXES] = {[FG_ANNEX_WEIGHT_SCALE] = FG_BUNDLE_WEIGHT_SCALE,
                                                  [FG_ANNEX_INPUT_SCALE] = FG_BUNDLE_INPUT_SCALE,
                                                  [FG_ANNEX_INPUT_ZERO] = FG_BUNDLE_INPUT_ZERO,
                                                  [FG_ANNEX_INPUT] = FG_BUNDLE_INPUT,
                                                  [FG_ANNEX_MAP] = FG_BUNDLE_MAP,
                                                  [FG_ANNEX_SCENE_MEAN] = FG_BUNDLE_SCENE_MEAN,
                                                  [FG_ANNEX_SCENE_SCALE] = FG_BUNDLE_SCENE_SCALE,
                                                  [FG_ANNEX_PLACE_MEAN] = FG_BUNDLE_PLACE_MEAN,
                                                  [FG_ANNEX_PLACE_SCALE] = FG_BUNDLE_PLACE_SCALE,
                                                  [FG_ANNEX_GOOD] = FG_BUNDLE_GOOD};
    return NAMES[annex];
}

struct fg_tensor fg_annex_tensor(const struct fg_bundle *bundle, const struct fg_bundle_header *header,
                                 enum fg_annex annex) {
    const struct fg_network_spec *spec = &header->spec;
    const struct fg_tensor scene = {.dtype = FG_F32,
                                    .n = header->scene_limit > 0,
                                    .h = 1,
                                    .w = 1,
                                    .c = (int32_t)bundle->network.descriptors};
    const struct fg_tensor place = {
        .dtype = FG_F16, .n = fg_score_is_local(spec->score), .h = spec->height, .w = spec->width, .c = 1};
    const int32_t good = (int32_t)(header->calibration.pictures + header->calibration.odd),
                  quantised = (int32_t)bundle->quantised, channels = (int32_t)bundle->channels;
    const struct fg_tensor tensor[FG_ANNEXES] = {
        [FG_ANNEX_WEIGHT_SCALE] = {.dtype = FG_F32, .n = quantised > 0, .h = 1, .w = 1, .c = channels},
        [FG_ANNEX_INPUT_SCALE] = {.dtype = FG_F32, .n = quantised > 0, .h = 1, .w = 1, .c = quantised},
        [FG_ANNEX_INPUT_ZERO] = {.dtype = FG_U8, .n = quantised > 0, .h = 1, .w = 1, .c = quantised},
        [FG_ANNEX_INPUT] = {.dtype = FG_U8, .n = 1, .h = spec->height, .w = spec->width, .c = 3},
        [FG_ANNEX_MAP] = {.dtype = FG_F32, .n = 1, .h = spec->height, .w = spec->width, .c = 1},
        [FG_ANNEX_SCENE_MEAN] = scene,
        [FG_ANNEX_SCENE_SCALE] = scene,
        [FG_ANNEX_PLACE_MEAN] = place,
        [FG_ANNEX_PLACE_SCALE] = place,
        [FG_ANNEX_GOOD] = {.dtype = FG_U8, .n = good > 0, .h = 1, .w = good, .c = FG_BUNDLE_GOOD_BYTES}};
    return annex < FG_ANNEX_EVIDENCE || header->calibrated ? tensor[annex] : (struct fg_tensor){.n = 0};
}

/* Finds the annex of a name, which this bundle may have; -1: none. */
static int32_t find_annex(const struct opening *o, const char *name) {
    for (int32_t i = 0; i < FG_ANNEXES; i++)
        if (!strcmp(name, fg_annex_name((enum fg_annex)i)) &&
            fg_annex_tensor(o->bundle, &o->bundle->header, (enum fg_annex)i).n)
            return i;
    return -1;
}

/* Finds the type that an element type of the file stands for; false when the tensor, of this parameter or
 * with NULL of an annex, cannot have it. */
static bool find_dtype(uint32_t element, const struct fg_param *param, enum fg_dtype *dtype) {
    *dtype = element == FG_BUNDLE_BYTE      ? FG_U8
             : element == FG_BUNDLE_INT8    ? FG_I8
             : element == FG_BUNDLE_FLOAT16 ? FG_F16
                                            : FG_F32;
    return element == FG_BUNDLE_FLOAT32 || element == FG_BUNDLE_FLOAT16 ||
           (!param && element == FG_BUNDLE_BYTE) ||
           (param && param->kind == FG_PARAM_CONV && element == FG_BUNDLE_INT8);
}

/* Counts the int8 weights that the table has, because other entries are as long as their number. */
static void count_int8(const struct opening *o) {
    struct fg_bundle *bundle = o->bundle;
    for (uint32_t i = 0; i < o->entries; i++) {
        const unsigned char *e = find_entry(o, i);
        const int32_t param = fg_network_find(&bundle->network, (const char *)e);
        enum fg_dtype dtype;
        if (param < 0 || !find_dtype(fg_get_u32(e + 80), &bundle->network.param[param], &dtype) ||
            dtype != FG_I8)
            continue;
        bundle->quantised++;
        bundle->channels += (uint32_t)fg_param_channels(&bundle->network.param[param]);
    }
}

/* Takes one entry of the table over, or reports why it is not the network's. */
static void take_entry(const struct opening *o, const unsigned char *e, bool *found,
                       struct fg_report *report) {
    struct fg_bundle *bundle = o->bundle;
    const char *name = (const char *)e;
    const int32_t param = fg_network_find(&bundle->network, name), annex = find_annex(o, name);
    if (annex < 0 && (param < 0 || !fg_param_folded(&bundle->network.param[param]))) {
        fg_report_add(report, "%s is extra", name);
        return;
    }
    found[param >= 0 ? param : FG_NETWORK_PARAMS + annex] = true;
    struct fg_tensor t = param >= 0 ? fg_param_tensor(&bundle->network.param[param])
                                    : fg_annex_tensor(bundle, &bundle->header, (enum fg_annex)annex);
    const uint32_t n = fg_get_u32(e + 64), h = fg_get_u32(e + 68), w = fg_get_u32(e + 72),
                   c = fg_get_u32(e + 76);
    if (n != (uint32_t)t.n || h != (uint32_t)t.h || w != (uint32_t)t.w || c != (uint32_t)t.c) {
        fg_report_add(report, "%s is %ux%ux%ux%u, not %dx%dx%dx%d", name, n, h, w, c, t.n, t.h, t.w, t.c);
        return;
    }
    struct fg_bundle_tensor *tensor = param >= 0 ? &bundle->tensor[bundle->tensors++] : &bundle->annex[annex];
    if (!find_dtype(fg_get_u32(e + 80), param >= 0 ? &bundle->network.param[param] : NULL, &tensor->dtype) ||
        (param < 0 && tensor->dtype != t.dtype)) {
        fg_report_add(report, "%s is of element type %u", name, fg_get_u32(e + 80));
        return;
    }
    tensor->param = param >= 0 ? (uint32_t)param : 0;
    tensor->offset = fg_get_u64(e + 84);
    tensor->stored = fg_get_u64(e + 92);
    memcpy(tensor->hash, e + 100, sizeof tensor->hash);
}

/* Checks that the table has the network's folded parameters, what int8 weights need and a calibrated bundle's
 * evidence, and no more. */
static enum fg_status match_tensors(const struct opening *o) {
    const struct fg_network *network = &o->bundle->network;
    bool found[FG_NETWORK_PARAMS + FG_ANNEXES] = {false};
    struct fg_report report = {0};
    count_int8(o);
    for (uint32_t i = 0; i < o->entries; i++)
        take_entry(o, find_entry(o, i), found, &report);
    for (uint32_t i = 0; i < network->params; i++)
        if (fg_param_folded(&network->param[i]) && !found[i])
            fg_report_add(&report, "%s is missing", network->param[i].name);
    for (int i = 0; i < FG_ANNEXES; i++)
        if (fg_annex_tensor(o->bundle, &o->bundle->header, (enum fg_annex)i).n &&
            !found[FG_NETWORK_PARAMS + i])
            fg_report_add(&report, "%s is missing", fg_annex_name((enum fg_annex)i));
    enum fg_status status = FG_OK;
    if (report.lines) {
        char what[256];
        snprintf(what, sizeof what, "%.180s: %u tensors are not the network's", o->bundle->path,
                 report.lines);
        status = fg_report_fail(&report, o->message, FG_INPUT, what);
    }
    fg_report_free(&report);
    return status;
}

enum fg_status fg_bundle_take(int descriptor, const char *path, struct fg_bundle **bundle,
                              struct fg_message *message) {
    struct opening o = {.bundle = calloc(1, sizeof *o.bundle), .message = message};
    if (!o.bundle) {
        close(descriptor);
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to open it", path);
    }
    o.bundle->descriptor = descriptor;
    snprintf(o.bundle->path, sizeof o.bundle->path, "%s", path);
    enum fg_status status = FG_OK;
    if (sodium_init() < 0)
        status = fg_fail(message, FG_ENVIRONMENT, "libsodium does not start on this machine");
    if (status == FG_OK)
        status = read_head(&o);
    if (status == FG_OK)
        status = read_table(&o);
    if (status == FG_OK)
        status = check_offsets(&o);
    if (status == FG_OK)
        status = check_names(&o);
    if (status == FG_OK)
        status = check_hash(&o);
    if (status == FG_OK)
        status = build_network(&o);
    if (status == FG_OK)
        status = match_tensors(&o);
    if (status == FG_OK)
        status = fg_bundle_load_int8(o.bundle, message);
    free(o.bytes);
    if (status == FG_OK)
        *bundle = o.bundle;
    else
        fg_bundle_close(o.bundle);
    return status;
}

enum fg_status fg_bundle_open(const char *path, struct fg_bundle **bundle, struct fg_message *message) {
    /* Opening does not block, so that a pipe can be refused. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    return fg_bundle_take(descriptor, path, bundle, message);
}

void fg_bundle_close(struct fg_bundle *bundle) {
    if (!bundle)
        return;
    close(bundle->descriptor);
    free(bundle->scale);
    free(bundle);
}

const struct fg_bundle_header *fg_bundle_header(const struct fg_bundle *bundle) {
    return &bundle->header;
}

const struct fg_network *fg_bundle_network(const struct fg_bundle *bundle) {
    return &bundle->network;
}

uint32_t fg_bundle_tensors(const struct fg_bundle *bundle) {
    return bundle->tensors;
}

const struct fg_bundle_tensor *fg_bundle_tensor(const struct fg_bundle *bundle, uint32_t i) {
    return &bundle->tensor[i];
}

uint32_t fg_bundle_checksum(const struct fg_bundle *bundle) {
    return bundle->checksum;
}

const char *fg_bundle_path(const struct fg_bundle *bundle) {
    return bundle->path;
}

const uint8_t *fg_bundle_key_id(const struct fg_bundle *bundle) {
    static const uint8_t unsigned_id[sizeof bundle->key_id];
    return memcmp(bundle->key_id, unsigned_id, sizeof unsigned_id) != 0 ? bundle->key_id : NULL;
}

bool fg_bundle_is_int8(const struct fg_bundle *bundle) {
    return bundle->quantised > 0;
}

const struct fg_reading *fg_bundle_readings(const struct fg_bundle *bundle) {
    return bundle->reading;
}
