/* flawgate bundle show|verify|export|quantise: looks into a bundle, reads all of it, takes its weights out,
 * makes them int8. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/bundle/bundle.h"
#include "tools/commands/bundle_command.h"
#include "tools/commands/tool.h"
#include "trainer/bundle/draft.h"

struct bundle {
    struct fg_common common;
};

static const struct fg_option OPTIONS[] = {FG_OUTPUT_OPTIONS(struct bundle),
                                           FG_THREADS_OPTION(offsetof(struct bundle, common.threads))};
static const struct fg_usage USAGE = {
    .name = "flawgate bundle",
    .takes = "show|verify|export|quantise FILE [OUT.safetensors|DIR]",
    .least = 2,
    .most = 3,
    .about =
        "flawgate bundle show NAME.fgb      says what it was made from, and for what\n"
        "flawgate bundle verify NAME.fgb    reads every byte\n"
        "flawgate bundle export NAME.fgb|NAME.state OUT.safetensors\n"
        "                                   writes the weights under PyTorch's names\n"
        "flawgate bundle quantise NAME.fgb DIR\n"
        "                                   makes its convolutions int8, for a CPU; DIR has the pictures\n"
        "                                   that its threshold was found with. NAME.fgb" FG_FLOAT_ENDING "\n"
        "                                   keeps the float one\n",
    .options = FG_OPTIONS(OPTIONS),
    .no = "verify found that the bundle is not intact",
};

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

/* Reads all of a bundle. One that is not intact is an answer, not a failure. */
static enum fg_status verify_bundle(const char *path, bool json, bool *intact, struct fg_message *message) {
    if (access(path, R_OK))
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s", path);
    struct fg_bundle_facts facts;
    enum fg_status status = fg_bundle_verify(path, &facts, message);
    if (status != FG_OK && status != FG_INPUT)
        return status;
    *intact = status == FG_OK;
    if (json)
        print_facts_json(path, &facts, *intact, message->text);
    else
        print_facts(path, &facts);
    if (!*intact)
        fprintf(stderr, "flawgate bundle: %s\n", message->text);
    return FG_OK;
}

int fg_tool_bundle(int argc, char **argv) {
    struct bundle b = {.common = {.device = FG_COMPUTE_CPU}};
    struct fg_message message;
    bool over, intact = true;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &b, &over, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    if (over)
        return 0;
    const char *what = argv[1], *file = argv[2], *out = argv[3];
    if (!strcmp(what, "show") && !out)
        status = fg_bundle_show(file, &b.common, &message);
    else if (!strcmp(what, "verify") && !out)
        status = verify_bundle(file, b.common.json, &intact, &message);
    else if (!strcmp(what, "export") && out)
        status = fg_bundle_export(file, out, &b.common, &message);
    else if (!strcmp(what, "quantise") && out)
        status = fg_bundle_quantise(file, out, &b.common, &message);
    else
        status = fg_fail(&message, FG_USAGE,
                         "show and verify take one file, export takes two, quantise a file and a folder");
    return status != FG_OK ? fg_usage_fail(&USAGE, status, &message) : intact ? 0 : 1;
}
