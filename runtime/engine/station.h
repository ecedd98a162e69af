/* A bundle open for judging picture files: arena, engine and decoder together. What the command-line tools
 * and the calibration use, one picture at a time; the daemon has its own arena with several banks. */
#ifndef FG_RUNTIME_ENGINE_STATION_H
#define FG_RUNTIME_ENGINE_STATION_H

#include "runtime/engine/engine.h"
#include "runtime/image/image.h"

struct fg_station {
    struct fg_backend *backend; /* borrowed */
    struct fg_bundle *bundle;
    struct fg_arena *arena, *device; /* device: NULL where it has no memory of its own */
    struct fg_engine *engine;
    int32_t max_width, max_height; /* that the engine is planned for */
    bool self_test;
};

/* Opens a bundle for pictures of its contract's size; where the contract has none, the arena grows with the
 * first larger picture. self_test false: an uncalibrated bundle is accepted. */
FG_MUST_USE enum fg_status fg_station_open(struct fg_station *station, const char *path,
                                           struct fg_backend *backend, bool self_test,
                                           struct fg_message *message);
void fg_station_close(struct fg_station *station);

/* Judges one decoded picture. Messages name it. */
FG_MUST_USE enum fg_status fg_station_judge(struct fg_station *station, const char *name,
                                            const struct fg_image *image, float threshold,
                                            struct fg_judgement *judgement, struct fg_message *message);

#endif
