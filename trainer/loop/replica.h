/* One device's share of training: its memory for every program, its copies of weights, moments and pictures.
 * Training has one for each device; they differ in the pictures of a step and in the batch norms' running
 * statistics alone.
 *
 * Errors: FG_ENVIRONMENT for memory, FG_DEVICE_LOST for the device. Owner: who opens a replica closes it,
 * after a failure too. Thread: one at a time. NULL: only a message may be. */
#ifndef FG_TRAINER_LOOP_REPLICA_H
#define FG_TRAINER_LOOP_REPLICA_H

#include "trainer/loop/graph.h"

/* A trainer's programs; REST is for pictures left over after the full batches, TEACH for the features that
 * these take where the device is the host's memory. */
enum fg_stage { FG_TRAIN, FG_TRAIN_REST, FG_VALIDATE, FG_VALIDATE_REST, FG_TEACH, FG_UPDATE, FG_STAGES };

struct fg_replica {
    struct fg_backend *backend;                  /* borrowed */
    const struct fg_program *program[FG_STAGES]; /* borrowed; NULL where there is none */
    struct fg_memory memory;                     /* all segments but PREPARED, each for the largest program */
    void *prepared[FG_STAGES]; /* each program's FG_SEGMENT_PREPARED; NULL where it has none */
    void *update_io;           /* FG_SEGMENT_IO of FG_UPDATE's program */
    bool lent;                 /* trained weights and pictures are the host's own memory */
    size_t bytes;              /* bytes taken from the backend */
};

/* What the host lends to a replica whose device has no memory of its own; other replicas copy it. */
struct fg_lent {
    const struct fg_weights *weights;
    const uint8_t *pictures; /* {picture_bytes} */
    size_t picture_bytes;
};

/* Takes the memory and copies the pictures, to the device if they fit there and else to where it reaches
 * them. copy: the trained weights are a copy even if the host's could be lent, since another replica has
 * those. */
FG_MUST_USE enum fg_status fg_replica_open(struct fg_replica *replica, struct fg_backend *backend,
                                           const struct fg_program *const program[FG_STAGES],
                                           const struct fg_lent *lent, bool copy, struct fg_message *message);
void fg_replica_close(struct fg_replica *replica);

/* Push copies the first bytes of a segment from the host's copy to the device, pull copies them from the
 * device to the host. Neither does anything where both are one memory. */
FG_MUST_USE enum fg_status fg_replica_push(const struct fg_replica *replica, enum fg_segment segment,
                                           const void *host, size_t bytes, struct fg_message *message);
FG_MUST_USE enum fg_status fg_replica_pull(const struct fg_replica *replica, enum fg_segment segment,
                                           void *host, size_t bytes, struct fg_message *message);

/* Gives the memory that a stage's program runs on. */
struct fg_memory fg_replica_memory(const struct fg_replica *replica, enum fg_stage stage);
/* Prepares a stage; does nothing where it has no program. */
FG_MUST_USE enum fg_status fg_replica_prepare(const struct fg_replica *replica, enum fg_stage stage,
                                              struct fg_message *message);
/* Runs a stage on every one of count replicas at once. */
FG_MUST_USE enum fg_status fg_replica_run(const struct fg_replica *replica, uint32_t count,
                                          enum fg_stage stage, struct fg_message *message);

#endif
