/* flawgate calibrate NAME.fgb DIR: sets the threshold anew from good parts of the line, without training. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tools/commands/arguments.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/calibrate.h"
#include "trainer/data/files.h"

const char fg_help_calibrate[] =
    "usage: flawgate calibrate NAME.fgb DIR [--false-rejects P]\n"
    "DIR is a folder of pictures of good parts; best of ones that training did not see.\n"
    "The bundle is rewritten in place.\n";

static void show(void *argument, uint32_t done, uint32_t count) {
    const int64_t *started_ns = argument;
    const double spent = (double)(fg_clock_ns() - *started_ns) / 1e9;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rpicture %u of %u, %.0f s left  %s", done, count, spent / done * (count - done),
                done == count ? "\n" : "");
}

static enum fg_status calibrate(const char *bundle, const char *folder, float false_rejects,
                                struct fg_calibration *calibration, struct fg_message *message) {
    struct fg_paths paths = {0};
    struct fg_report skipped = {0};
    struct fg_backend *backend = NULL;
    enum fg_status status = fg_paths_list(&paths, folder, message);
    if (status == FG_OK && !paths.count)
        status = fg_fail(message, FG_INPUT, "%.300s: no pictures in it", folder);
    if (status == FG_OK)
        status = fg_arguments_device(&(struct fg_arguments){.device = "auto"}, &backend, message);
    int64_t started_ns = fg_clock_ns();
    if (status == FG_OK)
        status =
            fg_calibrate_bundle(bundle, bundle, (const char *const *)paths.path, paths.count, false_rejects,
                                backend, show, &started_ns, &skipped, calibration, message);
    fputs(skipped.text ? skipped.text : "", stderr);
    fg_report_free(&skipped);
    if (backend)
        backend->close(backend);
    fg_paths_free(&paths);
    return status;
}

int fg_tool_calibrate(int argc, char **argv) {
    static const struct option names[] = {{"false-rejects", required_argument, NULL, 'p'},
                                          {NULL, 0, NULL, 0}};
    double false_rejects = 1e-3;
    opterr = 0;
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option != 'p') {
            fprintf(stderr, "flawgate calibrate: unknown option or missing value: %s\n%s", argv[optind - 1],
                    fg_help_calibrate);
            return 2;
        }
        char *end;
        false_rejects = strtod(optarg, &end);
        if (end == optarg || *end || !(false_rejects >= 1e-9 && false_rejects <= 0.5)) {
            fprintf(stderr, "flawgate calibrate: --false-rejects must be a number from 1e-9 to 0.5\n%s",
                    fg_help_calibrate);
            return 2;
        }
    }
    if (argc - optind != 2) {
        fprintf(stderr, "flawgate calibrate: a bundle and a folder are needed\n%s", fg_help_calibrate);
        return 2;
    }
    struct fg_message message;
    struct fg_calibration calibration;
    enum fg_status status =
        calibrate(argv[optind], argv[optind + 1], (float)false_rejects, &calibration, &message);
    if (status != FG_OK) {
        fprintf(stderr, "flawgate calibrate: %s\n", message.text);
        return fg_exit_status(status);
    }
    char sentence[512];
    fg_calibration_sentence(&calibration, sentence, sizeof sentence);
    puts(sentence);
    fprintf(stderr,
            "It holds for pictures like these that training did not see. A running flawgated keeps the old "
            "threshold until it loads the bundle again: by another slot and back, or a new start.\n");
    return 0;
}
