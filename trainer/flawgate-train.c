/* flawgate-train DIR --out NAME.fgb --teacher FILE|random: makes a bundle from pictures of good parts. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/descriptors.h"
#include "runtime/base/file.h"
#include "runtime/base/json.h"
#include "runtime/engine/device.h"
#include "runtime/weights/safetensors.h"
#include "trainer/bundle/defective.h"
#include "trainer/bundle/quantise.h"
#include "trainer/bundle/score.h"
#include "trainer/data/dataset.h"
#include "trainer/evaluate/evaluate.h"
#include "trainer/loop/state.h"
#include "trainer/options.h"

/* Everything that one run of the program holds. */
struct run {
    struct fg_train_options options;
    char state_path[4096];
    struct fg_backend *group[FG_MAX_DEVICES]; /* the options.devices backends that train */
    struct fg_backend *cpu;         /* decodes where the group is GPUs; NULL: the group's one does */
    struct fg_safetensors *teacher; /* NULL: the teacher is drawn */
    struct fg_network_spec spec;
    struct fg_network network;
    struct fg_dataset data;
    struct fg_weights weights;
    struct fg_int8 int8; /* what is quantised: nothing, the teacher, all */
    struct fg_trainer *trainer;
    struct fg_report report;
    struct fg_progress progress;
    int64_t started_ns;       /* monotonic, the start of this process's epochs */
    uint64_t pictures_before; /* pictures trained with in this process, before this epoch */
};

/* Prints a line to standard error, in place of the progress; not with --quiet. */
static void print_remark(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print_remark(struct run *run, const char *format, ...) {
    if (run->options.quiet)
        return;
    fg_progress_clear(&run->progress);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static void begin_progress(struct run *run, const char *what) {
    fg_progress_clear(&run->progress);
    fg_progress_begin(&run->progress, what, run->options.quiet);
}

/* The state of NAME.fgb's training is NAME.state. */
static enum fg_status name_state(struct run *run, struct fg_message *message) {
    const size_t length = strlen(run->options.out) - strlen(FG_BUNDLE_ENDING);
    if (length + sizeof FG_STATE_ENDING > sizeof run->state_path)
        return fg_fail(message, FG_USAGE, "--out %.100s...: the path is too long", run->options.out);
    memcpy(run->state_path, run->options.out, length);
    strcpy(run->state_path + length, FG_STATE_ENDING);
    return FG_OK;
}

/* Opens the teacher's file, whose backbone says which network it is; a drawn teacher needs --backbone. */
static enum fg_status open_teacher(struct run *run, struct fg_message *message) {
    const struct fg_train_options *o = &run->options;
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
                                         .base = FG_NETWORK_BASE,
                                         .scconv = o->scconv,
                                         .simam = o->simam,
                                         .fmm = o->fmm,
                                         .soft_gate = o->soft_gate,
                                         .levels = o->levels};
    return FG_OK;
}

static void list_skipped(struct run *run) {
    fg_progress_clear(&run->progress);
    for (uint32_t i = 0; i < run->data.skips; i++)
        fprintf(stderr, "skipped: %s\n", run->data.skipped[i].reason.text);
}

/* Refuses a wish that the pictures cannot fulfil, because an hour of training must not end at it. */
static enum fg_status check_score(const struct run *run, struct fg_message *message) {
    uint32_t training = 0;
    for (uint32_t i = 0; i < run->data.trains; i++)
        training += !run->data.deviates[run->data.train[i]];
    return fg_scorer_accepts(run->options.score, training, message);
}

static enum fg_status open_data(struct run *run, struct fg_message *message) {
    const struct fg_train_options *o = &run->options;
    begin_progress(run, "reading picture");
    enum fg_status status =
        fg_dataset_open(&run->data, o->folder, o->size[0], o->size[1], o->training.seed,
                        run->cpu ? run->cpu : run->group[0], fg_progress_count, &run->progress, message);
    list_skipped(run);
    if (status != FG_OK)
        return status;
    status = check_score(run, message);
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

static enum fg_status quantise(struct run *run, const struct fg_folded *folded, bool teacher,
                               struct fg_message *message) {
    const uint8_t *picture[FG_QUANTISE_PICTURES];
    begin_progress(run, teacher ? "quantising the teacher: picture" : "quantising: picture");
    const struct fg_quantising quantising = {.network = &run->network,
                                             .folded = folded,
                                             .backend = run->cpu ? run->cpu : run->group[0],
                                             .picture = picture,
                                             .pictures =
                                                 fg_dataset_choose(&run->data, FG_QUANTISE_PICTURES, picture),
                                             .teacher = teacher,
                                             .progress = fg_progress_count,
                                             .argument = &run->progress};
    const enum fg_status status = fg_int8_make(&run->int8, &quantising, message);
    fg_progress_clear(&run->progress);
    return status;
}

/* Makes the teacher int8 before the student learns from it, so that the student imitates what the line
 * computes. A GPU has no int8 convolutions: there all is quantised after training. */
static enum fg_status quantise_teacher(struct run *run, struct fg_message *message) {
    struct fg_folded folded;
    enum fg_status status = fg_folded_open(&folded, &run->weights, message);
    if (status != FG_OK)
        return status;
    status = quantise(run, &folded, true, message);
    fg_folded_close(&folded);
    if (status == FG_OK)
        run->options.training.teacher = run->int8.param;
    return status;
}

static enum fg_status open_trainer(struct run *run, struct fg_message *message) {
    if (run->data.trains < 2 * run->options.devices)
        return fg_fail(message, FG_INPUT, "%u pictures to train with are too few for %u devices",
                       run->data.trains, run->options.devices);
    const struct fg_pictures pictures = {.pixels = run->data.pixels,
                                         .count = run->data.trains + run->data.held_outs,
                                         .train = run->data.train,
                                         .trains = run->data.trains,
                                         .held_out = run->data.held_out,
                                         .held_outs = run->data.held_outs};
    enum fg_status status = fg_trainer_open(&run->options.training, &run->weights, &pictures, run->group,
                                            run->options.devices, &run->trainer, message);
    if (status == FG_OK && run->options.resume)
        status = fg_trainer_resume(run->trainer, run->state_path, run->data.hash, message);
    return status;
}

static void show_start(struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    print_remark(run, "%s, %d x %d", fg_backbone_name(run->spec.backbone), run->spec.height, run->spec.width);
    print_remark(run,
                 "%u pictures to train with, %u held out, %u skipped; at most %u epochs; %zu MiB of memory",
                 run->data.trains, run->data.held_outs, run->data.skips, c->limit,
                 fg_trainer_memory(run->trainer) >> 20);
    for (uint32_t i = 0; i < run->data.files.count; i++)
        if (run->data.deviates[i])
            print_remark(run,
                         "%s: not of the size and kind of nearly all pictures; the line's camera cannot give "
                         "it, so it does not set the threshold",
                         run->data.files.path[i]);
    if (!run->data.contract.width)
        print_remark(run, "the pictures differ in size: the bundle will take any size");
    if (!run->data.contract.channels)
        print_remark(run, "some pictures are grey and some are colour: the bundle will take both");
    if (c->epoch)
        print_remark(run, "going on after epoch %u", c->epoch);
}

/* Gives pictures a second; pictures: those of this epoch so far. */
static double measure_rate(const struct run *run, uint32_t pictures) {
    return (double)(run->pictures_before + pictures) / ((double)(fg_clock_ns() - run->started_ns) / 1e9);
}

/* Shows how much of this process's training is done; it may end earlier. */
static void show_step(void *argument, uint32_t pictures) {
    struct run *run = argument;
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    const double done = (double)run->pictures_before + pictures,
                 left = (double)run->data.trains * (c->limit - c->epoch) - pictures;
    fg_progress_say(&run->progress, done / (done + left),
                    "epoch %u of at most %u: picture %u of %u, %.1f a second", c->epoch + 1, c->limit,
                    pictures, run->data.trains, measure_rate(run, pictures));
}

static void show_epoch(struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    const double rate = measure_rate(run, 0);
    if (run->options.json) {
        printf("{\"epoch\": %u, \"epochs\": %u, \"loss\": %.9g, \"best_loss\": %.9g, \"best_epoch\": %u, "
               "\"images_per_second\": %.3f}\n",
               c->epoch, c->limit, (double)c->loss, (double)c->best_loss, c->best_epoch, rate);
        fflush(stdout);
    }
    print_remark(run,
                 "epoch %u of at most %u: held-out loss %.5f (best %.5f in epoch %u), %.2f pictures a second",
                 c->epoch, c->limit, (double)c->loss, (double)c->best_loss, c->best_epoch, rate);
}

/* What Ctrl-C prints: composed before, because a handler may do little more than write. */
static char stopped[4200];

static void report_stop(int number) {
    const ssize_t written = write(STDERR_FILENO, stopped, strlen(stopped));
    (void)written; /* there is no one else to tell */
    _exit(128 + number);
}

static void note_epoch(const struct run *run) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    if (c->epoch)
        snprintf(stopped, sizeof stopped, "\nStopped. %.4000s holds epoch %u: go on with --resume.\n",
                 run->state_path, c->epoch);
    else
        snprintf(stopped, sizeof stopped, "\nStopped before the first epoch was done.\n");
}

static enum fg_status train_epochs(struct run *run, struct fg_message *message) {
    const struct fg_trainer_counters *c = fg_trainer_counters(run->trainer);
    run->started_ns = fg_clock_ns();
    begin_progress(run, "");
    note_epoch(run);
    signal(SIGINT, report_stop);
    signal(SIGTERM, report_stop);
    while (!c->finished) {
        enum fg_status status = fg_trainer_epoch(run->trainer, show_step, run, message);
        if (status != FG_OK)
            return status;
        run->pictures_before += run->data.trains;
        status = fg_trainer_save(run->trainer, run->state_path, run->data.hash, message);
        if (status != FG_OK)
            return status;
        note_epoch(run);
        show_epoch(run);
    }
    return FG_OK;
}

static struct fg_bundle_header make_header(const struct run *run) {
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
    fg_draft_name(run->options.out, h.provenance.name);
    return h;
}

/* Calibrates on the files of all good pictures, at the size that the line would see. */
static enum fg_status calibrate_draft(struct run *run, struct fg_draft *draft, struct fg_calibrated *found,
                                      struct fg_message *message) {
    const struct fg_dataset *data = &run->data;
    enum fg_good_group *group = calloc(data->files.count, sizeof *group);
    const char **path = calloc(data->files.count, sizeof *path);
    if (!group || !path) {
        free(group);
        free(path);
        return fg_fail(message, FG_ENVIRONMENT, "calibration: no memory");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < data->held_outs; i++, count++) {
        path[count] = data->files.path[data->held_out[i]];
        group[count] = FG_GOOD_HELD_OUT;
    }
    for (uint32_t i = 0; i < data->trains; i++)
        if (!data->deviates[data->train[i]]) {
            path[count] = data->files.path[data->train[i]];
            group[count++] = FG_GOOD_TRAINING;
        }
    struct fg_report remarks = {0};
    begin_progress(run, "calibrating on picture");
    const enum fg_status status =
        fg_calibrate_draft(draft,
                           &(struct fg_calibrating){.path = path,
                                                    .group = group,
                                                    .count = count,
                                                    .false_rejects = run->options.false_rejects,
                                                    .score = run->options.score,
                                                    .remarks = &remarks,
                                                    .progress = fg_progress_count,
                                                    .argument = &run->progress},
                           found, message);
    fg_progress_clear(&run->progress);
    fputs(remarks.text ? remarks.text : "", stderr);
    if (status == FG_OK && fg_decision_are_many(draft->header.calibration.odd, count))
        fprintf(stderr,
                "%u of %u pictures are unlike the others: the folder seems to hold more than good parts.\n",
                draft->header.calibration.odd, count);
    fg_report_free(&remarks);
    free(path);
    free(group);
    return status;
}

/* Enters in the bundle how well it does on the category's test pictures. Test pictures that are wrong do not
 * stop the training. */
static void evaluate_draft(struct run *run, struct fg_draft *draft) {
    struct fg_evaluation evaluation;
    struct fg_figures figures;
    struct fg_message why;
    begin_progress(run, "evaluating on picture");
    enum fg_status status =
        fg_evaluate(&evaluation, &draft->desk, run->options.folder, draft->header.calibration.threshold,
                    fg_progress_count, &run->progress, &why);
    if (status == FG_OK)
        status = fg_metrics_figures(evaluation.metrics, 0, &figures, &why);
    fg_progress_clear(&run->progress);
    if (status == FG_OK) {
        char sentence[128], verdicts[4096];
        fg_evaluation_enter(&figures, &draft->header.provenance);
        fg_evaluation_sentence(&figures, sentence, sizeof sentence);
        fg_evaluation_verdicts(&evaluation, verdicts, sizeof verdicts);
        print_remark(run, "%s. At this threshold %s", sentence, verdicts);
        if (fg_evaluation_is_weak(&evaluation))
            fprintf(stderr, "Few of the known defects are detected: look at the pictures with flawgate infer "
                            "before this bundle goes to a line.\n");
    } else {
        fprintf(stderr, "The test pictures were not judged: %s\n", why.text);
    }
    fg_evaluation_close(&evaluation);
}

/* Judges the known defective pictures. Those that are wrong do not stop the training. */
static void judge_defective(struct run *run, struct fg_draft *draft, const struct fg_calibrated *found,
                            struct fg_defective *defective) {
    struct fg_message why;
    if (fg_defective_judge(defective, &draft->desk, run->options.defective, &why) != FG_OK) {
        fprintf(stderr, "The defective pictures were not judged: %s\n", why.text);
        fg_defective_close(defective);
    } else if (!run->options.quiet) {
        fg_defective_print(defective, found, 0, stderr);
    }
}

static void show_bundle(struct run *run, const struct fg_bundle_header *header, const char *sentence,
                        const struct fg_calibrated *found, const struct fg_defective *defective) {
    const struct fg_calibration *c = &header->calibration;
    print_remark(run, "%s is written.", run->options.out);
    if (!run->options.json)
        return;
    printf("{\"bundle\": ");
    fg_json_text(stdout, header->provenance.name);
    printf(", \"score\": \"%s\", \"threshold\": %.9g, \"held_out\": %u, \"rate_bound\": %.9g, \"sentence\": ",
           fg_score_name(header->spec.score), (double)c->threshold, c->unseen, (double)c->bound);
    fg_json_text(stdout, sentence);
    if (defective->count)
        fg_defective_print_json(defective, found, stdout);
    printf("}\n");
}

/* Opens a draft of the best epoch's weights, quantised where that is wished. A GPU has no int8 convolutions:
 * the threshold must come from the CPU, as on the line. */
static enum fg_status open_draft(struct run *run, struct fg_draft *draft, struct fg_message *message) {
    const struct fg_bundle_header header = make_header(run);
    const char *out = run->options.out;
    const struct fg_weights *best = fg_trainer_best(run->trainer);
    if (!run->options.int8)
        return fg_draft_open(draft, out, best, &header, run->group[0], message);
    struct fg_folded folded;
    enum fg_status status = fg_folded_open(&folded, best, message);
    if (status != FG_OK)
        return status;
    status = quantise(run, &folded, false, message);
    if (status == FG_OK) {
        print_remark(run, "%u of %u convolutions are int8; the map differs by %.1f %% of its mean",
                     run->int8.quantised, run->int8.convolutions, 100 * (double)run->int8.error);
        status = fg_draft_open_folded(draft, out, &folded, run->int8.param, &header,
                                      run->cpu ? run->cpu : run->group[0], message);
    }
    fg_folded_close(&folded);
    return status;
}

/* Makes the bundle of the best epoch's weights; its file is written once, when all is known. */
static enum fg_status finish_bundle(struct run *run, struct fg_message *message) {
    struct fg_draft draft = {.picture = NULL};
    struct fg_calibrated found;
    struct fg_defective defective = {.score = NULL};
    char sentence[512];
    enum fg_status status = open_draft(run, &draft, message);
    if (status == FG_OK)
        status = calibrate_draft(run, &draft, &found, message);
    if (status == FG_OK) {
        fg_decision_sentence(&draft.header.calibration, sentence, sizeof sentence);
        print_remark(run, "Score: %s. %s", fg_score_name(draft.header.spec.score), sentence);
        if (fg_test_set_exists(run->options.folder))
            evaluate_draft(run, &draft);
        if (*run->options.defective)
            judge_defective(run, &draft, &found, &defective);
        status = fg_draft_write(&draft, run->options.out, message);
    }
    if (status == FG_OK)
        show_bundle(run, &draft.header, sentence, &found, &defective);
    fg_defective_close(&defective);
    fg_draft_close(&draft);
    return status;
}

/* Creates both files, because an hour of training must not end at a folder that is not there. */
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

/* Refuses to overwrite epochs of an unfinished training where --resume was forgotten. */
static enum fg_status check_state(const struct run *run, struct fg_message *message) {
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

static void show_choosing(void *argument, uint32_t done, uint32_t count) {
    struct run *run = argument;
    fg_device_show_choosing(&run->progress, done, count);
}

/* Opens what trains, and a CPU beside GPUs, because the CPU decodes and resizes in any case. */
static enum fg_status open_devices(struct run *run, struct fg_message *message) {
    const struct fg_device_choice cpu = {.device = FG_COMPUTE_CPU, .threads = run->options.threads},
                                  choice = {.device = run->options.device,
                                            .threads = run->options.threads,
                                            .workspace_mib = FG_TRAINING_WORKSPACE_MIB,
                                            .progress = show_choosing,
                                            .argument = run};
    struct fg_message said;
    enum fg_status status =
        run->options.devices > 1
            ? fg_device_open_group(&choice, run->options.devices, run->group, &said, message)
            : fg_device_open(&choice, &run->group[0], &said, message);
    if (status != FG_OK)
        return status;
    print_remark(run, "%s", said.text);
    return run->group[0]->device.host_memory ? FG_OK : fg_device_open(&cpu, &run->cpu, &said, message);
}

static enum fg_status run_training(struct run *run, struct fg_message *message) {
    enum fg_status status = name_state(run, message);
    if (status == FG_OK)
        status = check_state(run, message);
    if (status == FG_OK)
        status = try_output(run, message);
    if (status == FG_OK && *run->options.defective)
        status = fg_defective_look(run->options.defective, message);
    if (status == FG_OK)
        status = open_devices(run, message);
    if (status == FG_OK)
        status = open_teacher(run, message);
    if (status == FG_OK)
        status = open_data(run, message);
    if (status == FG_OK)
        status = open_weights(run, message);
    if (status == FG_OK && run->options.int8 && run->group[0]->quantised)
        status = quantise_teacher(run, message);
    if (status == FG_OK)
        status = open_trainer(run, message);
    if (status != FG_OK)
        return status;
    show_start(run);
    status = train_epochs(run, message);
    return status == FG_OK ? finish_bundle(run, message) : status;
}

int main(int argc, char **argv) {
    fg_descriptors_fill();
    struct fg_message message = {{0}};
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        fputs("flawgate-train: no memory\n", stderr);
        return 3;
    }
    bool over;
    signal(SIGPIPE, SIG_IGN); /* training goes on when nobody reads the progress any more */
    enum fg_status status = fg_train_options_read(argc, argv, &run->options, &over, &message);
    if (status == FG_OK && !over)
        status = run_training(run, &message);
    fg_progress_clear(&run->progress);
    fputs(status != FG_OK && run->report.text ? run->report.text : "", stderr);
    if (status != FG_OK)
        fg_usage_fail(&FG_TRAIN_USAGE, status, &message);
    free(run->report.text);
    fg_trainer_close(run->trainer);
    fg_weights_close(&run->weights);
    fg_int8_close(&run->int8);
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
