/* The memory plan of a configuration, and its way to the drivers. */
#include "runtime/line/setup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board/camera/drivers.h"
#include "board/gpio/drivers.h"
#include "runtime/image/image.h"
#include "runtime/line/line.h"

/* ---- Drivers ---- */

enum fg_status fg_setup_read(const char *path, struct fg_config *config, struct fg_report *report) {
    struct fg_config_driver cameras[FG_CONFIG_DRIVERS], boards[FG_CONFIG_DRIVERS];
    struct fg_config_drivers drivers = {.camera = cameras, .board = boards};
    for (const struct fg_camera_driver *driver; (driver = fg_camera_drivers[drivers.cameras]);
         drivers.cameras++)
        if (drivers.cameras < FG_CONFIG_DRIVERS) /* fg_config_read refuses more */
            cameras[drivers.cameras] =
                (struct fg_config_driver){driver->name, driver->keys, driver->settings};
    for (const struct fg_board_driver *driver; (driver = fg_board_drivers[drivers.boards]); drivers.boards++)
        if (drivers.boards < FG_CONFIG_DRIVERS)
            boards[drivers.boards] = (struct fg_config_driver){driver->name, driver->keys, driver->settings};
    return fg_config_read(path, &drivers, config, report);
}

/* Decodes for cameras that show picture files, since board/ knows no file format. */
static enum fg_status decode_picture(const char *path, struct fg_decoded *picture,
                                     struct fg_message *message) {
    struct fg_image image;
    enum fg_status status = fg_image_read(path, &image, message);
    if (status == FG_OK)
        *picture = (struct fg_decoded){image.pixels, image.width, image.height, image.channels};
    return status;
}

static void free_picture(struct fg_decoded *picture) {
    free(picture->pixels);
}

/* NULL: the configuration names no driver that there is, which is reported already. */
static const struct fg_camera_driver *find_camera(const struct fg_config *config, uint32_t i, void *memory,
                                                  struct fg_camera_settings *settings) {
    static const struct fg_decoder decoder = {fg_image_name, decode_picture, free_picture};
    const struct fg_config_camera *camera = &config->camera[i];
    *settings = (struct fg_camera_settings){.keys = camera->settings,
                                            .max_width = (int32_t)camera->max_width,
                                            .max_height = (int32_t)camera->max_height,
                                            .decoder = &decoder,
                                            .memory = memory};
    return camera->driver == FG_CONFIG_NO_DRIVER ? NULL : fg_camera_drivers[camera->driver];
}

static const struct fg_board_driver *find_board(const struct fg_config *config) {
    return config->board.driver == FG_CONFIG_NO_DRIVER ? NULL : fg_board_drivers[config->board.driver];
}

_Static_assert(FG_CONFIG_VIEWS == FG_VIEWS, "the configuration and the map have the same number of views");

static struct fg_camera_facts state_facts(const struct fg_config *config, uint32_t i) {
    struct fg_camera_settings settings;
    const struct fg_camera_driver *driver = find_camera(config, i, NULL, &settings);
    struct fg_camera_facts facts = {
        .software_trigger = true, .max_width = settings.max_width, .max_height = settings.max_height};
    if (driver)
        driver->facts(&settings, &facts);
    return facts;
}

/* Adds what is wrong with one camera; each line names the camera where it has a name. */
static void check_camera(const struct fg_config *config, uint32_t i, struct fg_camera_viewer *viewer,
                         struct fg_report *report) {
    const char *name = config->camera[i].name;
    struct fg_camera_settings settings;
    const struct fg_camera_driver *driver = find_camera(config, i, NULL, &settings);
    struct fg_report own = {0};
    if (!driver)
        return;
    driver->check(&settings, viewer, &own);
    if (!state_facts(config, i).software_trigger)
        fg_report_add(&own, "the driver %s cannot take a picture when the program asks for it", driver->name);
    char *rest = NULL;
    for (char *line = own.text ? strtok_r(own.text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        fg_report_add(report, "%s%s%s%s", *name ? "camera " : "", name, *name ? ": " : "", line);
    fg_report_free(&own);
}

enum fg_status fg_setup_check(const struct fg_config *config, struct fg_camera_viewer *const *viewer,
                              struct fg_report *report) {
    const uint32_t before = report->lines;
    if (find_board(config))
        find_board(config)->check(config->board.settings, report);
    for (uint32_t i = 0; i < config->cameras; i++)
        check_camera(config, i, viewer ? viewer[i] : NULL, report);
    return report->lines == before ? FG_OK : FG_INPUT;
}

void fg_setup_aim(const struct fg_config_view *view, struct fg_frame *frame) {
    frame->region =
        (struct fg_region){(int32_t)view->x, (int32_t)view->y, (int32_t)view->width, (int32_t)view->height};
    frame->rotation = (int32_t)view->rotation;
}

void fg_setup_frames(const struct fg_config *config, int32_t width[FG_CONFIG_VIEWS],
                     int32_t height[FG_CONFIG_VIEWS]) {
    for (uint32_t v = 0; v < config->views; v++) {
        const struct fg_camera_facts facts = state_facts(config, config->view[v].camera);
        width[v] = facts.max_width;
        height[v] = facts.max_height;
    }
}

enum fg_status fg_setup_camera(const struct fg_config *config, uint32_t i, void *memory,
                               struct fg_camera **camera, struct fg_message *message) {
    struct fg_camera_settings settings;
    return find_camera(config, i, memory, &settings)->open(&settings, camera, message);
}

enum fg_status fg_setup_board(const struct fg_config *config, int32_t index[FG_CONFIG_IOS],
                              struct fg_board **board, struct fg_message *message) {
    _Static_assert(FG_CONFIG_IOS <= FG_BOARD_IOS, "a board has room for every io");
    _Static_assert(FG_CONFIG_NAME <= FG_BOARD_NAME, "and for its name");
    struct fg_io ios[FG_CONFIG_IOS];
    uint32_t count = 0;
    for (int i = 0; i < FG_CONFIG_IOS; i++) {
        index[i] = -1;
        if (!*config->io[i].name)
            continue;
        struct fg_io *io = &ios[count];
        *io = (struct fg_io){.output = i != FG_IO_TRIGGER, .active_low = config->io[i].active_low};
        snprintf(io->name, sizeof io->name, "%s", config->io[i].name);
        index[i] = (int32_t)count++;
    }
    return find_board(config)->open(config->board.settings, ios, count, board, message);
}

enum fg_status fg_setup_probe_board(const struct fg_config *config, int32_t *owner,
                                    struct fg_message *message) {
    *owner = 0;
    return find_board(config) ? find_board(config)->probe(config->board.settings, owner, message) : FG_OK;
}

/* ---- The plan ---- */

/* Whether a view of a camera can show what a bundle was trained on. */
static enum fg_status check_contract(const struct fg_bundle_header *header, const struct fg_config_view *view,
                                     const struct fg_camera_facts *camera, struct fg_message *message) {
    const struct fg_contract *contract = &header->contract;
    struct fg_frame largest = {.width = camera->max_width, .height = camera->max_height};
    int32_t width, height;
    fg_setup_aim(view, &largest);
    fg_frame_seen(&largest, &width, &height);
    if (!header->calibrated)
        return fg_fail(message, FG_INPUT, "the bundle is not calibrated: run flawgate calibrate on it");
    if (view->width && contract->width && (contract->width != width || contract->height != height))
        return fg_fail(message, FG_INPUT,
                       "judges pictures of %dx%d, but the view's region, rotated, has %dx%d", contract->width,
                       contract->height, width, height);
    if (contract->width > width || contract->height > height)
        return fg_fail(message, FG_INPUT,
                       "judges pictures of %dx%d, but camera.max_width and max_height admit %dx%d",
                       contract->width, contract->height, width, height);
    return FG_OK;
}

/* Finds what one bundle takes that judges a view of a camera. The message names the file. */
static enum fg_status plan_bundle(const char *path, struct fg_backend *backend,
                                  const struct fg_config_view *view, const struct fg_camera_facts *camera,
                                  struct fg_engine_need *need, uint32_t *map_pixels,
                                  struct fg_message *message) {
    struct fg_bundle *bundle = NULL;
    char name[FG_CONFIG_TEXT];
    snprintf(name, sizeof name, "%.300s", path);
    enum fg_status status = fg_bundle_open(path, &bundle, message);
    if (status != FG_OK)
        return status;
    const struct fg_network_spec *spec = &fg_bundle_header(bundle)->spec;
    const uint32_t pixels = (uint32_t)spec->height * (uint32_t)spec->width;
    *map_pixels = pixels > *map_pixels ? pixels : *map_pixels;
    status = check_contract(fg_bundle_header(bundle), view, camera, message);
    if (status != FG_OK)
        status = fg_fail_in(message, status, name);
    else
        status = fg_engine_need(bundle, backend, camera->max_width, camera->max_height, need, message);
    fg_bundle_close(bundle);
    return status;
}

/* Writes how messages about a view's bundle begin. */
void fg_setup_name_slot(const struct fg_config *config, uint32_t view, uint32_t slot,
                        char text[FG_SETUP_SLOT]) {
    const char *name = config->view[view].name;
    snprintf(text, FG_SETUP_SLOT, "%s%s%sslot %u", *name ? "view " : "", name, *name ? ", " : "", slot);
}

const char *fg_setup_name_view(const struct fg_config *config, uint32_t view, char text[FG_SETUP_VIEW]) {
    const char *name = config->view[view].name;
    snprintf(text, FG_SETUP_VIEW, "%s%s%s", *name ? "view " : "", name, *name ? ": " : "");
    return text;
}

/* Reports a plan that this machine cannot hold: the system would end the daemon while it takes its memory. */
static void check_memory(const struct fg_memory_plan *plan, struct fg_report *report) {
    const size_t all = plan->fixed + plan->banks * plan->bank + FG_ALLOWANCE;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0 && all / (size_t)page >= (size_t)pages)
        fg_report_add(
            report,
            "the memory plan takes %zu MiB, but this machine has %zu MiB: use fewer or smaller cameras "
            "and bundles",
            all >> 20, (size_t)pages * (size_t)page >> 20);
}

enum fg_status fg_setup_plan(const struct fg_config *config, struct fg_backend *backend,
                             struct fg_memory_plan *plan, struct fg_report *report) {
    const uint32_t before = report->lines, sets = config->view[0].bundles > 1 ? 2 : 1;
    *plan = (struct fg_memory_plan){.line = fg_line_memory() + fg_size_align(sizeof(struct fg_rejects)),
                                    .banks = config->views * sets};
    plan->fixed = plan->line;
    for (uint32_t i = 0; i < config->cameras; i++) {
        plan->camera[i] = fg_size_align(state_facts(config, i).memory);
        plan->fixed += plan->camera[i];
    }
    for (uint32_t v = 0; v < config->views; v++) {
        const struct fg_config_view *view = &config->view[v];
        const struct fg_camera_facts camera = state_facts(config, view->camera);
        for (uint32_t i = 0; i < view->bundles; i++) {
            struct fg_message message;
            struct fg_engine_need *need = &plan->need[v][i];
            char where[FG_SETUP_SLOT];
            fg_setup_name_slot(config, v, i, where);
            if (plan_bundle(view->bundle[i], backend, view, &camera, need, &plan->map_pixels, &message) !=
                FG_OK)
                fg_report_add(report, "%s: %s", where, message.text);
            plan->bank = need->host > plan->bank ? need->host : plan->bank;
            plan->device = need->device > plan->device ? need->device : plan->device;
        }
    }
    check_memory(plan, report);
    return report->lines == before ? FG_OK : FG_INPUT;
}

/* Takes the lines of the plan. */
struct teller {
    fg_setup_line_function *tell;
    void *argument;
};

static void tell_line(const struct teller *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell_line(const struct teller *to, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    to->tell(to->argument, text);
}

static void tell_bytes(const struct teller *to, const char *what, size_t bytes) {
    tell_line(to, "  %-34s %14zu bytes  %8.1f MiB", what, bytes, (double)bytes / 1048576);
}

void fg_setup_describe(const struct fg_config *config, const struct fg_memory_plan *plan,
                       fg_setup_line_function *line, void *argument) {
    const struct teller to = {line, argument};
    const size_t arena = plan->fixed + plan->banks * plan->bank, device = plan->banks * plan->device;
    tell_line(&to, "memory plan");
    tell_bytes(&to, "frames of cameras", plan->fixed - plan->line - plan->store);
    tell_bytes(&to, "queues, results, statistics", plan->line);
    tell_bytes(&to, "pictures and scores to store", plan->store);
    for (uint32_t v = 0; v < config->views; v++)
        for (uint32_t i = 0; i < config->view[v].bundles; i++) {
            const struct fg_engine_need *n = &plan->need[v][i];
            char where[FG_SETUP_SLOT];
            fg_setup_name_slot(config, v, i, where);
            tell_line(&to, "  %s, %s", where, config->view[v].bundle[i]);
            tell_bytes(&to, "  weights", n->weights);
            tell_bytes(&to, "  prepared weights", n->prepared);
            tell_bytes(&to, "  activations", n->activations);
            tell_bytes(&to, "  workspace", n->workspace);
            tell_bytes(&to, "  results, self-test, loading", n->io + n->frame + n->search + n->load);
        }
    tell_bytes(&to, "one bank", plan->bank);
    if (device)
        tell_bytes(&to, "  and on the device", plan->device);
    tell_line(&to, "  %-34s %14u", "banks", plan->banks);
    tell_bytes(&to, "arena", arena);
    if (device)
        tell_bytes(&to, "arena on the device", device);
    tell_bytes(&to, "allowance for libraries", FG_ALLOWANCE);
    tell_bytes(&to, "in all, at most", arena + FG_ALLOWANCE);
}
