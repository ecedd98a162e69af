/* flawgate version: prints what this build has, and what the backends say of this machine. */
#include <errno.h>
#include <stdio.h>

#include "runtime/base/json.h"
#include "runtime/base/own_file.h"
#include "runtime/engine/device.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"

#ifdef FG_SYSTEMD
#define HAS_SYSTEMD true
#else
#define HAS_SYSTEMD false
#endif

struct version {
    struct fg_common common;
    bool sbom;
    struct fg_backend *cpu;
    struct fg_backend *gpu; /* NULL: there is none; why holds the reason */
    struct fg_message why;
};

static const struct fg_option OPTIONS[] = {
    {"sbom", FG_OPTION_BOOL, offsetof(struct version, sbom),
     .help = "prints what the programs are made of instead: every library with version and licence, as "
             "CycloneDX JSON"},
    FG_OUTPUT_OPTIONS(struct version),
};
static const struct fg_usage USAGE = {
    .name = "flawgate version",
    .takes = "",
    .about = "Says what this build has, and what it finds on this machine.\n",
    .options = FG_OPTIONS(OPTIONS),
};

static void print_text(const struct version *v) {
    puts("flawgate " FG_VERSION);
    printf("CPU: %s, %s\n", v->cpu->device.name, v->cpu->version);
    if (v->gpu)
        printf("CUDA: %s, %s\n", v->gpu->device.name, v->gpu->version);
    else
        printf("CUDA: not available: %s\n", v->why.text);
    puts("GenICam: not in this build");
    puts(HAS_SYSTEMD ? "systemd: yes" : "systemd: not in this build");
}

static void print_backend(const struct fg_backend *backend) {
    printf("{\"device\": ");
    fg_json_text(stdout, backend->device.name);
    printf(", \"version\": ");
    fg_json_text(stdout, backend->version);
    printf("}");
}

static void print_json(const struct version *v) {
    printf("{\"version\": \"" FG_VERSION "\", \"cpu\": ");
    print_backend(v->cpu);
    printf(", \"cuda\": ");
    if (v->gpu) {
        print_backend(v->gpu);
    } else {
        printf("null, \"why_no_cuda\": ");
        fg_json_text(stdout, v->why.text);
    }
    printf(", \"genicam\": false, \"systemd\": %s}\n", HAS_SYSTEMD ? "true" : "false");
}

/* Prints the list of components that the build made beside the programs. */
static enum fg_status print_components(struct fg_message *message) {
    char path[FG_OWN_FILE_SIZE], block[4096];
    if (!fg_own_file_find("flawgate.cdx.json", "../share/flawgate/flawgate.cdx.json", path))
        return fg_fail(message, FG_ENVIRONMENT,
                       "%.300s: not there; the package has it, and a build makes it in the end", path);
    FILE *file = fopen(path, "re");
    if (!file)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot open it", path);
    for (size_t size; (size = fread(block, 1, sizeof block, file)) > 0;)
        fwrite(block, 1, size, stdout);
    enum fg_status status = FG_OK;
    if (ferror(file))
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot read it", path);
    fclose(file);
    return status;
}

int fg_tool_version(int argc, char **argv) {
    struct version v = {.gpu = NULL};
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &v, &over, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    if (over)
        return 0;
    if (v.sbom) {
        status = print_components(&message);
        return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
    }
    status = fg_cpu_open(1, 1, &v.cpu, &message);
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    /* A failure gives the message that a program which needs a GPU would give. */
    if (fg_device_open_cuda(&(struct fg_cuda_settings){.lanes = 1}, &v.gpu, &v.why) != FG_OK)
        v.gpu = NULL;
    if (v.common.json)
        print_json(&v);
    else
        print_text(&v);
    v.cpu->close(v.cpu);
    if (v.gpu)
        v.gpu->close(v.gpu);
    return 0;
}
