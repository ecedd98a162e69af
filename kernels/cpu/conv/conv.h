/* Inside the CPU's convolutions: geometry, and the ways to compute one.
 *
 * A convolution is a product: rows are output positions (image, y, x), depth is (ky, kx, channel of the
 * group), columns are output channels. x is {n, h, w, c}, out {n, oh, ow, oc}, a weight {oc, kernel, kernel,
 * c / groups}, all dense NHWC.
 *
 * Errors: FG_OK always, as memory was planned, but for what a function says. Owner: the caller, of all
 * arrays. Thread: the lane's for what takes a backend; any for the rest, on places that no other writes.
 * NULL: an argument may be NULL only where this says so; a message may. */
#ifndef FG_KERNELS_CPU_CONV_CONV_H
#define FG_KERNELS_CPU_CONV_CONV_H

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm/gemm.h"

struct fg_conv_shape {
    size_t n, h, w, c, oh, ow, oc;
    size_t kernel, stride, groups;
    size_t gc, goc; /* channels of one group, in and out */
    size_t rows;    /* n * oh * ow */
    size_t depth;   /* kernel * kernel * gc */
};

struct fg_conv_shape fg_conv_shape(const struct fg_step *step);

/* Whether the patches of x are x itself. */
static inline bool fg_conv_pointwise(const struct fg_conv_shape *s) {
    return s->kernel == 1 && s->stride == 1;
}

/* The columns of one group that one of pieces gets: whole panels of a packed factor. */
static inline struct fg_cpu_range fg_conv_columns(size_t columns, size_t panel, uint32_t pieces,
                                                  uint32_t piece) {
    const struct fg_cpu_range panels = fg_cpu_share((columns + panel - 1) / panel, pieces, piece);
    const size_t begin = panels.begin * panel, end = panels.end * panel;
    return (struct fg_cpu_range){begin < columns ? begin : columns, end < columns ? end : columns};
}

/* Copies columns [k0, k1) of the depth of rows [r0, r1) of the given group's patches to
 * patches[r1 - r0][k1 - k0]; zeros outside of the picture. */
void fg_conv_gather(const struct fg_conv_shape *s, const float *x, size_t group, size_t r0, size_t r1,
                    size_t k0, size_t k1, float *patches);

/* How a product is shared out. Its longer side is split: rows into blocks, or, where the picture is small and
 * the weights are many, columns. */
struct fg_conv_split {
    bool by_columns;
    size_t block;   /* rows of a block */
    uint32_t tasks; /* blocks, or slices of a group's columns */
};

/* A task's part of every group. */
struct fg_conv_part {
    struct fg_cpu_range rows, columns; /* either can be empty */
};

struct fg_conv_split fg_conv_split(const struct fg_backend *backend, const struct fg_conv_shape *s);
struct fg_conv_part fg_conv_part(const struct fg_conv_shape *s, const struct fg_conv_split *split,
                                 size_t panel, uint32_t task);

/* A row of a product is a patch, and lies in runs: one tap's channels are a run, or, where these are few and
 * no group lies between, all taps of a kernel row. A run in the picture is read there. One outside is a run
 * of zeros, which all share; one that crosses the edge is copied. */
struct fg_conv_values {
    const void *x; /* {n, h, w, c} */
    size_t size;   /* bytes of an element */
    uint8_t zero;  /* each byte of an element that is zero */
};

/* Runs of a patch. */
size_t fg_conv_runs(const struct fg_conv_shape *s);

/* Finds the runs of rows [rows.begin, rows.end) of the given group's patches: run i of row r is number
 * i * (rows.end - rows.begin) + r - rows.begin. scratch: fg_conv_runs_bytes of that many rows, for elements
 * of that size; the answer lies there. */
size_t fg_conv_runs_bytes(const struct fg_conv_shape *s, size_t rows, size_t size);
const void *const *fg_conv_find_runs(const struct fg_conv_shape *s, const struct fg_conv_values *values,
                                     size_t group, struct fg_cpu_range rows, void *scratch);

/* Forward by one product that reads the input where it lies. Weights are packed for each group: for all at
 * once where they are frozen, else by the pass. */
size_t fg_direct_weight_bytes(const struct fg_conv_shape *s);
void fg_direct_weights(const struct fg_conv_shape *s, const float *weight, float *packed);
size_t fg_direct_workspace(const struct fg_backend *backend, const struct fg_conv_shape *s, bool prepared);
void fg_direct_forward(struct fg_backend *backend, const struct fg_step *step,
                       const struct fg_memory *memory);

/* Forward of either kind of convolution with weights of 8 bits, which are frozen and have been prepared.
 * FG_INPUT from prepare for a scale or bias with which the output would not be a number. */
bool fg_int8_supports(const struct fg_step *step);
size_t fg_int8_workspace(const struct fg_backend *backend, const struct fg_step *step);
size_t fg_int8_prepared(const struct fg_step *step);
FG_MUST_USE enum fg_status fg_int8_prepare(const struct fg_step *step, const struct fg_memory *memory,
                                           struct fg_message *message);
void fg_int8_forward(struct fg_backend *backend, const struct fg_step *step, const struct fg_memory *memory);

/* Whether a step is that. */
static inline bool fg_conv_int8(const struct fg_step *step) {
    return step->param[0]->dtype == FG_I8;
}

/* All gradients that the step asks for. */
size_t fg_conv_backward_workspace(const struct fg_backend *backend, const struct fg_step *step);
FG_MUST_USE enum fg_status fg_conv_backward(struct fg_backend *backend, const struct fg_step *step,
                                            const struct fg_memory *memory, struct fg_message *message);

/* sum[k] = sum over rows of g[row][k]: the gradient of a bias. */
void fg_conv_sum_rows(struct fg_backend *backend, const struct fg_step *step, const float *g, size_t rows,
                      size_t columns, float *sum);

/* Winograd F(4x4, 3x3) and F(2x2, 3x3) for 3x3 stride 1: Lavin and Gray, "Fast Algorithms for Convolutional
 * Neural Networks", CVPR 2016. A tile is side x side outputs from (side + 2) x (side + 2) inputs, where side
 * is 4 or 2. It becomes as many values for each channel (points), and the convolution as many products of
 * matrices over all tiles. Weights are [points][groups] packed matrices of source by destination channels of
 * a group. */
#define FG_WINOGRAD_GRADIENT_SIDE ((size_t)4)         /* of training's gradients */
#define FG_WINOGRAD_BLOCK_FLOATS ((size_t)512 * 1024) /* transformed values of the tiles done at a time */

/* The side with which Winograd is the fastest way for this shape; 0: the direct way is. prepared: the weights
 * are transformed beforehand. */
size_t fg_conv_winograd(const struct fg_conv_shape *s, bool prepared);

static inline size_t fg_winograd_points(size_t side) {
    return (side + 2) * (side + 2);
}

/* Tiles along a length. */
static inline size_t fg_winograd_across(size_t length, size_t side) {
    return (length + side - 1) / side;
}

/* Floats from one point's tiles x channels values to the next point's: an odd number of cache lines, because
 * 36 places a power of two apart would share one set of the cache. */
static inline size_t fg_winograd_stride(size_t tiles, size_t channels) {
    size_t lines = (tiles * channels + 15) / 16;
    return (lines | 1) * 16;
}

/* Floats of the workspace that hold a picture's zeros: whole cache lines. */
static inline size_t fg_winograd_zeros(size_t channels) {
    return (channels + 15) / 16 * 16;
}

struct fg_winograd {
    size_t side;
    size_t n, h, w;
    size_t src_c, dst_c, groups;
    const float *src;      /* {n, h, w, src_c} */
    const float *weight;   /* [points][groups] packed matrices of src_c / groups by dst_c / groups */
    float *dst;            /* {n, h, w, dst_c} */
    const float *bias;     /* [dst_c]; NULL: none */
    const float *residual; /* {n, h, w, dst_c}; NULL: none; it may be dst itself, which is then added to */
    bool relu;
    float *workspace; /* fg_winograd_workspace's bytes */
};

/* Of a run's workspace only the side, extents, channels and groups count. */
size_t fg_winograd_workspace(const struct fg_backend *backend, const struct fg_winograd *run);
void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run);

/* Values of pictures that are cut into tiles. */
struct fg_winograd_picture {
    size_t side, h, w, c;
    const float *values; /* {n, h, w, c} */
    const float *zeros;  /* [c]: what lies outside of a picture */
};

/* Transforms tiles [t0, t1) of inputs, or of output gradients, to v: a tile's channels side by side, a
 * point's tiles one behind the other, points point_stride floats apart. */
void fg_winograd_inputs(const struct fg_winograd_picture *x, size_t t0, size_t t1, float *v,
                        size_t point_stride);
void fg_winograd_gradients(const struct fg_winograd_picture *g, size_t t0, size_t t1, float *v,
                           size_t point_stride);

/* Transforms the weights of output channels [o0, o1), for the forward pass or, turned by 180 degrees, for the
 * gradient of the input. */
size_t fg_winograd_weight_bytes(const struct fg_conv_shape *s, size_t side, enum fg_pass pass);
void fg_winograd_weights(const struct fg_conv_shape *s, size_t side, const float *weight, enum fg_pass pass,
                         size_t o0, size_t o1, float *transformed);

/* Transforms the weights of all output channels, on the step's threads. */
void fg_winograd_all_weights(struct fg_backend *backend, const struct fg_step *step,
                             const struct fg_conv_shape *s, size_t side, const float *weight,
                             enum fg_pass pass, float *transformed);

/* The gradient of the weights from x and the output's gradient g. */
size_t fg_winograd_gradient_workspace(const struct fg_conv_shape *s);
void fg_winograd_weight_gradient(struct fg_backend *backend, const struct fg_step *step,
                                 const struct fg_conv_shape *s, const float *x, const float *g,
                                 float *d_weight, float *workspace);

#endif
