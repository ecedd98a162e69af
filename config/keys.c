/* The tables of keys, and the titles of ios. */
#include "config/keys.h"

#define AT(member) offsetof(struct fg_config, member)
#define SIZE_OF(member) sizeof(((struct fg_config *)0)->member)

_Static_assert(SIZE_OF(on_inoperative) == sizeof(uint32_t), "a choice is stored as 32 bits");
_Static_assert(AT(view[0].height) == AT(view[0].x) + 3 * sizeof(uint32_t), "a region is four numbers");

/* The keys that stand in no section. bundles stands here where there is no view section. */
static const struct fg_option TOP[] = {
    {"bundles", FG_OPTION_PATHS, AT(view[0].bundle), NULL, 0, FG_CONFIG_BUNDLES, .size = FG_CONFIG_TEXT,
     .count = AT(view[0].bundles), .help = "the bundles, by slot"},
    {"deadline_ms", FG_OPTION_NUMBER, AT(deadline_ms), "500", 1, 60000,
     .help = "the time from the trigger's edge to the verdict"},
    {"on_inoperative", FG_OPTION_CHOICE, AT(on_inoperative), "reject", .words = "reject|pass|stop",
     .help = "what happens to a part without a trustworthy verdict"},
    {"missed_reject", FG_OPTION_CHOICE, AT(missed_reject), "stop", .words = "stop|count",
     .help = "what happens when a part could not be rejected"},
    {"fail_safe", FG_OPTION_CHOICE, AT(fail_safe), "stop-line", .words = "stop-line|reject-all",
     .help = "what happens while the line is stopped by a fault"},
    {"plc_watchdog_ms", FG_OPTION_NUMBER, AT(plc_watchdog_ms), "0", 0, 3600000,
     .help = "holding register 3 must change within this time, or the line stops"},
    {"stop_limit_ms", FG_OPTION_NUMBER, AT(stop_limit_ms), "30000", 0, 60000,
     .help = "how long the end waits until the parts under way have passed their reject points"},
};

/* driver, a choice of what the program has, and the driver's own keys stand here too. */
static const struct fg_option CAMERA[] = {
    {"max_width", FG_OPTION_NUMBER, AT(camera[0].max_width), "1024", 16, FG_SIDE_FRAME,
     .help = "the width of the largest frame, in pixels"},
    {"max_height", FG_OPTION_NUMBER, AT(camera[0].max_height), "1024", 16, FG_SIDE_FRAME,
     .help = "the height of the largest frame, in pixels"},
};

/* camera, a choice of those that the file has, stands here too. */
static const struct fg_option VIEW[] = {
    {"region", FG_OPTION_REGION, AT(view[0].x), "whole", 0, FG_SIDE_FRAME,
     .help = "the region of the frame that is judged"},
    {"rotation", FG_OPTION_CHOICE, AT(view[0].rotation), "0", .words = "0|90|180|270",
     .help = "how far the region is turned clockwise before it is judged, in degrees"},
    {"bundles", FG_OPTION_PATHS, AT(view[0].bundle), NULL, 0, FG_CONFIG_BUNDLES, .size = FG_CONFIG_TEXT,
     .count = AT(view[0].bundles), .help = "the view's bundles, by slot"},
};

static const struct fg_option IO[] = {
    {"name", FG_OPTION_TEXT, AT(io[0].name), "", .size = FG_CONFIG_NAME, .help = "the board's name for it"},
    {"active_low", FG_OPTION_BOOL, AT(io[0].active_low), "false",
     .help = "whether a low level is the active one"},
};

static const struct fg_option TRIGGER[] = {
    {"min_interval_ms", FG_OPTION_NUMBER, AT(trigger.min_interval_ms), "5", 0, 60000,
     .help = "A second edge within this time is bounce and no part"},
    {"enable_at_start", FG_OPTION_BOOL, AT(trigger.enable_at_start), "false",
     .help = "whether triggers are taken before a PLC has set coil 0"},
    {"coil_resets", FG_OPTION_BOOL, AT(trigger.coil_resets), "true",
     .help = "whether coils 1, 2, 3, 5 and 6 read 0 again once function 5 has set them"},
    {"queue", FG_OPTION_NUMBER, AT(trigger.queue), "1", 1, FG_CONFIG_QUEUE,
     .help = "how many parts may be between trigger and verdict"},
};

static const struct fg_option RESULTS[] = {
    {"buffer", FG_OPTION_BOOL, AT(results.buffer), "false",
     .help = "whether a verdict waits until coil 2 takes it"},
    {"ack_timeout_ms", FG_OPTION_NUMBER, AT(results.ack_timeout_ms), "5000", 1, 3600000,
     .help = "A buffered result that waits longer reads as no verdict, and result_overrun is raised"},
};

static const struct fg_option REJECT[] = {
    {"delay_ms", FG_OPTION_TENTH_MS, AT(reject.delay), "1000", 0.1, 600000,
     .help = "the time from the trigger's edge to the reject point"},
    {"pulse_ms", FG_OPTION_TENTH_MS, AT(reject.pulse), "10", 0.1, 6553.5, .help = "the length of the pulse"},
    {"lead_ms", FG_OPTION_TENTH_MS, AT(reject.lead), "0", 0, 60000, .help = "the actuator's own delay"},
};

static const struct fg_option MODBUS[] = {
    {"bind", FG_OPTION_ADDRESS, AT(modbus.bind), "127.0.0.1", .size = FG_CONFIG_ADDRESS,
     .help = "the address to listen on"},
    {"port", FG_OPTION_NUMBER, AT(modbus.port), "502", 1, 65535, .help = "the TCP port"},
    {"unit", FG_OPTION_NUMBER, AT(modbus.unit), "1", 1, 247, .help = "the unit id"},
    {"writers", FG_OPTION_ADDRESSES, AT(modbus.writer), NULL, 0, FG_CONFIG_WRITERS, .size = FG_CONFIG_ADDRESS,
     .count = AT(modbus.writers), .help = "the addresses that may write"},
    {"word_order", FG_OPTION_CHOICE, AT(modbus.word_order), "high-first", .words = "high-first|low-first",
     .help = "which word of a 32-bit value comes first"},
    {"idle_timeout_ms", FG_OPTION_NUMBER, AT(modbus.idle_timeout_ms), "0", 0, 86400000,
     .help = "A TCP client that is silent for longer is closed"},
};

const uint32_t FG_CONFIG_BAUDS[] = {1200,  2400,   4800,   9600,   19200, 38400,
                                    57600, 115200, 230400, 460800, 921600};

static const struct fg_option MODBUS_RTU[] = {
    {"device", FG_OPTION_TEXT, AT(modbus_rtu.device), "", .size = FG_CONFIG_TEXT,
     .help = "the serial port of Modbus RTU"},
    {"baud", FG_OPTION_CHOICE, AT(modbus_rtu.baud), "19200",
     .words = "1200|2400|4800|9600|19200|38400|57600|115200|230400|460800|921600",
     .help = "the rate of the serial line"},
    {"parity", FG_OPTION_CHOICE, AT(modbus_rtu.parity), "even", .words = "none|even|odd",
     .help = "the parity bit of the serial line"},
    {"stop_bits", FG_OPTION_NUMBER, AT(modbus_rtu.stop_bits), "1", 1, 2,
     .help = "the stop bits of the serial line"},
    {"rs485", FG_OPTION_BOOL, AT(modbus_rtu.rs485), "false",
     .help = "whether the kernel switches the sender of the serial port on and off"},
};

static const struct fg_option JOB[] = {
    {"require", FG_OPTION_CHOICE, AT(job.require), "auto", .words = "false|true|auto",
     .help = "whether the line is not ready until the PLC has written the slot"},
    {"slot", FG_OPTION_NUMBER, AT(job.slot), "0", 0, FG_CONFIG_BUNDLES - 1,
     .help = "the slot in use at start"},
};

static const struct fg_option THRESHOLD[] = {
    {"min", FG_OPTION_FLOAT, AT(threshold.min), "0.0001", 0.0001, 400000,
     .help = "the smallest threshold that a PLC may write"},
    {"max", FG_OPTION_FLOAT, AT(threshold.max), "100", 0.0001, 400000,
     .help = "the largest threshold that a PLC may write"},
};

static const struct fg_option LOCK[] = {
    {"code", FG_OPTION_NUMBER, AT(unlock_code), "0", 0, 65535,
     .help =
         "holding registers 1, 4 to 6 and 16 to 31 and command 3 are locked until this code is written to 7"},
};

static const struct fg_option STORE[] = {
    {"path", FG_OPTION_PATH, AT(store.path), "", .size = FG_CONFIG_TEXT,
     .help = "the folder that keeps pictures and the scores of all parts"},
    {"quota_mib", FG_OPTION_NUMBER, AT(store.quota_mib), "1024", 1, 1u << 20,
     .help = "the disk space that pictures may take"},
    {"days", FG_OPTION_NUMBER, AT(store.days), "30", 1, 36500, .help = "how long a picture is kept at most"},
    {"good_every", FG_OPTION_NUMBER, AT(store.good_every), "0", 0, 1000000000,
     .help = "of so many good parts the picture of one is kept"},
    {"metrics", FG_OPTION_PATH, AT(store.metrics), "", .size = FG_CONFIG_TEXT,
     .help = "the file of figures for Prometheus, in OpenMetrics text"},
};

static const struct fg_option COMPUTE[] = {
    {"device", FG_OPTION_CHOICE, AT(device), "auto", .words = FG_COMPUTE_WORDS, .help = "what computes"},
    {"threads", FG_OPTION_NUMBER, AT(threads), "0", 0, FG_COMPUTE_THREADS,
     .help = "how many processors are used"},
};

static const struct fg_option GPU[] = {
    {"workspace_mib", FG_OPTION_NUMBER, AT(gpu.workspace_mib), "64", 1, 4096,
     .help = "the memory that convolutions may use in each of the three lanes"},
};

static const struct fg_option STATE[] = {
    {"path", FG_OPTION_PATH, AT(state.path), "/var/lib/flawgate", .size = FG_CONFIG_TEXT,
     .help = "the folder of what outlives a restart"},
};

static const struct fg_option WATCHDOG[] = {
    {"device", FG_OPTION_PATH, AT(watchdog.device), "", .size = FG_CONFIG_TEXT,
     .help = "the hardware watchdog that is fed"},
};

const struct fg_config_section FG_CONFIG_SECTIONS[FG_CONFIG_SECTION_COUNT] = {
    [FG_SECTION_TOP] = {"", FG_OPTIONS(TOP), 1, 0},
    [FG_SECTION_CAMERA] = {"camera", FG_OPTIONS(CAMERA), FG_CONFIG_CAMERAS, SIZE_OF(camera[0])},
    [FG_SECTION_VIEW] = {"view", FG_OPTIONS(VIEW), FG_CONFIG_VIEWS, SIZE_OF(view[0])},
    [FG_SECTION_BOARD] = {"board", {NULL, 0}, 1, 0},
    [FG_SECTION_IO] = {"line", FG_OPTIONS(IO), FG_CONFIG_IOS, SIZE_OF(io[0])},
    [FG_SECTION_TRIGGER] = {"trigger", FG_OPTIONS(TRIGGER), 1, 0},
    [FG_SECTION_RESULTS] = {"results", FG_OPTIONS(RESULTS), 1, 0},
    [FG_SECTION_REJECT] = {"reject", FG_OPTIONS(REJECT), 1, 0},
    [FG_SECTION_MODBUS] = {"modbus", FG_OPTIONS(MODBUS), 1, 0},
    [FG_SECTION_MODBUS_RTU] = {"modbus_rtu", FG_OPTIONS(MODBUS_RTU), 1, 0},
    [FG_SECTION_JOB] = {"job", FG_OPTIONS(JOB), 1, 0},
    [FG_SECTION_THRESHOLD] = {"threshold", FG_OPTIONS(THRESHOLD), 1, 0},
    [FG_SECTION_LOCK] = {"lock", FG_OPTIONS(LOCK), 1, 0},
    [FG_SECTION_STORE] = {"store", FG_OPTIONS(STORE), 1, 0},
    [FG_SECTION_COMPUTE] = {"compute", FG_OPTIONS(COMPUTE), 1, 0},
    [FG_SECTION_GPU] = {"gpu", FG_OPTIONS(GPU), 1, 0},
    [FG_SECTION_STATE] = {"state", FG_OPTIONS(STATE), 1, 0},
    [FG_SECTION_WATCHDOG] = {"watchdog", FG_OPTIONS(WATCHDOG), 1, 0},
};

static const char TITLES[FG_CONFIG_IOS][12] = {"trigger", "reject", "pass", "ready", "fault", "heartbeat"};

const char *fg_config_io_title(enum fg_config_io line) {
    return TITLES[line];
}
