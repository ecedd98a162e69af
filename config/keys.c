#include "config/keys.h"

#define AT(member) offsetof(struct fg_config, member)
#define SIZE_OF(member) sizeof(((struct fg_config *)0)->member)

_Static_assert(SIZE_OF(on_inoperative) == sizeof(uint32_t), "a choice is stored as 32 bits");

const struct fg_key FG_KEYS[] = {
    {"", "bundles", FG_KEY_PATHS, AT(view[0].bundle), NULL, 0, FG_CONFIG_BUNDLES, NULL, AT(view[0].bundles)},
    {"", "deadline_ms", FG_KEY_COUNT, AT(deadline_ms), "500", 1, 60000, NULL, 0},
    {"", "on_inoperative", FG_KEY_CHOICE, AT(on_inoperative), "reject", 0, 0, "reject|pass|stop", 0},
    {"", "missed_reject", FG_KEY_CHOICE, AT(missed_reject), "stop", 0, 0, "stop|count", 0},
    {"", "fail_safe", FG_KEY_CHOICE, AT(fail_safe), "stop-line", 0, 0, "stop-line|reject-all", 0},
    {"", "plc_watchdog_ms", FG_KEY_COUNT, AT(plc_watchdog_ms), "0", 0, 3600000, NULL, 0},
    {"camera", "driver", FG_KEY_CHOICE, AT(camera[0].driver), "directory", 0, 0, "directory", 0},
    {"camera", "path", FG_KEY_PATH, AT(camera[0].path), "", 0, 0, NULL, 0},
    {"camera", "cycle", FG_KEY_BOOL, AT(camera[0].cycle), "true", 0, 0, NULL, 0},
    {"camera", "memory_mib", FG_KEY_COUNT, AT(camera[0].memory_mib), "64", 1, 16384, NULL, 0},
    {"camera", "max_width", FG_KEY_COUNT, AT(camera[0].max_width), "1024", 16, 16384, NULL, 0},
    {"camera", "max_height", FG_KEY_COUNT, AT(camera[0].max_height), "1024", 16, 16384, NULL, 0},
    {"board", "driver", FG_KEY_CHOICE, AT(board.driver), "simulated", 0, 0, "simulated", 0},
    {"board", "path", FG_KEY_PATH, AT(board.path), "/run/flawgate/board", 0, 0, NULL, 0},
    {"line", "name", FG_KEY_NAME, AT(io[0].name), "", 0, 0, NULL, 0},
    {"line", "active_low", FG_KEY_BOOL, AT(io[0].active_low), "false", 0, 0, NULL, 0},
    {"trigger", "min_interval_ms", FG_KEY_COUNT, AT(trigger.min_interval_ms), "5", 0, 60000, NULL, 0},
    {"trigger", "enable_at_start", FG_KEY_BOOL, AT(trigger.enable_at_start), "false", 0, 0, NULL, 0},
    {"results", "buffer", FG_KEY_BOOL, AT(results.buffer), "false", 0, 0, NULL, 0},
    {"results", "ack_timeout_ms", FG_KEY_COUNT, AT(results.ack_timeout_ms), "5000", 1, 3600000, NULL, 0},
    {"reject", "delay_ms", FG_KEY_TENTH_MS, AT(reject.delay), "1000", 0.1, 600000, NULL, 0},
    {"reject", "pulse_ms", FG_KEY_TENTH_MS, AT(reject.pulse), "10", 0.1, 6553.5, NULL, 0},
    {"reject", "lead_ms", FG_KEY_TENTH_MS, AT(reject.lead), "0", 0, 60000, NULL, 0},
    {"modbus", "bind", FG_KEY_ADDRESS, AT(modbus.bind), "127.0.0.1", 0, 0, NULL, 0},
    {"modbus", "port", FG_KEY_COUNT, AT(modbus.port), "502", 1, 65535, NULL, 0},
    {"modbus", "unit", FG_KEY_COUNT, AT(modbus.unit), "1", 1, 247, NULL, 0},
    {"modbus", "writers", FG_KEY_ADDRESSES, AT(modbus.writer), NULL, 0, FG_CONFIG_WRITERS, NULL,
     AT(modbus.writers)},
    {"modbus", "word_order", FG_KEY_CHOICE, AT(modbus.word_order), "high-first", 0, 0, "high-first|low-first",
     0},
    {"modbus", "idle_timeout_ms", FG_KEY_COUNT, AT(modbus.idle_timeout_ms), "60000", 100, 86400000, NULL, 0},
    {"job", "require", FG_KEY_BOOL, AT(job.require), "false", 0, 0, NULL, 0},
    {"job", "slot", FG_KEY_COUNT, AT(job.slot), "0", 0, FG_CONFIG_BUNDLES - 1, NULL, 0},
    {"threshold", "min", FG_KEY_FLOAT, AT(threshold.min), "0.0001", 0.0001, 6.5535, NULL, 0},
    {"threshold", "max", FG_KEY_FLOAT, AT(threshold.max), "6.5535", 0.0001, 6.5535, NULL, 0},
    {"lock", "code", FG_KEY_COUNT, AT(unlock_code), "0", 0, 65535, NULL, 0},
    {"compute", "device", FG_KEY_NAME, AT(device), "auto", 0, 0, NULL, 0},
    {"gpu", "workspace_mib", FG_KEY_COUNT, AT(gpu.workspace_mib), "64", 1, 4096, NULL, 0},
    {"compute", "threads", FG_KEY_COUNT, AT(threads), "0", 0, 64, NULL, 0},
};
const size_t FG_KEY_TOTAL = sizeof FG_KEYS / sizeof *FG_KEYS;
