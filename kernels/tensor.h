/* A tensor: element type, extents in NHWC order and a place, which is a segment and an offset inside it.
 *
 * Channels are innermost and dense: element (i, y, x, k) is at offset + (((i*h + y)*w + x)*c + k) * size of
 * the type. Vectors (biases, batch norm) are {1, 1, 1, c}. A convolution's weight is {n = output channels, h,
 * w = kernel, c = input channels / groups}; a transposed one's is {n = input channels, h, w, c = output
 * channels}: in both the stored PyTorch shape (d0, d1, kh, kw) becomes {d0, kh, kw, d1}.
 *
 * A value between steps can be quantised: v of 0 to 255 stands for scale (v - zero). Where such a tensor is
 * u8, these are its elements. Where it is float32, they are what int8 convolutions make of it.
 *
 * Errors: none; who makes a tensor has bounded its extents. Owner: the caller binds segments to memory and
 * owns it. Thread: any. NULL: a segment that a program does not need; nothing else. */
#ifndef FG_KERNELS_TENSOR_H
#define FG_KERNELS_TENSOR_H

#include "runtime/base/size.h"

enum fg_dtype { FG_F32, FG_F16, FG_BF16, FG_I8, FG_U8, FG_F64 };

/* Memory that a program touches, by how long it lives. The caller binds each segment to an address (struct
 * fg_memory). */
enum fg_segment {
    FG_SEGMENT_FROZEN,    /* weights that no step changes */
    FG_SEGMENT_PREPARED,  /* what a backend derives from frozen weights, once, in prepare (packed weights) */
    FG_SEGMENT_TRAINED,   /* weights and batch-norm buffers that training changes */
    FG_SEGMENT_GRADIENTS, /* gradients of trained weights, laid out as they are */
    FG_SEGMENT_MOMENTS,   /* Adam's first and second moments */
    FG_SEGMENT_ACTIVATIONS, /* values between steps and their gradients, placed by the planner */
    FG_SEGMENT_WORKSPACE,   /* scratch of one step at a time on each lane */
    FG_SEGMENT_IO,          /* what the host writes before and reads after a run */
    FG_SEGMENT_FRAME,       /* a borrowed camera frame, read only */
    FG_SEGMENT_PICTURES,    /* a data set's pictures, read only */
    FG_SEGMENTS
};

struct fg_tensor {
    enum fg_dtype dtype;
    int32_t n, h, w, c; /* each 1 or more */
    enum fg_segment segment;
    size_t offset; /* bytes from the segment's start, a multiple of FG_ALIGNMENT (but in FG_SEGMENT_FRAME) */
    float scale;   /* of a quantised value, above 0; 0: it is not quantised */
    int32_t zero;  /* the element that stands for 0: 0 to 255 */
};

struct fg_memory {
    void *segment[FG_SEGMENTS]; /* NULL where a program needs none */
};

static inline size_t fg_dtype_size(enum fg_dtype dtype) {
    switch (dtype) {
    case FG_F64:
        return 8;
    case FG_F32:
        return 4;
    case FG_F16:
    case FG_BF16:
        return 2;
    case FG_I8:
    case FG_U8:
        break;
    }
    return 1;
}

/* Elements and bytes. Extents are bounded by whoever made the tensor (network, image), so these cannot
 * overflow. */
static inline size_t fg_tensor_count(const struct fg_tensor *t) {
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->c;
}

static inline size_t fg_tensor_bytes(const struct fg_tensor *t) {
    return fg_tensor_count(t) * fg_dtype_size(t->dtype);
}

static inline void *fg_tensor_data(const struct fg_tensor *t, const struct fg_memory *memory) {
    return (char *)memory->segment[t->segment] + t->offset;
}

#endif
