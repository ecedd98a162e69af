/* The configuration: what an integrator decides, read once at start and constant after.
 *
 * config/keys.c lists every key with its range and default, but those of drivers, which lie beside the
 * driver; config/example.conf explains each. Times in 0.1 ms are in the units of the Modbus map.
 *
 * Errors: FG_INPUT for what is wrong in the file, FG_ENVIRONMENT for a file that cannot be read; the report
 * names file and line. Owner: the caller, of configuration and report. Thread: one reads at a time; once
 * read, any. NULL: no argument may be. */
#ifndef FG_CONFIG_CONFIG_H
#define FG_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/compute.h"
#include "runtime/base/option.h"
#include "runtime/base/report.h"
#include "runtime/base/size.h"

#define FG_CONFIG_TEXT 512   /* bytes of a path, with the ending zero */
#define FG_CONFIG_NAME 32    /* bytes of a short text */
#define FG_CONFIG_BUNDLES 16 /* slots of a view */
#define FG_CONFIG_CAMERAS 8
#define FG_CONFIG_VIEWS 8
#define FG_CONFIG_DRIVERS 16           /* drivers of cameras, or drivers of boards */
#define FG_CONFIG_QUEUE 8              /* parts between trigger and verdict */
#define FG_CONFIG_NO_DRIVER UINT32_MAX /* the file names a driver that there is not */
#define FG_CONFIG_SETTINGS 2048        /* bytes of what a driver's keys fill */
#define FG_CONFIG_WRITERS 16           /* addresses of Modbus clients that may write */
#define FG_CONFIG_ADDRESS 64           /* bytes of an address */
#define FG_CONFIG_STATE_BYTES 4096     /* most bytes that the folder state.path takes */
#define FG_CONFIG_STATE_LOCK "lock"    /* the file in it that a running flawgated locks */
#define FG_CONFIG_MAX_BYTES (1u << 20) /* a longer file is refused */

/* The ios that the program knows, in the order of their titles in keys.c. */
enum fg_config_io {
    FG_IO_TRIGGER,
    FG_IO_REJECT,
    FG_IO_PASS,
    FG_IO_READY,
    FG_IO_FAULT,
    FG_IO_HEARTBEAT,
    FG_CONFIG_IOS
};

enum fg_on_inoperative { FG_INOPERATIVE_REJECT, FG_INOPERATIVE_PASS, FG_INOPERATIVE_STOP };
enum fg_missed_reject { FG_MISSED_STOP, FG_MISSED_COUNT };
enum fg_fail_safe { FG_STOP_LINE, FG_REJECT_ALL };
enum fg_word_order { FG_HIGH_FIRST, FG_LOW_FIRST };
enum fg_config_parity { FG_CONFIG_PARITY_NONE, FG_CONFIG_PARITY_EVEN, FG_CONFIG_PARITY_ODD };
enum fg_job_require { FG_REQUIRE_NO, FG_REQUIRE_YES, FG_REQUIRE_AUTO };

/* A driver, as a configuration needs to know it. Its keys stand in the section beside the section's own. A
 * key without a default must be given; a path that is a default is absolute. */
struct fg_config_driver {
    const char *name; /* less than FG_CONFIG_NAME letters, digits and dashes */
    struct fg_options keys;
    size_t settings; /* bytes of the struct that the keys fill, at most FG_CONFIG_SETTINGS */
};

/* The drivers that the program has; the first of each list is the default. */
struct fg_config_drivers {
    const struct fg_config_driver *camera;
    uint32_t cameras; /* 1 to FG_CONFIG_DRIVERS; more are refused */
    const struct fg_config_driver *board;
    uint32_t boards; /* 1 to FG_CONFIG_DRIVERS */
};

struct fg_config_camera {
    char name[FG_CONFIG_NAME];      /* "" where the file has one camera without a name */
    uint32_t driver;                /* index in the list of camera drivers */
    uint32_t max_width, max_height; /* pixels of the largest frame */
    _Alignas(max_align_t) unsigned char settings[FG_CONFIG_SETTINGS]; /* what the driver's keys filled */
};

/* What one bundle judges. */
struct fg_config_view {
    char name[FG_CONFIG_NAME];    /* "" where the file has one view without a name */
    uint32_t camera;              /* index in camera[] */
    uint32_t x, y, width, height; /* region of the camera's frame in pixels; width 0: the whole frame */
    uint32_t rotation;            /* clockwise turn of the region: 0, 90, 180 or 270 degrees */
    char bundle[FG_CONFIG_BUNDLES][FG_CONFIG_TEXT]; /* paths, by slot */
    uint32_t bundles;
};

struct fg_config {
    char path[FG_CONFIG_TEXT];
    uint32_t checksum; /* CRC-32 of the file */
    bool broken;       /* the text is wrong, not only a value: what follows the fault was perhaps not read */

    struct fg_config_camera camera[FG_CONFIG_CAMERAS];
    uint32_t cameras; /* 1 to FG_CONFIG_CAMERAS */
    struct fg_config_view view[FG_CONFIG_VIEWS];
    uint32_t views; /* 1 to FG_CONFIG_VIEWS; all have bundles for the same slots */

    struct {
        uint32_t driver; /* index in the list of board drivers */
        _Alignas(max_align_t) unsigned char settings[FG_CONFIG_SETTINGS];
    } board;
    struct {
        char name[FG_CONFIG_NAME];
        bool active_low;
    } io[FG_CONFIG_IOS];

    struct {
        uint32_t min_interval_ms;
        bool enable_at_start;
        bool coil_resets; /* what function 5 sets and acts by an edge reads 0 again */
        uint32_t queue;   /* parts between trigger and verdict, 1 to 8 */
    } trigger;
    uint32_t deadline_ms;
    struct {
        bool buffer;
        uint32_t ack_timeout_ms;
    } results;
    struct {
        uint32_t delay, pulse, lead; /* 0.1 ms */
    } reject;
    enum fg_on_inoperative on_inoperative;
    enum fg_missed_reject missed_reject;
    enum fg_fail_safe fail_safe;
    uint32_t plc_watchdog_ms; /* 0: not watched */
    uint32_t stop_limit_ms;   /* how long the end waits for parts to reach their reject points */

    struct {
        char path[FG_CONFIG_TEXT]; /* folder of what outlives a restart */
    } state;
    struct {
        char device[FG_CONFIG_TEXT]; /* the hardware watchdog; "": there is none */
    } watchdog;

    struct {
        char bind[FG_CONFIG_ADDRESS];
        uint32_t port, unit;
        char writer[FG_CONFIG_WRITERS][FG_CONFIG_ADDRESS];
        uint32_t writers;
        enum fg_word_order word_order;
        uint32_t idle_timeout_ms; /* 0: never */
    } modbus;
    struct {
        char device[FG_CONFIG_TEXT]; /* "": there is no serial line */
        uint32_t baud;               /* 1200 to 921600 */
        enum fg_config_parity parity;
        uint32_t stop_bits; /* 1 or 2 */
        bool rs485;
    } modbus_rtu;

    struct {
        enum fg_job_require require; /* once read it is never AUTO */
        uint32_t slot;               /* the slot that is loaded at start */
    } job;
    struct {
        float min, max; /* the thresholds that a PLC may choose; the bundle's own is always allowed */
    } threshold;
    uint32_t unlock_code; /* 0: nothing is locked */

    struct {
        char path[FG_CONFIG_TEXT];    /* folder of pictures and scores; "": nothing is kept */
        uint32_t quota_mib, days;     /* pictures beyond are deleted, the oldest first */
        uint32_t good_every;          /* of so many good parts the picture of one is kept; 0: of none */
        char metrics[FG_CONFIG_TEXT]; /* file for Prometheus; "": none is written */
    } store;

    enum fg_compute device;
    struct {
        uint32_t workspace_mib; /* MiB that cuDNN may use on each lane */
    } gpu;
    uint32_t threads; /* 0: as many as the process may run on */
};

/* Reads and checks the whole file; the keys of cameras and board are their drivers'. FG_INPUT: report has a
 * line "FILE:LINE: what" for everything that is wrong, and config holds what could be read, every index
 * within its range, only to say more about it, unless it is broken. FG_ENVIRONMENT: report says why the file
 * could not be read. Paths are relative to the file's folder. Nothing is kept of the arguments. */
FG_MUST_USE enum fg_status fg_config_read(const char *path, const struct fg_config_drivers *drivers,
                                          struct fg_config *config, struct fg_report *report);

/* Gives the title of an io's section: "trigger". */
const char *fg_config_io_title(enum fg_config_io io);

#endif
