/* A camera: lends frames of its own memory until they are given back.
 *
 * To add a camera: write one file beside this header that opens it and ends with a struct fg_camera_driver,
 * and add one line to drivers.c. Its keys are then known to the configuration, its memory to the plan, and
 * what is wrong with it to flawgate check. Nothing above board/ names a driver.
 *
 * No call to an open camera takes memory, and only next waits. Arming, triggering and fetching are separate,
 * because they fail for different reasons and real cameras do them at different times.
 *
 * Errors: FG_INPUT for settings or pictures that cannot be used, FG_TIMEOUT where there is no frame yet, and
 * FG_ENVIRONMENT from a camera that is gone, until reopen succeeds. Owner: who opens a camera closes it; a
 * frame is the driver's, lent until release; memory and decoder are the caller's. Thread: one makes all calls
 * to an open camera. NULL: a message may be, and what a comment here says; nothing else. */
#ifndef FG_BOARD_CAMERA_CAMERA_H
#define FG_BOARD_CAMERA_CAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/option.h"
#include "runtime/base/pixel.h"
#include "runtime/base/report.h"

#define FG_CAMERA_PATH 512 /* bytes of a path among a driver's settings, with the ending zero */

enum fg_frame_status {
    FG_FRAME_WHOLE,
    FG_FRAME_DAMAGED, /* incomplete or overrun: not to be judged */
};

struct fg_camera_frame {
    uint32_t buffer; /* the driver's handle of the memory that the frame lies in; release gives it back */
    const uint8_t *pixels; /* rows from top to bottom; lent until release */
    size_t bytes;          /* fg_pixel_frame_bytes */
    enum fg_pixel_format format;
    size_t pitch; /* bytes from one row to the next */
    int32_t width, height;
    uint32_t sequence;  /* counts the camera's frames; a gap is a lost frame */
    int64_t exposed_ns; /* fg_clock_ns at the exposure */
    enum fg_frame_status status;
    const char *name; /* what it shows, when the driver knows: a file's name; else NULL */
};

struct fg_camera {
    /* Readable when next would give a frame at once. It may change with reopen. */
    int descriptor;

    /* Makes the camera ready to take pictures; earlier frames are dropped, and one that shows files begins
     * with the first. FG_ENVIRONMENT: it is gone. */
    FG_MUST_USE enum fg_status (*arm)(struct fg_camera *camera, struct fg_message *message);
    /* Takes one picture. FG_INPUT: there is none to take; FG_ENVIRONMENT: the camera is gone. */
    FG_MUST_USE enum fg_status (*trigger)(struct fg_camera *camera, struct fg_message *message);
    /* Fetches the oldest frame; waits for it until deadline_ns (fg_clock_ns; 0: only looks). A damaged frame
     * comes as FG_OK, with its status. FG_TIMEOUT: no frame yet; FG_ENVIRONMENT: the camera is gone. */
    FG_MUST_USE enum fg_status (*next)(struct fg_camera *camera, int64_t deadline_ns,
                                       struct fg_camera_frame *frame, struct fg_message *message);
    /* Gives a frame back, also one that was lent before the camera was gone. */
    void (*release)(struct fg_camera *camera, const struct fg_camera_frame *frame);
    /* Closes and opens a device that is gone; arm comes next. Frames lent before stay readable until they are
     * released. FG_ENVIRONMENT: it is still gone; the caller tries again later. It does not wait: where a
     * device takes long to open, a thread of the driver's own opens it, and meanwhile it is gone. */
    FG_MUST_USE enum fg_status (*reopen)(struct fg_camera *camera, struct fg_message *message);
    void (*close)(struct fg_camera *camera);
};

/* A picture file, decoded. */
struct fg_decoded {
    uint8_t *pixels; /* height * width * channels bytes, freed by the decoder's free */
    int32_t width, height, channels;
};

/* Decodes picture files for drivers that need it, since board/ knows no file format. */
struct fg_decoder {
    bool (*accepts)(const char *name); /* whether a file's name is a picture's */
    FG_MUST_USE enum fg_status (*read)(const char *path, struct fg_decoded *picture,
                                       struct fg_message *message);
    void (*free)(struct fg_decoded *picture);
};

struct fg_camera_settings {
    const void *keys;                 /* the struct that the driver's keys filled */
    int32_t max_width, max_height;    /* pixels of the largest frame; a larger one is refused */
    const struct fg_decoder *decoder; /* stays valid until close */
    void *memory;                     /* facts.memory bytes, borrowed until close; only open needs it */
};

/* What a camera with these settings can do. */
struct fg_camera_facts {
    bool software_trigger;         /* trigger takes a picture */
    bool hardware_trigger;         /* it takes pictures at the edges of its own input */
    int32_t max_width, max_height; /* pixels of the largest frame that it gives */
    size_t memory;                 /* bytes that open needs of the caller, for frames */
};

/* Somebody who wants to see what a camera will show, before it runs. */
struct fg_camera_viewer {
    void (*see)(struct fg_camera_viewer *viewer, const struct fg_camera_frame *frame,
                struct fg_report *report);
};

struct fg_camera_driver {
    const char *name;       /* its name in the configuration: camera.driver */
    struct fg_options keys; /* keys of the configuration's section beside driver, max_width and max_height */
    size_t settings;        /* bytes of the struct that the keys fill */
    void (*facts)(const struct fg_camera_settings *settings, struct fg_camera_facts *facts);
    /* Adds a line to the report for everything in the settings that cannot work. viewer NULL: only what is
     * told at once. Else it takes the time to look at all that the camera will show, as far as that is known
     * before it runs, and lets the viewer see each frame, which is gone when see returns. */
    void (*check)(const struct fg_camera_settings *settings, struct fg_camera_viewer *viewer,
                  struct fg_report *report);
    /* FG_INPUT: what the settings name cannot be used, and the message says why; FG_ENVIRONMENT: the camera
     * is not there. The settings are not kept, but memory and decoder are. */
    FG_MUST_USE enum fg_status (*open)(const struct fg_camera_settings *settings, struct fg_camera **camera,
                                       struct fg_message *message);
};

#endif
