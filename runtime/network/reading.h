/* How int8 convolutions read values (runtime/network/network.h, section 12), and which values are kept as
 * they are read.
 *
 * Errors: FG_INPUT only, from a file or a caller. Owner: the caller, of all arrays. Thread: any. NULL: what a
 * function says; a message may be. */
#ifndef FG_RUNTIME_NETWORK_READING_H
#define FG_RUNTIME_NETWORK_READING_H

#include "runtime/network/network.h"

/* A number v of 0 to 255 stands for scale * (v - zero). */
struct fg_reading {
    float scale;  /* above 0; 0: it is not read as int8 */
    int32_t zero; /* 0 to 255 */
};

/* A value of the network, as int8 convolutions see it. */
struct fg_read_value {
    struct fg_reading reading;
    bool kept; /* only int8 convolutions read it, and one makes it: it is kept as these numbers */
};

/* Whether a node can be an int8 convolution: one of either kind, whose input channels in each group are a
 * multiple of 4, or which reads the picture. */
bool fg_node_can_be_int8(const struct fg_network *network, const struct fg_node *node);

/* Finds how each value is read. reading: how each int8 convolution reads its input, by the parameter of its
 * weight, {FG_NETWORK_PARAMS}; NULL: none is int8. value: {FG_NETWORK_VALUES}. FG_INPUT where two that read
 * one value differ, and where a scale or zero is out of range or belongs to nothing that can be int8. */
FG_MUST_USE enum fg_status fg_network_read(const struct fg_network *network, const struct fg_reading *reading,
                                           struct fg_read_value *value, struct fg_message *message);

#endif
