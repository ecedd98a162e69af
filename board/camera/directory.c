#include "board/camera/directory.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/size.h"

struct picture {
    const uint8_t *pixels;
    int32_t width, height, channels;
    char *name;
};

struct directory {
    struct fg_camera camera;
    struct fg_directory_settings settings;
    struct picture *picture;
    uint32_t pictures, room;
    size_t used;  /* of the memory */
    uint32_t at;  /* next picture to take */
    bool waiting; /* a picture was taken and not yet fetched */
    struct fg_camera_frame frame;
};

static struct directory *directory(struct fg_camera *camera) {
    return (struct directory *)camera;
}

static void drain(struct directory *d) {
    uint64_t count;
    ssize_t got = read(d->camera.descriptor, &count, sizeof count);
    (void)got; /* empty is as good */
    d->waiting = false;
}

static enum fg_status arm(struct fg_camera *camera, struct fg_message *message) {
    (void)message;
    drain(directory(camera));
    return FG_OK;
}

static enum fg_status trigger(struct fg_camera *camera, struct fg_message *message) {
    struct directory *d = directory(camera);
    if (d->at == d->pictures && !d->settings.cycle)
        return fg_fail(message, FG_INPUT, "camera: all %u pictures of %s were shown", d->pictures,
                       d->settings.folder);
    d->at = d->at == d->pictures ? 0 : d->at;
    const struct picture *p = &d->picture[d->at++];
    const size_t pitch = (size_t)p->width * (size_t)p->channels;
    d->frame = (struct fg_camera_frame){.pixels = p->pixels,
                                        .bytes = pitch * (size_t)p->height,
                                        .format = fg_pixel_decoded(p->channels),
                                        .pitch = pitch,
                                        .width = p->width,
                                        .height = p->height,
                                        .sequence = d->frame.sequence + 1,
                                        .exposed_ns = fg_clock_ns(),
                                        .status = FG_FRAME_WHOLE,
                                        .name = p->name};
    d->waiting = true;
    const uint64_t one = 1;
    if (write(camera->descriptor, &one, sizeof one) != (ssize_t)sizeof one)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "camera: cannot signal a frame");
    return FG_OK;
}

static enum fg_status next(struct fg_camera *camera, int64_t deadline_ns, struct fg_camera_frame *frame,
                           struct fg_message *message) {
    struct directory *d = directory(camera);
    while (!d->waiting) {
        const int64_t left = deadline_ns - fg_clock_ns();
        if (left <= 0)
            return fg_fail(message, FG_TIMEOUT, "camera: no frame");
        const struct timespec patience = {.tv_sec = left / FG_S, .tv_nsec = left % FG_S};
        struct pollfd ready = {.fd = camera->descriptor, .events = POLLIN};
        ppoll(&ready, 1, &patience, NULL);
    }
    drain(d);
    *frame = d->frame;
    return FG_OK;
}

static void release(struct fg_camera *camera, const struct fg_camera_frame *frame) {
    (void)camera; /* pictures are never overwritten */
    (void)frame;
}

static enum fg_status reopen(struct fg_camera *camera, struct fg_message *message) {
    return arm(camera, message);
}

static void close_camera(struct fg_camera *camera) {
    struct directory *d = directory(camera);
    for (uint32_t i = 0; i < d->pictures; i++)
        free(d->picture[i].name);
    free(d->picture);
    if (camera->descriptor >= 0)
        close(camera->descriptor);
    free(d);
}

static enum fg_status add_name(struct directory *d, const char *name, struct fg_message *message) {
    if (d->pictures == FG_DIRECTORY_PICTURES)
        return fg_fail(message, FG_INPUT, "camera: %s holds more than %d pictures", d->settings.folder,
                       FG_DIRECTORY_PICTURES);
    if (d->pictures == d->room) {
        const uint32_t room = d->room ? 2 * d->room : 64;
        struct picture *grown = realloc(d->picture, room * sizeof *grown);
        if (!grown)
            return fg_fail(message, FG_ENVIRONMENT, "camera: no memory for the list of pictures");
        d->picture = grown;
        d->room = room;
    }
    d->picture[d->pictures] = (struct picture){.name = strdup(name)};
    if (!d->picture[d->pictures].name)
        return fg_fail(message, FG_ENVIRONMENT, "camera: no memory for the list of pictures");
    d->pictures++;
    return FG_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct picture *)a)->name, ((const struct picture *)b)->name);
}

static enum fg_status list(struct directory *d, const struct fg_decoder *decoder,
                           struct fg_message *message) {
    DIR *folder = opendir(d->settings.folder);
    if (!folder)
        return fg_fail_errno(message, FG_INPUT, errno, "camera: cannot open the folder %s",
                             d->settings.folder);
    enum fg_status status = FG_OK;
    const struct dirent *entry;
    while (status == FG_OK && (entry = readdir(folder)))
        if (entry->d_name[0] != '.' && decoder->accepts(entry->d_name))
            status = add_name(d, entry->d_name, message);
    closedir(folder);
    if (status != FG_OK)
        return status;
    if (d->pictures == 0)
        return fg_fail(message, FG_INPUT, "camera: no pictures in %s", d->settings.folder);
    qsort(d->picture, d->pictures, sizeof *d->picture, by_name);
    return FG_OK;
}

/* Puts one decoded picture into the memory. */
static enum fg_status keep(struct directory *d, struct picture *p, const struct fg_decoded *decoded,
                           struct fg_message *message) {
    if (decoded->width > d->settings.max_width || decoded->height > d->settings.max_height)
        return fg_fail(message, FG_INPUT, "camera: %s is %dx%d, more than the largest frame of %dx%d",
                       p->name, decoded->width, decoded->height, d->settings.max_width,
                       d->settings.max_height);
    const size_t bytes = (size_t)decoded->width * (size_t)decoded->height * (size_t)decoded->channels;
    if (bytes > d->settings.memory_bytes - d->used)
        return fg_fail(
            message, FG_INPUT,
            "camera: picture %s does not fit: %zu of %zu bytes are used by those before it; give the "
            "camera more memory or fewer pictures",
            p->name, d->used, d->settings.memory_bytes);
    unsigned char *place = (unsigned char *)d->settings.memory + d->used;
    memcpy(place, decoded->pixels, bytes);
    p->pixels = place;
    p->width = decoded->width;
    p->height = decoded->height;
    p->channels = decoded->channels;
    d->used += bytes;
    return FG_OK;
}

static enum fg_status decode_all(struct directory *d, const struct fg_decoder *decoder,
                                 struct fg_message *message) {
    for (uint32_t i = 0; i < d->pictures; i++) {
        char path[4096];
        struct fg_decoded decoded = {0};
        if (snprintf(path, sizeof path, "%s/%s", d->settings.folder, d->picture[i].name) >= (int)sizeof path)
            return fg_fail(message, FG_INPUT, "camera: the path of %s is too long", d->picture[i].name);
        enum fg_status status = decoder->read(path, &decoded, message);
        if (status != FG_OK)
            return status;
        status = keep(d, &d->picture[i], &decoded, message);
        decoder->free(&decoded);
        if (status != FG_OK)
            return status;
    }
    return FG_OK;
}

enum fg_status fg_directory_open(const struct fg_directory_settings *settings,
                                 const struct fg_decoder *decoder, struct fg_camera **camera,
                                 struct fg_message *message) {
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return fg_fail(message, FG_ENVIRONMENT, "camera: no memory");
    d->camera = (struct fg_camera){.driver = "directory",
                                   .descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                   .arm = arm,
                                   .trigger = trigger,
                                   .next = next,
                                   .release = release,
                                   .reopen = reopen,
                                   .close = close_camera};
    d->settings = *settings;
    enum fg_status status = FG_OK;
    if (d->camera.descriptor < 0)
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "camera: cannot make a descriptor");
    if (status == FG_OK)
        status = list(d, decoder, message);
    if (status == FG_OK)
        status = decode_all(d, decoder, message);
    if (status == FG_OK)
        *camera = &d->camera;
    else
        close_camera(&d->camera);
    return status;
}
