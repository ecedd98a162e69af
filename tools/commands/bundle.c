/* flawgate bundle show|verify|export: looks into a bundle, reads all of it, takes its weights out. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/bundle/bundle.h"
#include "tools/commands/bundle_command.h"
#include "tools/commands/tool.h"

const char fg_help_bundle[] =
    "usage: flawgate bundle show NAME.fgb [--json]      what it was made from and for\n"
    "       flawgate bundle verify NAME.fgb [--json]    reads every byte; exit status 1 when it is not "
    "intact\n"
    "       flawgate bundle export NAME.fgb|NAME.state OUT.safetensors\n"
    "                                                   the weights under PyTorch's names\n";

static void print_facts(const char *path, const struct fg_bundle_facts *facts) {
    printf("%s\n", path);
    printf("  header     %s\n", facts->header ? "intact: its checksum and its list of tensors are right"
                                              : "not intact; nothing more is known");
    if (!facts->header)
        return;
    printf("  streams    %u, of them %u damaged\n", facts->streams, facts->damaged);
    printf("  values     %s\n", facts->infinite  ? "not all finite: every part will be INOPERATIVE"
                                : facts->damaged ? "not known of what is damaged; all others finite"
                                                 : "all finite");
    printf("  calibrated %s\n", facts->calibrated ? "yes" : "no: it has no threshold and no self-test");
    printf("  signature  %s\n", facts->has_signature ? "there, not checked" : "none");
}

static void print_facts_json(const char *path, const struct fg_bundle_facts *facts, bool intact,
                             const char *why) {
    printf("{\"file\":");
    fg_json_text(stdout, path);
    printf(",\"intact\":%s,\"header\":%s", intact ? "true" : "false", facts->header ? "true" : "false");
    if (facts->header)
        printf(",\"streams\":%u,\"damaged\":%u,\"finite\":%s,\"calibrated\":%s,\"signature\":%s",
               facts->streams, facts->damaged,
               facts->infinite  ? "false"
               : facts->damaged ? "null"
                                : "true",
               facts->calibrated ? "true" : "false", facts->has_signature ? "true" : "false");
    if (!intact) {
        printf(",\"why\":");
        fg_json_text(stdout, why);
    }
    puts("}");
}

static int verify(const char *path, bool json) {
    if (access(path, R_OK)) {
        fprintf(stderr, "flawgate bundle: %s: %s\n", path, strerror(errno));
        return 3;
    }
    struct fg_bundle_facts facts;
    struct fg_message message;
    enum fg_status status = fg_bundle_verify(path, &facts, &message);
    if (status == FG_OK || status == FG_INPUT) {
        if (json)
            print_facts_json(path, &facts, status == FG_OK, message.text);
        else
            print_facts(path, &facts);
    }
    if (status != FG_OK)
        fprintf(stderr, "flawgate bundle: %s\n", message.text);
    return status == FG_INPUT ? 1 : fg_exit_status(status);
}

int fg_tool_bundle(int argc, char **argv) {
    static const struct option names[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    bool json = false, wrong = false;
    opterr = 0;
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
        if (option == 'j')
            json = true;
        else
            wrong = true;
    const int left = argc - optind;
    const char *command = left ? argv[optind] : "";
    if (!wrong && !strcmp(command, "show") && left == 2)
        return fg_bundle_show(argv[optind + 1], json);
    if (!wrong && !strcmp(command, "verify") && left == 2)
        return verify(argv[optind + 1], json);
    if (!wrong && !json && !strcmp(command, "export") && left == 3)
        return fg_bundle_export(argv[optind + 1], argv[optind + 2]);
    fputs(fg_help_bundle, stderr);
    return 2;
}
