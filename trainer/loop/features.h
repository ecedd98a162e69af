/* The frozen teacher's features of pictures. The recipe shows the same picture in every epoch, so features
 * are computed once and kept while they fit; those that do not fit are computed in every epoch.
 *
 * They are kept as they are, float32, and always computed picture by picture by one program. So no bit of
 * training depends on which pictures are kept, or on whether any are. Where the system refuses memory fewer
 * are kept.
 *
 * Errors: FG_ENVIRONMENT where there is no memory for the list of pictures, FG_DEVICE_LOST for the device.
 * Owner: who opens features closes them. Thread: one at a time. NULL: fg_features_close and
 * fg_features_memory take it; no other argument may be, but for a message. */
#ifndef FG_TRAINER_LOOP_FEATURES_H
#define FG_TRAINER_LOOP_FEATURES_H

#include "trainer/loop/replica.h"

struct fg_features;

/* Opens a store for that number of pictures, which takes at most mib MiB; 0 keeps none. */
FG_MUST_USE enum fg_status fg_features_open(const struct fg_network *network, uint32_t pictures, uint32_t mib,
                                            struct fg_features **features, struct fg_message *message);
void fg_features_close(struct fg_features *features);

/* The most bytes that the store takes; 0 without one. */
size_t fg_features_memory(const struct fg_features *features);

/* Puts features of the next pictures into the targets of a stage's program, on every replica at once. graph:
 * {FG_STAGES}, of which FG_TEACH makes what is missing. replica: {replicas}, whose devices are the host's
 * memory. index: pictures, those of the first replica first, then those of the next. Draws of the stage are
 * lost. */
FG_MUST_USE enum fg_status fg_features_give(struct fg_features *features, const struct fg_graph *graph,
                                            enum fg_stage stage, const struct fg_replica *replica,
                                            uint32_t replicas, const uint32_t *index,
                                            struct fg_message *message);

#endif
