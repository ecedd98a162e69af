/* flawgate infer NAME.fgb IMAGE...: judges picture files as the line would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/engine/desk.h"
#include "runtime/modbus/registers.h"
#include "tools/commands/common.h"
#include "tools/commands/overlay.h"
#include "tools/commands/tool.h"

#define PATH_SIZE 4096

struct infer {
    struct fg_common common;
    char map[PATH_SIZE], level_maps[PATH_SIZE], overlay[PATH_SIZE]; /* empty: not wanted */
    char *const *images;
    int count;
    struct fg_desk desk;
    float threshold;
    float scene_limit; /* a PASS further from the scene is INOPERATIVE; 0: the bundle does not know it */
    float doubtful;    /* a PASS above it is doubtful; 0: the bundle does not say */
};

static const struct fg_option OPTIONS[] = {
    {"map", FG_OPTION_PATH, offsetof(struct infer, map), .size = PATH_SIZE, .value = "FILE",
     .help = "writes the anomaly map: .npy and .tiff in float32, .png in 16 bit over its range"},
    {"level-maps", FG_OPTION_PATH, offsetof(struct infer, level_maps), .size = PATH_SIZE, .value = "PREFIX",
     .help = "writes the level maps M^i to PREFIX1.npy, PREFIX2.npy and PREFIX3.npy"},
    {"overlay", FG_OPTION_PATH, offsetof(struct infer, overlay), .size = PATH_SIZE, .value = "FILE.png",
     .help = "writes the picture with the map and the defect's box over it"},
    FG_DEVICE_OPTIONS(struct infer),
    FG_OUTPUT_OPTIONS(struct infer),
};
static const struct fg_usage USAGE = {
    .name = "flawgate infer",
    .takes = "NAME.fgb IMAGE...",
    .least = 2,
    .most = FG_USAGE_MANY,
    .about =
        "Judges pictures as the line would: verdict, score, and where the defect is. With --json it prints\n"
        "one object a line for each picture. --map, --level-maps and --overlay take exactly one IMAGE.\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "a picture is not PASS",
    .computes = true,
};

/* An output never overwrites what it is made from, under whatever name. */
static enum fg_status check_output(const struct infer *o, const char *bundle, const char *output,
                                   struct fg_message *message) {
    struct stat made, input;
    if (!*output || stat(output, &made))
        return FG_OK; /* there is no such file yet */
    for (int i = -1; i < o->count; i++) {
        const char *path = i < 0 ? bundle : o->images[i];
        if (!stat(path, &input) && made.st_dev == input.st_dev && made.st_ino == input.st_ino)
            return fg_fail(message, FG_USAGE, "%.200s would overwrite %.200s: give another name", output,
                           path);
    }
    return FG_OK;
}

static enum fg_status check_options(const struct infer *o, const char *bundle, struct fg_message *message) {
    const size_t length = strlen(o->overlay);
    if (length && (length < 4 || strcmp(o->overlay + length - 4, ".png")))
        return fg_fail(message, FG_USAGE, "--overlay %.100s: must end in .png", o->overlay);
    if (o->count > 1 && (*o->map || *o->level_maps || *o->overlay))
        return fg_fail(message, FG_USAGE,
                       "--map, --level-maps and --overlay take exactly one picture, not %d", o->count);
    enum fg_status status = check_output(o, bundle, o->map, message);
    return status == FG_OK ? check_output(o, bundle, o->overlay, message) : status;
}

/* Decides as the line does. */
static enum fg_verdict decide(const struct infer *o, const struct fg_judgement *j) {
    if (!j->finite)
        return FG_INOPERATIVE;
    return j->score > o->threshold ? FG_DEFECT : j->alike ? FG_PASS : FG_INOPERATIVE;
}

static void print_judgement(const struct infer *o, const char *file, const struct fg_judgement *j) {
    const enum fg_verdict verdict = decide(o, j);
    const bool doubtful = verdict == FG_PASS && o->doubtful > 0 && j->score > o->doubtful;
    const enum fg_reason reason = verdict != FG_INOPERATIVE ? FG_REASON_NONE
                                  : j->finite               ? FG_REASON_UNLIKE_TRAINING
                                                            : FG_REASON_NOT_FINITE;
    const double ms = (double)j->inference_ns / 1e6;
    if (!o->common.json) {
        printf("%s: %s", file, fg_verdict_name(verdict));
        if (doubtful || reason != FG_REASON_NONE)
            printf(" (%s)", doubtful ? "doubtful" : fg_reason_name(reason));
        printf(", score %.4f, threshold %.4f", (double)j->score, (double)o->threshold);
        if (o->scene_limit > 0)
            printf(", scene %.2f of %.2f", (double)j->scene, (double)o->scene_limit);
        if (j->box.w)
            printf(", defect at %d,%d %dx%d, %d pixels", j->box.x, j->box.y, j->box.w, j->box.h, j->box.area);
        printf(", %.1f ms\n", ms);
        return;
    }
    printf("{\"file\": ");
    fg_json_text(stdout, file);
    printf(
        ", \"verdict\": \"%s\", \"reason\": \"%s\", \"doubtful\": %s, \"scene\": ", fg_verdict_name(verdict),
        reason == FG_REASON_NONE ? "none" : fg_reason_name(reason), doubtful ? "true" : "false");
    fg_json_number(stdout, (double)j->scene);
    printf(", \"scene_limit\": ");
    fg_json_number(stdout, (double)o->scene_limit);
    printf(", \"score\": ");
    fg_json_number(stdout, (double)j->score);
    printf(", \"threshold\": ");
    fg_json_number(stdout, (double)o->threshold);
    printf(", \"box\": [%d, %d, %d, %d], \"area\": %d, \"inference_ms\": %.3f}\n", j->box.x, j->box.y,
           j->box.w, j->box.h, j->box.area, ms);
}

/* Prints an object for a file that could not be judged, so that --json has one for each. */
static void print_unjudged(const struct infer *o, const char *file) {
    if (!o->common.json)
        return;
    printf("{\"file\": ");
    fg_json_text(stdout, file);
    printf(", \"verdict\": \"INOPERATIVE\", \"reason\": \"bad_frame\", \"doubtful\": false, \"scene\": null, "
           "\"score\": null, \"threshold\": ");
    fg_json_number(stdout, (double)o->threshold);
    printf(", \"box\": [0, 0, 0, 0], \"area\": 0, \"inference_ms\": null}\n");
}

static enum fg_status write_maps(const struct infer *o, const struct fg_image *image,
                                 const struct fg_judgement *j, struct fg_message *message) {
    const struct fg_engine *engine = o->desk.engine;
    const struct fg_network_spec *spec = &fg_engine_header(engine)->spec;
    enum fg_status status = FG_OK;
    if (*o->map)
        status = fg_map_write(o->map, fg_engine_map(engine), spec->height, spec->width, message);
    for (uint32_t level = 1; level <= FG_NETWORK_LEVELS && *o->level_maps && status == FG_OK; level++) {
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
    if (*o->overlay && status == FG_OK)
        status = fg_overlay_write(o->overlay, image, fg_engine_decision_map(engine), spec->height,
                                  spec->width, o->threshold, &j->box, message);
    return status;
}

/* Judges every picture. One that cannot be judged is named, and the others are still judged, but not on a
 * device that is lost. Progress is shown where the verdicts go to a file. */
static enum fg_status judge_pictures(struct infer *o, bool *all_pass, struct fg_message *message) {
    enum fg_status worst = FG_OK;
    struct fg_progress progress;
    fg_progress_begin(&progress, "judging picture", o->common.quiet || isatty(STDOUT_FILENO));
    *all_pass = true;
    for (int i = 0; i < o->count; i++) {
        struct fg_image image = {0};
        struct fg_judgement judgement;
        enum fg_status status = fg_image_read(o->images[i], &image, message);
        if (status == FG_OK)
            status = fg_desk_judge(&o->desk, o->images[i], &image, o->threshold, &judgement, message);
        if (status != FG_OK) {
            print_unjudged(o, o->images[i]);
        } else {
            print_judgement(o, o->images[i], &judgement);
            *all_pass = *all_pass && decide(o, &judgement) == FG_PASS;
            status = write_maps(o, &image, &judgement, message);
        }
        fg_image_free(&image);
        if (status != FG_OK) {
            fg_progress_clear(&progress);
            worst = status;
            fprintf(stderr, "flawgate infer: %s\n", message->text);
        }
        if (status == FG_DEVICE_LOST)
            break;
        fg_progress_count(&progress, (uint32_t)i + 1, (uint32_t)o->count);
    }
    fg_progress_clear(&progress);
    return worst;
}

int fg_tool_infer(int argc, char **argv) {
    static struct infer o;
    struct fg_message message;
    struct fg_backend *backend = NULL;
    bool over, all_pass = false;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &o, &over, &message);
    if (over)
        return 0;
    o.images = argv + 2;
    o.count = argc - 2;
    if (status == FG_OK)
        status = check_options(&o, argv[1], &message);
    if (status == FG_OK)
        status = fg_common_device(&o.common, 0, 0, &backend, &message);
    if (status == FG_OK)
        status = fg_desk_open(&o.desk, argv[1], backend, true, &message);
    if (status != FG_OK) {
        fg_usage_fail(&USAGE, status, &message);
    } else {
        o.threshold = fg_engine_header(o.desk.engine)->calibration.threshold;
        o.scene_limit = fg_engine_header(o.desk.engine)->scene_limit;
        o.doubtful = fg_engine_header(o.desk.engine)->calibration.doubtful;
        status = judge_pictures(&o, &all_pass, &message);
        fg_desk_close(&o.desk);
    }
    if (backend)
        backend->close(backend);
    return status != FG_OK ? fg_exit_status(status) : all_pass ? 0 : 1;
}
