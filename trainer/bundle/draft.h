/* A bundle before it is a file: its weights as the file will hold them, an engine that judges with them, and
 * the header that grows by calibration and evaluation.
 *
 * The way: fold, engine on the folded weights in memory, calibrate, evaluate, write. Nothing lies at the
 * bundle's place until all of it is there, and what is judged on the line is bit for bit what was calibrated.
 *
 * Errors: those of bundle and engine; every message names the bundle's path. Owner: who opens a draft closes
 * it; backend and path stay the caller's. Thread: one at a time. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_DRAFT_H
#define FG_TRAINER_BUNDLE_DRAFT_H

#include "runtime/engine/desk.h"
#include "trainer/bundle/folded.h"

#define FG_BACKUP_ENDING ".bak"  /* of a bundle before it was calibrated */
#define FG_FLOAT_ENDING ".float" /* of a bundle before it became int8 */

struct fg_draft {
    struct fg_desk desk;            /* judges with the weights that will be written */
    struct fg_bundle_header header; /* the header that will be written */
    /* The new evidence, owned: a picture {height, width, 3} and the map {height, width} that it must give.
     * NULL: the bundle keeps the evidence that it has. */
    uint8_t *picture;
    float *map;
    struct fg_good *good;            /* the pictures that set the threshold, owned; NULL with the two */
    float *scene_mean, *scene_scale; /* {network.descriptors}, owned; NULL with the others */
    float *place_mean, *place_scale; /* {height, width}, owned; not read where the score is not local */
};

/* Folds the weights into an uncalibrated bundle in memory and opens an engine on it. path: where it is to
 * be written. After a failure there is nothing to close, and closing does no harm. */
FG_MUST_USE enum fg_status fg_draft_open(struct fg_draft *draft, const char *path,
                                         const struct fg_weights *weights,
                                         const struct fg_bundle_header *header, struct fg_backend *backend,
                                         struct fg_message *message);

/* The same of folded weights, with convolutions as int8 in their place: quantised {FG_NETWORK_PARAMS}; NULL:
 * none is. */
FG_MUST_USE enum fg_status fg_draft_open_folded(struct fg_draft *draft, const char *path,
                                                const struct fg_folded *folded,
                                                const struct fg_quantised *quantised,
                                                const struct fg_bundle_header *header,
                                                struct fg_backend *backend, struct fg_message *message);

/* Opens a bundle that is a file already, calibrated or not, so that it can be calibrated anew. */
FG_MUST_USE enum fg_status fg_draft_open_file(struct fg_draft *draft, const char *path,
                                              struct fg_backend *backend, struct fg_message *message);

/* Opens the engine anew, on the header and the evidence that the draft has by now, but for the self-test. */
FG_MUST_USE enum fg_status fg_draft_reload(struct fg_draft *draft, struct fg_message *message);

/* Writes the bundle, whole or not at all; what lies at path stays until then. path may be the opened file's
 * own. */
FG_MUST_USE enum fg_status fg_draft_write(const struct fg_draft *draft, const char *path,
                                          struct fg_message *message);

/* Writes the bundle in place of the one at path, which a file with the ending behind its name keeps. */
FG_MUST_USE enum fg_status fg_draft_replace(const struct fg_draft *draft, const char *path,
                                            const char *ending, struct fg_message *message);

void fg_draft_close(struct fg_draft *draft);

/* Names a bundle after its file, without folder and ending; the Modbus map shows the name in ASCII, so other
 * characters become "_". */
void fg_draft_name(const char *path, char name[FG_NAME_SIZE]);

#endif
