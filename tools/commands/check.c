/* flawgate check CONFIG: prints everything that is wrong with a configuration, and the memory plan. */
#include <stdio.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/engine/device.h"
#include "runtime/line/setup.h"
#include "runtime/store/storage.h"
#include "tools/commands/check_system.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"

struct check {
    struct fg_common common;
    struct fg_config config;
    struct fg_memory_plan plan;
    struct fg_report report, notes;
    struct fg_message device; /* says which device it is; empty where it cannot be opened */
};

static const struct fg_option OPTIONS[] = {FG_OUTPUT_OPTIONS(struct check)};
static const struct fg_usage USAGE = {
    .name = "flawgate check",
    .takes = "CONFIG",
    .least = 1,
    .most = 1,
    .about =
        "Says everything that is wrong with a configuration, its bundles, its cameras' pictures and what it\n"
        "needs of this system, and names every port that it opens. Where nothing is wrong, it says how much\n"
        "memory flawgated takes. A running flawgated is not disturbed.\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "something is wrong with the configuration",
};

/* Reads every byte of a bundle: else damage would be found only at a job change. */
static void check_bundle(const struct fg_config *config, uint32_t view, uint32_t slot,
                         struct fg_report *report) {
    const char *path = config->view[view].bundle[slot];
    char where[FG_SETUP_SLOT];
    struct fg_bundle_facts facts;
    struct fg_message message;
    enum fg_status status = fg_bundle_verify(path, &facts, &message);
    if (!facts.header)
        return; /* the plan reports it */
    fg_setup_name_slot(config, view, slot, where);
    if (status != FG_OK)
        fg_report_add(report, "%s: %s", where, message.text);
    if (facts.infinite)
        fg_report_add(report, "%s: %.300s: weights that are not finite: every part would be INOPERATIVE",
                      where, path);
}

static void check_bundles(const struct fg_config *config, bool quiet, struct fg_report *report) {
    const uint32_t slots = config->view[0].bundles, all = config->views * slots;
    struct fg_progress progress;
    fg_progress_begin(&progress, "", quiet);
    for (uint32_t i = 0; i < all; i++) {
        fg_progress_say(&progress, (double)i / all, "reading bundle %u of %u", i + 1, all);
        check_bundle(config, i / slots, i % slots, report);
    }
    fg_progress_clear(&progress);
}

/* The contracts of all bundles that judge a camera's frames, which are compared with what the camera
 * shows. */
struct contracts {
    struct fg_camera_viewer viewer;
    uint32_t count;
    struct {
        struct fg_contract contract;
        const struct fg_config_view *view;
        char where[FG_SETUP_SLOT]; /* how lines about it begin */
        bool broken;               /* reported already: one line for each contract is enough */
    } of[FG_CONFIG_VIEWS * FG_CONFIG_BUNDLES];
};

static void compare_frame(struct fg_camera_viewer *viewer, const struct fg_camera_frame *frame,
                          struct fg_report *report) {
    struct contracts *contracts = (struct contracts *)viewer;
    const char *name = frame->name ? frame->name : "a frame";
    for (uint32_t i = 0; i < contracts->count; i++) {
        const struct fg_contract *c = &contracts->of[i].contract;
        const char *where = contracts->of[i].where;
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
            fg_report_add(report, "%s: the view's region is not inside %.300s, which has %dx%d", where, name,
                          frame->width, frame->height);
        if (other_size)
            fg_report_add(report, "%s: judges pictures of %dx%d, but %.300s has %dx%d", where, c->width,
                          c->height, name, width, height);
        if (other_colour)
            fg_report_add(report, "%s: judges %s pictures, but %.300s is not", where,
                          c->channels == 1 ? "grey" : "colour", name);
        contracts->of[i].broken = outside || other_size || other_colour;
    }
}

/* Collects the contracts of all bundles that judge a camera's frames. */
static void collect_contracts(const struct fg_config *config, uint32_t camera, struct contracts *contracts) {
    *contracts = (struct contracts){.viewer.see = compare_frame};
    for (uint32_t v = 0; v < config->views; v++)
        for (uint32_t i = 0; i < config->view[v].bundles && config->view[v].camera == camera; i++) {
            struct fg_bundle *bundle;
            if (fg_bundle_open(config->view[v].bundle[i], &bundle, NULL) != FG_OK)
                continue; /* the plan reports it */
            contracts->of[contracts->count].contract = fg_bundle_header(bundle)->contract;
            contracts->of[contracts->count].view = &config->view[v];
            fg_setup_name_slot(config, v, i, contracts->of[contracts->count++].where);
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
    fg_ignore(fg_setup_check(config, viewer, report)); /* the report says it */
}

static void check_config(struct check *c, const char *path) {
    struct fg_message message;
    struct fg_backend *backend = NULL;
    const struct fg_device_choice choice = {.device = c->config.device,
                                            .threads = c->config.threads,
                                            .workspace_mib = c->config.gpu.workspace_mib};
    if (fg_device_open(&choice, &backend, &c->device, &message) == FG_OK) {
        fg_ignore(fg_setup_plan(&c->config, backend, &c->plan, &c->report)); /* the report says it */
        fg_storage_plan(&c->config, &c->plan);
        backend->close(backend);
    } else {
        fg_report_add(&c->report, "%s: %s", path, message.text);
        c->device.text[0] = 0;
    }
    check_bundles(&c->config, c->common.quiet, &c->report);
    check_drivers(&c->config, &c->report);
    fg_check_system(&c->config, &c->report, &c->notes);
    fg_storage_check(&c->config, &c->report);
}

static void print_line(void *argument, const char *text) {
    (void)argument;
    puts(text);
}

static void print_text(const struct check *c) {
    if (*c->device.text)
        puts(c->device.text);
    if (!c->config.broken)
        fg_check_print_ports(&c->config);
    if (!c->report.lines)
        fg_setup_describe(&c->config, &c->plan, print_line, NULL);
    fputs(c->notes.text ? c->notes.text : "", stdout);
    if (c->report.lines)
        fprintf(stderr, "%s%u %s\n", c->report.text ? c->report.text : "", c->report.lines,
                c->report.lines == 1 ? "thing is wrong" : "things are wrong");
    else
        puts("ok");
}

/* Prints a report's lines as JSON strings; the report's text is cut into them. */
static void print_strings(const struct fg_report *report) {
    char *end;
    for (char *line = report->text; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = 0;
        fputs(line == report->text ? "" : ", ", stdout);
        fg_json_text(stdout, line);
    }
}

/* Prints all as JSON. Memory is in bytes, and null where something is wrong. */
static void print_json(const struct check *c, const char *path) {
    const struct fg_memory_plan *p = &c->plan;
    printf("{\"file\": ");
    fg_json_text(stdout, path);
    printf(", \"device\": ");
    fg_json_text(stdout, c->device.text);
    printf(", \"notes\": [");
    print_strings(&c->notes);
    printf("], \"ports\": [");
    if (!c->config.broken)
        fg_check_print_json_ports(&c->config);
    printf("], \"wrong\": [");
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
    status = fg_setup_read(argv[1], &c.config, &c.report);
    if (status != FG_ENVIRONMENT && !c.config.broken) /* the rest can be checked where some keys are wrong */
        check_config(&c, argv[1]);
    const int result = status == FG_ENVIRONMENT ? 3 : c.report.lines ? 1 : 0;
    if (c.common.json)
        print_json(&c, argv[1]);
    else
        print_text(&c);
    fg_report_free(&c.report);
    fg_report_free(&c.notes);
    return result;
}
