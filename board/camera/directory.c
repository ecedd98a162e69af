/* The directory camera's driver: it lists a folder, decodes what is in it, and shows one picture a
 * trigger. */
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
    char path[FG_CAMERA_PATH];
    bool cycle;
    struct picture *picture;
    uint32_t pictures, room;
    uint32_t at;  /* next picture to take */
    bool waiting; /* a picture was taken and not yet fetched */
    struct fg_camera_frame frame;
};

static struct directory *get_directory(struct fg_camera *camera) {
    return (struct directory *)camera;
}

static void drop_frame(struct directory *d) {
    uint64_t count;
    ssize_t got = read(d->camera.descriptor, &count, sizeof count);
    (void)got; /* empty is as good */
    d->waiting = false;
}

static enum fg_status arm(struct fg_camera *camera, struct fg_message *message) {
    (void)message;
    drop_frame(get_directory(camera));
    get_directory(camera)->at = 0;
    return FG_OK;
}

static struct fg_camera_frame frame_picture(const struct picture *p) {
    const size_t pitch = (size_t)p->width * (size_t)p->channels;
    return (struct fg_camera_frame){.pixels = p->pixels,
                                    .bytes = pitch * (size_t)p->height,
                                    .format = fg_pixel_decoded(p->channels),
                                    .pitch = pitch,
                                    .width = p->width,
                                    .height = p->height,
                                    .status = FG_FRAME_WHOLE,
                                    .name = p->name};
}

static enum fg_status trigger(struct fg_camera *camera, struct fg_message *message) {
    struct directory *d = get_directory(camera);
    if (d->at == d->pictures && !d->cycle)
        return fg_fail(message, FG_INPUT, "camera: all %u pictures of %s were shown", d->pictures, d->path);
    d->at = d->at == d->pictures ? 0 : d->at;
    const uint32_t sequence = d->frame.sequence + 1;
    d->frame = frame_picture(&d->picture[d->at]);
    d->frame.buffer = d->at++;
    d->frame.sequence = sequence;
    d->frame.exposed_ns = fg_clock_ns();
    d->waiting = true;
    const uint64_t one = 1;
    if (write(camera->descriptor, &one, sizeof one) != (ssize_t)sizeof one)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "camera: cannot signal a frame");
    return FG_OK;
}

static enum fg_status next(struct fg_camera *camera, int64_t deadline_ns, struct fg_camera_frame *frame,
                           struct fg_message *message) {
    struct directory *d = get_directory(camera);
    while (!d->waiting) {
        const int64_t left = deadline_ns - fg_clock_ns();
        if (left <= 0)
            return fg_fail(message, FG_TIMEOUT, "camera: no frame has come");
        const struct timespec patience = {.tv_sec = left / FG_S, .tv_nsec = left % FG_S};
        struct pollfd ready = {.fd = camera->descriptor, .events = POLLIN};
        ppoll(&ready, 1, &patience, NULL);
    }
    drop_frame(d);
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

static void free_list(struct directory *d) {
    for (uint32_t i = 0; i < d->pictures; i++)
        free(d->picture[i].name);
    free(d->picture);
}

static void close_camera(struct fg_camera *camera) {
    struct directory *d = get_directory(camera);
    free_list(d);
    if (camera->descriptor >= 0)
        close(camera->descriptor);
    free(d);
}

/* ---- The folder and its pictures ---- */

static enum fg_status add_name(struct directory *d, const char *name, struct fg_message *message) {
    if (d->pictures == FG_DIRECTORY_PICTURES)
        return fg_fail(message, FG_INPUT, "camera: %s holds more than %d pictures", d->path,
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

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct picture *)a)->name, ((const struct picture *)b)->name);
}

static enum fg_status list_pictures(struct directory *d, const struct fg_decoder *decoder,
                                    struct fg_message *message) {
    DIR *folder = opendir(d->path);
    if (!folder)
        return fg_fail_errno(message, FG_INPUT, errno, "camera: cannot open the folder %s", d->path);
    enum fg_status status = FG_OK;
    const struct dirent *entry;
    while (status == FG_OK && (entry = readdir(folder)))
        if (entry->d_name[0] != '.' && decoder->accepts(entry->d_name))
            status = add_name(d, entry->d_name, message);
    closedir(folder);
    if (status != FG_OK)
        return status;
    if (d->pictures == 0)
        return fg_fail(message, FG_INPUT, "camera: there are no pictures in %s", d->path);
    qsort(d->picture, d->pictures, sizeof *d->picture, compare_names);
    return FG_OK;
}

/* Decodes one picture, whose pixels the decoder frees; p gets its size and channels, but no pixels. */
static enum fg_status decode_picture(const struct directory *d, const struct fg_camera_settings *settings,
                                     struct picture *p, struct fg_decoded *decoded,
                                     struct fg_message *message) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", d->path, p->name) >= (int)sizeof path)
        return fg_fail(message, FG_INPUT, "camera: the path of %s is too long", p->name);
    const enum fg_status status = settings->decoder->read(path, decoded, message);
    if (status != FG_OK)
        return status;
    p->width = decoded->width;
    p->height = decoded->height;
    p->channels = decoded->channels;
    if (p->width <= settings->max_width && p->height <= settings->max_height)
        return FG_OK;
    settings->decoder->free(decoded);
    return fg_fail(message, FG_INPUT, "camera: %s is %dx%d, more than the largest frame of %dx%d", p->name,
                   p->width, p->height, settings->max_width, settings->max_height);
}

/* Makes room for a picture: moves used behind it. */
static enum fg_status make_room(const struct picture *p, size_t memory, size_t *used,
                                struct fg_message *message) {
    const size_t bytes = frame_picture(p).bytes;
    if (bytes > memory - *used)
        return fg_fail(
            message, FG_INPUT,
            "camera: picture %s does not fit: %zu of %zu bytes are used by those before it; give the "
            "camera more memory or fewer pictures",
            p->name, *used, memory);
    *used += bytes;
    return FG_OK;
}

static void state_facts(const struct fg_camera_settings *settings, struct fg_camera_facts *facts) {
    const struct fg_directory_settings *keys = settings->keys;
    *facts = (struct fg_camera_facts){.software_trigger = true,
                                      .max_width = settings->max_width,
                                      .max_height = settings->max_height,
                                      .memory = (size_t)keys->memory_mib << 20};
}

static enum fg_status decode_all(struct directory *d, const struct fg_camera_settings *settings,
                                 struct fg_message *message) {
    struct fg_camera_facts facts;
    state_facts(settings, &facts);
    size_t used = 0;
    for (uint32_t i = 0; i < d->pictures; i++) {
        struct picture *p = &d->picture[i];
        struct fg_decoded decoded = {0};
        enum fg_status status = decode_picture(d, settings, p, &decoded, message);
        if (status != FG_OK)
            return status;
        unsigned char *place = (unsigned char *)settings->memory + used;
        status = make_room(p, facts.memory, &used, message);
        if (status == FG_OK) {
            p->pixels = place;
            memcpy(place, decoded.pixels, frame_picture(p).bytes);
        }
        settings->decoder->free(&decoded);
        if (status != FG_OK)
            return status;
    }
    return FG_OK;
}

/* ---- The driver ---- */

static void check_pictures(struct directory *d, const struct fg_camera_settings *settings,
                           struct fg_camera_viewer *viewer, struct fg_report *report) {
    struct fg_camera_facts facts;
    state_facts(settings, &facts);
    size_t used = 0;
    bool full = false;
    for (uint32_t i = 0; i < d->pictures; i++) {
        struct picture *p = &d->picture[i];
        struct fg_decoded decoded = {0};
        struct fg_message message;
        if (decode_picture(d, settings, p, &decoded, &message) != FG_OK) {
            fg_report_add(report, "%s", message.text);
            continue;
        }
        if (!full && make_room(p, facts.memory, &used, &message) != FG_OK) {
            fg_report_add(report, "%s", message.text);
            full = true;
        }
        p->pixels = decoded.pixels;
        const struct fg_camera_frame frame = frame_picture(p);
        viewer->see(viewer, &frame, report);
        settings->decoder->free(&decoded);
    }
}

static void check_settings(const struct fg_camera_settings *settings, struct fg_camera_viewer *viewer,
                           struct fg_report *report) {
    const struct fg_directory_settings *keys = settings->keys;
    struct directory d = {0};
    struct fg_message message;
    if (access(keys->path, R_OK | X_OK)) {
        fg_say_errno(&message, errno, "camera.path = %.200s", keys->path);
        fg_report_add(report, "%s", message.text);
    } else if (viewer) {
        memcpy(d.path, keys->path, sizeof d.path);
        if (list_pictures(&d, settings->decoder, &message) != FG_OK)
            fg_report_add(report, "%s", message.text);
        check_pictures(&d, settings, viewer, report);
        free_list(&d);
    }
}

static enum fg_status open_camera(const struct fg_camera_settings *settings, struct fg_camera **camera,
                                  struct fg_message *message) {
    const struct fg_directory_settings *keys = settings->keys;
    struct directory *d = calloc(1, sizeof *d);
    if (!d)
        return fg_fail(message, FG_ENVIRONMENT, "camera: no memory");
    d->camera = (struct fg_camera){.descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                   .arm = arm,
                                   .trigger = trigger,
                                   .next = next,
                                   .release = release,
                                   .reopen = reopen,
                                   .close = close_camera};
    memcpy(d->path, keys->path, sizeof d->path);
    d->cycle = keys->cycle;
    enum fg_status status = FG_OK;
    if (d->camera.descriptor < 0)
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "camera: cannot make a descriptor");
    if (status == FG_OK)
        status = list_pictures(d, settings->decoder, message);
    if (status == FG_OK)
        status = decode_all(d, settings, message);
    if (status == FG_OK)
        *camera = &d->camera;
    else
        close_camera(&d->camera);
    return status;
}

#define AT(member) offsetof(struct fg_directory_settings, member)
static const struct fg_option KEYS[] = {
    {"path", FG_OPTION_PATH, AT(path), NULL, .size = FG_CAMERA_PATH, .help = "the folder of the pictures"},
    {"cycle", FG_OPTION_BOOL, AT(cycle), "true", .help = "begin again after the last picture"},
    {"memory_mib", FG_OPTION_NUMBER, AT(memory_mib), "64", 1, 16384,
     .help = "memory for the decoded pictures"},
};

const struct fg_camera_driver fg_directory_driver = {.name = "directory",
                                                     .keys = FG_OPTIONS(KEYS),
                                                     .settings = sizeof(struct fg_directory_settings),
                                                     .facts = state_facts,
                                                     .check = check_settings,
                                                     .open = open_camera};
