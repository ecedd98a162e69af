/* What the outside world sees of the line, and what it asks of it.
 *
 * The line publishes one snapshot after everything that it does; each server (Modbus, monitor) reads a whole
 * one and answers from it. Nothing is locked: there is one writer, and a reader that meets it tries again.
 * Meanings and register numbers: runtime/modbus/registers.h.
 *
 * Errors: none. Owner: the caller, of cell and snapshot. Thread: one publishes and any number read. NULL:
 * never. */
#ifndef FG_RUNTIME_LINE_SNAPSHOT_H
#define FG_RUNTIME_LINE_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/line/states.h"
#include "runtime/modbus/registers.h"

/* One view's verdict of a part. */
struct fg_view_result {
    enum fg_verdict verdict; /* 0: the view is not configured */
    enum fg_reason reason;
    float score, threshold; /* score is not shown when INOPERATIVE */
    uint16_t x, y, w, h;    /* box of the worst defect, pixels of the camera's frame; 0 unless DEFECT */
    uint32_t area;          /* pixels of the frame */
    float scene;            /* distance from the scene of training; 0 where the bundle does not know it */
    bool decided;           /* its verdict is the part's */
    bool doubtful;          /* PASS, with a score that few good parts reach */
};

/* One part's verdict: the result block. Times are in 0.1 ms; the map shows 65535 for more. */
struct fg_result {
    uint32_t id; /* the part's number, given at the trigger */
    enum fg_verdict verdict;
    enum fg_reason reason;
    float score, threshold; /* score is not shown when INOPERATIVE */
    uint16_t slot;          /* slot of the bundle that judged it */
    uint16_t x, y, w, h;    /* box of the worst defect, pixels of the frame; 0 unless DEFECT */
    uint32_t area;          /* pixels of the frame */
    bool doubtful;          /* PASS, and a view of it is doubtful */
    int64_t trigger_unix_ms;
    int32_t encoder; /* count at the trigger */
    uint32_t exposure, inference, total;
    struct fg_view_result view[FG_VIEWS];
};

/* Counters stay at UINT32_MAX when full. */
struct fg_counters {
    uint32_t triggers, pass, defect, inoperative;
    uint32_t missed_triggers;
    uint32_t late; /* late verdicts and missed rejects */
    uint32_t camera_errors, overruns;
};

static inline void fg_count(uint32_t *counter) {
    *counter += *counter != UINT32_MAX;
}

/* Commands of holding register 2 that coil 6 carries out. */
enum fg_command_code { FG_CODE_NONE = 0, FG_CODE_SELF_TEST = 1, FG_CODE_SAVE = 2, FG_CODE_RELOAD = 3 };

/* The holding registers as last written, or as the configuration has them. */
struct fg_holding {
    uint16_t slot;
    uint32_t threshold[FG_VIEWS]; /* threshold of each view x 10000; 0: the bundle's own */
    uint16_t command;
    uint16_t watchdog;
    uint32_t reject; /* distance in encoder counts, or delay in 0.1 ms */
    uint16_t pulse;  /* 0.1 ms */
};

/* Outcome of the last job change or command: one of these, else an error code from 16 up. */
enum { FG_OUTCOME_NONE = 0, FG_OUTCOME_DONE = 1, FG_OUTCOME_RUNNING = 2 };

/* Drift of the scores, as register 75 says it. */
enum fg_drift_state { FG_DRIFT_NOT_WATCHED, FG_DRIFT_AS_CALIBRATED, FG_DRIFT_DRIFTED };

struct fg_snapshot {
    enum fg_state state; /* states.h: online, busy and the output ready follow from it */
    /* Status bits. trigger_ready, pass, defect and inoperative are derived from what is below. */
    bool online;
    bool able; /* a trigger given now would be taken, were it enabled and not offline */
    bool busy, fault, exposure_complete, result_toggle, missed_trigger, result_overrun, updating, degraded;
    bool reject_active, heartbeat;
    uint16_t error; /* 0, or 16 and up while fault is latched */
    /* Levels by bit, enum fg_coil. The line sets them when it takes FG_COMMAND_COILS; the map compares a
     * write with them to find edges. */
    uint8_t coils;
    struct fg_holding holding;

    /* Result block. */
    bool result_valid;        /* holds a verdict not yet acknowledged */
    bool result_expired;      /* it waited longer than ack_timeout_ms: its verdict's bits read 0 */
    uint16_t result_sequence; /* counts what was put into the block */
    uint16_t results_queued;  /* results that wait behind the block */
    struct fg_result result;

    uint32_t uptime_s;
    uint32_t start_counter; /* starts of the daemon, this one included; kept over restarts */
    /* The Modbus server's own, 0 in what the line publishes: clients now, clients refused or closed for want
     * of a place, requests answered with an exception; the last two wrap. */
    uint16_t clients, clients_refused, exceptions;
    uint32_t last_trigger_id;
    uint16_t active_slot;
    uint16_t outcome;
    bool saving; /* the outcome is that of command 2, which waits for a frame: other commands need not */
    struct fg_counters counters;
    uint32_t total_min, total_mean, total_p99, total_max; /* trigger to verdict, 0.1 ms, since reset */
    uint32_t resident_mib, arena_used_mib, arena_size_mib, gpu_free_mib;
    uint32_t proposed[FG_VIEWS]; /* thresholds x 10000 that the scores propose; 0: none */
    float drift;                 /* log10 of the statistic (drift.h), the largest of the views */
    enum fg_drift_state drift_state;
    uint32_t configuration_checksum, bundle_checksum;
    uint16_t security_counter;
    uint16_t version; /* software version x 100 */
    char bundle_name[FG_BUNDLE_NAME_SIZE];
};

/* What a write asks for. A list is carried out whole, in its order, or refused whole. */
enum fg_command_kind {
    FG_COMMAND_COILS,   /* value: FG_WRITTEN_COILS; what acts by an edge follows as a command of its own */
    FG_COMMAND_TRIGGER, /* take a picture now */
    FG_COMMAND_MISSED_TRIGGER, /* a trigger was refused: raise and count it; comes alone */
    FG_COMMAND_RESULT_ACK,
    FG_COMMAND_CLEAR_FAULT,
    FG_COMMAND_RESET_COUNTERS,
    FG_COMMAND_RUN,       /* value: the command of holding register 2 to carry out */
    FG_COMMAND_SLOT,      /* value: job change; also given for the slot in use (job.require) */
    FG_COMMAND_CODE,      /* value: holding register 2, command */
    FG_COMMAND_WATCHDOG,  /* value: the watchdog's holding register */
    FG_COMMAND_REJECT,    /* value: the holding registers of the reject distance or delay */
    FG_COMMAND_PULSE,     /* value: the pulse's holding register */
    FG_COMMAND_ADOPT,     /* take over the configuration that was read again; no server gives it */
    FG_COMMAND_THRESHOLD, /* first of FG_VIEWS kinds, one for each view; value: its threshold x 10000 */
};

/* The coils that are written, by bit, and their levels; the levels of others do not count. Another server may
 * have written coils since the list was made, so the line carries an edge's command out only where its coil
 * rises. */
#define FG_WRITTEN_COILS(written, levels) ((uint32_t)(written) << 16 | (uint32_t)(levels))

struct fg_command {
    enum fg_command_kind kind;
    uint32_t value;
};

#define FG_MAX_COMMANDS (8 + FG_VIEWS) /* more than one request can ask for */

struct fg_commands {
    bool single; /* function 5 wrote one coil: what acts by an edge reads 0 again (trigger.coil_resets) */
    uint32_t count;
    struct fg_command command[FG_MAX_COMMANDS];
};

/* Where one thread publishes and any number read. Zeroed, it holds a zeroed snapshot. */
#define FG_SNAPSHOT_WORDS ((sizeof(struct fg_snapshot) + 7) / 8)
struct fg_snapshot_cell {
    _Atomic uint32_t sequence; /* odd while it is being written */
    _Atomic uint64_t word[FG_SNAPSHOT_WORDS];
};

/* Publishes a snapshot. One thread writes at a time; the call never waits. */
void fg_snapshot_publish(struct fg_snapshot_cell *cell, const struct fg_snapshot *snapshot);

/* Reads the last snapshot that was published whole. */
void fg_snapshot_read(struct fg_snapshot_cell *cell, struct fg_snapshot *snapshot);

#endif
