/* The layers of a judging program, each with its time: for the CPU, whose steps can be run one by one. A
 * layer is a convolution, or all steps of another operator.
 *
 * Errors: FG_ENVIRONMENT for memory, and what a step gives. Owner: who measures frees. Thread: one at a time,
 * and nothing else on the backend. NULL: only a message may be. */
#ifndef FG_TOOLS_BENCH_LAYERS_H
#define FG_TOOLS_BENCH_LAYERS_H

#include "tools/bench/trial.h"

#define FG_LAYER_NAME 96

struct fg_layer {
    char name[FG_LAYER_NAME];  /* "teacher.layer1.0.conv1"; of another operator "cosine" */
    char shape[FG_LAYER_NAME]; /* of a convolution "3x3/2 64 to 128, 32x32"; else empty */
    const char *way;           /* how the backend computes it; empty where there is one way only */
    bool int8;                 /* a convolution of 8 bits: its peak is another one */
    uint32_t steps;            /* number of steps: 1, or all of the operator's */
    double ms;                 /* sum of its steps' */
    double multiply_adds;      /* of the convolution's definition; 0: it is none */
    double done;               /* multiply-adds that its way really does */
    double bytes;              /* read and written once: values, and weights as they were prepared */
};

struct fg_layers {
    struct fg_layer *layer; /* [layers], in the program's order; owned */
    uint32_t layers;
    uint32_t rounds;
    double whole_ms;           /* of the program as it is run to judge */
    double multiply_adds;      /* a second, in registers: the peak in float32 */
    double int8_multiply_adds; /* the peak in int8 */
    double bytes;              /* a second, of STREAM's triad */
};

/* Runs the processor's peak, the program as a whole, and its steps one by one in turn, until the budget is
 * spent, 10 rounds at least. Every time is the shortest of the rounds and every rate the highest, because
 * what else runs on the machine only adds. The number of threads is the backend's. */
FG_MUST_USE enum fg_status fg_layers_measure(struct fg_trial *trial, const struct fg_network *network,
                                             int64_t budget_ns, struct fg_layers *layers,
                                             struct fg_message *message);
void fg_layers_free(struct fg_layers *layers);

#endif
