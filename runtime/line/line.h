/* The line: one thread that owns every part from edge to verdict, and everything that is shown of it.
 *
 * It waits on edges, the camera, the inference thread, the actuation and the servers' commands; nothing in it
 * blocks. After each event it publishes one snapshot. Rules: line.md sections 1, 2, 4 and 5. */
#ifndef FG_RUNTIME_LINE_LINE_H
#define FG_RUNTIME_LINE_LINE_H

#include "board/camera/camera.h"
#include "board/gpio/edges.h"
#include "config/config.h"
#include "runtime/base/clock.h"
#include "runtime/line/actuation.h"
#include "runtime/line/judge.h"
#include "runtime/modbus/registers.h"

/* Deadline of a load or a self-test: a bundle's first load on a GPU chooses engines for a minute. */
#define FG_LINE_LOAD_LIMIT (180 * FG_S)
/* A job that has not ended so long after its deadline is the device's loss: it or its driver hangs. Much later than a slow
 * processor with a large network is; haste would gain nothing, since from the deadline on nothing passes. */
#define FG_LINE_HANG (60 * FG_S)
/* The same after the end was asked for: longer than any part's deadline and a first load, but with FG_LINE_ANSWER less than
 * the 90 s after which systemd kills. */
#define FG_LINE_STOP_LIMIT (80 * FG_S)
/* How long Modbus tells that the device is lost. */
#define FG_LINE_ANSWER (2 * FG_S)

/* What the line lives on; all is borrowed. */
struct fg_line_settings {
    const struct fg_config *config;
    struct fg_camera *camera;
    struct fg_edges *edges;
    uint32_t trigger_line; /* index of the trigger among the edges' lines */
    struct fg_actuator *actuator;
    struct fg_rejects *rejects;
    struct fg_judge *judge;
    int actuation_descriptor;              /* the eventfd that the actuator notifies */
    const struct fg_arena *arena, *device; /* for their figures; device: or NULL */
    void *memory;                          /* fg_line_memory bytes, zeroed */
    void (*ready)(void); /* called once, on the line's thread, when the first bundle serves */
};

struct fg_line;

size_t fg_line_memory(void);

FG_MUST_USE enum fg_status fg_line_open(const struct fg_line_settings *settings, struct fg_line **line,
                                        struct fg_message *message);
void fg_line_close(struct fg_line *line);

/* What servers read, and how they ask. apply runs on a server's thread and returns when the line has acted.
 */
struct fg_snapshot_cell *fg_line_cell(struct fg_line *line);
enum fg_modbus_exception fg_line_apply(void *line, const struct fg_commands *commands);

/* Loads the bundle of the first slot, then runs until fg_line_stop or the device is lost. The exit status: 0,
 * 3 (the first bundle cannot be used), 70: then a job may still be under way, which may never end. */
int fg_line_run(struct fg_line *line);

/* From any thread and from a signal handler: takes no more triggers, gives the current part its verdict,
 * ends with the job under way. */
void fg_line_stop(struct fg_line *line);

#endif
