/* Weights in and out, in the safetensors format: 8 bytes of header length (little-endian), a JSON header with
 * element type, shape and offsets of each tensor, the tensors' bytes.
 *
 * Names and shapes are PyTorch's (runtime/network/network.h); values come and go as float32 in our NHWC
 * order: a stored (d0, d1, kh, kw) is {d0, kh, kw, d1} here. The file is hostile until its header has been
 * checked: strict JSON of exactly the format's form, no name twice, tensors side by side from the header to
 * the file's end.
 *
 * Errors: FG_INPUT for a wrong file, FG_ENVIRONMENT for memory and disk, FG_USAGE for a path that is too
 * long; messages name the path, and the tensor or the byte of the header. Owner: who opens a file closes it;
 * the tensors that it lists live as long. Thread: one at a time for one open file. NULL: a message may be,
 * and the file that is closed. */
#ifndef FG_RUNTIME_WEIGHTS_SAFETENSORS_H
#define FG_RUNTIME_WEIGHTS_SAFETENSORS_H

#include "runtime/base/report.h"
#include "runtime/network/network.h"

#define FG_SAFETENSORS_NAME 128 /* bytes of a name, with the 0 at its end */
#define FG_SAFETENSORS_RANK 8   /* most dimensions of a tensor */

/* One tensor as the header describes it. */
struct fg_safetensors_tensor {
    char name[FG_SAFETENSORS_NAME]; /* printable ASCII */
    const char *type;               /* "F32", "F16", "BF16", "I64", ... */
    uint32_t rank;
    uint64_t shape[FG_SAFETENSORS_RANK]; /* rank extents, as stored */
    uint64_t offset;                     /* bytes from the start of the file to the tensor */
    uint64_t bytes;                      /* the size that type and shape give */
};

struct fg_safetensors;

/* Opens a file and checks its header. FG_INPUT says what is wrong, and how to convert a PyTorch file
 * (.pth). */
FG_MUST_USE enum fg_status fg_safetensors_open(const char *path, struct fg_safetensors **file,
                                               struct fg_message *message);
void fg_safetensors_close(struct fg_safetensors *file);

/* Gives the number of tensors. */
uint32_t fg_safetensors_count(const struct fg_safetensors *file);
/* Gives tensor i, below the count, in the order of names. */
const struct fg_safetensors_tensor *fg_safetensors_tensor(const struct fg_safetensors *file, uint32_t i);
/* Finds a tensor by its name; NULL when the file has none of this name. */
const struct fg_safetensors_tensor *fg_safetensors_find(const struct fg_safetensors *file, const char *name);

/* What a file is read as. */
enum fg_safetensors_kind {
    FG_SAFETENSORS_NETWORK, /* teacher.*, bottleneck.*, student.*, fmm.* */
    FG_SAFETENSORS_TEACHER, /* the teacher alone under torchvision's names, without prefix */
};

/* Finds the backbone of the file's teacher, by names and shapes. FG_INPUT when it is none of ours. */
FG_MUST_USE enum fg_status fg_safetensors_backbone(const struct fg_safetensors *file,
                                                   enum fg_safetensors_kind kind, enum fg_backbone *backbone,
                                                   struct fg_message *message);

/* Fills the network's unfolded parameters, or the teacher's alone, from F32, F16 or BF16 tensors. values[i]
 * has room for the elements of parameter i's fg_param_tensor; one that this kind of file lacks may be NULL.
 * layer4.*, fc.* and num_batches_tracked are skipped. FG_INPUT when any tensor is missing, extra, of another
 * shape or type, or not finite: report then has one line for each, and the values are undefined. The caller
 * zeroes report before and frees it after. */
FG_MUST_USE enum fg_status fg_safetensors_load(const struct fg_safetensors *file,
                                               enum fg_safetensors_kind kind,
                                               const struct fg_network *network, float *const *values,
                                               struct fg_report *report, struct fg_message *message);

/* Writes every parameter of the network in float32. values[i] belongs to parameter i; NULL stands for one
 * that folding has taken up: the file then has batch norm's weight 1, mean 0 or variance 1 - 1e-5. Equal
 * values give equal bytes. */
FG_MUST_USE enum fg_status fg_safetensors_write(const char *path, const struct fg_network *network,
                                                const float *const *values, struct fg_message *message);

/* Writes the teacher alone under torchvision's names: each tensor in float16 where that is precise enough
 * (fg_half_holds), else in float32. */
FG_MUST_USE enum fg_status fg_safetensors_write_teacher(const char *path, const struct fg_network *network,
                                                        const float *const *values,
                                                        struct fg_message *message);

#endif
