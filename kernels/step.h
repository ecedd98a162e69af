/* The operators of the network, one step of a program, and the program itself.
 *
 * To add an operator: a row of FG_OPERATOR_TABLE, a row below that says its operands, and in each backend a
 * file with its struct fg_kernel. Nothing else lists operators; a backend without it does not link.
 *
 * A step names its operands; which operand an operator reads in which slot is the table below. Absent
 * operands are NULL. All values are float32 NHWC (float64 in the tests' reference backend) unless the table
 * says otherwise.
 *
 *   operator     in                    param                  out
 *   RESIZE       frame {n,h,w,1|3}     -                      picture u8 {n,H,W,3}
 *   NORMALISE    pictures u8 {N,H,W,3}, draw?  -              {n,H,W,3}
 *   CONV         x, residual?          weight, bias?, scale?  relu?(conv(x) + bias + residual)
 *   DECONV       x                     weight, bias?, scale?  relu?(2x2 stride 2 transposed conv + bias)
 *   BATCH_NORM   x, residual?          gamma, beta, mean, var relu?(bn(x) + residual), statistics {1,1,2,c}
 *   MAX_POOL     x                     -                      3x3, stride 2, padding 1
 *   CONCAT       a, b?, c?             -                      along channels
 *   SRU          x                     gamma, beta            upper {c/2}, lower {c/2} halves of X^w
 *   CRU          Y1 {C}, P {3C/4}, L {C/4}  -                 beta1 * Y1 + beta2 * concat(P, L)
 *   SIMAM        x                     -                      x * sigmoid(...)
 *   MASK         x, draw               -                      x, times 0 where the draw says so
 *   COSINE       F_E, F_G              -                      M {n,h,w,1} = 1 - cos over channels
 *   MOMENTS      x                     -                      {n,1,1,2c}: means, deviations of channels
 *   DISTILL      F_E, F_G              -                      loss of each image {n,1,1,1}
 *   ANOMALY_MAP  M^a, M^b?, M^c?       mean?, scale?          map {n,H,W,1}, score {n,1,1,1}, decision map?
 *   ADAM         schedule              theta, m, v            -
 *
 * RESIZE reads a frame in the step's format (runtime/base/pixel.h: the layout, and the sizes that a format
 * can have) as 8-bit RGB or grey of its full size, exactly as said below, then it is Pillow's BILINEAR with
 * its own integer arithmetic and rounding (bit-exact, horizontal pass first); grey is repeated three times.
 * Where the step has a region or a rotation, the region is cut from the 8-bit frame and then rotated
 * clockwise; the result is what is resized. So what a place shows does not depend on the region that it is
 * in, though a Bayer format's neighbours may lie outside. The frame tensor (dtype u8) says what is seen: h,
 * w, and c = fg_pixel_channels. Its h, w, c and the step's format, pitch, region and rotation may change
 * between runs, up to the h and w that it was planned with: workspace answers for every format, region and
 * rotation. NORMALISE: (v / 255 - mean) / deviation with ImageNet's constants (runtime/network/network.h,
 * section 1); with a draw, image i is of picture draw.image[i], which must be below N; without one N is n.
 * CONV pads kernel/2 zeros. BATCH_NORM uses the batch's statistics (eps 1e-5), stores mean and 1/sqrt(var +
 * eps) in its second output and moves the running mean and (unbiased) variance by momentum 0.1. SRU, CRU,
 * SIMAM: runtime/network/network.h, section 3. SRU's group norm has 16 groups, eps 1e-5. MASK: draw is the
 * u8 tensor of a struct fg_draw; runtime/network/network.h, sections 5 and 7, philox.h. MOMENTS: over the
 * positions of an image, the deviation's squares divided by their number; its output is float32 whatever x
 * is. DISTILL, position: mean of M over positions; global: 1 - cos over the whole flattened feature of an
 * image. ANOMALY_MAP: each M resized to H x W (bilinear, corners aligned), summed, or with product k times
 * the k-th root of the product of the k maps floored at 0; Gaussian sigma 4 with 33 taps, mirrored without
 * repeating the edge. With mean and scale, both {1,H,W,1}, decision map = (map - mean) / scale, which is then
 * the third output; else it is the map. score = its largest value, not finite when any value is not finite.
 * ADAM: schedule is float32 {1,1,1,4}: learning rate, 1/(1 - 0.9^t), 1/(1 - 0.999^t), l2. The gradient is
 * d_param[0], and of the first (decayed) values d_param[0] + 2 l2 theta; theta -= rate * (m * c1) /
 * (sqrt(v * c2) + 1e-8), as PyTorch's Adam.
 *
 * A CONV or DECONV has scale {1, 1, 1, output channels} where its weight is i8, which is frozen, and has no
 * backward then. Its x is quantised: u8, or float32 that it quantises first: element = x / scale, rounded to
 * the nearest (half to even), + zero, at least 0, at most 255; of NaN it is 0. CONV pads with elements zero.
 * It sums (x - zero) weight as integers; output = relu?(sum * (x's scale * scale of the channel) + bias +
 * residual), each operation in float32. residual is float32, or u8 and quantised: then its value is (element
 * - zero) * scale. The output is float32, or u8 and quantised by the rule above. An element cannot tell that
 * a value is no number: prepare refuses (FG_INPUT) a scale or bias that is not finite.
 *
 * Backward reads in, param, out and d_out, and writes d_in and d_param where they are given. Bit i of
 * accumulate says that d_in[i] already holds another consumer's gradient, to be added to. d_param is always
 * written, never added to. DISTILL's backward takes no d_out: it is the gradient of the mean over images,
 * for F_G; the target F_E has none. COSINE, MOMENTS, ANOMALY_MAP, RESIZE, NORMALISE and ADAM have no
 * backward. The hard SRU gate passes no gradient to gamma and beta: they are written as zero.
 *
 * What a frame shows. Division of sums by 2^k here is an arithmetic shift: it rounds down.
 * YUYV, NV12: ITU-R BT.601, limited range (Y 16 to 235, U and V 16 to 240 around 128), which is V4L2's
 *   default for YUV but from JPEG cameras (V4L2_MAP_YCBCR_ENC_DEFAULT, V4L2_MAP_QUANTIZATION_DEFAULT in
 *   linux/videodev2.h), with coefficients of 16 fractional bits, clipped to 0 to 255:
 *     R = (FG_YUV_Y (Y - 16)                       + FG_YUV_RV (V - 128) + 2^15) / 2^16
 *     G = (FG_YUV_Y (Y - 16) - FG_YUV_GU (U - 128) - FG_YUV_GV (V - 128) + 2^15) / 2^16
 *     B = (FG_YUV_Y (Y - 16) + FG_YUV_BU (U - 128)                       + 2^15) / 2^16
 *   A pixel's U and V are those of its pair (YUYV) or its 2 x 2 pixels (NV12), not interpolated.
 * Bayer: bilinear. A place keeps its own sample; each other colour is the mean of that colour's samples among
 *   the 8 places around it (2 or 4 of them, a + b + 1 over 2, a + b + c + d + 2 over 4). Beyond an edge the
 *   frame is mirrored without repeating the edge, which keeps the order of colours. 10 and 12 bits become 8
 *   after that: (v + 2) / 4 and (v + 8) / 16, at most 255.
 *
 * ReLU, max pool and every maximum keep NaN (x > 0 ? x : 0 does not).
 *
 * Errors: none; there are no functions here. Owner: who made a step or a program; a backend only reads them.
 * Thread: any, as long as nobody changes them. NULL: an absent operand; nothing else. */
#ifndef FG_KERNELS_STEP_H
#define FG_KERNELS_STEP_H

#include <stdbool.h>

#include "kernels/tensor.h"
#include "runtime/base/pixel.h"

/* Constant and name of each. A backend has a struct fg_kernel of that name for each (fg_cpu_resize). */
#define FG_OPERATOR_TABLE(X)                                                                                 \
    X(RESIZE, resize)                                                                                        \
    X(NORMALISE, normalise)                                                                                  \
    X(CONV, conv)                                                                                            \
    X(DECONV, deconv)                                                                                        \
    X(BATCH_NORM, batch_norm)                                                                                \
    X(MAX_POOL, max_pool)                                                                                    \
    X(CONCAT, concat)                                                                                        \
    X(SRU, sru)                                                                                              \
    X(CRU, cru)                                                                                              \
    X(SIMAM, simam)                                                                                          \
    X(MASK, mask)                                                                                            \
    X(MOMENTS, moments)                                                                                      \
    X(COSINE, cosine)                                                                                        \
    X(DISTILL, distill)                                                                                      \
    X(ANOMALY_MAP, anomaly_map)                                                                              \
    X(ADAM, adam)

#define FG_OPERATOR_ENUM(constant, name) FG_##constant,
enum fg_operator { FG_OPERATOR_TABLE(FG_OPERATOR_ENUM) FG_OPERATORS };
#undef FG_OPERATOR_ENUM

enum fg_pass { FG_FORWARD, FG_BACKWARD };

#define FG_MAX_IN 3
#define FG_MAX_PARAM 4
#define FG_MAX_OUT 3
#define FG_MAX_WAITS 8
#define FG_MAX_LANES 4
#define FG_MAX_BATCH 64

#define FG_GROUP_NORM_GROUPS 16
#define FG_EPSILON 1e-5
#define FG_BN_MOMENTUM 0.1
#define FG_SIMAM_LAMBDA 1e-4
#define FG_COSINE_FLOOR 1e-8
#define FG_ADAM_FIRST 0.9
#define FG_ADAM_SECOND 0.999
#define FG_ADAM_EPSILON 1e-8
#define FG_BLUR_SIGMA 4.0
#define FG_BLUR_RADIUS 16

#define FG_RESIZE_BITS 22 /* bits of RESIZE's weights behind the point, as Pillow has for 8-bit pictures */

/* What NORMALISE subtracts and divides by, for values of 0 to 1. */
#define FG_MEAN_RED 0.485f
#define FG_MEAN_GREEN 0.456f
#define FG_MEAN_BLUE 0.406f
#define FG_DEVIATION_RED 0.229f
#define FG_DEVIATION_GREEN 0.224f
#define FG_DEVIATION_BLUE 0.225f

/* 2^16 times 255/219, and times 255/224 * 1.402, 1.772 * 0.114 / 0.587, 1.402 * 0.299 / 0.587, 1.772 (BT.601:
 * red weighs 0.299, green 0.587, blue 0.114 of luma). */
#define FG_YUV_Y 76309
#define FG_YUV_RV 104597
#define FG_YUV_GU 25675
#define FG_YUV_GV 53279
#define FG_YUV_BU 132201

/* What NORMALISE and MASK draw from; the trainer writes it to the IO segment before each run. */
struct fg_draw {
    uint64_t seed;
    uint32_t epoch;
    uint32_t image[FG_MAX_BATCH]; /* index in the data set of each picture of the batch */
};

struct fg_step {
    enum fg_operator op;
    enum fg_pass pass;

    /* Attributes; zero where an operator has no use for one. */
    int32_t stride;              /* CONV: 1 or 2 */
    int32_t groups;              /* CONV: 1 or 2 */
    bool relu;                   /* CONV, DECONV, BATCH_NORM */
    bool soft_gate;              /* SRU */
    bool global_loss;            /* DISTILL */
    bool product;                /* ANOMALY_MAP */
    float mask_rate;             /* MASK: 0 to 1 */
    uint32_t level;              /* MASK: 1, 2 or 3 */
    size_t pitch;                /* RESIZE: bytes from one row of the frame to the next */
    size_t decayed;              /* ADAM: the first values, this number of them, have l2 */
    enum fg_pixel_format format; /* RESIZE: of the frame */
    struct fg_region region;     /* RESIZE: what is seen of the frame; all zero: all of it */
    int32_t rotation;            /* RESIZE: of the region, degrees clockwise: 0, 90, 180 or 270 */

    const struct fg_tensor *in[FG_MAX_IN];
    const struct fg_tensor *param[FG_MAX_PARAM];
    const struct fg_tensor *out[FG_MAX_OUT];
    const struct fg_tensor *d_in[FG_MAX_IN];
    const struct fg_tensor *d_param[FG_MAX_PARAM];
    const struct fg_tensor *d_out[FG_MAX_OUT];
    uint32_t accumulate; /* bit i: add to d_in[i] */

    /* Set by the planner. */
    size_t workspace, workspace_bytes; /* in FG_SEGMENT_WORKSPACE; the lane's own */
    size_t prepared, prepared_bytes;   /* in FG_SEGMENT_PREPARED; 0 bytes when nothing is prepared */
    uint32_t lane;                     /* a thread or a stream; steps of one lane run in order */
    uint32_t wait[FG_MAX_WAITS];       /* earlier steps of other lanes that must have ended */
    uint32_t waits;
};

/* Steps in an order that respects every wait. The arrays belong to whoever built the program
 * (runtime/network/plan.h). */
struct fg_program {
    struct fg_step *step;
    uint32_t steps;
    uint32_t lanes;
    size_t bytes[FG_SEGMENTS]; /* what each segment must hold; FRAME is the caller's */
    uint64_t key; /* what a backend measures for it is kept under this name; 0: of its own making */
};

#endif
