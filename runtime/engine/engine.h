/* The engine: one bundle, loaded into one bank, judging frames.
 *
 * fg_engine_need says what a bundle takes before anything is loaded. fg_engine_open fills a bank: weights
 * inflated in parallel, plan, backend preparation, self-test, the first runs of a device that needs them.
 * After that no call takes memory. Several engines may live at once, each in its own bank; one backend runs
 * one of them at a time.
 *
 * Errors: FG_INPUT for a bundle or frame, FG_ENVIRONMENT for a bank without room, FG_TIMEOUT and
 * FG_DEVICE_LOST from a run. Owner: who opens an engine closes it; bank and backend are the caller's and must
 * outlive it; a frame stays lent until its run has ended. Thread: one at a time opens and judges on a
 * backend, loading threads of its own apart. NULL: fg_engine_close takes it; no other argument may be, but
 * for a message. */
#ifndef FG_RUNTIME_ENGINE_ENGINE_H
#define FG_RUNTIME_ENGINE_ENGINE_H

#include "kernels/backend.h"
#include "runtime/bundle/bundle.h"
#include "runtime/engine/arena.h"

struct fg_box {
    int32_t x, y, w, h; /* pixels of the whole frame, not rotated; all 0 when there is no defect */
    int32_t area;       /* pixels of the frame */
};

struct fg_judgement {
    float score; /* largest value of the decision map; not finite when any value is not finite */
    bool finite;
    float scene;       /* distance from the scene that training saw; 0 where the bundle does not know it */
    bool alike;        /* the distance is within the bundle's limit, or the bundle has none */
    struct fg_box box; /* around the decision map's 8-connected pixels above the threshold at the maximum */
    int64_t inference_ns;
};

/* Exact bytes of a bank, use by use (load: inflate windows and staging; search: self-test and search for
 * the box), for one bundle on one backend and frames up to the given size. */
struct fg_engine_need {
    size_t weights, prepared, activations, workspace; /* bytes of the device */
    size_t io, frame, load, search; /* bytes of the host; frame: for a frame that the device cannot reach */
    size_t host, device;            /* sums: all is the host's where the device has no memory of its own */
};

/* What an engine fills. */
struct fg_engine_bank {
    struct fg_bank *host, *device; /* device: NULL where it has no memory of its own */
};

struct fg_engine;

FG_MUST_USE enum fg_status fg_engine_need(const struct fg_bundle *bundle, struct fg_backend *backend,
                                          int32_t max_frame_width, int32_t max_frame_height,
                                          struct fg_engine_need *need, struct fg_message *message);

/* Opens a bundle in a bank. The bundle must stay open while the engine opens, not after. self_test is false
 * only for the trainer, whose bundle has none yet. FG_INPUT: damaged streams, or the self-test failed (the
 * message has the figures). Its score may differ by 1 % of the map's largest value and its map by 2 %; five
 * times as much where the bundle is int8 and the backend judges with what its weights stand for. */
FG_MUST_USE enum fg_status fg_engine_open(const struct fg_bundle *bundle, struct fg_backend *backend,
                                          const struct fg_engine_bank *bank, int32_t max_frame_width,
                                          int32_t max_frame_height, bool self_test, struct fg_engine **engine,
                                          struct fg_message *message);
/* Closes it and empties the bank. */
void fg_engine_close(struct fg_engine *engine);

/* What opening took, in nanoseconds: weights (reading and inflating overlap; their shares of the time), then
 * the device's plans and recording, 0 where it has none; all is the whole. */
struct fg_load_times {
    int64_t read_ns, inflate_ns;
    struct fg_prepare_times device;
    int64_t all_ns;
};
const struct fg_load_times *fg_engine_times(const struct fg_engine *engine);
/* Writes the times as one line: "812 ms (read 40, inflate 390, finalise 300, tune 0, capture 9)". */
void fg_load_times_text(const struct fg_load_times *times, char *text, size_t size);

const struct fg_bundle_header *fg_engine_header(const struct fg_engine *engine);
uint32_t fg_engine_checksum(const struct fg_engine *engine);

/* Refuses a frame that its format cannot have, a region that is not inside it, or one that breaks the
 * bundle's contract (size of the region once it is rotated, colour), with a sentence. */
FG_MUST_USE enum fg_status fg_engine_accepts(const struct fg_engine *engine, const struct fg_frame *frame,
                                             struct fg_message *message);

/* Starts judging a frame; its pixels must stay until the run has ended. */
FG_MUST_USE enum fg_status fg_engine_submit(struct fg_engine *engine, const struct fg_frame *frame,
                                            struct fg_message *message);
/* Waits until deadline_ns (fg_clock_ns; INT64_MAX for none). FG_TIMEOUT: still running, call again before the
 * next submit. threshold decides which pixels belong to the box. */
FG_MUST_USE enum fg_status fg_engine_finish(struct fg_engine *engine, int64_t deadline_ns, float threshold,
                                            struct fg_judgement *judgement, struct fg_message *message);

/* Judges a picture of the network's own size (height * width * 3 bytes, as RESIZE makes it), past the
 * contract: what self-tests are made with. Waits for the end. */
FG_MUST_USE enum fg_status fg_engine_judge_picture(struct fg_engine *engine, const uint8_t *picture,
                                                   struct fg_judgement *judgement,
                                                   struct fg_message *message);

/* Judges the bundle's own test picture and compares: the map within 2 % of its largest value, the score
 * within 1 % of that, in units of the mean scale where the score is local. FG_INPUT, with both figures in the
 * message, when it does not. Takes one run's time. */
FG_MUST_USE enum fg_status fg_engine_self_test(struct fg_engine *engine, struct fg_message *message);

/* Give the anomaly map and the decision map of a finished run (runtime/network/network.h, section 6; height *
 * width of the network), owned by the engine and valid until the next submit. */
const float *fg_engine_map(const struct fg_engine *engine);
const float *fg_engine_decision_map(const struct fg_engine *engine);
/* Copies the scene's descriptor of a finished run (runtime/network/network.h, section 11) into the caller's
 * network.descriptors values. */
void fg_engine_descriptor(const struct fg_engine *engine, float *descriptor);
/* Gives the size of level map M^i; false when level i is not used. */
bool fg_engine_level(const struct fg_engine *engine, uint32_t level, int32_t *height, int32_t *width);
/* Copies the map M^i of a used level, after a finished run, into the caller's height * width values. */
FG_MUST_USE enum fg_status fg_engine_level_map(const struct fg_engine *engine, uint32_t level, float *map,
                                               struct fg_message *message);

#endif
