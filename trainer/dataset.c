#include "trainer/dataset.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/philox.h"
#include "runtime/plan.h"

#define MOST_DECODERS 16

enum fg_status fg_picture_resize(struct fg_backend *backend, const struct fg_image *image, int32_t height,
                                 int32_t width, uint8_t *out, struct fg_message *message) {
    struct fg_tensor frame = {.dtype = FG_U8,
                              .n = 1,
                              .h = image->height,
                              .w = image->width,
                              .c = image->channels,
                              .region = FG_REGION_FRAME},
                     picture = {
                         .dtype = FG_U8, .n = 1, .h = height, .w = width, .c = 3, .region = FG_REGION_IO};
    struct fg_step step = {.op = FG_RESIZE,
                           .pitch = (size_t)image->width * (size_t)image->channels,
                           .in = {&frame},
                           .out = {&picture}};
    const struct fg_kernel *kernel = &backend->kernel[FG_RESIZE];
    step.workspace_bytes = fg_size_align(kernel->workspace(backend, &step));
    const struct fg_program program = {.step = &step, .steps = 1, .lanes = 1};
    struct fg_memory memory = {.region = {[FG_REGION_FRAME] = image->pixels, [FG_REGION_IO] = out}};
    enum fg_status status =
        backend->reserve(backend, step.workspace_bytes, &memory.region[FG_REGION_WORKSPACE], message);
    if (status != FG_OK)
        return status;
    status = fg_backend_run(backend, &program, &memory, message);
    backend->release(backend, memory.region[FG_REGION_WORKSPACE]);
    return status;
}

void fg_dataset_size(double aspect, int32_t *height, int32_t *width) {
    double nearest = INFINITY;
    for (int32_t h = 64; h <= 1024; h += 32)
        for (int32_t w = 64; w <= 1024; w += 32) {
            const double share = (double)h * w / 65536, distance = fabs(log((double)w / h / aspect));
            /* Of equally near ones, the larger. */
            const bool better =
                distance < nearest - 1e-9 || (distance < nearest + 1e-9 && h * w > *height * *width);
            if (share < 0.85 || share > 1 || !better)
                continue;
            nearest = distance;
            *height = h;
            *width = w;
        }
}

/* Decoding: threads take the next file until none is left; each result has its own place, so order is the
 * files'. */
struct decoding {
    const struct fg_paths *files;
    struct fg_image *image;        /* [files], pixels NULL where reading failed */
    struct fg_message *reason;     /* [files] */
    uint8_t (*hash)[FG_HASH_SIZE]; /* [files] of the contents */
    fg_dataset_function *progress;
    void *argument;
    pthread_mutex_t lock;
    uint32_t next, done;
};

static enum fg_status hash_file(const char *path, uint8_t hash[FG_HASH_SIZE], struct fg_message *message) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    unsigned char block[65536];
    size_t read;
    while ((read = fread(block, 1, sizeof block, file)) > 0)
        crypto_generichash_update(&state, block, read);
    crypto_generichash_final(&state, hash, FG_HASH_SIZE);
    fclose(file);
    return FG_OK;
}

static void *decode(void *argument) {
    struct decoding *d = argument;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        const uint32_t i = d->next < d->files->count ? d->next++ : d->files->count;
        pthread_mutex_unlock(&d->lock);
        if (i == d->files->count)
            return NULL;
        const char *path = d->files->path[i];
        if (hash_file(path, d->hash[i], &d->reason[i]) == FG_OK)
            fg_image_read(path, &d->image[i], &d->reason[i]);
        pthread_mutex_lock(&d->lock);
        d->done++;
        if (d->progress)
            d->progress(d->argument, d->done, d->files->count);
        pthread_mutex_unlock(&d->lock);
    }
}

static void decode_all(struct decoding *d, uint32_t threads) {
    pthread_t thread[MOST_DECODERS];
    uint32_t started = 0;
    threads = threads > MOST_DECODERS ? MOST_DECODERS : threads;
    pthread_mutex_init(&d->lock, NULL);
    while (started + 1 < threads && !pthread_create(&thread[started], NULL, decode, d))
        started++;
    decode(d);
    while (started)
        pthread_join(thread[--started], NULL);
    pthread_mutex_destroy(&d->lock);
}

/* Moves what could not be read from files to skipped; images and hashes move along. */
static enum fg_status part_skipped(struct fg_dataset *dataset, struct decoding *d,
                                   struct fg_message *message) {
    const uint32_t count = dataset->files.count;
    dataset->skipped = calloc(count ? count : 1, sizeof *dataset->skipped);
    if (!dataset->skipped)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!d->image[i].pixels) {
            dataset->skipped[dataset->skips++] = (struct fg_skipped){dataset->files.path[i], d->reason[i]};
            continue;
        }
        dataset->files.path[kept] = dataset->files.path[i];
        memmove(d->hash[kept], d->hash[i], FG_HASH_SIZE);
        const struct fg_image image = d->image[i];
        d->image[i] = (struct fg_image){0};
        d->image[kept++] = image;
    }
    dataset->files.count = kept;
    return FG_OK;
}

static int by_double(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static enum fg_status choose_size(struct fg_dataset *dataset, const struct fg_image *image,
                                  struct fg_message *message) {
    double *aspect = malloc(dataset->files.count * sizeof *aspect);
    if (!aspect)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    for (uint32_t i = 0; i < dataset->files.count; i++)
        aspect[i] = (double)image[i].width / image[i].height;
    qsort(aspect, dataset->files.count, sizeof *aspect, by_double);
    fg_dataset_size(aspect[dataset->files.count / 2], &dataset->height, &dataset->width);
    free(aspect);
    return FG_OK;
}

/* What all pictures have in common is what the line's camera must keep. */
static struct fg_contract contract_of(const struct fg_image *image, uint32_t count) {
    struct fg_contract contract = {
        .width = image->width, .height = image->height, .channels = image->channels};
    for (uint32_t i = 1; i < count; i++) {
        if (image[i].width != contract.width || image[i].height != contract.height)
            contract.width = contract.height = 0;
        if (image[i].channels != contract.channels)
            contract.channels = 0;
    }
    snprintf(contract.format, sizeof contract.format, "%s",
             contract.channels == 1   ? "grey8"
             : contract.channels == 3 ? "rgb8"
                                      : "any8");
    return contract;
}

static enum fg_status resize_all(struct fg_dataset *dataset, const struct fg_image *image,
                                 struct fg_backend *backend, struct fg_message *message) {
    const size_t size = (size_t)dataset->height * (size_t)dataset->width * 3;
    dataset->pixels = malloc(dataset->files.count * size);
    if (!dataset->pixels)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory for %u pictures of %dx%d",
                       dataset->files.count, dataset->width, dataset->height);
    for (uint32_t i = 0; i < dataset->files.count; i++) {
        enum fg_status status = fg_picture_resize(backend, &image[i], dataset->height, dataset->width,
                                                  dataset->pixels + i * size, message);
        if (status != FG_OK)
            return status;
    }
    return FG_OK;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void hash_all(struct fg_dataset *dataset, uint8_t (*hash)[FG_HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    for (uint32_t i = 0; i < dataset->files.count; i++) {
        const char *name = base_name(dataset->files.path[i]);
        crypto_generichash_update(&state, (const unsigned char *)name, strlen(name) + 1);
        crypto_generichash_update(&state, hash[i], FG_HASH_SIZE);
    }
    crypto_generichash_final(&state, dataset->hash, FG_HASH_SIZE);
}

/* Each picture draws a number; those with the smallest are held out. */
static enum fg_status split(struct fg_dataset *dataset, uint64_t seed, struct fg_message *message) {
    const uint32_t count = dataset->files.count;
    uint32_t held = count / FG_HELD_OUT_SHARE;
    held = held < FG_HELD_OUT_LEAST ? FG_HELD_OUT_LEAST : held;
    dataset->train = malloc(count * sizeof *dataset->train);
    dataset->held_out = malloc(held * sizeof *dataset->held_out);
    bool *out = calloc(count, sizeof *out);
    if (!dataset->train || !dataset->held_out || !out) {
        free(out);
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    }
    for (uint32_t k = 0; k < held; k++) {
        uint32_t best = count, lowest = 0;
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t word = fg_philox(seed, i, (uint32_t)FG_DRAW_SPLIT << 16, 0, 0).word[0];
            if (!out[i] && (best == count || word < lowest)) {
                best = i;
                lowest = word;
            }
        }
        out[best] = true;
    }
    for (uint32_t i = 0; i < count; i++)
        if (out[i])
            dataset->held_out[dataset->held_outs++] = i;
        else
            dataset->train[dataset->trains++] = i;
    free(out);
    return FG_OK;
}

/* DIR/train/good where it is there, else DIR. */
static enum fg_status list_good(struct fg_paths *paths, const char *folder, struct fg_message *message) {
    char category[4096];
    struct stat info;
    if ((size_t)snprintf(category, sizeof category, "%s/train/good", folder) >= sizeof category)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", folder);
    return fg_paths_list(paths, stat(category, &info) ? folder : category, message);
}

enum fg_status fg_dataset_open(struct fg_dataset *dataset, const char *folder, int32_t height, int32_t width,
                               uint64_t seed, struct fg_backend *backend, fg_dataset_function *progress,
                               void *argument, struct fg_message *message) {
    memset(dataset, 0, sizeof *dataset);
    dataset->height = height;
    dataset->width = width;
    enum fg_status status = list_good(&dataset->files, folder, message);
    if (status != FG_OK)
        return status;
    const size_t room = dataset->files.count + 1;
    struct decoding d = {.files = &dataset->files,
                         .image = calloc(room, sizeof *d.image),
                         .reason = calloc(room, sizeof *d.reason),
                         .hash = calloc(room, sizeof *d.hash),
                         .progress = progress,
                         .argument = argument};
    if (!d.image || !d.reason || !d.hash) {
        status = fg_fail(message, FG_ENVIRONMENT, "data set: no memory for %u files", dataset->files.count);
        goto out;
    }
    decode_all(&d, backend->device.threads);
    status = part_skipped(dataset, &d, message);
    if (status == FG_OK && dataset->files.count < FG_DATASET_LEAST)
        status =
            fg_fail(message, FG_INPUT,
                    "%.300s: %u good pictures could be read, but training takes at least %d; add pictures of "
                    "good parts (PNG, JPEG or TIFF)",
                    folder, dataset->files.count, FG_DATASET_LEAST);
    if (status == FG_OK && !height)
        status = choose_size(dataset, d.image, message);
    if (status == FG_OK)
        status = resize_all(dataset, d.image, backend, message);
    if (status == FG_OK) {
        dataset->contract = contract_of(d.image, dataset->files.count);
        hash_all(dataset, d.hash);
        status = split(dataset, seed, message);
    }
out:
    for (size_t i = 0; d.image && i < room; i++)
        fg_image_free(&d.image[i]);
    free(d.image);
    free(d.reason);
    free(d.hash);
    return status;
}

void fg_dataset_close(struct fg_dataset *dataset) {
    fg_paths_free(&dataset->files);
    for (uint32_t i = 0; i < dataset->skips; i++)
        free(dataset->skipped[i].path);
    free(dataset->skipped);
    free(dataset->pixels);
    free(dataset->train);
    free(dataset->held_out);
    memset(dataset, 0, sizeof *dataset);
}
