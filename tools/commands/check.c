/* flawgate check CONFIG: everything that is wrong with a configuration, and the memory plan. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/engine/device.h"
#include "runtime/image/image.h"
#include "runtime/line/setup.h"
#include "tools/commands/tool.h"
#include "trainer/data/files.h"

/* Every byte of every bundle: one that is damaged would be found at a job change. */
static void check_bundles(const struct fg_config *config, struct fg_report *report) {
    for (uint32_t i = 0; i < config->view[0].bundles; i++) {
        struct fg_bundle_facts facts;
        struct fg_message message;
        enum fg_status status = fg_bundle_verify(config->view[0].bundle[i], &facts, &message);
        if (!facts.header)
            continue; /* the plan has said so */
        if (status != FG_OK)
            fg_report_add(report, "slot %u: %s", i, message.text);
        if (facts.infinite)
            fg_report_add(report,
                          "slot %u: %.300s: weights that are not finite: every part would be INOPERATIVE", i,
                          config->view[0].bundle[i]);
    }
}

/* The first picture of the folder that a slot would refuse. */
static void check_contract(const struct fg_paths *pictures, const struct fg_contract *contract, uint32_t slot,
                           struct fg_report *report) {
    for (uint32_t i = 0; i < pictures->count; i++) {
        struct fg_image image;
        if (fg_image_size(pictures->path[i], &image, NULL) != FG_OK)
            continue; /* the camera says so */
        const bool other_size =
            contract->width && (image.width != contract->width || image.height != contract->height);
        if (other_size)
            fg_report_add(report, "slot %u: judges pictures of %dx%d, but %.300s has %dx%d", slot,
                          contract->width, contract->height, pictures->path[i], image.width, image.height);
        const bool other_colour = contract->channels && image.channels != contract->channels;
        if (other_colour)
            fg_report_add(report, "slot %u: judges %s pictures, but %.300s is not", slot,
                          contract->channels == 1 ? "grey" : "colour", pictures->path[i]);
        if (other_size || other_colour)
            return;
    }
}

static void check_contracts(const struct fg_config *config, struct fg_report *report) {
    struct fg_paths pictures;
    if (fg_paths_list(&pictures, config->camera[0].path, NULL) != FG_OK)
        return; /* the camera says so */
    for (uint32_t i = 0; i < config->view[0].bundles; i++) {
        struct fg_bundle *bundle;
        if (fg_bundle_open(config->view[0].bundle[i], &bundle, NULL) != FG_OK)
            continue;
        check_contract(&pictures, &fg_bundle_header(bundle)->contract, i, report);
        fg_bundle_close(bundle);
    }
    fg_paths_free(&pictures);
}

/* Decodes the camera's pictures as the daemon will. */
static void check_camera(const struct fg_config *config, struct fg_report *report) {
    struct fg_message message = {{0}};
    struct fg_camera *camera = NULL;
    void *memory = malloc((size_t)config->camera[0].memory_mib << 20);
    enum fg_status status = memory ? fg_setup_camera(config, memory, &camera, &message)
                                   : fg_fail(&message, FG_ENVIRONMENT, "no memory for the camera's pictures");
    if (status != FG_OK)
        fg_report_add(report, "%s", message.text);
    if (camera)
        camera->close(camera);
    free(memory);
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
    enum fg_status status = fg_config_read(argv[1], &config, &report);
    if (status != FG_ENVIRONMENT) { /* the bundles can be looked at even where other keys are wrong */
        const struct fg_device_choice choice = {config.device, config.threads, config.gpu.workspace_mib};
        struct fg_message said;
        enum fg_status device = fg_device_open(&choice, &backend, &said, &message);
        if (device == FG_OK)
            printf("%s\n", said.text);
        if (device != FG_OK)
            fg_report_add(&report, "%s: %s", argv[1], message.text);
        else
            fg_ignore(fg_setup_plan(&config, backend, &plan, &report)); /* the report says what is wrong */
        check_bundles(&config, &report);
        if (*config.camera[0].path && !access(config.camera[0].path, R_OK | X_OK)) {
            check_camera(&config, &report);
            check_contracts(&config, &report);
        }
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
