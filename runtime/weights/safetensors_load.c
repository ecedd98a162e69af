#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/bytes.h"
#include "runtime/base/half.h"
#include "runtime/weights/safetensors_file.h"

static const char PREFIX[] = "teacher.";

/* A parameter's name in a file of this kind; NULL when such a file does not have it. */
static const char *file_name(const struct fg_param *param, enum fg_safetensors_kind kind) {
    if (kind == FG_SAFETENSORS_NETWORK)
        return param->name;
    return param->module == FG_TEACHER ? param->name + strlen(PREFIX) : NULL;
}

static bool begins(const char *name, const char *with) {
    return !strncmp(name, with, strlen(with));
}

/* What other programs keep beside the weights that are used: runtime/network/network.h, section 2. */
static bool is_skipped(const char *name) {
    static const char counter[] = ".num_batches_tracked";
    const char *bare = begins(name, PREFIX) ? name + strlen(PREFIX) : name;
    const size_t length = strlen(name), end = sizeof counter - 1;
    return begins(bare, "layer4.") || begins(bare, "fc.") ||
           (length > end && !strcmp(name + length - end, counter));
}

static int32_t find_param(const struct fg_network *network, enum fg_safetensors_kind kind, const char *name) {
    for (uint32_t i = 0; i < network->params; i++) {
        const char *expected = file_name(&network->param[i], kind);
        if (expected && !strcmp(expected, name))
            return (int32_t)i;
    }
    return -1;
}

enum fg_status fg_safetensors_backbone(const struct fg_safetensors *file, enum fg_safetensors_kind kind,
                                       enum fg_backbone *backbone, struct fg_message *message) {
    const char *prefix = kind == FG_SAFETENSORS_NETWORK ? PREFIX : "";
    static const char *const probes[] = {"conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv3.weight",
                                         "layer1.2.conv1.weight"};
    const struct fg_safetensors_tensor *found[4];
    for (int i = 0; i < 4; i++) {
        char name[FG_NAME_SIZE];
        snprintf(name, sizeof name, "%s%s", prefix, probes[i]);
        found[i] = fg_safetensors_find(file, name);
    }
    if (!found[0] || found[0]->rank != 4 || !found[1] || found[1]->rank != 4)
        return fg_fail(message, FG_INPUT,
                       "%.300s: no ResNet: %sconv1.weight and %slayer1.0.conv1.weight must be in it",
                       file->path, prefix, prefix);
    const uint64_t base = found[0]->shape[0], inner = found[1]->shape[0];
    if (!found[2])
        *backbone = found[3] ? FG_RESNET34 : FG_RESNET18;
    else if (inner == base)
        *backbone = FG_RESNET50;
    else if (inner == 2 * base)
        *backbone = FG_WIDE_RESNET50_2;
    else
        return fg_fail(message, FG_INPUT,
                       "%.300s: the inner width %llu of layer1 is that of no backbone known here", file->path,
                       (unsigned long long)inner);
    return FG_OK;
}

/* "64x3x7x7" */
static void shape_text(char *text, size_t size, const uint64_t *shape, uint32_t rank) {
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%llu", i ? "x" : "", (unsigned long long)shape[i]);
}

static void check_tensor(const struct fg_safetensors_tensor *t, const struct fg_param *param,
                         struct fg_report *report) {
    uint64_t shape[4];
    bool same = t->rank == param->rank;
    for (uint32_t i = 0; i < param->rank; i++) {
        shape[i] = (uint64_t)param->shape[i];
        same = same && t->shape[i] == shape[i];
    }
    if (!same) {
        char is[100], expected[100];
        shape_text(is, sizeof is, t->shape, t->rank);
        shape_text(expected, sizeof expected, shape, param->rank);
        fg_report_add(report, "%s is %s, not %s", t->name, is, expected);
    } else if (strcmp(t->type, "F32") != 0 && strcmp(t->type, "F16") != 0 && strcmp(t->type, "BF16") != 0) {
        fg_report_add(report, "%s is of type %s, not F32, F16 or BF16", t->name, t->type);
    }
}

static void match(const struct fg_safetensors *file, enum fg_safetensors_kind kind,
                  const struct fg_network *network, struct fg_report *report) {
    for (uint32_t i = 0; i < network->params; i++) {
        const char *name = file_name(&network->param[i], kind);
        if (!name)
            continue;
        const struct fg_safetensors_tensor *t = fg_safetensors_find(file, name);
        if (t)
            check_tensor(t, &network->param[i], report);
        else
            fg_report_add(report, "%s is missing", name);
    }
    for (uint32_t i = 0; i < file->tensors; i++) {
        const char *name = file->tensor[i].name;
        if (!is_skipped(name) && find_param(network, kind, name) < 0)
            fg_report_add(report, "%s is extra", name);
    }
}

static float convert(const unsigned char *bytes, size_t width, bool brain) {
    if (width == 4)
        return fg_bits_float(fg_get_u32(bytes));
    const uint16_t bits = fg_get_u16(bytes);
    return brain ? fg_bfloat_to_float(bits) : fg_half_to_float(bits);
}

/* Reads one tensor row by row of its first dimension: from (d1, kh, kw) as stored to (kh, kw, d1). */
static enum fg_status read_tensor(const struct fg_safetensors *file, const struct fg_safetensors_tensor *t,
                                  const struct fg_param *param, float *values, bool *finite,
                                  struct fg_message *message) {
    const struct fg_tensor to = fg_param_tensor(param);
    const size_t rows = (size_t)to.n, channels = (size_t)to.c, window = (size_t)to.h * (size_t)to.w;
    const size_t row = channels * window, width = t->bytes / fg_tensor_count(&to);
    const bool brain = !strcmp(t->type, "BF16");
    unsigned char *bytes = malloc(row * width);
    if (!bytes)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to read %s", file->path, t->name);
    enum fg_status status = FG_OK;
    if (fseeko(file->stream, (off_t)t->offset, SEEK_SET))
        status = fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot read %s", file->path, t->name);
    for (size_t r = 0; r < rows && status == FG_OK; r++) {
        if (fread(bytes, row * width, 1, file->stream) != 1) {
            status = fg_fail(message, FG_INPUT, "%.300s: cannot read %s", file->path, t->name);
            break;
        }
        for (size_t c = 0; c < channels; c++)
            for (size_t p = 0; p < window; p++) {
                const float value = convert(bytes + (c * window + p) * width, width, brain);
                values[r * row + p * channels + c] = value;
                *finite = *finite && isfinite(value);
            }
    }
    free(bytes);
    return status;
}

static enum fg_status fail_report(const struct fg_safetensors *file, const struct fg_report *report,
                                  struct fg_message *message) {
    char what[256];
    snprintf(what, sizeof what, "%.180s: %u tensors do not fit the network", file->path, report->lines);
    return fg_report_fail(report, message, FG_INPUT, what);
}

enum fg_status fg_safetensors_load(const struct fg_safetensors *file, enum fg_safetensors_kind kind,
                                   const struct fg_network *network, float *const *values,
                                   struct fg_report *report, struct fg_message *message) {
    match(file, kind, network, report);
    if (report->lines)
        return fail_report(file, report, message);
    for (uint32_t i = 0; i < network->params; i++) {
        const char *name = file_name(&network->param[i], kind);
        if (!name)
            continue;
        bool finite = true;
        enum fg_status status = read_tensor(file, fg_safetensors_find(file, name), &network->param[i],
                                            values[i], &finite, message);
        if (status != FG_OK)
            return status;
        if (!finite)
            fg_report_add(report, "%s has a value that is not finite", name);
    }
    return report->lines ? fail_report(file, report, message) : FG_OK;
}
