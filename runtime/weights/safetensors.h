/* Weights in and out, in the safetensors format: 8 bytes of header length (little-endian), a JSON header with
 * element type, shape and offsets of each tensor, the tensors' bytes.
 *
 * Names and shapes are PyTorch's (runtime/network/network.h); values come and go as float32 in our NHWC
 * order: a stored (d0, d1, kh, kw) is {d0, kh, kw, d1} here. The file is hostile until its header has been
 * checked: strict JSON of exactly the format's form, no name twice, tensors side by side from the header to
 * the file's end. */
#ifndef FG_RUNTIME_WEIGHTS_SAFETENSORS_H
#define FG_RUNTIME_WEIGHTS_SAFETENSORS_H

#include "runtime/base/report.h"
#include "runtime/network/network.h"

#define FG_SAFETENSORS_NAME 128
#define FG_SAFETENSORS_RANK 8

struct fg_safetensors_tensor {
    char name[FG_SAFETENSORS_NAME]; /* printable ASCII */
    const char *type;               /* "F32", "F16", "BF16", "I64", ... */
    uint32_t rank;
    uint64_t shape[FG_SAFETENSORS_RANK];
    uint64_t offset, bytes; /* in the file; bytes are those of type and shape */
};

struct fg_safetensors;

/* Opens and checks the header. FG_INPUT says what is wrong; for a PyTorch file (.pth), how to convert it. */
FG_MUST_USE enum fg_status fg_safetensors_open(const char *path, struct fg_safetensors **file,
                                               struct fg_message *message);
void fg_safetensors_close(struct fg_safetensors *file);

/* All tensors, in the order of their names. */
uint32_t fg_safetensors_count(const struct fg_safetensors *file);
const struct fg_safetensors_tensor *fg_safetensors_tensor(const struct fg_safetensors *file, uint32_t i);
/* NULL when there is none of this name. */
const struct fg_safetensors_tensor *fg_safetensors_find(const struct fg_safetensors *file, const char *name);

/* What a file is taken for. */
enum fg_safetensors_kind {
    FG_SAFETENSORS_NETWORK, /* teacher.*, bottleneck.*, student.*, fmm.* */
    FG_SAFETENSORS_TEACHER, /* the teacher alone under torchvision's names, without prefix */
};

/* Which backbone the file's teacher is, by names and shapes. FG_INPUT when it is none of ours. */
FG_MUST_USE enum fg_status fg_safetensors_backbone(const struct fg_safetensors *file,
                                                   enum fg_safetensors_kind kind, enum fg_backbone *backbone,
                                                   struct fg_message *message);

/* Fills the network's parameters (all, unfolded; or the teacher's) from F32, F16 or BF16 tensors: values by
 * parameter index, each with room for fg_param_tensor's count. layer4.*, fc.* and num_batches_tracked are
 * skipped. FG_INPUT when any tensor is missing, extra, of another shape or type, or not finite: report
 * (zeroed by the caller, who frees it) then has one line for each; the values are undefined. */
FG_MUST_USE enum fg_status fg_safetensors_load(const struct fg_safetensors *file,
                                               enum fg_safetensors_kind kind,
                                               const struct fg_network *network, float *const *values,
                                               struct fg_report *report, struct fg_message *message);

/* Writes every name of the network in float32: values by parameter index, NULL for what folding has taken up
 * (batch norm's weight 1, mean 0, variance 1 - 1e-5). The same values give the same bytes. */
FG_MUST_USE enum fg_status fg_safetensors_write(const char *path, const struct fg_network *network,
                                                const float *const *values, struct fg_message *message);

/* Writes the teacher alone under torchvision's names, in float16 where that holds the values. */
FG_MUST_USE enum fg_status fg_safetensors_write_teacher(const char *path, const struct fg_network *network,
                                                        const float *const *values,
                                                        struct fg_message *message);

#endif
