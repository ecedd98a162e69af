/* flawgate check CONFIG: everything that is wrong with a configuration, and the memory plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/engine/device.h"
#include "runtime/image/image.h"
#include "runtime/line/setup.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"
#include "trainer/data/files.h"

struct check {
    struct fg_common common;
    struct fg_config config;
    struct fg_memory_plan plan;
    struct fg_report report;
    struct fg_message device; /* which it is; empty where it cannot be opened */
};

static const struct fg_option OPTIONS[] = {FG_OUTPUT_OPTIONS(struct check)};
static const struct fg_usage USAGE = {
    .name = "flawgate check",
    .takes = "CONFIG",
    .least = 1,
    .most = 1,
    .about =
        "Says everything that is wrong with a configuration, its bundles and its camera's pictures; where\n"
        "nothing is, how much memory flawgated takes with it.\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "something is wrong with the configuration",
};

/* Every byte of every bundle: one that is damaged would be found at a job change. */
static void check_bundles(const struct fg_config *config, bool quiet, struct fg_report *report) {
    struct fg_progress progress;
    fg_progress_begin(&progress, "", quiet);
    for (uint32_t i = 0; i < config->view[0].bundles; i++) {
        fg_progress_say(&progress, (double)i / config->view[0].bundles, "reading bundle %u of %u", i + 1,
                        config->view[0].bundles);
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
    fg_progress_clear(&progress);
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

static void check_all(struct check *c, const char *path) {
    struct fg_message message;
    struct fg_backend *backend = NULL;
    const struct fg_device_choice choice = {.device = c->config.device,
                                            .threads = c->config.threads,
                                            .workspace_mib = c->config.gpu.workspace_mib};
    if (fg_device_open(&choice, &backend, &c->device, &message) == FG_OK) {
        fg_setup_plan(&c->config, backend, &c->plan, &c->report);
        backend->close(backend);
    } else {
        fg_report_add(&c->report, "%s: %s", path, message.text);
        c->device.text[0] = 0;
    }
    check_bundles(&c->config, c->common.quiet, &c->report);
    if (*c->config.camera[0].path && !access(c->config.camera[0].path, R_OK | X_OK)) {
        check_camera(&c->config, &c->report);
        check_contracts(&c->config, &c->report);
    }
}

static void print_line(void *argument, const char *text) {
    (void)argument;
    puts(text);
}

static void print_text(const struct check *c) {
    if (*c->device.text)
        puts(c->device.text);
    if (c->report.lines)
        fprintf(stderr, "%s%u wrong\n", c->report.text ? c->report.text : "", c->report.lines);
    else
        fg_setup_describe(&c->config, &c->plan, print_line, NULL);
}

/* The report's lines as strings; its text is cut up for it. */
static void print_strings(const struct fg_report *report) {
    char *end;
    for (char *line = report->text; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        fputs(line == report->text ? "" : ", ", stdout);
        fg_json_text(stdout, line);
    }
}

/* Bytes; memory is null where something is wrong. */
static void print_json(const struct check *c, const char *path) {
    const struct fg_memory_plan *p = &c->plan;
    printf("{\"file\": ");
    fg_json_text(stdout, path);
    printf(", \"device\": ");
    fg_json_text(stdout, c->device.text);
    printf(", \"wrong\": [");
    print_strings(&c->report);
    if (c->report.lines)
        puts("], \"memory\": null}");
    else
        printf("], \"memory\": {\"fixed\": %zu, \"banks\": %u, \"bank\": %zu, \"device_bank\": %zu, "
               "\"allowance\": %zu}}\n",
               p->fixed, p->banks, p->bank, p->device, FG_ALLOWANCE);
}

int fg_tool_check(int argc, char **argv) {
    static struct check c;
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &c, &over, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    if (over)
        return 0;
    status = fg_config_read(argv[1], &c.config, &c.report);
    if (status != FG_ENVIRONMENT) /* the bundles can be looked at even where other keys are wrong */
        check_all(&c, argv[1]);
    const int result = status == FG_ENVIRONMENT ? 3 : c.report.lines ? 1 : 0;
    if (c.common.json)
        print_json(&c, argv[1]);
    else
        print_text(&c);
    fg_report_free(&c.report);
    return result;
}
