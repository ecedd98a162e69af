/* flawgate demo [DIR]: runs the whole product on parts that it makes itself: pictures, training, evaluation,
 * a simulated line, verdicts over Modbus. Exit status 1 unless everything is as good as it must be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/progress.h"
#include "runtime/base/usage.h"
#include "runtime/bundle/bundle.h"
#include "tools/commands/tool.h"
#include "tools/demo/demo_line.h"
#include "tools/demo/picture_part.h"
#include "tools/demo/picture_set.h"
#include "tools/demo/process.h"
#include "tools/demo/teacher.h"

#define SIZE 128
#define TRAIN 600
#define GOOD 100
#define OF_EACH_DEFECT 25
#define OVERLAYS 2 /* overlays of each kind of part */
#define PARTS (GOOD + 4 * OF_EACH_DEFECT)
#define EPOCHS "14"
#define BATCH "8" /* a small batch makes more steps in the same time */
#define RANDOM_EPOCHS "5"
#define FALSE_REJECTS "0.005"
#define LEAST_AUROC 0.97
#define MOST_FALSE_REJECTS 0.02
#define LEAST_DETECTION 0.90

struct part {
    char picture[4096]; /* path of its picture in the category */
    enum fg_picture_defect defect;
    char judged[16]; /* flawgate infer's verdict */
};

struct demo {
    const char *folder;
    char teacher[FG_TEACHER_PATH], category[4096], line[4096], bundle[4096], plain[4096];
    struct part part[PARTS];
    struct fg_demo_verdict verdict[PARTS];
    double auroc, random_auroc;
    double good, false_rejects, defective, detected;
};

static const struct fg_option OPTIONS[] = {
    {"teacher", FG_OPTION_PATH, offsetof(struct demo, teacher), .size = FG_TEACHER_PATH,
     .value = "FILE.safetensors",
     .help = "trains with this teacher, where the demo's own is not beside the build"},
};
static const struct fg_usage USAGE = {
    .name = "flawgate demo",
    .takes = "[DIR]",
    .most = 1,
    .about =
        "Makes parts, trains, evaluates and runs a simulated line. DIR (flawgate-demo) keeps what is made.\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "something is not as good as it must be",
};

static void print_heading(const char *text) {
    printf("\n== %s\n", text);
    fflush(stdout);
}

static enum fg_status make_path(char path[4096], const char *folder, const char *name,
                                struct fg_message *message) {
    return (size_t)snprintf(path, 4096, "%s/%s", folder, name) < 4000
               ? FG_OK
               : fg_fail(message, FG_USAGE, "%.100s...: the path is too long", folder);
}

static enum fg_status make_pictures(struct demo *d, struct fg_message *message) {
    print_heading("Pictures of parts");
    const struct fg_picture_set set = {.kind = FG_PICTURE_FLANGE,
                                       .seed = 1,
                                       .size = SIZE,
                                       .train = TRAIN,
                                       .good = GOOD,
                                       .defective = OF_EACH_DEFECT};
    struct fg_progress progress;
    fg_progress_begin(&progress, "making picture", false);
    enum fg_status status = fg_picture_set_write(d->category, &set, fg_progress_count, &progress, message);
    fg_progress_clear(&progress);
    if (status == FG_OK)
        printf("%d good parts to train with, %d good and %d defective ones (scratch, chip, stain, missing "
               "hole) to "
               "test with, in %s\n",
               TRAIN, GOOD, 4 * OF_EACH_DEFECT, d->category);
    return status;
}

static enum fg_status train_bundle(const char *category, const char *bundle, const char *teacher,
                                   const char *epochs, struct fg_message *message) {
    /* The state of a demo that was cut short is removed: this training starts from the beginning. */
    char state[4096];
    snprintf(state, sizeof state, "%.*s.state", (int)(strlen(bundle) - strlen(FG_BUNDLE_ENDING)), bundle);
    unlink(state);
    /* With a random teacher --backbone must name the network; the demo's own teacher is a ResNet-18. */
    const char *const arguments[] = {
        category, "--out",   bundle, "--teacher", teacher, "--backbone",      "resnet18",    "--size",
        "128",    "--batch", BATCH,  "--epochs",  epochs,  "--false-rejects", FALSE_REJECTS, NULL};
    return fg_process_run("flawgate-train", arguments, NULL, 0, message);
}

/* Reads the number behind "key": in a program's JSON. */
static enum fg_status read_figure(const char *path, const char *key, double *value,
                                  struct fg_message *message) {
    char line[65536], name[64];
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) {
        if (file)
            fclose(file);
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: cannot be read", path);
    }
    fclose(file);
    snprintf(name, sizeof name, "\"%s\": ", key);
    const char *at = strstr(line, name);
    if (!at || sscanf(at + strlen(name), "%lf", value) != 1)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: has no %s", path, key);
    return FG_OK;
}

static enum fg_status evaluate_bundles(struct demo *d, struct fg_message *message) {
    print_heading("Evaluation on the test parts");
    char json[4096];
    enum fg_status status = make_path(json, d->folder, "eval.json", message);
    const char *const table[] = {"eval", d->bundle, d->category, NULL};
    const char *const figures[] = {"eval", d->bundle, d->category, "--json", NULL};
    const char *const plain[] = {"eval", d->plain, d->category, "--json", NULL};
    if (status == FG_OK)
        status = fg_process_run("flawgate", table, NULL, 0, message);
    if (status == FG_OK)
        status = fg_process_run("flawgate", figures, json, 0, message);
    const struct {
        const char *key;
        double *value;
    } wanted[] = {{"image_auroc", &d->auroc},
                  {"good", &d->good},
                  {"false_rejects", &d->false_rejects},
                  {"defective", &d->defective},
                  {"detected", &d->detected}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted && status == FG_OK; i++)
        status = read_figure(json, wanted[i].key, wanted[i].value, message);
    if (status == FG_OK)
        status = fg_process_run("flawgate", plain, json, 0, message);
    if (status == FG_OK)
        status = read_figure(json, "image_auroc", &d->random_auroc, message);
    if (status == FG_OK)
        printf("With a random teacher and %s epochs instead: image AUROC %.2f %%\n", RANDOM_EPOCHS,
               100 * d->random_auroc);
    return status;
}

/* Links the pictures of good and defective parts, in turn, into the camera's folder, which takes them in the
 * order of their names. */
static enum fg_status link_parts(struct demo *d, struct fg_message *message) {
    if (mkdir(d->line, 0777) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", d->line);
    for (uint32_t i = 0; i < PARTS; i++) {
        struct part *p = &d->part[i];
        const uint32_t number = i / 2;
        p->defect = i % 2 ? (enum fg_picture_defect)(1 + number % 4) : FG_PICTURE_GOOD;
        char name[4096];
        snprintf(p->picture, sizeof p->picture, "%.3500s/test/%s/%03u.png", d->category,
                 fg_picture_defect_name(p->defect), i % 2 ? number / 4 : number);
        snprintf(name, sizeof name, "%.3500s/%03u.png", d->line, i);
        unlink(name);
        if (link(p->picture, name))
            return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot be linked", p->picture);
    }
    return FG_OK;
}

static enum fg_status infer_parts(struct demo *d, struct fg_message *message) {
    char json[4096], line[8192];
    const char *arguments[PARTS + 4] = {"infer", d->bundle, "--json"};
    for (uint32_t i = 0; i < PARTS; i++)
        arguments[3 + i] = d->part[i].picture;
    enum fg_status status = make_path(json, d->folder, "infer.json", message);
    if (status == FG_OK)
        status = fg_process_run("flawgate", arguments, json, 1, message);
    if (status != FG_OK)
        return status;
    FILE *file = fopen(json, "r");
    for (uint32_t i = 0; i < PARTS && status == FG_OK; i++) {
        const char *at = file && fgets(line, sizeof line, file) ? strstr(line, "\"verdict\": \"") : NULL;
        if (!at || sscanf(at, "\"verdict\": \"%15[A-Z]", d->part[i].judged) != 1)
            status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no verdict of part %u", json, i);
    }
    if (file)
        fclose(file);
    return status;
}

static const char *name_verdict(enum fg_verdict verdict) {
    return verdict == FG_PASS ? "PASS" : verdict == FG_DEFECT ? "DEFECT" : "INOPERATIVE";
}

/* Prints every part, and returns how many verdicts differ from flawgate infer's. */
static uint32_t compare_verdicts(const struct demo *d) {
    uint32_t different = 0;
    printf("part  truth         verdict over Modbus  score   trigger to verdict\n");
    for (uint32_t i = 0; i < PARTS; i++) {
        const struct fg_demo_verdict *v = &d->verdict[i];
        const char *verdict = name_verdict(v->verdict);
        const bool wrong = (v->verdict == FG_PASS) != (d->part[i].defect == FG_PICTURE_GOOD);
        const bool differs = strcmp(verdict, d->part[i].judged) != 0;
        different += differs;
        printf("%4u  %-12s  %-11s %s  %6.4f  %6.1f ms%s%s\n", v->id,
               fg_picture_defect_name(d->part[i].defect), verdict, wrong ? "(wrong)" : "       ", v->score,
               v->total_ms, differs ? "  infer says " : "", differs ? d->part[i].judged : "");
    }
    return different;
}

/* Draws overlays for people to look at. */
static enum fg_status draw_overlays(struct demo *d, struct fg_message *message) {
    char folder[4096], out[4096];
    enum fg_status status = make_path(folder, d->folder, "overlays", message);
    if (status == FG_OK && mkdir(folder, 0777) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", folder);
    uint32_t drawn[FG_PICTURE_DEFECTS] = {0}, all = 0;
    struct fg_progress progress;
    fg_progress_begin(&progress, "drawing overlay", false);
    for (uint32_t i = 0; i < PARTS && status == FG_OK; i++) {
        const enum fg_picture_defect defect = d->part[i].defect;
        if (drawn[defect] >= OVERLAYS)
            continue;
        snprintf(out, sizeof out, "%.3500s/%s-%u.png", folder, fg_picture_defect_name(defect),
                 ++drawn[defect]);
        const char *const arguments[] = {"infer",   d->bundle, d->part[i].picture, "--overlay", out,
                                         "--quiet", NULL};
        status = fg_process_run("flawgate", arguments, "/dev/null", 1, message);
        fg_progress_count(&progress, ++all, OVERLAYS * FG_PICTURE_DEFECTS);
    }
    fg_progress_clear(&progress);
    if (status == FG_OK)
        printf("Overlays to look at are in %s\n", folder);
    return status;
}

static bool print_requirement(const char *what, double value, const char *sign, double bound, bool met) {
    printf("%-4s %-52s %.2f %%, must be %s %.0f %%\n", met ? "ok" : "NO", what, 100 * value, sign,
           100 * bound);
    return met;
}

static bool check_figures(const struct demo *d, uint32_t different) {
    print_heading("What must hold");
    const double rejects = d->false_rejects / d->good, detection = d->detected / d->defective;
    bool good = print_requirement("image AUROC", d->auroc, "at least", LEAST_AUROC, d->auroc >= LEAST_AUROC);
    good = print_requirement("good parts rejected", rejects, "at most", MOST_FALSE_REJECTS,
                             rejects <= MOST_FALSE_REJECTS) &&
           good;
    good = print_requirement("defective parts detected", detection, "at least", LEAST_DETECTION,
                             detection >= LEAST_DETECTION) &&
           good;
    printf("%-4s verdicts over Modbus that differ from flawgate infer's: %u\n", different ? "NO" : "ok",
           different);
    return good && !different;
}

static enum fg_status run_demo(struct demo *d, bool *good, struct fg_message *message) {
    enum fg_status status = FG_OK;
    if (mkdir(d->folder, 0777) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", d->folder);
    /* The configuration's paths are relative to its folder, so they must be absolute. */
    char *absolute = realpath(d->folder, NULL);
    if (!absolute)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot be found", d->folder);
    d->folder = absolute;
    const struct {
        char *path;
        const char *name;
    } paths[] = {
        {d->category, "flange"}, {d->line, "line"}, {d->bundle, "flange.fgb"}, {d->plain, "random.fgb"}};
    for (size_t i = 0; i < sizeof paths / sizeof *paths && status == FG_OK; i++)
        status = make_path(paths[i].path, d->folder, paths[i].name, message);
    if (status == FG_OK)
        status = fg_teacher_find(d->teacher, message);
    if (status == FG_OK)
        status = make_pictures(d, message);
    if (status == FG_OK) {
        print_heading("Training on the good parts");
        status = train_bundle(d->category, d->bundle, d->teacher, EPOCHS, message);
    }
    if (status == FG_OK) {
        print_heading("The same with a random teacher, to compare");
        status = train_bundle(d->category, d->plain, "random", RANDOM_EPOCHS, message);
    }
    if (status == FG_OK)
        status = evaluate_bundles(d, message);
    if (status == FG_OK) {
        print_heading("The line: every part triggered, every verdict read over Modbus");
        status = link_parts(d, message);
    }
    if (status == FG_OK)
        status = infer_parts(d, message);
    if (status == FG_OK)
        status = fg_demo_line(d->folder, d->bundle, d->line, PARTS, d->verdict, message);
    if (status == FG_OK) {
        const uint32_t different = compare_verdicts(d);
        status = draw_overlays(d, message);
        *good = check_figures(d, different);
    }
    free(absolute);
    return status;
}

int fg_tool_demo(int argc, char **argv) {
    static struct demo demo;
    struct fg_message message;
    bool over, good = false;
    const int64_t start = fg_clock_ns();
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &demo, &over, &message);
    if (over)
        return 0;
    demo.folder = argc > 1 ? argv[1] : "flawgate-demo";
    if (status == FG_OK)
        status = run_demo(&demo, &good, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    printf("%s, in %.0f s\n", good ? "All of it holds" : "Not all of it holds",
           (double)(fg_clock_ns() - start) / 1e9);
    return good ? 0 : 1;
}
