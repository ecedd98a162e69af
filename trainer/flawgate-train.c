/* flawgate-train DIR --out NAME.fgb --teacher FILE|random: from pictures of good parts to a bundle. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/engine/device.h"
#include "runtime/weights/safetensors.h"
#include "trainer/bundle/finish.h"
#include "trainer/data/dataset.h"
#include "trainer/evaluate/evaluate.h"
#include "trainer/loop/state.h"
#include "trainer/options.h"

/* Everything of one run. */
struct run {
    struct fg_options options;
    char state_path[4096];
    struct fg_backend *group[FG_MAX_DEVICES]; /* that train: options.devices of them */
    struct fg_backend *cpu;                   /* that decodes, where it is another */
    struct fg_safetensors *teacher;           /* NULL: random */
    struct fg_network_spec spec;
    struct fg_network network;
    struct fg_dataset data;
    struct fg_weights weights;
    struct fg_trainer *trainer;
    struct fg_report report;
    bool terminal;
    int64_t started_ns;       /* of this process's epochs, */
    int64_t part_ns;          /* of reading, calibrating, evaluating */
    uint64_t pictures_before; /* trained in this process, before this epoch */
};

/* "12 min" or "40 s". */
static void print_left(double seconds) {
    if (seconds >= 120)
        fprintf(stderr, "%.0f min left", seconds / 60);
    else
        fprintf(stderr, "%.0f s left", seconds);
}

static void show_part(const struct run *run, const char *what, uint32_t done, uint32_t count) {
    if (!run->terminal)
        return;
    const double spent = (double)(fg_clock_ns() - run->part_ns) / 1e9;
    fprintf(stderr, "\r%s: picture %u of %u, ", what, done, count);
    print_left(spent / done * (count - done));
    fputs(done == count ? "  \n" : "  ", stderr);
}

static void show_decoding(void *argument, uint32_t done, uint32_t count) {
    show_part(argument, "reading", done, count);
}

static void show_calibration(void *argument, uint32_t done, uint32_t count) {
    show_part(argument, "calibrating", done, count);
}

static void show_evaluation(void *argument, uint32_t done, uint32_t count) {
    show_part(argument, "evaluating", done, count);
}

/* NAME.fgb is trained in NAME.state. */
static enum fg_status name_state(struct run *run, struct fg_message *message) {
    const size_t length = strlen(run->options.out) - strlen(FG_BUNDLE_ENDING);
    if (length + sizeof FG_STATE_ENDING > sizeof run->state_path)
        return fg_fail(message, FG_USAGE, "--out %.100s...: the path is too long", run->options.out);
    memcpy(run->state_path, run->options.out, length);
    strcpy(run->state_path + length, FG_STATE_ENDING);
    return FG_OK;
}

/* Which network: the teacher file's backbone, unless it is drawn. */
static enum fg_status open_teacher(struct run *run, struct fg_message *message) {
    const struct fg_options *o = &run->options;
    enum fg_backbone backbone = o->backbone;
    if (strcmp(o->teacher, "random")) {
        enum fg_status status = fg_safetensors_open(o->teacher, &run->teacher, message);
        if (status == FG_OK)
            status = fg_safetensors_backbone(run->teacher, FG_SAFETENSORS_TEACHER, &backbone, message);
        if (status != FG_OK)
            return status;
        if (o->backbone != FG_BACKBONES && o->backbone != backbone)
            return fg_fail(message, FG_USAGE, "%.300s: holds a %s, but --backbone says %s", o->teacher,
                           fg_backbone_name(backbone), fg_backbone_name(o->backbone));
    }
    run->spec = (struct fg_network_spec){.backbone = backbone,
                                         .base = 64,
                                         .scconv = o->scconv,
                                         .simam = o->simam,
                                         .fmm = o->fmm,
                                         .soft_gate = o->soft_gate,
                                         .levels = o->levels};
    return FG_OK;
}

static void list_skipped(const struct run *run) {
    for (uint32_t i = 0; i < run->data.skips; i++)
        fprintf(stderr, "skipped: %s\n", run->data.skipped[i].reason.text);
}

static enum fg_status open_data(struct run *run, struct fg_message *message) {
    const struct fg_options *o = &run->options;
    run->part_ns = fg_clock_ns();
    enum fg_status status = fg_dataset_open(&run->data, o->folder, o->height, o->width, o->training.seed,
                                            run->cpu ? run->cpu : run->group[0], show_decoding, run, message);
    list_skipped(run);
    if (status != FG_OK)
        return status;
    run->spec.height = run->data.height;
    run->spec.width = run->data.width;
    return FG_OK;
}

static enum fg_status open_weights(struct run *run, struct fg_message *message) {
    enum fg_status status = fg_network_init(&run->network, &run->spec, message);
    if (status == FG_OK)
        status = fg_weights_open(&run->weights, &run->network, message);
    if (status != FG_OK)
        return status;
    fg_weights_draw(&run->weights, run->options.training.seed, !run->teacher);
    if (!run->teacher)
        return FG_OK;
    float *values[FG_NETWORK_PARAMS];
    for (uint32_t i = 0; i < run->network.params; i++)
        values[i] = fg_weights_values(&run->weights, i);
    return fg_safetensors_load(run->teacher, FG_SAFETENSORS_TEACHER, &run->network, values, &run->report,
                               message);
}

static enum fg_status open_trainer(struct run *run, struct fg_message *message) {
    if (run->data.trains < 2 * run->options.devices)
        return fg_fail(message, FG_INPUT, "%u pictures to train with are too few for %u GPUs",
                       run->data.trains, run->options.devices);
    const struct fg_pictures pictures = {.pixels = run->data.pixels,
                                         .count = run->data.trains + run->data.held_outs,
                                         .train = run->data.train,
                                         .trains = run->data.trains,
                                         .held_out = run->data.held_out,
                                         .held_outs = run->data.held_outs};
    enum fg_status status = fg_trainer_open(&run->options.training, &run->weights, &pictures, &run->group[0],
                                            1, &run->trainer, message);
    if (status == FG_OK && run->options.resume)
        status = fg_trainer_resume(run->trainer, run->state_path, run->data.hash, message);
    return status;
}

static void show_start(const struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    fprintf(stderr, "%s, %d x %d\n", fg_backbone_name(run->spec.backbone), run->spec.height, run->spec.width);
    fprintf(stderr,
            "%u pictures to train with, %u held out, %u skipped; at most %u epochs; %zu MiB of memory\n",
            run->data.trains, run->data.held_outs, run->data.skips, c->limit,
            fg_trainer_memory(run->trainer) >> 20);
    if (!run->data.contract.width)
        fputs("the pictures differ in size: the bundle will take any size\n", stderr);
    if (!run->data.contract.channels)
        fputs("some pictures are grey and some are colour: the bundle will take both\n", stderr);
    if (c->epoch)
        fprintf(stderr, "going on after epoch %u\n", c->epoch);
}

static double rate(const struct run *run, uint32_t pictures) {
    return (double)(run->pictures_before + pictures) / ((double)(fg_clock_ns() - run->started_ns) / 1e9);
}

static void show_step(void *argument, uint32_t pictures) {
    const struct run *run = argument;
    if (!run->terminal)
        return;
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    const double left = (double)run->data.trains * (c->limit - c->epoch) - pictures;
    fprintf(stderr, "\repoch %u of %u: %u of %u pictures, %.1f a second, at most ", c->epoch + 1, c->limit,
            pictures, run->data.trains, rate(run, pictures));
    print_left(left / rate(run, pictures));
    fputs("   ", stderr);
}

static void show_epoch(struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    if (run->options.json) {
        printf("{\"epoch\": %u, \"epochs\": %u, \"loss\": %.9g, \"best_loss\": %.9g, \"best_epoch\": %u, "
               "\"images_per_second\": %.3f}\n",
               c->epoch, c->limit, (double)c->loss, (double)c->best_loss, c->best_epoch, rate(run, 0));
        fflush(stdout);
    }
    fprintf(stderr,
            "%sepoch %u of %u: held-out loss %.5f (best %.5f in epoch %u), %.2f pictures a second, at most ",
            run->terminal ? "\r" : "", c->epoch, c->limit, (double)c->loss, (double)c->best_loss,
            c->best_epoch, rate(run, 0));
    print_left((double)run->data.trains * (c->limit - c->epoch) / rate(run, 0));
    fputs("\n", stderr);
}

/* What Ctrl-C leaves behind, for a handler that may do little more than write. */
static char stopped[4200];

static void on_stop(int number) {
    const ssize_t written = write(STDERR_FILENO, stopped, strlen(stopped));
    (void)written; /* there is no one else to tell */
    _exit(128 + number);
}

static void tell_when_stopped(const struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    if (c->epoch)
        snprintf(stopped, sizeof stopped, "\nStopped. %.4000s holds epoch %u: go on with --resume.\n",
                 run->state_path, c->epoch);
    else
        snprintf(stopped, sizeof stopped, "\nStopped before the first epoch was done.\n");
}

static enum fg_status train(struct run *run, struct fg_message *message) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    run->started_ns = fg_clock_ns();
    tell_when_stopped(run);
    signal(SIGINT, on_stop);
    signal(SIGTERM, on_stop);
    while (!c->finished) {
        enum fg_status status = fg_trainer_epoch(run->trainer, show_step, run, message);
        if (status != FG_OK)
            return status;
        run->pictures_before += run->data.trains;
        status = fg_trainer_save(run->trainer, run->state_path, run->data.hash, message);
        if (status != FG_OK)
            return status;
        tell_when_stopped(run);
        show_epoch(run);
    }
    return FG_OK;
}

/* The bundle's name is the file's, without folder and ending; the Modbus map shows it in ASCII. */
static void name_bundle(const char *path, char name[FG_NAME_SIZE]) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(name, FG_NAME_SIZE, "%.*s", (int)(strlen(base) - strlen(FG_BUNDLE_ENDING)), base);
    for (char *c = name; *c; c++)
        if (*c < 0x20 || *c > 0x7e)
            *c = '_';
}

static struct fg_bundle_header header_of(const struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    const struct fg_training *t = &run->options.training;
    struct fg_bundle_header h = {.spec = run->spec,
                                 .contract = run->data.contract,
                                 .provenance = {.train_pictures = run->data.trains,
                                                .held_out_pictures = run->data.held_outs,
                                                .epochs = c->epoch,
                                                .best_epoch = c->best_epoch,
                                                .batch = t->batch,
                                                .learning_rate = t->learning_rate,
                                                .l2 = t->l2,
                                                .mask_rate = t->recipe.mask_rate,
                                                .global_loss = t->recipe.global_loss,
                                                .seed = t->seed,
                                                .unix_time = (uint64_t)(fg_clock_unix_ms() / 1000),
                                                .held_out_loss = c->best_loss}};
    memcpy(h.provenance.data_hash, run->data.hash, sizeof h.provenance.data_hash);
    snprintf(h.provenance.program, sizeof h.provenance.program, "flawgate-train " FG_VERSION);
    name_bundle(run->options.out, h.provenance.name);
    return h;
}

static enum fg_status calibrate(struct run *run, struct fg_calibration *calibration,
                                struct fg_message *message) {
    const char **held_out = calloc(run->data.held_outs, sizeof *held_out);
    if (!held_out)
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    for (uint32_t i = 0; i < run->data.held_outs; i++)
        held_out[i] = run->data.files.path[run->data.held_out[i]];
    const struct fg_bundle_header header = header_of(run);
    run->part_ns = fg_clock_ns();
    enum fg_status status =
        fg_finish(run->options.out, fg_trainer_best(run->trainer), &header, held_out, run->data.held_outs,
                  run->options.false_rejects, run->group[0], show_calibration, run, calibration, message);
    free(held_out);
    return status;
}

static bool has_test_pictures(const struct run *run) {
    char test[4096];
    struct stat found;
    return (size_t)snprintf(test, sizeof test, "%s/test", run->options.folder) < sizeof test &&
           !stat(test, &found) && S_ISDIR(found.st_mode);
}

/* A field holds no NaN. */
static float or_none(double figure) {
    return isnan(figure) ? -1 : (float)figure;
}

static void print_figure(const char *name, double figure) {
    if (isnan(figure))
        fprintf(stderr, ", no %s", name);
    else
        fprintf(stderr, ", %s %.2f %%", name, 100 * figure);
}

/* Enters in the bundle how well it does on the category's test pictures. */
static enum fg_status evaluate(struct run *run, struct fg_figures *figures, struct fg_message *message) {
    struct fg_evaluation evaluation = {.groups = 0};
    struct fg_station station;
    enum fg_status status = fg_station_open(&station, run->options.out, run->group[0], true, message);
    if (status != FG_OK)
        return status;
    run->part_ns = fg_clock_ns();
    status = fg_evaluate(&evaluation, &station, run->options.folder, show_evaluation, run, message);
    if (status == FG_OK)
        status = fg_metrics_figures(evaluation.metrics, 0, figures, message);
    if (status == FG_OK) {
        struct fg_bundle_header header = *fg_bundle_header(station.bundle);
        header.provenance.test_pictures = figures->images;
        header.provenance.image_auroc = or_none(figures->image_auroc);
        header.provenance.pixel_auroc = or_none(figures->pixel_auroc);
        header.provenance.pro = or_none(figures->pro);
        status = fg_bundle_rewrite(station.bundle, run->options.out, &header, NULL, NULL, message);
    }
    fg_evaluation_close(&evaluation);
    fg_station_close(&station);
    return status;
}

static enum fg_status finish(struct run *run, struct fg_message *message) {
    struct fg_calibration calibration;
    enum fg_status status = calibrate(run, &calibration, message);
    if (status != FG_OK)
        return status;
    char sentence[512];
    fg_calibration_sentence(&calibration, sentence, sizeof sentence);
    fprintf(stderr, "%s\n", sentence);
    if (has_test_pictures(run)) {
        /* The bundle is there and good: what is wrong with the test pictures takes nothing from it. */
        struct fg_figures figures;
        struct fg_message why;
        if (evaluate(run, &figures, &why) == FG_OK) {
            fprintf(stderr, "Of %u test pictures", figures.images);
            print_figure("image AUROC", figures.image_auroc);
            print_figure("pixel AUROC", figures.pixel_auroc);
            print_figure("PRO", figures.pro);
            fputs("\n", stderr);
        } else {
            fprintf(stderr, "The test pictures were not judged: %s\n", why.text);
        }
    }
    fprintf(stderr, "%s is written.\n", run->options.out);
    if (run->options.json) {
        char name[FG_NAME_SIZE];
        name_bundle(run->options.out, name);
        printf("{\"bundle\": ");
        fg_json_text(stdout, name);
        printf(", \"threshold\": %.9g, \"held_out\": %u, \"rate_bound\": %.9g, \"sentence\": ",
               (double)calibration.threshold, calibration.pictures, (double)calibration.rate_bound);
        fg_json_text(stdout, sentence);
        printf("}\n");
    }
    return FG_OK;
}

/* An hour of training must not end at a folder that is not there. */
static enum fg_status try_output(const struct run *run, struct fg_message *message) {
    const char *const paths[] = {run->options.out, run->state_path};
    enum fg_status status = FG_OK;
    for (size_t i = 0; i < sizeof paths / sizeof *paths && status == FG_OK; i++) {
        struct fg_file file;
        status = fg_file_create(&file, paths[i], message);
        if (status == FG_OK)
            fg_file_abandon(&file);
    }
    return status;
}

/* Epochs that were paid for are not overwritten by a command that forgot --resume. */
static enum fg_status spare_state(const struct run *run, struct fg_message *message) {
    struct fg_state state;
    struct fg_message ignored;
    const bool there = !access(run->state_path, F_OK);
    if (run->options.resume && !there)
        return fg_fail(message, FG_INPUT,
                       "%.300s: not there, so there is nothing to resume; leave --resume out",
                       run->state_path);
    if (run->options.resume || !there || fg_state_peek(run->state_path, &state, &ignored) != FG_OK ||
        (state.switches & FG_STATE_FINISHED && !access(run->options.out, F_OK)))
        return FG_OK;
    return fg_fail(message, FG_INPUT,
                   "%.300s: holds a training of %u epochs that has not become a bundle; go on with --resume, "
                   "or remove it",
                   run->state_path, state.epoch);
}

/* The CPU decodes and resizes in any case. */
static enum fg_status open_devices(struct run *run, struct fg_message *message) {
    const struct fg_device_choice cpu = {.device = "cpu", .threads = run->options.threads},
                                  choice = {.device = run->options.device,
                                            .threads = run->options.threads,
                                            .workspace_mib = FG_TRAINING_WORKSPACE_MIB};
    struct fg_message said;
    enum fg_status status =
        run->options.devices > 1
            ? fg_device_open_group(&choice, run->options.devices, run->group, &said, message)
            : fg_device_open(&choice, &run->group[0], &said, message);
    if (status != FG_OK)
        return status;
    fprintf(stderr, "%s\n", said.text);
    return run->group[0]->device.host_memory ? FG_OK : fg_device_open(&cpu, &run->cpu, &said, message);
}

static enum fg_status run_all(struct run *run, struct fg_message *message) {
    enum fg_status status = name_state(run, message);
    if (status == FG_OK)
        status = spare_state(run, message);
    if (status == FG_OK)
        status = try_output(run, message);
    if (status == FG_OK)
        status = open_devices(run, message);
    if (status == FG_OK)
        status = open_teacher(run, message);
    if (status == FG_OK)
        status = open_data(run, message);
    if (status == FG_OK)
        status = open_weights(run, message);
    if (status == FG_OK)
        status = open_trainer(run, message);
    if (status != FG_OK)
        return status;
    show_start(run);
    status = train(run, message);
    return status == FG_OK ? finish(run, message) : status;
}

int main(int argc, char **argv) {
    struct fg_message message = {{0}};
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        fputs("flawgate-train: no memory\n", stderr);
        return 3;
    }
    bool help;
    signal(SIGPIPE, SIG_IGN); /* who looks no more at the progress does not want it to end */
    run->terminal = isatty(STDERR_FILENO);
    enum fg_status status = fg_options_read(argc, argv, &run->options, &help, &message);
    if (status == FG_OK && help)
        fputs(FG_OPTIONS_HELP, stdout);
    else if (status == FG_OK)
        status = run_all(run, &message);
    if (status != FG_OK)
        fprintf(stderr, "%sflawgate-train: %s\n", run->report.text ? run->report.text : "", message.text);
    free(run->report.text);
    fg_trainer_close(run->trainer);
    fg_weights_close(&run->weights);
    fg_dataset_close(&run->data);
    fg_safetensors_close(run->teacher);
    for (int i = 0; i < FG_MAX_DEVICES; i++)
        if (run->group[i])
            run->group[i]->close(run->group[i]);
    if (run->cpu)
        run->cpu->close(run->cpu);
    free(run);
    if (status == FG_OK && (fflush(stdout) || ferror(stdout))) {
        fprintf(stderr, "flawgate-train: standard output cannot be written: %s\n", strerror(errno));
        return 3;
    }
    return fg_exit_status(status);
}
