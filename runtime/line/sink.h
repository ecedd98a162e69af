/* What the line gives to who keeps it: the verdict of every part, and pictures of some.
 *
 * The line knows no disk. It calls these functions, none of which may wait or take memory. The frame is the
 * camera's: keep copies it once the part is decided, before another part is judged, and the frame goes back
 * when keep returns.
 *
 * Errors: none; what has no room is dropped and counted. Owner: the sink is its maker's and outlives the
 * line; what keep gets is borrowed for the call. Thread: keep is the judge's thread's, all others are the
 * line's. NULL: only what a comment says. */
#ifndef FG_RUNTIME_LINE_SINK_H
#define FG_RUNTIME_LINE_SINK_H

#include "runtime/bundle/bundle.h"
#include "runtime/line/snapshot.h"

/* One view of a part, to be kept as a picture. */
struct fg_sink_picture {
    const struct fg_result *result;
    uint32_t view;
    bool asked; /* by command 2, whatever the verdict is */
    bool last;  /* of the pictures that the part gives */
    struct fg_frame frame;
    const struct fg_bundle_header *bundle;
    uint32_t checksum; /* the bundle's */
    const float *map;  /* the anomaly map, of the network's size; NULL: the view was not judged */
};

/* What the sink tells the line. */
struct fg_sink_state {
    bool degraded;               /* something could not be kept */
    uint32_t saved, unsaved;     /* parts that command 2 asked for: all pictures on the disk, or not */
    uint32_t proposed[FG_VIEWS]; /* thresholds x 10000; 0: none */
};

struct fg_sink {
    void *store; /* goes with every call */
    /* A view has another bundle from now on. */
    void (*loaded)(void *store, uint32_t view, const struct fg_bundle_header *bundle, uint32_t checksum);
    /* Gives the views, by bit, of which the sink wants a picture. Called once for each part that has a frame,
     * when its verdict is known. */
    uint32_t (*want)(void *store, const struct fg_result *result);
    /* A part's verdict was given, in the order of triggers. */
    void (*record)(void *store, const struct fg_result *result);
    /* NULL: no pictures are kept, and want wants none. */
    void (*keep)(void *store, const struct fg_sink_picture *picture);
    void (*state)(void *store, struct fg_sink_state *state);
};

#endif
