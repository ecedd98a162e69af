/* flawgate monitor: what a PLC sees of a running line, read over Modbus. */
#include <errno.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/line/line.h"
#include "runtime/modbus/map.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"

#define REFRESH_NS 500000000
#define ANY_UNIT 255 /* the server answers it whatever its own is */

static const char *const BITS[FG_MODBUS_DISCRETE_INPUTS] = {
    "online",         "trigger_ready",  "busy",     "result_valid",      "pass",
    "defect",         "inoperative",    "fault",    "exposure_complete", "result_toggle",
    "missed_trigger", "result_overrun", "updating", "degraded",          "reject_active",
    "heartbeat",
};
static const char *const VERDICTS[] = {"none", "PASS", "DEFECT", "INOPERATIVE"};
static const char *const REASONS[] = {
    "none",       "not_ready",    "no_frame",      "bad_frame",   "deadline", "inference_failed",
    "not_finite", "not_verified", "position_lost", "device_lost",
};
static const char *const COUNTERS[] = {
    "triggers",        "pass",          "defect",        "inoperative",
    "missed_triggers", "late_verdicts", "camera_errors", "result_overruns",
};
#define COUNT(names) (sizeof(names) / sizeof *(names))

/* One reading of the map. The server's word order is told by its constant. */
struct view {
    uint16_t input[FG_MODBUS_INPUT_REGISTERS], holding[FG_MODBUS_HOLDING_REGISTERS];
    uint8_t coil[FG_MODBUS_COILS];
    bool low_first;
};

static enum fg_status read_view(modbus_t *modbus, struct view *view, struct fg_message *message) {
    enum { FIRST = FG_MODBUS_MAX_READ_REGISTERS, REST = FG_MODBUS_INPUT_REGISTERS - FIRST };
    if (modbus_read_input_registers(modbus, 0, FIRST, view->input) != FIRST ||
        modbus_read_input_registers(modbus, FIRST, REST, view->input + FIRST) != REST ||
        modbus_read_registers(modbus, 0, FG_MODBUS_HOLDING_REGISTERS, view->holding) !=
            FG_MODBUS_HOLDING_REGISTERS ||
        modbus_read_bits(modbus, 0, FG_MODBUS_COILS, view->coil) != FG_MODBUS_COILS)
        return fg_fail(message, FG_ENVIRONMENT, "no answer from the line: %s", modbus_strerror(errno));
    view->low_first = view->input[4] == 0x5678;
    if (view->input[4 + view->low_first] != 0x1234 || view->input[5 - view->low_first] != 0x5678)
        return fg_fail(message, FG_ENVIRONMENT,
                       "what answers is no flawgated: registers 4 and 5 are not 0x12345678");
    return FG_OK;
}

static uint32_t pair(const struct view *view, uint32_t at) {
    return (uint32_t)view->input[at + view->low_first] << 16 | view->input[at + !view->low_first];
}

static double seconds(const struct view *view) {
    return pair(view, 32) + view->input[34] / 1000.0;
}

static const char *name_of(const char *const *names, size_t count, uint16_t value) {
    return value < count ? names[value] : "unknown";
}

/* 64 bytes of register text, ended. */
static void bundle_name(const struct view *view, char text[FG_BUNDLE_NAME_SIZE + 1]) {
    for (uint32_t i = 0; i < FG_BUNDLE_NAME_SIZE / 2; i++) {
        text[2 * i] = (char)(view->input[96 + i] >> 8);
        text[2 * i + 1] = (char)(view->input[96 + i] & 255);
    }
    text[FG_BUNDLE_NAME_SIZE] = 0;
}

/* ---- For scripts ---- */

static void json_result(const struct view *view) {
    const uint16_t *in = view->input;
    printf(", \"result\": ");
    if (in[19] == 0) {
        printf("null");
        return;
    }
    printf("{\"sequence\": %u, \"id\": %u, \"verdict\": \"%s\", \"score\": ", in[16], pair(view, 17),
           name_of(VERDICTS, COUNT(VERDICTS), in[19]));
    if (pair(view, 20) == UINT32_MAX)
        printf("null");
    else
        fg_json_number(stdout, pair(view, 20) / 1e4);
    printf(", \"threshold\": ");
    fg_json_number(stdout, pair(view, 22) / 1e4);
    printf(", \"slot\": %u, \"reason\": \"%s\", \"box\": [%u, %u, %u, %u], \"area\": %u, "
           "\"unix_time\": %.3f, \"encoder\": %d, \"exposure_ms\": %.1f, \"inference_ms\": %.1f, "
           "\"total_ms\": %.1f}",
           in[24], name_of(REASONS, COUNT(REASONS), in[25]), in[26], in[27], in[28], in[29], pair(view, 30),
           seconds(view), (int32_t)pair(view, 35), in[37] / 10.0, in[38] / 10.0, in[39] / 10.0);
}

static void print_json(const struct view *view) {
    const uint16_t *in = view->input;
    char name[FG_BUNDLE_NAME_SIZE + 1];
    bundle_name(view, name);
    printf("{");
    for (uint32_t i = 0; i < COUNT(BITS); i++)
        printf("\"%s\": %s, ", BITS[i], in[0] >> i & 1 ? "true" : "false");
    printf("\"error\": %u, \"uptime_s\": %u, \"queued\": %u", in[1], pair(view, 2), in[8]);
    json_result(view);
    printf(", \"last_trigger_id\": %u, \"slot\": %u, \"outcome\": %u, \"counters\": {", pair(view, 42),
           in[44], in[45]);
    for (uint32_t i = 0; i < COUNT(COUNTERS); i++)
        printf("%s\"%s\": %u", i ? ", " : "", COUNTERS[i], pair(view, 48 + 2 * i));
    printf("}, \"trigger_to_verdict_ms\": {\"min\": %.1f, \"mean\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
           "\"resident_mib\": %u, \"arena_used_mib\": %u, \"arena_mib\": %u, \"gpu_free_mib\": %u, "
           "\"configuration_checksum\": %u, \"bundle_checksum\": %u, \"bundle\": ",
           in[64] / 10.0, in[65] / 10.0, in[66] / 10.0, in[67] / 10.0, in[70], in[71], in[72], in[73],
           pair(view, 80), pair(view, 82));
    fg_json_text(stdout, name);
    printf(", \"slot_asked\": %u, \"threshold_asked\": ", view->holding[0]);
    fg_json_number(stdout, view->holding[1] / 1e4);
    printf("}\n");
}

/* ---- For people ---- */

static void text_result(const struct view *view) {
    const uint16_t *in = view->input;
    if (in[19] == 0) {
        printf("last result  none yet\n");
        return;
    }
    char when[32] = "";
    time_t unix_time = (time_t)pair(view, 32);
    struct tm local;
    if (localtime_r(&unix_time, &local))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    printf("last result  part %u  %s", pair(view, 17), name_of(VERDICTS, COUNT(VERDICTS), in[19]));
    if (in[19] == FG_INOPERATIVE)
        printf(" (%s)", name_of(REASONS, COUNT(REASONS), in[25]));
    else
        printf("  score %.4f, threshold %.4f", pair(view, 20) / 1e4, pair(view, 22) / 1e4);
    printf("\n             triggered %s.%03u, slot %u, encoder %d\n", when, in[34], in[24],
           (int32_t)pair(view, 35));
    if (in[19] == FG_DEFECT)
        printf("             defect at x %u, y %u, %u x %u, %u pixels\n", in[26], in[27], in[28], in[29],
               pair(view, 30));
    printf("             %.1f ms: exposure %.1f, inference %.1f\n", in[39] / 10.0, in[37] / 10.0,
           in[38] / 10.0);
}

static void print_text(const struct view *view) {
    const uint16_t *in = view->input;
    char name[FG_BUNDLE_NAME_SIZE + 1];
    bundle_name(view, name);
    printf("state       ");
    for (uint32_t i = 0; i < COUNT(BITS); i++)
        if (in[0] >> i & 1)
            printf(" %s", BITS[i]);
    if (!view->coil[0])
        printf(" (triggers are ignored: coil 0, trigger_enable, is 0)");
    const char *error = fg_fault_text(in[1]);
    printf("\nerror        %u %s\n", in[1], error ? error : "");
    printf("up           %u s\n", pair(view, 2));
    printf("bundle       %s  slot %u, checksum %08x\n", name, in[44], pair(view, 82));
    text_result(view);
    printf("queued       %u\n", in[8]);
    for (uint32_t i = 0; i < COUNT(COUNTERS); i++)
        printf("%-15s %10u\n", COUNTERS[i], pair(view, 48 + 2 * i));
    printf("to verdict   min %.1f, mean %.1f, 99th %.1f, max %.1f ms\n", in[64] / 10.0, in[65] / 10.0,
           in[66] / 10.0, in[67] / 10.0);
    printf("memory       %u MiB resident, arena %u of %u MiB\n", in[70], in[71], in[72]);
}

/* ---- The command ---- */

struct options {
    struct fg_common common;
    char host[256];
    uint32_t port;
};

static const struct fg_option OPTIONS[] = {
    {"host", FG_OPTION_TEXT, offsetof(struct options, host), "127.0.0.1", .size = 256, .value = "H",
     .help = "name or address of the appliance"},
    {"port", FG_OPTION_NUMBER, offsetof(struct options, port), "502", 1, 65535, .value = "P",
     .help = "where flawgated listens"},
    FG_OUTPUT_OPTIONS(struct options),
};
static const struct fg_usage USAGE = {
    .name = "flawgate monitor",
    .takes = "",
    .about =
        "Shows state, last result and counters of a running line, read over Modbus: again and again on a\n"
        "terminal, once where the output is no terminal or with --json.\n",
    .options = FG_OPTIONS(OPTIONS),
};

/* Once, or on a terminal until the line answers no more. */
static enum fg_status watch(modbus_t *modbus, const struct options *options, struct fg_message *message) {
    struct view view;
    enum fg_status status = read_view(modbus, &view, message);
    if (status == FG_OK && options->common.json) {
        print_json(&view);
    } else if (status == FG_OK && !isatty(STDOUT_FILENO)) {
        print_text(&view);
    } else {
        for (; status == FG_OK; status = read_view(modbus, &view, message)) {
            printf("\033[H\033[J"); /* home, clear */
            print_text(&view);
            fflush(stdout);
            nanosleep(&(struct timespec){.tv_nsec = REFRESH_NS}, NULL);
        }
    }
    return status;
}

int fg_tool_monitor(int argc, char **argv) {
    struct options options = {.port = 0};
    struct fg_message message;
    modbus_t *modbus = NULL;
    char port[8];
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &options, &over, &message);
    if (over)
        return 0;
    if (status != FG_OK)
        goto out;
    snprintf(port, sizeof port, "%u", options.port);
    modbus = modbus_new_tcp_pi(options.host, port);
    if (!modbus || modbus_set_slave(modbus, ANY_UNIT) != 0) {
        status = fg_fail(&message, FG_USAGE, "--host %.100s is no host", options.host);
        goto out;
    }
    modbus_set_response_timeout(modbus, 2, 0);
    if (modbus_connect(modbus) != 0) {
        status = fg_fail(&message, FG_ENVIRONMENT, "cannot reach %.100s port %s (%s): is flawgated running?",
                         options.host, port, modbus_strerror(errno));
        goto out;
    }
    status = watch(modbus, &options, &message);
    modbus_close(modbus);
out:
    modbus_free(modbus);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
