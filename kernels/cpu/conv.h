/* Inside the CPU's convolutions: geometry, the ways to compute one, and what all write-outs share.
 *
 * A convolution is a product: rows are output positions (image, y, x), depth is (ky, kx, channel of the
 * group), columns are output channels. x is {n, h, w, c}, out {n, oh, ow, oc}, a weight {oc, kernel, kernel,
 * c / groups}, all dense NHWC. */
#ifndef FG_KERNELS_CPU_CONV_H
#define FG_KERNELS_CPU_CONV_H

#include "kernels/cpu/cpu.h"

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

/* C[m][n] = A B + beta C, row-major; B transposed where b_transposed, A where a_transposed. */
void fg_conv_product(bool a_transposed, bool b_transposed, size_t m, size_t n, size_t k, const float *a,
                     size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* out[r][k] = relu?(out[r][k] + bias[k] + residual[r][k]) on a block of rows x columns; rows are stride
 * floats apart, in out and in residual. bias and residual may be NULL. */
void fg_conv_finish(float *out, size_t stride, size_t rows, size_t columns, const float *bias,
                    const float *residual, bool relu);

/* Copies columns [k0, k1) of the depth of rows [r0, r1) of the given group's patches to
 * patches[r1 - r0][k1 - k0]; zeros outside of the picture. */
void fg_conv_gather(const struct fg_conv_shape *s, const float *x, size_t group, size_t r0, size_t r1,
                    size_t k0, size_t k1, float *patches);

/* Forward by patches and products (im2col), or by products alone where the convolution is pointwise. */
size_t fg_direct_workspace(const struct fg_backend *backend, const struct fg_conv_shape *s);
void fg_direct_forward(struct fg_backend *backend, const struct fg_step *step,
                       const struct fg_memory *memory);

/* All gradients that the step asks for. */
size_t fg_conv_backward_workspace(const struct fg_backend *backend, const struct fg_step *step);
enum fg_status fg_conv_backward(struct fg_backend *backend, const struct fg_step *step,
                                const struct fg_memory *memory, struct fg_message *message);

/* sum[k] = sum over rows of g[row][k]: the gradient of a bias. */
void fg_conv_sum_rows(struct fg_backend *backend, const struct fg_step *step, const float *g, size_t rows,
                      size_t columns, float *sum);

/* Winograd F(4x4, 3x3) for 3x3 stride 1: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
 * CVPR 2016. A tile is 4x4 outputs from 6x6 inputs; its 36 products are products of matrices over all tiles:
 * weights are [36][groups] matrices, goc x gc, or gc x goc where transposed. */
#define FG_WINOGRAD_POINTS 36

struct fg_winograd {
    size_t n, h, w;
    size_t src_c, dst_c, groups;
    const float *src;
    const float *weight; /* [36][groups] matrices, src channels x dst channels of a group, or their
                            transposes where dst_major */
    bool dst_major;
    float *dst;
    const float *bias, *residual; /* residual may be dst itself: then it is added to */
    bool relu;
    float *workspace; /* fg_winograd_workspace's size */
};

/* Whether that pays. prepared: the weights are transformed beforehand. */
bool fg_conv_winograd(const struct fg_conv_shape *s, bool prepared);

size_t fg_winograd_weight_bytes(const struct fg_conv_shape *s);
size_t fg_winograd_workspace(const struct fg_backend *backend, size_t n, size_t h, size_t w, size_t src_c,
                             size_t dst_c);
void fg_winograd_run(struct fg_backend *backend, const struct fg_step *step, const struct fg_winograd *run);

/* Transforms output channels [o0, o1). flip turns the kernel by 180 degrees, as the gradient of the input
 * needs; channel_major stores gc x goc matrices instead of goc x gc. */
void fg_winograd_weights(const struct fg_conv_shape *s, const float *weight, bool flip, bool channel_major,
                         size_t o0, size_t o1, float *transformed);

/* All of them, goc x gc, on the step's threads. */
void fg_conv_transform(struct fg_backend *backend, const struct fg_step *step, const struct fg_conv_shape *s,
                       const float *weight, bool flip, float *transformed);

#endif
