/* Reads a folder of good pictures: decodes in parallel, resizes, draws which are held out, and hashes all. */
#include "trainer/data/dataset.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/philox.h"
#include "trainer/data/picture.h"

#define MOST_DECODERS 16

void fg_dataset_size(double aspect, int32_t *height, int32_t *width) {
    double nearest = INFINITY;
    for (int32_t h = FG_SIDE_LEAST; h <= FG_SIDE_MOST; h += FG_SIDE_STEP)
        for (int32_t w = FG_SIDE_LEAST; w <= FG_SIDE_MOST; w += FG_SIDE_STEP) {
            const double share = (double)h * w / 65536, distance = fabs(log((double)w / h / aspect));
            /* The larger of two sizes that are equally near. */
            const bool better =
                distance < nearest - 1e-9 || (distance < nearest + 1e-9 && h * w > *height * *width);
            if (share < 0.85 || share > 1 || !better)
                continue;
            nearest = distance;
            *height = h;
            *width = w;
        }
}

/* Threads take the next file until none is left. They decode at the same time and resize one by one, since a
 * backend runs one program at a time; so each thread holds at most one decoded picture. Each result has its
 * own place, so results are in the order of the files. */
struct decoding {
    struct fg_dataset *dataset;
    struct fg_backend *backend;
    struct fg_image *image;        /* [files], extents only */
    bool *read;                    /* [files]: whether the picture could be read */
    struct fg_message *reason;     /* [files]: why a picture could not be read */
    uint8_t (*hash)[FG_HASH_SIZE]; /* [files]: hashes of the contents */
    fg_progress_function *progress;
    void *argument;
    pthread_mutex_t lock;
    uint32_t next, done;
    enum fg_status status; /* the first failure that is not a file's, which ends the reading */
    struct fg_message message;
};

/* Resizes picture i into its place. FG_INPUT is the picture's fault, any other failure the machine's. */
static void keep_picture(struct decoding *d, uint32_t i, enum fg_status status, struct fg_image *image) {
    const struct fg_dataset *set = d->dataset;
    if (status == FG_OK)
        status = fg_picture_resize(d->backend, image, set->height, set->width,
                                   set->pixels + i * fg_dataset_picture_bytes(set), &d->reason[i]);
    d->read[i] = status == FG_OK;
    d->image[i] = (struct fg_image){NULL, image->height, image->width, image->channels};
    if (status != FG_OK && status != FG_INPUT && d->status == FG_OK) {
        d->status = status;
        d->message = d->reason[i];
    }
}

static void *decode_files(void *argument) {
    struct decoding *d = argument;
    const struct fg_paths *files = &d->dataset->files;
    for (;;) {
        pthread_mutex_lock(&d->lock);
        const uint32_t i = d->next < files->count && d->status == FG_OK ? d->next++ : files->count;
        pthread_mutex_unlock(&d->lock);
        if (i == files->count)
            return NULL;
        struct fg_image image = {0};
        /* Decoding comes first: it refuses pipes and devices, which have no end. */
        enum fg_status status = fg_image_read(files->path[i], &image, &d->reason[i]);
        if (status == FG_OK)
            status = fg_file_hash(files->path[i], d->hash[i], &d->reason[i]);
        pthread_mutex_lock(&d->lock);
        keep_picture(d, i, status, &image);
        d->done++;
        if (d->progress)
            d->progress(d->argument, d->done, files->count);
        pthread_mutex_unlock(&d->lock);
        fg_image_free(&image);
    }
}

static void decode_all(struct decoding *d, uint32_t threads) {
    pthread_t thread[MOST_DECODERS];
    uint32_t started = 0;
    threads = threads > MOST_DECODERS ? MOST_DECODERS : threads;
    pthread_mutex_init(&d->lock, NULL);
    while (started + 1 < threads && !pthread_create(&thread[started], NULL, decode_files, d))
        started++;
    decode_files(d);
    while (started)
        pthread_join(thread[--started], NULL);
    pthread_mutex_destroy(&d->lock);
}

/* Moves pictures that could not be read from files to skipped, and the others together. */
static enum fg_status move_skipped(struct fg_dataset *dataset, struct decoding *d,
                                   struct fg_message *message) {
    const uint32_t count = dataset->files.count;
    const size_t size = fg_dataset_picture_bytes(dataset);
    dataset->skipped = calloc(count + 1, sizeof *dataset->skipped);
    if (!dataset->skipped)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!d->read[i]) {
            dataset->skipped[dataset->skips++] = (struct fg_skipped){dataset->files.path[i], d->reason[i]};
            continue;
        }
        dataset->files.path[kept] = dataset->files.path[i];
        memmove(dataset->pixels + kept * size, dataset->pixels + i * size, size);
        memmove(d->hash[kept], d->hash[i], FG_HASH_SIZE);
        d->image[kept++] = d->image[i];
    }
    dataset->files.count = kept;
    return FG_OK;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Chooses the size from the headers alone, so that each picture is decoded once and resized at once. */
static enum fg_status choose_size(struct fg_dataset *dataset, struct fg_message *message) {
    double *aspect = malloc((dataset->files.count + 1) * sizeof *aspect);
    if (!aspect)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    uint32_t count = 0;
    for (uint32_t i = 0; i < dataset->files.count; i++) {
        struct fg_image size;
        if (fg_image_size(dataset->files.path[i], &size, NULL) == FG_OK)
            aspect[count++] = (double)size.width / size.height;
    }
    aspect[count] = 1; /* counts only where no header can be read, and then nothing is trained */
    qsort(aspect, count, sizeof *aspect, compare_doubles);
    fg_dataset_size(aspect[count / 2], &dataset->height, &dataset->width);
    free(aspect);
    return FG_OK;
}

static bool have_same_size(const struct fg_image *a, const struct fg_image *b) {
    return a->width == b->width && a->height == b->height;
}

static bool have_same_channels(const struct fg_image *a, const struct fg_image *b) {
    return a->channels == b->channels;
}

/* Gives a picture that nearly all are like; NULL: more than one in FG_DEVIATING_SHARE would be unlike it. */
static const struct fg_image *find_common(const struct fg_image *image, uint32_t count,
                                          bool (*alike)(const struct fg_image *, const struct fg_image *)) {
    const uint32_t most = count / FG_DEVIATING_SHARE;
    /* Of the first ones, one more than may deviate, one is like nearly all. */
    for (uint32_t i = 0; i <= most && i < count; i++) {
        uint32_t unlike = 0;
        for (uint32_t k = 0; k < count; k++)
            unlike += !alike(&image[i], &image[k]);
        if (unlike <= most)
            return &image[i];
    }
    return NULL;
}

/* Finds what the pictures have in common, which the line's camera must keep to, and those that deviate. */
static enum fg_status find_contract(struct fg_dataset *dataset, const struct fg_image *image,
                                    struct fg_message *message) {
    const uint32_t count = dataset->files.count;
    const struct fg_image *size = find_common(image, count, have_same_size),
                          *kind = find_common(image, count, have_same_channels);
    struct fg_contract *contract = &dataset->contract;
    *contract = (struct fg_contract){.width = size ? size->width : 0,
                                     .height = size ? size->height : 0,
                                     .channels = kind ? kind->channels : 0};
    snprintf(contract->format, sizeof contract->format, "%s",
             kind ? fg_pixel_name(fg_pixel_decoded(kind->channels)) : "any8");
    dataset->deviates = calloc(count, sizeof *dataset->deviates);
    if (!dataset->deviates)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory");
    for (uint32_t i = 0; i < count; i++)
        dataset->deviates[i] =
            (size && !have_same_size(size, &image[i])) || (kind && !have_same_channels(kind, &image[i]));
    return FG_OK;
}

static const char *find_base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void hash_all(struct fg_dataset *dataset, uint8_t (*hash)[FG_HASH_SIZE]) {
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    for (uint32_t i = 0; i < dataset->files.count; i++) {
        const char *name = find_base_name(dataset->files.path[i]);
        crypto_generichash_update(&state, (const unsigned char *)name, strlen(name) + 1);
        crypto_generichash_update(&state, hash[i], FG_HASH_SIZE);
    }
    crypto_generichash_final(&state, dataset->hash, FG_HASH_SIZE);
}

/* Draws a number for each picture; the pictures with the smallest are held out, but for those that deviate.
 */
static enum fg_status split_files(struct fg_dataset *dataset, uint64_t seed, struct fg_message *message) {
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
            if (!out[i] && !dataset->deviates[i] && (best == count || word < lowest)) {
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

/* Lists the pictures of DIR/train/good where there is such a folder, else of DIR. */
static enum fg_status list_good(struct fg_paths *paths, const char *folder, struct fg_message *message) {
    char category[4096];
    struct stat info;
    if ((size_t)snprintf(category, sizeof category, "%s/train/good", folder) >= sizeof category)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", folder);
    return fg_paths_list(paths, stat(category, &info) ? folder : category, message);
}

static enum fg_status read_all(struct fg_dataset *dataset, struct decoding *d, const char *folder,
                               struct fg_message *message) {
    const size_t size = fg_dataset_picture_bytes(dataset), room = (size_t)dataset->files.count + 1;
    dataset->pixels = malloc(room * size);
    d->image = calloc(room, sizeof *d->image);
    d->read = calloc(room, sizeof *d->read);
    d->reason = calloc(room, sizeof *d->reason);
    d->hash = calloc(room, sizeof *d->hash);
    if (!dataset->pixels || !d->image || !d->read || !d->reason || !d->hash)
        return fg_fail(message, FG_ENVIRONMENT, "data set: no memory for %u pictures of %dx%d",
                       dataset->files.count, dataset->width, dataset->height);
    decode_all(d, d->backend->device.threads);
    if (d->status != FG_OK)
        return fg_fail(message, d->status, "%s", d->message.text);
    enum fg_status status = move_skipped(dataset, d, message);
    if (status == FG_OK && dataset->files.count < FG_DATASET_LEAST)
        return fg_fail(
            message, FG_INPUT,
            "%.300s: %u good pictures could be read, but training takes at least %d; add pictures of good "
            "parts (PNG, JPEG or TIFF) to it, or name the folder that has train/good in it",
            folder, dataset->files.count, FG_DATASET_LEAST);
    return status;
}

enum fg_status fg_dataset_open(struct fg_dataset *dataset, const char *folder, int32_t height, int32_t width,
                               uint64_t seed, struct fg_backend *backend, fg_progress_function *progress,
                               void *argument, struct fg_message *message) {
    memset(dataset, 0, sizeof *dataset);
    dataset->height = height;
    dataset->width = width;
    enum fg_status status = list_good(&dataset->files, folder, message);
    if (status == FG_OK && !height)
        status = choose_size(dataset, message);
    if (status != FG_OK)
        return status;
    struct decoding d = {.dataset = dataset, .backend = backend, .progress = progress, .argument = argument};
    status = read_all(dataset, &d, folder, message);
    if (status == FG_OK) {
        hash_all(dataset, d.hash);
        status = find_contract(dataset, d.image, message);
        if (status == FG_OK)
            status = split_files(dataset, seed, message);
    }
    free(d.image);
    free(d.read);
    free(d.reason);
    free(d.hash);
    return status;
}

void fg_dataset_close(struct fg_dataset *dataset) {
    fg_paths_free(&dataset->files);
    for (uint32_t i = 0; i < dataset->skips; i++)
        free(dataset->skipped[i].path);
    free(dataset->skipped);
    free(dataset->deviates);
    free(dataset->pixels);
    free(dataset->train);
    free(dataset->held_out);
    memset(dataset, 0, sizeof *dataset);
}

uint32_t fg_dataset_choose(const struct fg_dataset *dataset, uint32_t most, const uint8_t **picture) {
    uint32_t usual = 0, count = 0;
    for (uint32_t i = 0; i < dataset->trains; i++)
        usual += !dataset->deviates[dataset->train[i]];
    const uint32_t wanted = usual < most ? usual : most;
    for (uint32_t i = 0, seen = 0; i < dataset->trains; i++)
        if (!dataset->deviates[dataset->train[i]] && (uint64_t)seen++ * wanted / usual == count)
            picture[count++] = dataset->pixels + dataset->train[i] * fg_dataset_picture_bytes(dataset);
    return count;
}
