/* flawgate infer NAME.fgb IMAGE...: judges picture files as the line would. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/engine/station.h"
#include "tools/commands/arguments.h"
#include "tools/commands/overlay.h"
#include "tools/commands/tool.h"

const char fg_help_infer[] = "usage: flawgate infer NAME.fgb IMAGE... [options]\n"
                             "  --map FILE          write the anomaly map (.npy, .tiff: float32; .png: "
                             "16 bit over its range)\n"
                             "  --level-maps PREFIX write the level maps M^i to PREFIX1.npy, "
                             "PREFIX2.npy, PREFIX3.npy\n"
                             "  --overlay FILE.png  write the picture with the map and the defect's box "
                             "over it\n"
                             "  --json              one object a line for each picture\n"
                             "  --device NAME       auto or cpu (auto)\n"
                             "  --threads N         processors to use (all)\n"
                             "--map, --level-maps and --overlay take exactly one IMAGE. Exit status 1 "
                             "when any picture is not PASS.\n";

struct infer {
    struct fg_arguments common;
    const char *bundle, *map, *level_maps, *overlay;
    char *const *images;
    int count;
    struct fg_station station;
    float threshold;
};

static enum fg_status read_arguments(int argc, char **argv, struct infer *o, struct fg_message *message) {
    enum { MAP = FG_OPTION_OWN, LEVEL_MAPS, OVERLAY };
    static const struct option names[] = {
        FG_COMMON_OPTIONS,
        {"map", required_argument, NULL, MAP},
        {"level-maps", required_argument, NULL, LEVEL_MAPS},
        {"overlay", required_argument, NULL, OVERLAY},
        {NULL, 0, NULL, 0},
    };
    *o = (struct infer){.map = NULL};
    fg_arguments_begin(&o->common);
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        enum fg_status status = FG_OK;
        if (option == MAP)
            o->map = optarg;
        else if (option == LEVEL_MAPS)
            o->level_maps = optarg;
        else if (option == OVERLAY)
            o->overlay = optarg;
        else
            status = fg_arguments_take(&o->common, option, argv, message);
        if (status != FG_OK)
            return status;
    }
    if (o->overlay && (strlen(o->overlay) < 4 || strcmp(o->overlay + strlen(o->overlay) - 4, ".png")))
        return fg_fail(message, FG_USAGE, "--overlay %.100s: must end in .png", o->overlay);
    if (argc - optind < 2)
        return fg_fail(message, FG_USAGE, "a bundle and at least one picture are needed");
    o->bundle = argv[optind];
    o->images = argv + optind + 1;
    o->count = argc - optind - 1;
    if (o->count > 1 && (o->map || o->level_maps || o->overlay))
        return fg_fail(message, FG_USAGE,
                       "--map, --level-maps and --overlay take exactly one picture, not %d", o->count);
    return FG_OK;
}

static void print_judgement(const struct infer *o, const char *file, const struct fg_judgement *j) {
    const char *verdict = !j->finite ? "INOPERATIVE" : j->score > o->threshold ? "DEFECT" : "PASS";
    const double ms = (double)j->inference_ns / 1e6;
    if (!o->common.json) {
        printf("%s: %s, score %.4f, threshold %.4f", file, verdict, (double)j->score, (double)o->threshold);
        if (j->box.w)
            printf(", defect at %d,%d %dx%d, %d pixels", j->box.x, j->box.y, j->box.w, j->box.h, j->box.area);
        printf(", %.1f ms\n", ms);
        return;
    }
    printf("{\"file\": ");
    fg_json_text(stdout, file);
    printf(", \"verdict\": \"%s\", \"score\": ", verdict);
    fg_json_number(stdout, (double)j->score);
    printf(", \"threshold\": ");
    fg_json_number(stdout, (double)o->threshold);
    printf(", \"box\": [%d, %d, %d, %d], \"area\": %d, \"inference_ms\": %.3f}\n", j->box.x, j->box.y,
           j->box.w, j->box.h, j->box.area, ms);
}

/* One object for each picture, even one that is none. */
static void print_unjudged(const struct infer *o, const char *file) {
    if (!o->common.json)
        return;
    printf("{\"file\": ");
    fg_json_text(stdout, file);
    printf(", \"verdict\": \"INOPERATIVE\", \"score\": null, \"threshold\": ");
    fg_json_number(stdout, (double)o->threshold);
    printf(", \"box\": [0, 0, 0, 0], \"area\": 0, \"inference_ms\": null}\n");
}

static enum fg_status write_maps(const struct infer *o, const struct fg_image *image,
                                 const struct fg_judgement *j, struct fg_message *message) {
    const struct fg_engine *engine = o->station.engine;
    const struct fg_network_spec *spec = &fg_engine_header(engine)->spec;
    enum fg_status status = FG_OK;
    if (o->map)
        status = fg_map_write(o->map, fg_engine_map(engine), spec->height, spec->width, message);
    for (uint32_t level = 1; level <= FG_NETWORK_LEVELS && o->level_maps && status == FG_OK; level++) {
        int32_t height, width;
        char path[4096];
        if (!fg_engine_level(engine, level, &height, &width))
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s%u.npy", o->level_maps, level) >= sizeof path)
            return fg_fail(message, FG_USAGE, "--level-maps %.100s...: the path is too long", o->level_maps);
        float *map = malloc((size_t)height * (size_t)width * sizeof *map);
        if (!map)
            return fg_fail(message, FG_ENVIRONMENT, "no memory for the map of level %u", level);
        status = fg_engine_level_map(engine, level, map, message);
        if (status == FG_OK)
            status = fg_map_write(path, map, height, width, message);
        free(map);
    }
    if (o->overlay && status == FG_OK)
        status = fg_overlay_write(o->overlay, image, fg_engine_map(engine), spec->height, spec->width,
                                  o->threshold, &j->box, message);
    return status;
}

/* Judges every picture; one that cannot be judged is named and the others still
 * are. */
static enum fg_status judge_all(struct infer *o, bool *all_pass, struct fg_message *message) {
    enum fg_status worst = FG_OK;
    *all_pass = true;
    for (int i = 0; i < o->count; i++) {
        struct fg_image image = {0};
        struct fg_judgement judgement;
        enum fg_status status = fg_image_read(o->images[i], &image, message);
        if (status == FG_OK)
            status = fg_station_judge(&o->station, o->images[i], &image, o->threshold, &judgement, message);
        if (status != FG_OK) {
            print_unjudged(o, o->images[i]);
        } else {
            print_judgement(o, o->images[i], &judgement);
            *all_pass = *all_pass && judgement.finite && judgement.score <= o->threshold;
            status = write_maps(o, &image, &judgement, message);
        }
        fg_image_free(&image);
        if (status != FG_OK) {
            fprintf(stderr, "flawgate infer: %s\n", message->text);
            worst = status;
        }
    }
    return worst;
}

int fg_tool_infer(int argc, char **argv) {
    struct infer o;
    struct fg_message message;
    struct fg_backend *backend = NULL;
    enum fg_status status = read_arguments(argc, argv, &o, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate infer: %s\n%s", message.text, fg_help_infer);
        return fg_exit_status(status);
    }
    bool all_pass = false;
    status = fg_arguments_device(&o.common, &backend, &message);
    if (status == FG_OK)
        status = fg_station_open(&o.station, o.bundle, backend, true, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate infer: %s\n", message.text);
    } else {
        o.threshold = fg_engine_header(o.station.engine)->calibration.threshold;
        status = judge_all(&o, &all_pass, &message);
        fg_station_close(&o.station);
    }
    if (backend)
        backend->close(backend);
    return status != FG_OK ? fg_exit_status(status) : all_pass ? 0 : 1;
}
