/* The program that judges a frame, or a batch of frames that lie one behind the other: RESIZE, NORMALISE, the
 * folded network, a COSINE behind each F_G, ANOMALY_MAP.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_USAGE for a network that the backend does not support, FG_INPUT for
 * readings that the network cannot have. Owner: who opens it closes it; the network must outlive it. Thread:
 * one at a time. NULL: readings and a message may be. */
#ifndef FG_RUNTIME_NETWORK_INFERENCE_H
#define FG_RUNTIME_NETWORK_INFERENCE_H

#include "runtime/network/anomaly.h"
#include "runtime/network/forward.h"

struct fg_inference {
    struct fg_plan *plan;
    const struct fg_program *program;
    struct fg_plan_report report;
    const struct fg_tensor *frozen[FG_NETWORK_PARAMS]; /* folded parameters; NULL where a network has none */
    const struct fg_tensor *scale[FG_NETWORK_PARAMS];  /* scales of int8 weights; NULL where there is none */
    const struct fg_tensor *frame;                     /* u8 in FG_SEGMENT_FRAME */
    size_t frame_bytes;        /* what the largest frame has, rows padded to whole FG_ALIGNMENT */
    struct fg_step *resize;    /* the step whose format, pitch, region and rotation change with the frame */
    struct fg_anomaly anomaly; /* map, decision map, score; what the score is compared with */
    const struct fg_tensor *level[FG_NETWORK_LEVELS]; /* M^i of the l-th used level; kept, on the device */
    /* {batch, 1, 1, 2c} in FG_SEGMENT_IO: moments of F_E of levels 1 to 3. */
    const struct fg_tensor *moments[FG_NETWORK_LEVELS];
};

/* Plans on all lanes of the backend, for frames up to the given size. The network must outlive it. reading:
 * as fg_forward_begin takes it; it does not count on a backend that has no int8 convolutions. */
FG_MUST_USE enum fg_status fg_inference_open(struct fg_inference *inference, const struct fg_network *network,
                                             const struct fg_reading *reading,
                                             const struct fg_backend *backend, int32_t batch,
                                             int32_t max_frame_height, int32_t max_frame_width,
                                             struct fg_message *message);
void fg_inference_close(struct fg_inference *inference);

/* Sets the frame that the next run judges, of at most the size that was planned. Its pixels, where memory's
 * FG_SEGMENT_FRAME is then, must stay until the run has ended. */
void fg_inference_set_frame(struct fg_inference *inference, struct fg_memory *memory,
                            const struct fg_frame *frame);

#endif
