/* The line: one thread that owns every part from edge to verdict, and everything that is shown of it.
 *
 * It waits for edges, cameras, the judge, the actuation and the servers' requests; nothing in it blocks.
 * After each event it publishes one snapshot. The rules that it keeps:
 *
 * Verdicts. PASS: every value of the map is finite and the score is at most the threshold. DEFECT: the score
 * is larger. INOPERATIVE: there is no verdict to be trusted, and a reason says why (registers.h). It rejects
 * the part, unless on_inoperative says otherwise. A verdict is never used twice: a part without a frame is
 * INOPERATIVE.
 *
 * Triggers. Every edge of the trigger's io is a part. One that cannot be taken (another part is exposed, the
 * queue is full, a camera is gone, the line is stopped) is INOPERATIVE not_ready, with the same reject point,
 * and raises missed_trigger. So is one that comes before coil 0 was written, where it begins with 0: a
 * restart lets no part pass unseen. Once the PLC itself has written coil 0 = 0 or coil 4 = 1 an edge makes no
 * part, nor does one within trigger.min_interval_ms of the last one, which is bounce. A trigger by coil that
 * cannot be taken is answered with exception 6 and is no part; while coil 0 is 0 or coil 4 is 1 it is
 * ignored.
 *
 * Parts. One is exposed at a time; up to trigger.queue taken parts are between trigger and verdict. With 1
 * the next trigger is taken when the verdict is there, with more as soon as the frames are in memory.
 * Verdicts are given in the order of triggers, also those of refused parts; the reject queue has each as soon
 * as it is known. FG_PARTS parts can wait for the verdict of an earlier one; the result of a further one is
 * dropped (result_overrun).
 *
 * Views. All cameras are triggered by the one edge. A part's verdict is the worst of its views': INOPERATIVE,
 * then DEFECT, then PASS; among several views with a score, the one whose score is the largest multiple of
 * its threshold decides score, threshold, box and area.
 *
 * Results. Without results.buffer each verdict replaces the result block, and the next trigger makes it
 * invalid; of verdicts that are given at once, only the last is seen, and the others are result_overrun. With
 * the buffer a verdict that finds the block valid joins a queue of FG_RESULTS_QUEUE, and the block
 * changes only by coil 2; a full queue loses its oldest, and one that waits longer than
 * results.ack_timeout_ms reads as no verdict (both: result_overrun).
 *
 * Rejects. At its trigger a part enters a queue of FG_REJECTS with its reject point: trigger + delay, less
 * the actuator's lead. There it is left alone only if its verdict is PASS; DEFECT, INOPERATIVE and no verdict
 * yet give a pulse, and overlapping pulses merge. A verdict that comes later is counted as late and changes
 * nothing. A part whose point has passed at its trigger, or that finds the queue full, is a missed reject.
 *
 * Deadline. deadline_ms after the trigger the part is INOPERATIVE at once: no_frame for the views of a camera
 * that gave none, deadline for the others. What the judge still says of it is thrown away; its place in the
 * queue is free when the judge is.
 *
 * Pictures. The judge copies the picture that the sink wants right after the part's verdict, before it judges
 * another part, whose run would overwrite the map. The frame stays lent until then, so a camera needs a
 * buffer more than trigger.queue. Nothing waits for a disk.
 *
 * Drift. Each view ranks the scores of its PASSes (drift.h). One that has drifted is logged and shown until
 * coil 3; it changes no verdict. The watch begins anew then, and with every bundle that is loaded.
 *
 * Jobs. A slot is loaded for all views between parts, while the engines in use stay; if one bundle fails,
 * nothing changes. A threshold that the PLC chose ends with its bundle: a change sets it to 0. After a load
 * the log says how long a part takes to judge.
 *
 * States. PREOPERATIONAL until the first bundles are loaded, which tests them, and the cameras have shown
 * that they work; then OPERATIONAL, HALTED or ERROR (states.h). Bits, the output ready and the log follow
 * from them.
 *
 * Tests. A bundle is tested when it is loaded, and by the command 1. While the last test has failed, parts
 * are INOPERATIVE not_verified. A camera is tested at the start; a picture that does not come, is damaged or
 * is not one for its bundles is a fault, and no trigger is taken until a test has succeeded (coil 3 repeats
 * it).
 *
 * Faults are latched until coil 3 (faults.h). A camera that is gone shows fault 16 and is opened again at
 * growing intervals, without the line being ready. When the board's edges are gone the line is never ready
 * again. The PLC's watchdog is watched from its first change on; until then the line is not ready.
 *
 * The device is lost when it says so, or when a job has not ended FG_LINE_HANG after its deadline: outputs go
 * to their safe level, parts are INOPERATIVE device_lost, Modbus answers for FG_LINE_ANSWER, and the run ends
 * with 70.
 *
 * Outputs. Their released level is the safe one, and whatever ends the program by its own will or by a crash
 * releases them first. While the line is stopped ready and pass are 0 and the heartbeat stands still; parts
 * under way are still rejected at their points, or, with fail_safe = "reject-all", everything is. An output
 * that cannot be set stops the line.
 *
 * Heartbeats, the output and bit 15, stop when the actuation or the server has not turned for a second, or a
 * job is a second past its deadline. fg_line_well_ns stands still with them.
 *
 * The end. A line that is asked to end drains: it takes no more triggers, and an edge is still a part,
 * INOPERATIVE not_ready. Parts under way are judged, and those that must be are rejected at their points.
 * fault and ready are 0 and updating is 1 meanwhile. A second request, or stop_limit_ms, does not wait for
 * reject points. What must end before the process may is the job of the judge.
 *
 * Starts. After an unclean end the line is stopped by fault 26 until coil 3: nobody knows where the parts are
 * that were between camera and ejector. Reject registers that a PLC has written before are awaited again.
 *
 * Time. A loop that has not turned for longer than it meant to wait was stopped with its process, or the
 * clock has jumped. That time does not count against a job of the judge, which may have stood still too.
 *
 * Errors: FG_ENVIRONMENT from opening, for descriptors; fg_line_run gives an exit status. Owner: who opens a
 * line closes it; what its settings name stays the caller's and must outlive it. Thread: fg_line_run makes
 * its caller the line's thread; fg_line_apply may be called from any other meanwhile. NULL: fg_line_close
 * takes it; of the settings only device and sink may be. */
#ifndef FG_RUNTIME_LINE_LINE_H
#define FG_RUNTIME_LINE_LINE_H

#include "board/camera/camera.h"
#include "board/gpio/board.h"
#include "config/config.h"
#include "runtime/base/clock.h"
#include "runtime/line/actuation.h"
#include "runtime/line/judge.h"
#include "runtime/modbus/registers.h"

/* Deadline of a view's load, or of a self-test: a bundle's first load on a GPU chooses engines for a
 * minute. */
#define FG_LINE_LOAD_LIMIT (180 * FG_S)
/* A job that has not ended so long after its deadline is the device's loss: it or its driver hangs. Much
 * later than a slow processor with a large network is; haste would gain nothing, since from the deadline on
 * nothing passes. */
#define FG_LINE_HANG (60 * FG_S)
/* A job that has not ended so long after the end was asked for is the device's loss too. The time is longer
 * than any part's deadline and a first load, but with FG_LINE_ANSWER less than the 90 s after which systemd
 * kills. */
#define FG_LINE_STOP_LIMIT (80 * FG_S)
/* How long Modbus tells that the device is lost. */
#define FG_LINE_ANSWER (2 * FG_S)

/* Reject registers that a PLC has written, by bit. */
enum fg_line_written { FG_WRITTEN_REJECT = 1 << 0, FG_WRITTEN_PULSE = 1 << 1 };

/* What outlives a restart. Zeroed where nothing is kept. */
struct fg_line_kept {
    uint32_t starts;  /* starts of the daemon, this one included */
    uint32_t last_id; /* of the parts of earlier starts */
    bool unclean;     /* the last run did not end by a drain: fault 26 until coil 3 */
    uint32_t written; /* enum fg_line_written: not ready until the PLC has written these again */
};

/* Takes what the line wants to be kept: the id of the newest part, and the registers that a PLC has written,
 * now or before. Called on the line's thread after each turn; it never waits. */
typedef void fg_line_keep(void *context, uint32_t last_id, uint32_t written);

/* What the line lives on; all is borrowed. */
struct fg_line_settings {
    struct fg_config *config;                    /* only fg_line_adopt changes it, on the line's thread */
    struct fg_camera *camera[FG_CONFIG_CAMERAS]; /* as many as the configuration has */
    struct fg_edges *edges;
    int32_t trigger_io; /* index of the trigger among the board's ios; -1: there is none */
    struct fg_actuator *actuator;
    struct fg_rejects *rejects;
    struct fg_judge *judge;
    int actuation_descriptor; /* the eventfd that the actuator notifies */
    int stop_descriptor;      /* the eventfd whose signal ends the run; a second one hurries the end */
    int reload_descriptor;    /* the eventfd that the line signals for command 3 */
    const struct fg_arena *arena,
        *device;         /* give the figures of memory; device: NULL where it has no memory of its own */
    void *memory;        /* fg_line_memory bytes, zeroed */
    void (*ready)(void); /* called once, on the line's thread, when the first load and all tests have ended */
    struct fg_line_kept kept;
    fg_line_keep *keep; /* NULL: nothing is kept */
    void *keep_context;
    const _Atomic int64_t *server_seen_ns; /* when the server's loop last turned; NULL: there is no server */
    const struct fg_sink *sink;            /* gets verdicts and pictures; NULL: nobody keeps them */
};

struct fg_line;

/* Bytes that a line takes. */
size_t fg_line_memory(void);

/* Opens a line in the memory that the settings give. FG_ENVIRONMENT: no descriptors are left. */
FG_MUST_USE enum fg_status fg_line_open(const struct fg_line_settings *settings, struct fg_line **line,
                                        struct fg_message *message);
/* Closes it. The line must not run, and no server may ask. */
void fg_line_close(struct fg_line *line);

/* The cell that servers read; it lives as long as the line. */
struct fg_snapshot_cell *fg_line_cell(struct fg_line *line);
/* Asks the line, on a server's thread, and returns when the line has acted. Several servers may ask at once
 * (requests.h). */
enum fg_modbus_exception fg_line_apply(void *line, const struct fg_commands *commands);

/* Takes over what may change while the line runs (config/live.h) from a configuration that was read again, on
 * the thread that has read it; NULL: it is wrong, and nothing changes but the outcome of command 3. Returns
 * when the line has done so; FG_MODBUS_BUSY: it did not look at it, try again. */
enum fg_modbus_exception fg_line_adopt(struct fg_line *line, const struct fg_config *next);

/* Loads the bundles of the first slot, then runs until stop_descriptor is signalled or until the device is
 * lost. Once it is signalled the line drains, and waits for the job under way. A bundle that cannot be loaded
 * is a fault, also the first one: the line is not ready until the PLC names a slot that can be. Gives the
 * exit status: 0, or 70 when the device is lost, and then a job may be under way that never ends. */
int fg_line_run(struct fg_line *line);
/* Once it has run: whether an earlier unclean end, if there was one, was cleared. */
bool fg_line_cleared(const struct fg_line *line);
/* When the line, and all that it watches, was last on time; on fg_clock_ns's clock. Any thread may ask. */
int64_t fg_line_well_ns(const struct fg_line *line);

#endif
