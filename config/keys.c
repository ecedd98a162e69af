#include "config/keys.h"

#define AT(member) offsetof(struct fg_config, member)
#define SIZE_OF_ONE(member) sizeof(((struct fg_config *)0)->member)

_Static_assert(SIZE_OF_ONE(on_inoperative) == sizeof(uint32_t), "a choice is stored as 32 bits");

const struct fg_key FG_KEYS[] = {
    {"camera", "driver", FG_KEY_CHOICE, AT(camera.driver), 0, 0, 0, 0, "directory"},
    {"camera", "path", FG_KEY_PATH, AT(camera.path), 0, 0, 0, 0, ""},
    {"camera", "cycle", FG_KEY_BOOL, AT(camera.cycle), 0, 1, 0, 0, NULL},
    {"camera", "memory_mib", FG_KEY_COUNT, AT(camera.memory_mib), 0, 64, 1, 16384, NULL},
    {"camera", "max_width", FG_KEY_COUNT, AT(camera.max_width), 0, 1024, 16, 16384, NULL},
    {"camera", "max_height", FG_KEY_COUNT, AT(camera.max_height), 0, 1024, 16, 16384, NULL},
    {"board", "driver", FG_KEY_CHOICE, AT(board.driver), 0, 0, 0, 0, "simulated"},
    {"board", "path", FG_KEY_PATH, AT(board.path), 0, 0, 0, 0, "/run/flawgate/board"},
    {"line", "name", FG_KEY_NAME, AT(line[0].name), 0, 0, 0, 0, ""},
    {"line", "active_low", FG_KEY_BOOL, AT(line[0].active_low), 0, 0, 0, 0, NULL},
    {"trigger", "min_interval_ms", FG_KEY_COUNT, AT(trigger.min_interval_ms), 0, 5, 0, 60000, NULL},
    {"trigger", "enable_at_start", FG_KEY_BOOL, AT(trigger.enable_at_start), 0, 0, 0, 0, NULL},
    {"", "deadline_ms", FG_KEY_COUNT, AT(deadline_ms), 0, 500, 1, 60000, NULL},
    {"results", "buffer", FG_KEY_BOOL, AT(results.buffer), 0, 0, 0, 0, NULL},
    {"results", "ack_timeout_ms", FG_KEY_COUNT, AT(results.ack_timeout_ms), 0, 5000, 1, 3600000, NULL},
    {"reject", "delay_ms", FG_KEY_TENTH_MS, AT(reject.delay), 0, 1000, 0.1, 600000, NULL},
    {"reject", "pulse_ms", FG_KEY_TENTH_MS, AT(reject.pulse), 0, 10, 0.1, 6553.5, NULL},
    {"reject", "lead_ms", FG_KEY_TENTH_MS, AT(reject.lead), 0, 0, 0, 60000, NULL},
    {"", "on_inoperative", FG_KEY_CHOICE, AT(on_inoperative), 0, FG_INOPERATIVE_REJECT, 0, 0,
     "reject|pass|stop"},
    {"", "missed_reject", FG_KEY_CHOICE, AT(missed_reject), 0, FG_MISSED_STOP, 0, 0, "stop|count"},
    {"", "fail_safe", FG_KEY_CHOICE, AT(fail_safe), 0, FG_STOP_LINE, 0, 0, "stop-line|reject-all"},
    {"", "plc_watchdog_ms", FG_KEY_COUNT, AT(plc_watchdog_ms), 0, 0, 0, 3600000, NULL},
    {"modbus", "bind", FG_KEY_ADDRESS, AT(modbus.bind), 0, 0, 0, 0, "127.0.0.1"},
    {"modbus", "port", FG_KEY_COUNT, AT(modbus.port), 0, 502, 1, 65535, NULL},
    {"modbus", "unit", FG_KEY_COUNT, AT(modbus.unit), 0, 1, 1, 247, NULL},
    {"modbus", "writers", FG_KEY_ADDRESSES, AT(modbus.writer), AT(modbus.writers), 0, 0, FG_CONFIG_WRITERS,
     NULL},
    {"modbus", "word_order", FG_KEY_CHOICE, AT(modbus.low_first), 0, 0, 0, 0, "high-first|low-first"},
    {"modbus", "idle_timeout_ms", FG_KEY_COUNT, AT(modbus.idle_timeout_ms), 0, 60000, 100, 86400000, NULL},
    {"", "bundles", FG_KEY_PATHS, AT(bundle), AT(bundles), 0, 1, FG_CONFIG_BUNDLES, NULL},
    {"job", "require", FG_KEY_BOOL, AT(job.require), 0, 0, 0, 0, NULL},
    {"job", "slot", FG_KEY_COUNT, AT(job.slot), 0, 0, 0, FG_CONFIG_BUNDLES - 1, NULL},
    {"threshold", "min", FG_KEY_FLOAT, AT(threshold.min), 0, 0.0001, 0.0001, 6.5535, NULL},
    {"threshold", "max", FG_KEY_FLOAT, AT(threshold.max), 0, 6.5535, 0.0001, 6.5535, NULL},
    {"lock", "code", FG_KEY_COUNT, AT(unlock_code), 0, 0, 0, 65535, NULL},
    {"compute", "device", FG_KEY_NAME, AT(device), 0, 0, 0, 0, "auto"},
    {"compute", "threads", FG_KEY_COUNT, AT(threads), 0, 0, 0, 64, NULL},
};
const size_t FG_KEY_TOTAL = sizeof FG_KEYS / sizeof *FG_KEYS;
