/* What a configuration takes, and the drivers that it names, for flawgated and flawgate check.
 *
 * The plan is known before anything is loaded: the arena to the byte, and a named allowance for what
 * libraries take (the C library, libmodbus, stacks).
 *
 * Errors: FG_INPUT for a configuration that cannot be used, FG_ENVIRONMENT for a board, a camera or memory
 * that is not there. Owner: who opens a camera or a board closes it; all arguments are borrowed. Thread: one
 * at a time. NULL: never, but for a message and where a function says so. */
#ifndef FG_RUNTIME_LINE_SETUP_H
#define FG_RUNTIME_LINE_SETUP_H

#include "board/camera/camera.h"
#include "board/gpio/board.h"
#include "config/config.h"
#include "runtime/engine/engine.h"

#define FG_ALLOWANCE ((size_t)24 << 20) /* bytes, for libraries and stacks */

/* Bytes that a configuration takes, by what takes them. */
struct fg_memory_plan {
    size_t camera[FG_CONFIG_CAMERAS]; /* each camera's frames */
    size_t line;                      /* queues, results and statistics */
    size_t store;                     /* pictures and scores on their way to the disk (runtime/store) */
    size_t fixed;                     /* cameras, line and store together */
    uint32_t map_pixels;              /* of the largest anomaly map */
    size_t bank;                      /* the bundle that takes most */
    size_t device;                    /* a bank in the device's own memory; 0 where it has none */
    uint32_t banks;
    struct fg_engine_need need[FG_CONFIG_VIEWS]
                              [FG_CONFIG_BUNDLES]; /* what the bundle of each view and slot needs */
};

/* Reads a configuration with the drivers of this program, as fg_config_read does. */
FG_MUST_USE enum fg_status fg_setup_read(const char *path, struct fg_config *config,
                                         struct fg_report *report);

/* Opens the head of every bundle; fg_storage_plan then adds what the store takes. The report gets a line for
 * each that cannot be used, or whose contract its camera cannot keep; FG_INPUT when there is one. */
FG_MUST_USE enum fg_status fg_setup_plan(const struct fg_config *config, struct fg_backend *backend,
                                         struct fg_memory_plan *plan, struct fg_report *report);

/* Asks the drivers of board and cameras. The report gets a line for everything that is wrong; FG_INPUT when
 * there is one. viewer has, for each camera, who sees what it will show, which takes time; NULL: nobody. */
FG_MUST_USE enum fg_status fg_setup_check(const struct fg_config *config,
                                          struct fg_camera_viewer *const *viewer, struct fg_report *report);

#define FG_SETUP_SLOT 64 /* bytes */
/* Writes how lines about a view's bundle begin: "view TOP, slot 1", without the view where it has no name. */
void fg_setup_name_slot(const struct fg_config *config, uint32_t view, uint32_t slot,
                        char text[FG_SETUP_SLOT]);

#define FG_SETUP_VIEW 64 /* bytes */
/* Writes how lines of the log about a view begin: "view TOP: ", or nothing where it has no name; gives the
 * text. */
const char *fg_setup_name_view(const struct fg_config *config, uint32_t view, char text[FG_SETUP_VIEW]);

/* Puts into a frame of a view's camera what the view sees of it: region and rotation. */
void fg_setup_aim(const struct fg_config_view *view, struct fg_frame *frame);
/* The largest frame that each view judges, in pixels. */
void fg_setup_frames(const struct fg_config *config, int32_t width[FG_CONFIG_VIEWS],
                     int32_t height[FG_CONFIG_VIEWS]);

/* Opens a configured camera. memory has the bytes that the plan says, and is borrowed until the camera is
 * closed. */
FG_MUST_USE enum fg_status fg_setup_camera(const struct fg_config *config, uint32_t i, void *memory,
                                           struct fg_camera **camera, struct fg_message *message);

/* Opens the configured board. index gets, for each io of the configuration, its index on the board; -1: it is
 * not configured. */
FG_MUST_USE enum fg_status fg_setup_board(const struct fg_config *config, int32_t index[FG_CONFIG_IOS],
                                          struct fg_board **board, struct fg_message *message);

/* Takes one line of a text, without its end; borrowed for the call. */
typedef void fg_setup_line_function(void *argument, const char *text);

/* Tells the plan as people read it, line after line. */
void fg_setup_describe(const struct fg_config *config, const struct fg_memory_plan *plan,
                       fg_setup_line_function *line, void *argument);

#endif
