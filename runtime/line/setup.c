#include "runtime/line/setup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board/camera/directory.h"
#include "runtime/image/image.h"
#include "runtime/line/line.h"

enum fg_status fg_setup_plan(const struct fg_config *config, struct fg_backend *backend,
                             struct fg_memory_plan *plan, struct fg_report *report) {
    const uint32_t before = report->lines;
    *plan = (struct fg_memory_plan){.camera = (size_t)config->camera[0].memory_mib << 20,
                                    .line = fg_line_memory() + fg_size_align(sizeof(struct fg_rejects)),
                                    .banks = config->view[0].bundles > 1 ? FG_JUDGE_BANKS : 1};
    plan->fixed = plan->camera + plan->line;
    if (*config->camera[0].path && access(config->camera[0].path, R_OK | X_OK)) {
        char reason[128];
        fg_report_add(report, "camera.path = %.200s: %s", config->camera[0].path,
                      strerror_r(errno, reason, sizeof reason));
    }
    for (uint32_t i = 0; i < config->view[0].bundles; i++) {
        struct fg_message message;
        struct fg_bundle *bundle = NULL;
        enum fg_status status = fg_bundle_open(config->view[0].bundle[i], &bundle, &message);
        if (status == FG_OK && !fg_bundle_header(bundle)->calibrated)
            status = fg_fail(&message, FG_INPUT, "%.300s: not calibrated; run flawgate calibrate on it",
                             config->view[0].bundle[i]);
        if (status == FG_OK) {
            const struct fg_contract *contract = &fg_bundle_header(bundle)->contract;
            if ((uint32_t)contract->width > config->camera[0].max_width ||
                (uint32_t)contract->height > config->camera[0].max_height)
                status = fg_fail(
                    &message, FG_INPUT,
                    "%.300s: judges pictures of %dx%d, but camera.max_width and max_height admit %ux%u",
                    config->view[0].bundle[i], contract->width, contract->height, config->camera[0].max_width,
                    config->camera[0].max_height);
        }
        if (status == FG_OK)
            status = fg_engine_need(bundle, backend, (int32_t)config->camera[0].max_width,
                                    (int32_t)config->camera[0].max_height, &plan->need[i], &message);
        if (status != FG_OK)
            fg_report_add(report, "slot %u: %s", i, message.text);
        if (plan->need[i].host > plan->bank)
            plan->bank = plan->need[i].host;
        if (plan->need[i].device > plan->device)
            plan->device = plan->need[i].device;
        fg_bundle_close(bundle);
    }
    return report->lines == before ? FG_OK : FG_INPUT;
}

/* The directory camera's decoder is ours. */
static enum fg_status decode(const char *path, struct fg_decoded *picture, struct fg_message *message) {
    struct fg_image image;
    enum fg_status status = fg_image_read(path, &image, message);
    if (status == FG_OK)
        *picture = (struct fg_decoded){image.pixels, image.width, image.height, image.channels};
    return status;
}

static void free_decoded(struct fg_decoded *picture) {
    free(picture->pixels);
}

enum fg_status fg_setup_camera(const struct fg_config *config, void *memory, struct fg_camera **camera,
                               struct fg_message *message) {
    static const struct fg_decoder decoder = {fg_image_name, decode, free_decoded};
    const struct fg_directory_settings settings = {.folder = config->camera[0].path,
                                                   .cycle = config->camera[0].cycle,
                                                   .max_width = (int32_t)config->camera[0].max_width,
                                                   .max_height = (int32_t)config->camera[0].max_height,
                                                   .memory = memory,
                                                   .memory_bytes = (size_t)config->camera[0].memory_mib
                                                                   << 20};
    return fg_directory_open(&settings, &decoder, camera, message);
}

/* Who takes the lines of the plan. */
struct teller {
    fg_setup_line_function *tell;
    void *argument;
};

static void tell(const struct teller *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(const struct teller *to, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    to->tell(to->argument, text);
}

static void tell_bytes(const struct teller *to, const char *what, size_t bytes) {
    tell(to, "  %-34s %14zu bytes  %8.1f MiB", what, bytes, (double)bytes / 1048576);
}

void fg_setup_describe(const struct fg_config *config, const struct fg_memory_plan *plan,
                       fg_setup_line_function *line, void *argument) {
    const struct teller to = {line, argument};
    const size_t arena = plan->fixed + plan->banks * plan->bank, device = plan->banks * plan->device;
    tell(&to, "memory plan");
    tell_bytes(&to, "pictures of the directory camera", plan->camera);
    tell_bytes(&to, "queues, results, statistics", plan->line);
    for (uint32_t i = 0; i < config->view[0].bundles; i++) {
        const struct fg_engine_need *n = &plan->need[i];
        tell(&to, "  slot %u, %s", i, config->view[0].bundle[i]);
        tell_bytes(&to, "  weights", n->weights);
        tell_bytes(&to, "  prepared weights", n->prepared);
        tell_bytes(&to, "  activations", n->activations);
        tell_bytes(&to, "  workspace", n->workspace);
        tell_bytes(&to, "  results, self-test, loading", n->io + n->frame + n->search + n->load);
    }
    tell_bytes(&to, "one bank", plan->bank);
    if (device)
        tell_bytes(&to, "  and on the device", plan->device);
    tell(&to, "  %-34s %14u", "banks", plan->banks);
    tell_bytes(&to, "arena", arena);
    if (device)
        tell_bytes(&to, "arena on the device", device);
    tell_bytes(&to, "allowance for libraries", FG_ALLOWANCE);
    tell_bytes(&to, "in all, at most", arena + FG_ALLOWANCE);
}
