/* The desk: a bundle that judges decoded pictures one at a time, away from the line, with an arena and an
 * engine of its own. The command-line tools, the calibration and the evaluation use it. The daemon has an
 * arena with several banks instead.
 *
 * Errors: FG_INPUT for a bundle or picture that cannot be used, FG_ENVIRONMENT for memory; every message
 * names the bundle or the picture. Owner: who opens a desk closes it. Thread: one at a time. NULL: never. */
#ifndef FG_RUNTIME_ENGINE_DESK_H
#define FG_RUNTIME_ENGINE_DESK_H

#include "runtime/engine/engine.h"
#include "runtime/image/image.h"

struct fg_desk {
    struct fg_backend *backend;      /* borrowed */
    struct fg_bundle *bundle;        /* owned */
    struct fg_arena *arena, *device; /* owned; device: NULL where it has no memory of its own */
    struct fg_engine *engine;        /* owned; NULL where there was no memory for a larger picture */
    int32_t max_width, max_height;   /* pixels that the engine is planned for */
    bool self_test;
};

/* Opens a bundle for pictures of its contract's size; where the contract has none, the arena grows with
 * each larger picture. self_test false: an uncalibrated bundle is accepted. After a failure there is
 * nothing to close, and closing does no harm. */
FG_MUST_USE enum fg_status fg_desk_open(struct fg_desk *desk, const char *path, struct fg_backend *backend,
                                        bool self_test, struct fg_message *message);
/* The same with a bundle that is open already. The desk owns it from here on; a failure closes it. */
FG_MUST_USE enum fg_status fg_desk_take(struct fg_desk *desk, struct fg_bundle *bundle,
                                        struct fg_backend *backend, bool self_test,
                                        struct fg_message *message);
void fg_desk_close(struct fg_desk *desk);

/* Judges one decoded picture and waits for the end. name: the picture's, for messages. threshold decides
 * which pixels belong to the defect's box; INFINITY: none. */
FG_MUST_USE enum fg_status fg_desk_judge(struct fg_desk *desk, const char *name, const struct fg_image *image,
                                         float threshold, struct fg_judgement *judgement,
                                         struct fg_message *message);

#endif
