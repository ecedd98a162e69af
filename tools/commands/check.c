/* flawgate check CONFIG: everything that is wrong with a configuration, and the memory plan. */
#include <stdio.h>

#include "runtime/engine/device.h"
#include "runtime/line/setup.h"
#include "tools/commands/tool.h"

/* Every byte of every bundle: one that is damaged would be found at a job change. */
static void check_bundle(const char *path, uint32_t slot, struct fg_report *report) {
    struct fg_bundle_facts facts;
    struct fg_message message;
    enum fg_status status = fg_bundle_verify(path, &facts, &message);
    if (!facts.header)
        return; /* the plan has said so */
    if (status != FG_OK)
        fg_report_add(report, "slot %u: %s", slot, message.text);
    if (facts.infinite)
        fg_report_add(report, "slot %u: %.300s: weights that are not finite: every part would be INOPERATIVE",
                      slot, path);
}

static void check_bundles(const struct fg_config *config, struct fg_report *report) {
    for (uint32_t v = 0; v < config->views; v++)
        for (uint32_t i = 0; i < config->view[v].bundles; i++)
            check_bundle(config->view[v].bundle[i], i, report);
}

/* Compares what a camera will show with what the bundles that judge it were trained on. */
struct contracts {
    struct fg_camera_viewer viewer;
    uint32_t count;
    struct {
        struct fg_contract contract;
        const struct fg_config_view *view;
        uint32_t slot;
        bool broken; /* one line for each is enough */
    } of[FG_CONFIG_VIEWS * FG_CONFIG_BUNDLES];
};

static void compare_frame(struct fg_camera_viewer *viewer, const struct fg_camera_frame *frame,
                          struct fg_report *report) {
    struct contracts *contracts = (struct contracts *)viewer;
    const char *name = frame->name ? frame->name : "a frame";
    for (uint32_t i = 0; i < contracts->count; i++) {
        const struct fg_contract *c = &contracts->of[i].contract;
        const uint32_t slot = contracts->of[i].slot;
        struct fg_frame seen = {.width = frame->width, .height = frame->height};
        int32_t width, height;
        fg_setup_aim(contracts->of[i].view, &seen);
        fg_frame_seen(&seen, &width, &height);
        const bool outside =
            !fg_region_fits(fg_region_of(seen.region, seen.width, seen.height), seen.width, seen.height);
        const bool other_size = c->width && (width != c->width || height != c->height);
        const bool other_colour = c->channels && fg_pixel_channels(frame->format) != c->channels;
        if (contracts->of[i].broken)
            continue;
        if (outside)
            fg_report_add(report, "slot %u: the region of view %s is not inside %.300s, which has %dx%d",
                          slot, contracts->of[i].view->name, name, frame->width, frame->height);
        if (other_size)
            fg_report_add(report, "slot %u: judges pictures of %dx%d, but %.300s has %dx%d", slot, c->width,
                          c->height, name, width, height);
        if (other_colour)
            fg_report_add(report, "slot %u: judges %s pictures, but %.300s is not", slot,
                          c->channels == 1 ? "grey" : "colour", name);
        contracts->of[i].broken = outside || other_size || other_colour;
    }
}

/* The contracts of all bundles that judge a camera's frames. */
static void collect_contracts(const struct fg_config *config, uint32_t camera, struct contracts *contracts) {
    *contracts = (struct contracts){.viewer.see = compare_frame};
    for (uint32_t v = 0; v < config->views; v++)
        for (uint32_t i = 0; i < config->view[v].bundles && config->view[v].camera == camera; i++) {
            struct fg_bundle *bundle;
            if (fg_bundle_open(config->view[v].bundle[i], &bundle, NULL) != FG_OK)
                continue; /* the plan has said so */
            contracts->of[contracts->count].contract = fg_bundle_header(bundle)->contract;
            contracts->of[contracts->count].view = &config->view[v];
            contracts->of[contracts->count++].slot = i;
            fg_bundle_close(bundle);
        }
}

static void check_drivers(const struct fg_config *config, struct fg_report *report) {
    static struct contracts contracts[FG_CONFIG_CAMERAS];
    struct fg_camera_viewer *viewer[FG_CONFIG_CAMERAS];
    for (uint32_t i = 0; i < config->cameras; i++) {
        collect_contracts(config, i, &contracts[i]);
        viewer[i] = &contracts[i].viewer;
    }
    fg_setup_check(config, viewer, report);
}

const char fg_help_check[] = "usage: flawgate check CONFIG\n";

int fg_tool_check(int argc, char **argv) {
    if (argc != 2) {
        fputs(fg_help_check, stderr);
        return 2;
    }
    static struct fg_config config;
    static struct fg_memory_plan plan;
    struct fg_report report = {0};
    struct fg_message message;
    struct fg_backend *backend = NULL;
    enum fg_status status = fg_setup_read(argv[1], &config, &report);
    if (status != FG_ENVIRONMENT) { /* the bundles can be looked at even where other keys are wrong */
        const struct fg_device_choice choice = {config.device, config.threads, config.gpu.workspace_mib};
        struct fg_message said;
        enum fg_status device = fg_device_open(&choice, &backend, &said, &message);
        if (device == FG_OK)
            printf("%s\n", said.text);
        if (device != FG_OK)
            fg_report_add(&report, "%s: %s", argv[1], message.text);
        else
            fg_setup_plan(&config, backend, &plan, &report);
        check_bundles(&config, &report);
        check_drivers(&config, &report);
    }
    if (report.lines)
        fprintf(stderr, "%s%u wrong\n", report.text ? report.text : "", report.lines);
    else
        fg_setup_print(&config, &plan);
    if (backend)
        backend->close(backend);
    const int result = status == FG_ENVIRONMENT ? 3 : report.lines ? 1 : 0;
    fg_report_free(&report);
    return result;
}
