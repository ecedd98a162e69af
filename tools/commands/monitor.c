/* flawgate monitor: shows what a PLC sees of a running line, read over Modbus. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/line/drift.h"
#include "runtime/line/line.h"
#include "runtime/modbus/map.h"
#include "tools/commands/common.h"
#include "tools/commands/screen.h"
#include "tools/commands/tool.h"

#define REFRESH (FG_S / 2)
#define TRIES 10     /* most readings for a result that does not change meanwhile */
#define ANY_UNIT 255 /* the server answers this unit whatever its own number is */

/* One reading of the map. The server's word order is told by its constant. */
struct reading {
    uint16_t input[FG_MODBUS_INPUT_REGISTERS], holding[FG_MODBUS_HOLDING_REGISTERS];
    uint8_t coil[FG_MODBUS_COILS];
    bool low_first;
};

static uint32_t get_pair(const struct reading *r, uint32_t at) {
    return (uint32_t)r->input[at + r->low_first] << 16 | r->input[at + !r->low_first];
}

static uint32_t get_status(const struct reading *r, enum fg_status_bit bit) {
    return r->input[FG_INPUT_STATUS] >> bit & 1u;
}

/* Counts the views of the result block's part; 0 before the first part. */
static uint32_t count_views(const struct reading *r) {
    uint32_t views = 0;
    while (views < FG_VIEWS && r->input[FG_INPUT_VIEW_VERDICT + FG_VIEW_STRIDE * views] != 0)
        views++;
    return views;
}

/* Says whether the views are of another part than the result block, as each came by a request of its own. */
static bool is_torn(const struct reading *r) {
    for (uint32_t view = 0; view < count_views(r); view++)
        if (r->input[FG_INPUT_VIEW_SEQUENCE + FG_VIEW_STRIDE * view] != r->input[FG_INPUT_RESULT_SEQUENCE])
            return true;
    return false;
}

static bool read_input_registers(modbus_t *modbus, uint16_t *input) {
    int count;
    for (int at = 0; at < FG_MODBUS_INPUT_REGISTERS; at += count) {
        count = FG_MODBUS_INPUT_REGISTERS - at;
        count = count > FG_MODBUS_MAX_READ_REGISTERS ? FG_MODBUS_MAX_READ_REGISTERS : count;
        if (modbus_read_input_registers(modbus, at, count, input + at) != count)
            return false;
    }
    return true;
}

static enum fg_status read_map(modbus_t *modbus, struct reading *r, struct fg_message *message) {
    uint32_t tries = 0;
    do {
        if (!read_input_registers(modbus, r->input) ||
            modbus_read_registers(modbus, 0, FG_MODBUS_HOLDING_REGISTERS, r->holding) !=
                FG_MODBUS_HOLDING_REGISTERS ||
            modbus_read_bits(modbus, 0, FG_MODBUS_COILS, r->coil) != FG_MODBUS_COILS)
            return fg_fail(message, FG_ENVIRONMENT, "the line does not answer: %s", modbus_strerror(errno));
        const uint16_t *order = r->input + FG_INPUT_WORD_ORDER;
        r->low_first = order[0] == 0x5678;
        if (order[r->low_first] != 0x1234 || order[!r->low_first] != 0x5678)
            return fg_fail(message, FG_ENVIRONMENT,
                           "what answers is no flawgated: registers 4 and 5 are not 0x12345678");
    } while (is_torn(r) && ++tries < TRIES);
    if (tries == TRIES)
        return fg_fail(
            message, FG_ENVIRONMENT,
            "results come faster than they can be read: run monitor on a machine nearer to the line");
    return FG_OK;
}

static double get_unix_time(const struct reading *r) {
    return get_pair(r, FG_INPUT_TRIGGER_TIME) + r->input[FG_INPUT_TRIGGER_TIME_MS] / 1000.0;
}

static const char *name_verdict(uint16_t verdict) {
    const char *name = fg_verdict_name(verdict);
    return name ? name : "unknown";
}

static const char *name_reason(uint16_t reason) {
    const char *name = reason == FG_REASON_NONE ? "none" : fg_reason_name(reason);
    return name ? name : "unknown";
}

static const char *name_drift(uint16_t state) {
    static const char *const NAMES[] = {"not watched", "as calibrated", "drifted"};
    return state < sizeof NAMES / sizeof *NAMES ? NAMES[state] : "unknown";
}

/* Gets the bundle's name, 64 bytes in registers, and ends it with a zero. */
static void get_bundle_name(const struct reading *r, char text[FG_BUNDLE_NAME_SIZE + 1]) {
    for (uint32_t i = 0; i < FG_BUNDLE_NAME_SIZE / 2; i++) {
        text[2 * i] = (char)(r->input[FG_INPUT_BUNDLE_NAME + i] >> 8);
        text[2 * i + 1] = (char)(r->input[FG_INPUT_BUNDLE_NAME + i] & 255);
    }
    text[FG_BUNDLE_NAME_SIZE] = 0;
}

/* Finds the rows of a table from one address to another, both included; *count: how many they are. */
static const struct fg_register *find_rows(const struct fg_register_table *table, uint32_t first,
                                           uint32_t last, uint32_t *count) {
    const struct fg_register *rows = fg_register_find(table, first);
    *count = (uint32_t)(fg_register_find(table, last) - rows) + 1;
    return rows;
}

/* Writes the distance of a view's frame from the scene of training, if the bundle knows it; before: what
 * comes before the number. */
static void print_scene(FILE *to, const struct reading *r, uint32_t view, const char *before) {
    const uint16_t scene = r->input[FG_INPUT_VIEW_SCENE + FG_VIEW_STRIDE * view];
    if (scene)
        fprintf(to, "%s%s%.2f", before, scene == UINT16_MAX ? "more than " : "", scene / 100.0);
}

/* ---- What the part and each view have in common ---- */

/* The input registers of a judgement. */
struct judgement {
    uint32_t verdict, reason, score, threshold, box, area;
    uint32_t flags, doubtful; /* the register of flags, and the bit in it */
};

static const struct judgement PART = {
    FG_INPUT_VERDICT, FG_INPUT_REASON, FG_INPUT_SCORE,        FG_INPUT_THRESHOLD,
    FG_INPUT_BOX_X,   FG_INPUT_AREA,   FG_INPUT_RESULT_FLAGS, 1};

static struct judgement locate_view(uint32_t view) {
    const uint32_t at = FG_VIEW_STRIDE * view;
    return (struct judgement){FG_INPUT_VIEW_VERDICT + at, FG_INPUT_VIEW_REASON + at,
                              FG_INPUT_VIEW_SCORE + at,   FG_INPUT_VIEW_THRESHOLD + at,
                              FG_INPUT_VIEW_BOX_X + at,   FG_INPUT_VIEW_AREA + at,
                              FG_INPUT_VIEW_FLAGS + at,   2};
}

static void print_json_judgement(const struct reading *r, const struct judgement *j) {
    const uint16_t *box = r->input + j->box;
    printf("\"verdict\": \"%s\", \"doubtful\": %s, \"score\": ", name_verdict(r->input[j->verdict]),
           r->input[j->flags] & j->doubtful ? "true" : "false");
    if (get_pair(r, j->score) == UINT32_MAX)
        printf("null");
    else
        fg_json_number(stdout, get_pair(r, j->score) / 1e4);
    printf(", \"threshold\": ");
    fg_json_number(stdout, get_pair(r, j->threshold) / 1e4);
    printf(", \"reason\": \"%s\", \"box\": [%u, %u, %u, %u], \"area\": %u", name_reason(r->input[j->reason]),
           box[0], box[1], box[2], box[3], get_pair(r, j->area));
}

/* Prints a judgement, after words on the same line that say what was judged. view: whose scene is told. */
static void print_judgement(FILE *to, const struct reading *r, const struct judgement *j, uint32_t view) {
    const uint16_t *box = r->input + j->box;
    fprintf(to, "%s%s", name_verdict(r->input[j->verdict]),
            r->input[j->flags] & j->doubtful ? " (doubtful)" : "");
    if (r->input[j->verdict] == FG_INOPERATIVE)
        fprintf(to, " (%s)", name_reason(r->input[j->reason]));
    else
        fprintf(to, "  score %.4f, threshold %.4f", get_pair(r, j->score) / 1e4,
                get_pair(r, j->threshold) / 1e4);
    print_scene(to, r, view, ", scene ");
    fputc('\n', to);
    if (r->input[j->verdict] == FG_DEFECT)
        fprintf(to, "             defect at x %u, y %u, %u x %u, %u pixels\n", box[0], box[1], box[2], box[3],
                get_pair(r, j->area));
}

/* ---- For scripts ---- */

/* Prints a distance from the scene: null where the bundle does not know it. */
static void print_json_scene(uint16_t scene) {
    printf(", \"scene\": ");
    if (scene)
        fg_json_number(stdout, scene / 100.0);
    else
        printf("null");
}

static void print_json_result(const struct reading *r) {
    const uint16_t *in = r->input;
    printf(", \"result\": ");
    if (in[FG_INPUT_VERDICT] == 0) {
        printf("null");
        return;
    }
    printf("{\"sequence\": %u, \"id\": %u, ", in[FG_INPUT_RESULT_SEQUENCE], get_pair(r, FG_INPUT_RESULT_ID));
    print_json_judgement(r, &PART);
    printf(", \"slot\": %u, \"unix_time\": %.3f, \"encoder\": %d, \"exposure_ms\": %.1f, "
           "\"inference_ms\": %.1f, \"total_ms\": %.1f, \"views\": [",
           in[FG_INPUT_SLOT], get_unix_time(r), (int32_t)get_pair(r, FG_INPUT_ENCODER),
           in[FG_INPUT_EXPOSURE_TIME] / 10.0, in[FG_INPUT_INFERENCE_TIME] / 10.0,
           in[FG_INPUT_TOTAL_TIME] / 10.0);
    for (uint32_t view = 0; view < count_views(r); view++) {
        const struct judgement j = locate_view(view);
        printf("%s{", view ? ", " : "");
        print_json_judgement(r, &j);
        printf(", \"decided\": %s", in[FG_INPUT_VIEW_FLAGS + FG_VIEW_STRIDE * view] & 1 ? "true" : "false");
        print_json_scene(in[FG_INPUT_VIEW_SCENE + FG_VIEW_STRIDE * view]);
        printf("}");
    }
    printf("]}");
}

static void print_json(const struct reading *r) {
    const uint16_t *in = r->input;
    char name[FG_BUNDLE_NAME_SIZE + 1];
    get_bundle_name(r, name);
    uint32_t count;
    const struct fg_register *bits = find_rows(&fg_discrete_inputs, 0, FG_STATUS_HEARTBEAT, &count);
    printf("{");
    for (uint32_t i = 0; i < count; i++)
        printf("\"%s\": %s, ", bits[i].name, get_status(r, bits[i].address) ? "true" : "false");
    printf("\"error\": %u, \"uptime_s\": %u, \"queued\": %u", in[FG_INPUT_ERROR],
           get_pair(r, FG_INPUT_UPTIME), in[FG_INPUT_RESULTS_QUEUED]);
    print_json_result(r);
    printf(", \"last_trigger_id\": %u, \"slot\": %u, \"outcome\": %u, \"counters\": {",
           get_pair(r, FG_INPUT_LAST_TRIGGER_ID), in[FG_INPUT_ACTIVE_SLOT], in[FG_INPUT_OUTCOME]);
    const struct fg_register *counters =
        find_rows(&fg_input_registers, FG_INPUT_TRIGGERS, FG_INPUT_RESULT_OVERRUNS, &count);
    for (uint32_t i = 0; i < count; i++)
        printf("%s\"%s\": %u", i ? ", " : "", counters[i].name, get_pair(r, counters[i].address));
    printf("}, \"trigger_to_verdict_ms\": {\"min\": %.1f, \"mean\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
           "\"resident_mib\": %u, \"arena_used_mib\": %u, \"arena_mib\": %u, \"gpu_free_mib\": %u, "
           "\"drift\": %.3f, \"drift_state\": \"%s\", "
           "\"configuration_checksum\": \"%08x\", \"bundle_checksum\": \"%08x\", \"bundle\": ",
           in[FG_INPUT_TOTAL_MIN] / 10.0, in[FG_INPUT_TOTAL_MEAN] / 10.0, in[FG_INPUT_TOTAL_P99] / 10.0,
           in[FG_INPUT_TOTAL_MAX] / 10.0, in[FG_INPUT_RESIDENT_MEMORY], in[FG_INPUT_ARENA_USED],
           in[FG_INPUT_ARENA_SIZE], in[FG_INPUT_GPU_FREE], in[FG_INPUT_DRIFT] / 1e3,
           name_drift(in[FG_INPUT_DRIFT_STATE]), get_pair(r, FG_INPUT_CONFIGURATION_CHECKSUM),
           get_pair(r, FG_INPUT_BUNDLE_CHECKSUM));
    fg_json_text(stdout, name);
    const uint16_t *threshold = r->holding + FG_HOLDING_VIEW_THRESHOLD;
    printf(", \"slot_asked\": %u, \"threshold_asked\": ", r->holding[FG_HOLDING_SLOT]);
    fg_json_number(stdout, ((uint32_t)threshold[r->low_first] << 16 | threshold[!r->low_first]) / 1e4);
    printf("}\n");
}

/* ---- For people ---- */

/* Finds the view that decided; 0 where none is known. */
static uint32_t find_decided(const struct reading *r) {
    uint32_t view = count_views(r);
    while (view > 0 && !(r->input[FG_INPUT_VIEW_FLAGS + FG_VIEW_STRIDE * (view - 1)] & 1))
        view--;
    return view ? view - 1 : 0;
}

static void print_result(FILE *to, const struct reading *r) {
    const uint16_t *in = r->input;
    if (in[FG_INPUT_VERDICT] == 0) {
        fprintf(to, "last result  none yet\n");
        return;
    }
    char when[32] = "";
    time_t unix_time = (time_t)get_pair(r, FG_INPUT_TRIGGER_TIME);
    struct tm local;
    if (localtime_r(&unix_time, &local))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    fprintf(to, "last result  part %u  ", get_pair(r, FG_INPUT_RESULT_ID));
    print_judgement(to, r, &PART, find_decided(r));
    fprintf(to, "             triggered %s.%03u, slot %u, encoder %d\n", when, in[FG_INPUT_TRIGGER_TIME_MS],
            in[FG_INPUT_SLOT], (int32_t)get_pair(r, FG_INPUT_ENCODER));
    fprintf(to, "             %.1f ms: exposure %.1f, inference %.1f\n", in[FG_INPUT_TOTAL_TIME] / 10.0,
            in[FG_INPUT_EXPOSURE_TIME] / 10.0, in[FG_INPUT_INFERENCE_TIME] / 10.0);
    const uint32_t views = count_views(r);
    for (uint32_t view = 0; view < views && views > 1; view++) {
        const struct judgement j = locate_view(view);
        fprintf(to, "             view %u  ", view);
        print_judgement(to, r, &j, view);
    }
}

/* Prints the names of the bits that are 1. columns: after how many a new line begins; 0: never. */
static void print_state(FILE *to, const struct reading *r, uint32_t columns) {
    uint32_t count, used = (uint32_t)fprintf(to, "state       ");
    const struct fg_register *bits = find_rows(&fg_discrete_inputs, 0, FG_STATUS_HEARTBEAT, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (!get_status(r, bits[i].address))
            continue;
        if (columns && used + 1 + strlen(bits[i].name) > columns)
            used = (uint32_t)fprintf(to, "\n            ") - 1;
        used += (uint32_t)fprintf(to, " %s", bits[i].name);
    }
    if (!r->coil[FG_COIL_AT_TRIGGER_ENABLE])
        fprintf(to, "%s (no trigger is taken: coil 0, trigger_enable, is 0)",
                columns ? "\n            " : "");
    fputc('\n', to);
}

/* Prints all, the most important first. columns: a terminal's width, where counters stand side by side; 0: it
 * is none. */
static void print_text(FILE *to, const struct reading *r, uint32_t columns) {
    const uint16_t *in = r->input;
    char name[FG_BUNDLE_NAME_SIZE + 1];
    get_bundle_name(r, name);
    print_state(to, r, columns);
    const char *error = fg_fault_text(in[FG_INPUT_ERROR]);
    fprintf(to, "error        %u %s\n", in[FG_INPUT_ERROR], error ? error : "");
    fprintf(to, "up           %u s\n", get_pair(r, FG_INPUT_UPTIME));
    fprintf(to, "bundle       %s  slot %u, checksum %08x\n", name, in[FG_INPUT_ACTIVE_SLOT],
            get_pair(r, FG_INPUT_BUNDLE_CHECKSUM));
    print_result(to, r);
    fprintf(to, "queued       %u\n", in[FG_INPUT_RESULTS_QUEUED]);
    uint32_t count;
    const struct fg_register *counters =
        find_rows(&fg_input_registers, FG_INPUT_TRIGGERS, FG_INPUT_RESULT_OVERRUNS, &count);
    for (uint32_t i = 0; i < count; i++)
        fprintf(to, "%-15s %10u%s", counters[i].name, get_pair(r, counters[i].address),
                columns && i % 2 == 0 && i + 1 < count ? "    " : "\n");
    fprintf(to, "to verdict   min %.1f, mean %.1f, 99th %.1f, max %.1f ms\n", in[FG_INPUT_TOTAL_MIN] / 10.0,
            in[FG_INPUT_TOTAL_MEAN] / 10.0, in[FG_INPUT_TOTAL_P99] / 10.0, in[FG_INPUT_TOTAL_MAX] / 10.0);
    fprintf(to, "memory       %u MiB resident, arena %u of %u MiB\n", in[FG_INPUT_RESIDENT_MEMORY],
            in[FG_INPUT_ARENA_USED], in[FG_INPUT_ARENA_SIZE]);
    fprintf(to, "drift        %s  statistic 10^%.1f, alarm at 10^%.0f\n",
            name_drift(in[FG_INPUT_DRIFT_STATE]), in[FG_INPUT_DRIFT] / 1e3, log10(FG_DRIFT_ALARM));
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
        "Shows state, last result and counters of a running line, read over Modbus. On a terminal it shows\n"
        "them again and again, connects again when flawgated ends and comes back, and leaves when q is\n"
        "pressed. Where the output is no terminal, or with --json, it prints them once.\n",
    .options = FG_OPTIONS(OPTIONS),
};

/* The way to the line, and what came over it last. */
struct link {
    const char *host, *port;
    modbus_t *modbus;
    bool connected;
    struct reading reading;
    struct fg_message why; /* why there is no answer */
    int64_t heard_ns;      /* when reading came */
    uint32_t returns;      /* how often the line came back */
    char returned[16];     /* when it did last: "12:34:56" */
};

static enum fg_status connect_line(struct link *link, struct fg_message *message) {
    link->connected = modbus_connect(link->modbus) == 0;
    if (link->connected)
        return FG_OK;
    return fg_fail(message, FG_ENVIRONMENT, "cannot reach %.100s port %s (%s): is flawgated running?",
                   link->host, link->port, modbus_strerror(errno));
}

/* Reads the map, after connecting where that is needed. A failure closes the connection, and the last reading
 * stays. */
static enum fg_status refresh_reading(struct link *link, struct fg_message *message) {
    struct reading reading;
    enum fg_status status = link->connected ? FG_OK : connect_line(link, message);
    if (status != FG_OK)
        return status;
    status = read_map(link->modbus, &reading, message);
    if (status != FG_OK) {
        modbus_close(link->modbus);
        link->connected = false;
        return status;
    }
    link->reading = reading;
    link->heard_ns = fg_clock_ns();
    return FG_OK;
}

/* Reads again and notes when the line goes and comes back. */
static void follow_line(struct link *link) {
    const bool gone = *link->why.text;
    if (refresh_reading(link, &link->why) != FG_OK)
        return;
    link->why.text[0] = 0;
    if (!gone)
        return;
    const time_t now = time(NULL);
    struct tm local;
    link->returns++;
    if (localtime_r(&now, &local))
        strftime(link->returned, sizeof link->returned, "%H:%M:%S", &local);
}

static void paint_link(const struct link *link) {
    char first[256], *text = NULL;
    size_t size;
    const bool gone = *link->why.text;
    if (gone)
        snprintf(first, sizeof first,
                 "No answer for %" PRId64 " s: what follows is old. Trying again. q quits.",
                 (fg_clock_ns() - link->heard_ns) / FG_S);
    else if (link->returns)
        snprintf(first, sizeof first, "%.100s port %s answers again since %s (lost %u times). q quits.",
                 link->host, link->port, link->returned, link->returns);
    else
        snprintf(first, sizeof first, "%.100s port %s. q quits.", link->host, link->port);
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return; /* no memory: what stands there stays */
    if (gone)
        fprintf(to, "%s\n", link->why.text);
    print_text(to, &link->reading, fg_screen_columns());
    fclose(to);
    fg_screen_paint(first, gone, text ? text : "");
    free(text);
}

/* Shows the line on a terminal until its user leaves. */
static enum fg_status watch_line(struct link *link, struct fg_message *message) {
    struct fg_screen screen;
    enum fg_screen_event event = FG_SCREEN_TIME;
    enum fg_status status = fg_screen_open(&screen, message);
    if (status != FG_OK)
        return status;
    int64_t next_ns = fg_clock_ns();
    while (event != FG_SCREEN_QUIT) {
        paint_link(link);
        if (event == FG_SCREEN_TIME)
            next_ns += REFRESH;
        event = fg_screen_wait(&screen, next_ns);
        if (event == FG_SCREEN_TIME)
            follow_line(link);
        if (next_ns < fg_clock_ns() - REFRESH)
            next_ns = fg_clock_ns(); /* the line took long to answer */
    }
    fg_screen_close(&screen);
    return FG_OK;
}

int fg_tool_monitor(int argc, char **argv) {
    struct options options = {.port = 0};
    struct fg_message message;
    static struct link link;
    char port[8];
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &options, &over, &message);
    if (over)
        return 0;
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    snprintf(port, sizeof port, "%u", options.port);
    link = (struct link){.host = options.host, .port = port, .modbus = modbus_new_tcp_pi(options.host, port)};
    if (!link.modbus || modbus_set_slave(link.modbus, ANY_UNIT) != 0) {
        status = fg_fail(&message, FG_USAGE, "--host %.100s is no host", options.host);
        goto out;
    }
    modbus_set_response_timeout(link.modbus, 2, 0);
    status = refresh_reading(&link, &message);
    if (status == FG_OK && options.common.json)
        print_json(&link.reading);
    else if (status == FG_OK && !isatty(STDOUT_FILENO))
        print_text(stdout, &link.reading, 0);
    else if (status == FG_OK)
        status = watch_line(&link, &message);
    if (link.connected)
        modbus_close(link.modbus);
out:
    modbus_free(link.modbus);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
