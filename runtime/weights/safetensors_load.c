/* Loads a file's tensors into a network's parameters, after a check of every name, shape and type. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/bytes.h"
#include "runtime/base/half.h"
#include "runtime/weights/safetensors_file.h"

#define MOST_BLOCKS 64 /* blocks that are looked for in a stage */

/* Finds a parameter's name in a file of this kind; NULL when such a file does not have it. */
static const char *find_file_name(const struct fg_param *param, enum fg_safetensors_kind kind) {
    if (kind == FG_SAFETENSORS_NETWORK)
        return param->name;
    return param->module == FG_TEACHER ? param->name + strlen(FG_SAFETENSORS_PREFIX) : NULL;
}

static bool has_prefix(const char *name, const char *with) {
    return !strncmp(name, with, strlen(with));
}

/* What other programs keep beside the weights that are used: runtime/network/network.h, section 2. */
static bool is_skipped(const char *name) {
    static const char counter[] = ".num_batches_tracked";
    const char *bare = has_prefix(name, FG_SAFETENSORS_PREFIX) ? name + strlen(FG_SAFETENSORS_PREFIX) : name;
    const size_t length = strlen(name), end = sizeof counter - 1;
    return has_prefix(bare, "layer4.") || has_prefix(bare, "fc.") ||
           (length > end && !strcmp(name + length - end, counter));
}

static int32_t find_param(const struct fg_network *network, enum fg_safetensors_kind kind, const char *name) {
    for (uint32_t i = 0; i < network->params; i++) {
        const char *expected = find_file_name(&network->param[i], kind);
        if (expected && !strcmp(expected, name))
            return (int32_t)i;
    }
    return -1;
}

/* Finds the weight of a convolution in the file's teacher; NULL when there is none. */
static const struct fg_safetensors_tensor *
find_in_teacher(const struct fg_safetensors *file, const char *prefix, int stage, int block, int conv) {
    char name[FG_NAME_SIZE];
    snprintf(name, sizeof name, "%slayer%d.%d.conv%d.weight", prefix, stage, block, conv);
    return fg_safetensors_find(file, name);
}

/* Counts the blocks that a backbone has more or fewer than the file's teacher. */
static int count_differences(const struct fg_safetensors *file, const char *prefix,
                             const struct fg_backbone_shape *shape) {
    int differences = 0;
    for (int stage = 1; stage <= 3; stage++) {
        /* The last block's number counts, so that a damaged file is still known for what it is. */
        int blocks = 0;
        for (int i = 0; i < MOST_BLOCKS; i++)
            if (find_in_teacher(file, prefix, stage, i, 1))
                blocks = i + 1;
        differences += abs(blocks - shape->blocks[stage - 1]);
    }
    return differences;
}

enum fg_status fg_safetensors_backbone(const struct fg_safetensors *file, enum fg_safetensors_kind kind,
                                       enum fg_backbone *backbone, struct fg_message *message) {
    const char *prefix = kind == FG_SAFETENSORS_NETWORK ? FG_SAFETENSORS_PREFIX : "";
    char name[FG_NAME_SIZE];
    snprintf(name, sizeof name, "%sconv1.weight", prefix);
    const struct fg_safetensors_tensor *first = fg_safetensors_find(file, name),
                                       *block = find_in_teacher(file, prefix, 1, 0, 1);
    if (!first || first->rank != 4 || !block || block->rank != 4)
        return fg_fail(message, FG_INPUT,
                       "%.300s: no ResNet: %sconv1.weight and %slayer1.0.conv1.weight must be in it",
                       file->path, prefix, prefix);
    const bool bottleneck = find_in_teacher(file, prefix, 1, 0, 3) != NULL;
    const uint64_t base = first->shape[0], inner = block->shape[0];
    int fewest = INT_MAX;
    for (int b = 0; b < FG_BACKBONES; b++) {
        const struct fg_backbone_shape *shape = fg_backbone_shape((enum fg_backbone)b);
        if (shape->bottleneck != bottleneck || (bottleneck && inner != base * (uint64_t)shape->width))
            continue;
        const int differences = count_differences(file, prefix, shape);
        if (differences < fewest) {
            fewest = differences;
            *backbone = (enum fg_backbone)b;
        }
    }
    if (fewest == INT_MAX)
        return fg_fail(message, FG_INPUT,
                       "%.300s: the inner width %llu of layer1 is that of no backbone known here", file->path,
                       (unsigned long long)inner);
    return FG_OK;
}

/* Writes a shape as "64x3x7x7". */
static void write_shape(char *text, size_t size, const uint64_t *shape, uint32_t rank) {
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
        write_shape(is, sizeof is, t->shape, t->rank);
        write_shape(expected, sizeof expected, shape, param->rank);
        fg_report_add(report, "%s is %s, not %s", t->name, is, expected);
    } else if (strcmp(t->type, "F32") != 0 && strcmp(t->type, "F16") != 0 && strcmp(t->type, "BF16") != 0) {
        fg_report_add(report, "%s is of type %s, not F32, F16 or BF16", t->name, t->type);
    }
}

/* Adds a line to the report for each tensor that is missing, extra, of another shape or of another type. */
static void check_tensors(const struct fg_safetensors *file, enum fg_safetensors_kind kind,
                          const struct fg_network *network, struct fg_report *report) {
    for (uint32_t i = 0; i < network->params; i++) {
        const char *name = find_file_name(&network->param[i], kind);
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

static float get_value(const unsigned char *bytes, size_t width, bool brain) {
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
                const float value = get_value(bytes + (c * window + p) * width, width, brain);
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
    check_tensors(file, kind, network, report);
    if (report->lines)
        return fail_report(file, report, message);
    for (uint32_t i = 0; i < network->params; i++) {
        const char *name = find_file_name(&network->param[i], kind);
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
