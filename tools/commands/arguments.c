#include "tools/commands/arguments.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/engine/device.h"

#define MOST_THREADS 64

void fg_arguments_begin(struct fg_arguments *arguments) {
    *arguments = (struct fg_arguments){.device = "auto"};
    opterr = 0;
    optind = 1;
}

enum fg_status fg_arguments_device(const struct fg_arguments *arguments, struct fg_backend **backend,
                                   struct fg_message *message) {
    const struct fg_device_choice choice = {.device = arguments->device, .threads = arguments->threads};
    struct fg_message said;
    enum fg_status status = fg_device_open(&choice, backend, &said, message);
    if (status == FG_OK && !arguments->json)
        fprintf(stderr, "%s\n", said.text);
    return status;
}

enum fg_status fg_arguments_take(struct fg_arguments *arguments, int option, char *const *argv,
                                 struct fg_message *message) {
    char *end;
    switch (option) {
    case FG_OPTION_JSON:
        arguments->json = true;
        return FG_OK;
    case FG_OPTION_DEVICE:
        arguments->device = optarg;
        return FG_OK;
    case FG_OPTION_THREADS:
        arguments->threads = (uint32_t)strtoul(optarg, &end, 10);
        if (*end || arguments->threads < 1 || arguments->threads > MOST_THREADS)
            return fg_fail(message, FG_USAGE, "--threads %.50s: must be a whole number from 1 to %d", optarg,
                           MOST_THREADS);
        return FG_OK;
    default:
        return fg_fail(message, FG_USAGE, "unknown option or missing value: %.100s", argv[optind - 1]);
    }
}
