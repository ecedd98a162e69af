/* The Modbus map, written once: each table's rows with address, width, name, value and meaning; the numbers
 * of verdicts, reasons and faults with their names; and the rules that a PLC relies on. The map answers from
 * these lists, monitor and the demo take addresses and names from them, and "flawgate registers" prints them
 * (config/modbus.md and config/modbus.csv). A new register is one row here, and a field of the snapshot.
 *
 * Errors: none. Owner: nobody; all is constant. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_MODBUS_REGISTERS_H
#define FG_RUNTIME_MODBUS_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

#define FG_VIEWS 8             /* most views of a part */
#define FG_BUNDLE_NAME_SIZE 64 /* bytes of the map; no ending zero when all are used */

/* What a PLC relies on, the same for TCP and RTU. */
#define FG_MODBUS_RULES(X)                                                                                   \
    X("Addresses are zero-based; the column 1-based has the numbers that many PLCs use.")                    \
    X("A value wider than 16 bits has its high word first, unless the configuration says "                   \
      "modbus.word_order = low-first. Input registers 4 to 7 are constants that show which.")                \
    X("PLCs read in blocks: an address inside a table that has no row reads 0. Writing one answers "         \
      "exception 2, as every address outside does.")                                                         \
    X("All input registers can also be read by functions 3 and 23 at 1000 + address.")                       \
    X("Function 23 writes holding registers, then reads; what it reads shows what it wrote. Function 43/14 " \
      "tells vendor, product code, version and product name.")                                               \
    X("A wrong value, or half of a value of two registers, answers exception 3. A write that may not be "    \
      "done now, or not by this client, answers exception 6.")                                               \
    X("A write of several coils or registers is done whole or not at all, and its effects come before its "  \
      "answer: when a trigger or a job change is answered, trigger_ready and busy already show it.")         \
    X("trigger_enable and offline act by level, the other coils by their rising edge. One of these that "    \
      "function 5 has written reads 0 again once it is taken, so that a PLC need not write 0 first "         \
      "(trigger.coil_resets). Function 15, which PLCs write in every cycle, sets levels that stay.")         \
    X("A trigger by coil that cannot be taken answers exception 6 and raises missed_trigger; while "         \
      "trigger_enable is 0 or offline is 1 it is answered normally and ignored.")                            \
    X("Every edge of the hardware trigger makes a part. One that cannot be taken is INOPERATIVE "            \
      "not_ready, is rejected at its reject point, and raises missed_trigger; so is each one after a start " \
      "until trigger_enable is written, where trigger.enable_at_start is false. Only after the PLC itself "  \
      "has written trigger_enable = 0 or offline = 1 do edges make no part.")                                \
    X("The result block (input registers 16 to 40) and the blocks of the views (128 to 255) are published "  \
      "together, and one request never mixes two results. Each holds the number of its result, which "       \
      "tells whether two requests read the same one.")                                                       \
    X("pass, defect and inoperative are 0 whenever result_valid is 0, so that no verdict is read as that "   \
      "of the next part.")                                                                                   \
    X("Without results.buffer a verdict replaces the result block, and the next trigger clears "             \
      "result_valid. With it a valid block changes only by result_ack, and up to 8 results wait; while "     \
      "one waits longer than results.ack_timeout_ms, pass, defect and inoperative read 0 and "               \
      "result_overrun is raised.")                                                                           \
    X("Where modbus.writers lists addresses, only those TCP clients may write. Where lock.code is given, "   \
      "holding registers 1, 4 to 6 and 16 to 31 and command 3 are locked until register 7 brings the code: " \
      "for the client that wrote it, until it disconnects; on RTU, for 60 s. After 5 wrong codes every "     \
      "code is refused for a minute (exception 6).")                                                         \
    X("16 TCP clients have a place. One more takes the place of the client whose last whole request is the " \
      "oldest, if that is 10 s ago and it is not one of modbus.writers; else it is refused. Half a request " \
      "closes its connection after 5 s.")                                                                    \
    X("RTU obeys a broadcast (unit 0) and never answers it. Other units than its own are not answered.")     \
    X("At its end the line drains: parts under way get their verdicts and rejects, trigger_ready and fault " \
      "are 0, updating is 1, and a trigger by coil answers exception 6.")                                    \
    X("After a restart the line is not ready before holding registers 4 to 6 are written again, those that " \
      "the PLC had written; nor, where there are several slots, before register 0 is (job.require). After "  \
      "an end that was no drain it waits for clear_fault (fault 26).")                                       \
    X("A register of one word (u16) reads 65535 where its value is larger.")                                 \
    X("Rows with v are repeated for the views 0 to 7.")

/* ---- Verdicts, reasons, faults ---- */

/* Verdicts: number, C name, name, meaning. */
#define FG_VERDICTS(X)                                                                                       \
    X(1, PASS, "PASS", "every value of the map is finite, and the score is not above the threshold")         \
    X(2, DEFECT, "DEFECT", "every value of the map is finite, and the score is above the threshold")         \
    X(3, INOPERATIVE, "INOPERATIVE", "there is no verdict to trust; the reason says why")

#define FG_VERDICT_ENUM(number, name, text, meaning) FG_##name = (number),
enum fg_verdict { FG_VERDICTS(FG_VERDICT_ENUM) };
#undef FG_VERDICT_ENUM

/* Why a verdict is INOPERATIVE: number, C name, name, meaning, what to do. */
#define FG_REASONS(X)                                                                                        \
    X(1, NOT_READY, "not_ready", "the trigger came while the line could not take it",                        \
      "see which status bit was missing: write coil 0, clear the fault, or trigger only while "              \
      "trigger_ready is 1")                                                                                  \
    X(2, NO_FRAME, "no_frame", "the camera gave no frame of the part",                                       \
      "look at the camera's power, cable and trigger; for a folder, whether pictures are left")              \
    X(3, BAD_FRAME, "bad_frame", "the frame is damaged, or another than the bundle takes",                   \
      "set the camera to the size and colour that the bundle was trained on; look at its cable")             \
    X(4, DEADLINE, "deadline", "the verdict was not there by deadline_ms",                                   \
      "compare registers 37 and 38 with deadline_ms: make it longer, or free the machine of other work")     \
    X(5, INFERENCE_FAILED, "inference_failed", "the bundle could not judge the frame",                       \
      "read the log; it says what failed")                                                                   \
    X(6, NOT_FINITE, "not_finite", "a value of the map is no finite number",                                 \
      "run flawgate bundle verify on the bundle; where it is intact, train it again")                        \
    X(7, NOT_VERIFIED, "not_verified", "the bundle has not passed its self-test",                            \
      "load the bundle again; where that fails, see fault 22")                                               \
    X(8, POSITION_LOST, "position_lost", "edges of the encoder were lost",                                   \
      "look at the encoder's cable; compare its rate with the one that flawgate check states")               \
    X(9, DEVICE_LOST, "device_lost", "the compute device is lost", "see fault 25")                           \
    X(10, UNLIKE_TRAINING, "unlike_training",                                                                \
      "the frame is not like those of good parts; it may show no part",                                      \
      "look at lamp, lens and part; see fault 27")

#define FG_REASON_ENUM(number, name, text, meaning, remedy) FG_REASON_##name = (number),
enum fg_reason { FG_REASON_NONE = 0, FG_REASONS(FG_REASON_ENUM) };
#undef FG_REASON_ENUM

/* Error codes of input register 1: number, C name, what happened, what to do. */
#define FG_FAULTS(X)                                                                                         \
    X(16, CAMERA, "the camera gave no frame in time",                                                        \
      "look at the camera; for a folder, whether pictures are left")                                         \
    X(17, INFERENCE, "a frame could not be judged",                                                          \
      "read the log: usually the bundle was not trained on this size or colour")                             \
    X(18, MISSED_REJECT, "a part was not rejected in time",                                                  \
      "set a longer reject.delay_ms, send fewer parts at a time, or free the machine of other work")         \
    X(19, INOPERATIVE, "on_inoperative = stop met a part", "see the part's reason")                          \
    X(20, WATCHDOG, "the PLC's watchdog register stood still", "look at the PLC")                            \
    X(21, JOB, "a bundle could not be loaded; an old one stays in use",                                      \
      "run flawgate bundle verify on the bundle; after coil 3, write the slot to try it again")              \
    X(22, SELF_TEST, "the self-test failed",                                                                 \
      "read the log: set the camera to frames that the bundle takes, or load the bundle again; if that one " \
      "fails again, this machine computes wrongly")                                                          \
    X(23, EDGES_LOST, "edges of the trigger were lost",                                                      \
      "make the trigger's pulse longer, or send fewer edges")                                                \
    X(24, OUTPUT, "an output could not be set", "look at the board")                                         \
    X(25, DEVICE_LOST, "the compute device is lost",                                                         \
      "wait: the daemon ends with 70 after two seconds and systemd starts it again")                         \
    X(26, UNCLEAN_END,                                                                                       \
      "the last run ended without a drain: parts between camera and ejector lost their place",               \
      "take the parts between camera and ejector away, then set coil 3")                                     \
    X(27, UNLIKE_TRAINING, "three parts in a row were not like those of training",                           \
      "look at lamp, lens and part; where the light or the camera was changed, calibrate the bundle anew")   \
    X(30, CONFIGURATION, "the configuration cannot be taken over; the old one stays in use",                 \
      "read the log, or run flawgate check on the configuration; then reload it")                            \
    X(31, STORE, "command 2 could not save the frame",                                                       \
      "read the log: the configuration has no store.path, or its disk is full, slow or broken")

#define FG_FAULT_PLACE(number, name, text, remedy) FG_FAULT_PLACE_##name,
enum { FG_FAULTS(FG_FAULT_PLACE) FG_FAULT_KINDS }; /* the last: how many there are */
#undef FG_FAULT_PLACE

#define FG_FAULT_ENUM(number, name, text, remedy) FG_FAULT_##name = (number),
enum fg_fault { FG_FAULT_NONE = 0, FG_FAULTS(FG_FAULT_ENUM) };
#undef FG_FAULT_ENUM

/* ---- The four tables ----
 *
 * A row's value is an expression of the snapshot s, and of the view v where the row is repeated; map.c
 * evaluates it and has the functions that it calls. */

/* How many addresses each table has, from 0. */
#define FG_MODBUS_DISCRETE_INPUTS 16
#define FG_MODBUS_COILS 16
#define FG_MODBUS_INPUT_REGISTERS 272
#define FG_MODBUS_HOLDING_REGISTERS 32
/* Functions 3 and 23 read the input registers from here on, for PLCs that cannot read those. */
#define FG_MODBUS_INPUT_COPY 1000

/* Discrete inputs, which are also the bits of input register 0: address, C name, name, value, meaning. */
#define FG_STATUS_BITS(X)                                                                                    \
    X(0, ONLINE, "online", s->online,                                                                        \
      "the state is OPERATIONAL: neither stopped, nor offline, nor starting")                                \
    X(1, TRIGGER_READY, "trigger_ready", is_trigger_ready(s), "a trigger given now will be taken")           \
    X(2, BUSY, "busy", s->busy, "a part is between trigger and verdict")                                     \
    X(3, RESULT_VALID, "result_valid", s->result_valid,                                                      \
      "the result block has a verdict that is not yet acknowledged")                                         \
    X(4, PASS, "pass", is_shown(s, FG_PASS), "the result block's verdict is PASS")                           \
    X(5, DEFECT, "defect", is_shown(s, FG_DEFECT), "the result block's verdict is DEFECT")                   \
    X(6, INOPERATIVE, "inoperative", is_shown(s, FG_INOPERATIVE),                                            \
      "the result block's verdict is INOPERATIVE")                                                           \
    X(7, FAULT, "fault", s->fault, "a fault is latched; its code is in input register 1")                    \
    X(8, EXPOSURE_COMPLETE, "exposure_complete", s->exposure_complete,                                       \
      "the current part's frame is in memory: the part may move")                                            \
    X(9, RESULT_TOGGLE, "result_toggle", s->result_toggle,                                                   \
      "flips at new verdicts; several that come at once flip it once")                                       \
    X(10, MISSED_TRIGGER, "missed_trigger", s->missed_trigger,                                               \
      "latched: a trigger came while the line was not ready")                                                \
    X(11, RESULT_OVERRUN, "result_overrun", s->result_overrun,                                               \
      "latched: a result was dropped because 8 were waiting, or was not acknowledged in time")               \
    X(12, UPDATING, "updating", s->updating, "a bundle is being loaded, or the line drains before its end")  \
    X(13, DEGRADED, "degraded", s->degraded,                                                                 \
      "the line works, but a person should look at it: a camera is gone, the bundle asked for could not be " \
      "loaded, or on_inoperative = pass lets parts without a verdict pass")                                  \
    X(14, REJECT_ACTIVE, "reject_active", s->reject_active, "the reject output is on now")                   \
    X(15, HEARTBEAT, "heartbeat", s->heartbeat, "flips every 500 ms")

#define FG_STATUS_ENUM(address, name, text, value, meaning) FG_STATUS_##name = (address),
enum fg_status_bit { FG_STATUS_BITS(FG_STATUS_ENUM) };
#undef FG_STATUS_ENUM

/* Coils: address, C name, name, meaning. */
#define FG_COILS(X)                                                                                          \
    X(0, TRIGGER_ENABLE, "trigger_enable", "level: while 0, no trigger is taken")                            \
    X(1, TRIGGER, "trigger", "edge: take a picture now")                                                     \
    X(2, RESULT_ACK, "result_ack",                                                                           \
      "edge: take the next waiting result into the block, or clear result_valid where none waits")           \
    X(3, CLEAR_FAULT, "clear_fault",                                                                         \
      "edge: clear bits 7, 10 and 11 of the status, a drift, and the error code, but for what is still so")  \
    X(4, OFFLINE, "offline", "level: 1 ends the current part, then halts the line")                          \
    X(5, RESET_COUNTERS, "reset_counters", "edge: counters and times start again from 0")                    \
    X(6, COMMAND, "command", "edge: carry out the command of holding register 2")

/* The coils' levels in the snapshot, one bit each. */
#define FG_COIL_ENUM(address, name, text, meaning) FG_COIL_##name = 1 << (address),
enum fg_coil { FG_COILS(FG_COIL_ENUM) };
#undef FG_COIL_ENUM

/* The coils that act by their rising edge. */
#define FG_EDGE_COILS                                                                                        \
    (FG_COIL_TRIGGER | FG_COIL_RESULT_ACK | FG_COIL_CLEAR_FAULT | FG_COIL_RESET_COUNTERS | FG_COIL_COMMAND)

#define FG_COIL_ENUM(address, name, text, meaning) FG_COIL_AT_##name = (address),
enum fg_coil_address { FG_COILS(FG_COIL_ENUM) };
#undef FG_COIL_ENUM

#define FG_VIEW_STRIDE 16          /* input registers from one view's block to the next */
#define FG_PROPOSAL_STRIDE 2       /* input registers from one view's proposed threshold to the next */
#define FG_VIEW_THRESHOLD_STRIDE 2 /* holding registers from one view's threshold to the next */

/* Input registers: address, width in registers, stride, C name, type, name, unit, value, meaning. Where the
 * stride is not 0, the row is repeated for each of the FG_VIEWS views, that many registers further each time.
 * A u16 reads 65535 where the value is larger. */
#define FG_INPUT_REGISTERS(X)                                                                                \
    X(0, 1, 0, STATUS, u16, "status", "", make_status_word(s), "the 16 discrete inputs; bit 0 is online")    \
    X(1, 1, 0, ERROR, u16, "error", "", s->error, "the first fault that is not yet cleared; 0 for none")     \
    X(2, 2, 0, UPTIME, u32, "uptime", "s", s->uptime_s, "time since start")                                  \
    X(4, 2, 0, WORD_ORDER, u32, "word_order", "", 0x12345678,                                                \
      "constant 0x12345678, to check the word order")                                                        \
    X(6, 2, 0, ONE, f32, "one", "", 1.0f, "constant 1.0, to check the word order of floats")                 \
    X(8, 1, 0, RESULTS_QUEUED, u16, "results_queued", "", s->results_queued,                                 \
      "results that wait behind the result block")                                                           \
    X(9, 1, 0, STARTS, u16, "starts", "", (uint16_t)s->start_counter,                                        \
      "starts of the daemon, wrapping at 65536: a change means that it was restarted")                       \
    X(10, 1, 0, CLIENTS, u16, "clients", "", s->clients, "Modbus TCP clients that are connected now")        \
    X(11, 1, 0, CLIENTS_REFUSED, u16, "clients_refused", "", s->clients_refused,                             \
      "clients refused or closed because all places were taken, wrapping at 65536")                          \
    X(12, 1, 0, EXCEPTIONS, u16, "exceptions", "", s->exceptions,                                            \
      "requests answered with an exception, wrapping at 65536")                                              \
    X(16, 1, 0, RESULT_SEQUENCE, u16, "result_sequence", "", s->result_sequence,                             \
      "number of the result in the block; begins the block")                                                 \
    X(17, 2, 0, RESULT_ID, u32, "result_id", "", s->result.id, "the part's number, given at the trigger")    \
    X(19, 1, 0, VERDICT, u16, "verdict", "", s->result.verdict, "the part's verdict; 0 before the first")    \
    X(20, 2, 0, SCORE, u32, "score", "x 10000", show_score(s->result.verdict, s->result.score),              \
      "the part's score; 4294967295 when INOPERATIVE")                                                       \
    X(22, 2, 0, THRESHOLD, u32, "threshold", "x 10000", scale_u32(s->result.threshold, 10000),               \
      "the threshold that the score was compared with")                                                      \
    X(24, 1, 0, SLOT, u16, "slot", "", s->result.slot, "slot of the bundle that judged the part")            \
    X(25, 1, 0, REASON, u16, "reason", "", show_reason(s->result.verdict, s->result.reason),                 \
      "why the verdict is INOPERATIVE; else 0")                                                              \
    X(26, 1, 0, BOX_X, u16, "box_x", "pixels", show_box(s->result.verdict, s->result.x),                     \
      "left edge of the worst defect's box in the camera's frame; 0 unless DEFECT")                          \
    X(27, 1, 0, BOX_Y, u16, "box_y", "pixels", show_box(s->result.verdict, s->result.y),                     \
      "upper edge of the box; 0 unless DEFECT")                                                              \
    X(28, 1, 0, BOX_WIDTH, u16, "box_width", "pixels", show_box(s->result.verdict, s->result.w),             \
      "width of the box; 0 unless DEFECT")                                                                   \
    X(29, 1, 0, BOX_HEIGHT, u16, "box_height", "pixels", show_box(s->result.verdict, s->result.h),           \
      "height of the box; 0 unless DEFECT")                                                                  \
    X(30, 2, 0, AREA, u32, "area", "pixels", show_box(s->result.verdict, s->result.area),                    \
      "area of the worst defect; 0 unless DEFECT")                                                           \
    X(32, 2, 0, TRIGGER_TIME, u32, "trigger_time", "s", get_trigger_s(s), "unix time of the trigger")        \
    X(34, 1, 0, TRIGGER_TIME_MS, u16, "trigger_time_ms", "ms", get_trigger_ms(s),                            \
      "milliseconds of the trigger's time")                                                                  \
    X(35, 2, 0, ENCODER, i32, "encoder", "counts", s->result.encoder, "position at the trigger")             \
    X(37, 1, 0, EXPOSURE_TIME, u16, "exposure_time", "0.1 ms", s->result.exposure,                           \
      "time of exposure and transfer")                                                                       \
    X(38, 1, 0, INFERENCE_TIME, u16, "inference_time", "0.1 ms", s->result.inference,                        \
      "time that the bundles took to judge")                                                                 \
    X(39, 1, 0, TOTAL_TIME, u16, "total_time", "0.1 ms", s->result.total, "time from trigger to verdict")    \
    X(40, 1, 0, RESULT_SEQUENCE_END, u16, "result_sequence_end", "", s->result_sequence,                     \
      "the number of register 16 again: ends the block, and differs in a torn read")                         \
    X(41, 1, 0, RESULT_FLAGS, u16, "result_flags", "", s->result.doubtful,                                   \
      "of the part in the result block; bit 0: it is doubtful, a PASS with a score that few good parts "     \
      "reach")                                                                                               \
    X(42, 2, 0, LAST_TRIGGER_ID, u32, "last_trigger_id", "", s->last_trigger_id,                             \
      "number of the last part whose trigger was taken")                                                     \
    X(44, 1, 0, ACTIVE_SLOT, u16, "active_slot", "", s->active_slot, "slot of the bundle in use")            \
    X(45, 1, 0, OUTCOME, u16, "outcome", "", s->outcome,                                                     \
      "how the last job change or command ended: 0 none, 1 done, 2 running, else a fault's code")            \
    X(48, 2, 0, TRIGGERS, u32, "triggers", "", s->counters.triggers,                                         \
      "triggers; a counter stays at 4294967295 when it is full")                                             \
    X(50, 2, 0, PASSES, u32, "pass", "", s->counters.pass, "parts with the verdict PASS")                    \
    X(52, 2, 0, DEFECTS, u32, "defect", "", s->counters.defect, "parts with the verdict DEFECT")             \
    X(54, 2, 0, INOPERATIVES, u32, "inoperative", "", s->counters.inoperative,                               \
      "parts with the verdict INOPERATIVE")                                                                  \
    X(56, 2, 0, MISSED_TRIGGERS, u32, "missed_triggers", "", s->counters.missed_triggers,                    \
      "triggers that could not be taken")                                                                    \
    X(58, 2, 0, LATE_VERDICTS, u32, "late_verdicts", "", s->counters.late,                                   \
      "verdicts that came after their reject point, and missed rejects")                                     \
    X(60, 2, 0, CAMERA_ERRORS, u32, "camera_errors", "", s->counters.camera_errors,                          \
      "frames that a camera did not give whole and in time")                                                 \
    X(62, 2, 0, RESULT_OVERRUNS, u32, "result_overruns", "", s->counters.overruns,                           \
      "results dropped, or not acknowledged in time")                                                        \
    X(64, 1, 0, TOTAL_MIN, u16, "total_min", "0.1 ms", s->total_min,                                         \
      "shortest time from trigger to verdict since the counters were reset")                                 \
    X(65, 1, 0, TOTAL_MEAN, u16, "total_mean", "0.1 ms", s->total_mean, "mean time from trigger to verdict") \
    X(66, 1, 0, TOTAL_P99, u16, "total_p99", "0.1 ms", s->total_p99,                                         \
      "time from trigger to verdict that 99 % of the parts do not exceed")                                   \
    X(67, 1, 0, TOTAL_MAX, u16, "total_max", "0.1 ms", s->total_max, "longest time from trigger to verdict") \
    X(70, 1, 0, RESIDENT_MEMORY, u16, "resident_memory", "MiB", s->resident_mib, "the daemon's memory")      \
    X(71, 1, 0, ARENA_USED, u16, "arena_used", "MiB", s->arena_used_mib, "memory of the arena in use")       \
    X(72, 1, 0, ARENA_SIZE, u16, "arena_size", "MiB", s->arena_size_mib, "size of the arena")                \
    X(73, 1, 0, GPU_FREE, u16, "gpu_free", "MiB", s->gpu_free_mib, "free memory of the GPU")                 \
    X(74, 1, 0, DRIFT, u16, "drift", "log10 x 1000", scale_u32(s->drift, 1000),                              \
      "statistic of a rise of good parts' scores, the largest of the views; at 5000 it is drift")            \
    X(75, 1, 0, DRIFT_STATE, u16, "drift_state", "", s->drift_state,                                         \
      "worst of the views: 0 not watched, 1 as calibrated, 2 drifted, which stays until clear_fault")        \
    X(80, 2, 0, CONFIGURATION_CHECKSUM, u32, "configuration_checksum", "", s->configuration_checksum,        \
      "CRC-32 of the configuration")                                                                         \
    X(82, 2, 0, BUNDLE_CHECKSUM, u32, "bundle_checksum", "", s->bundle_checksum,                             \
      "checksum of the bundle in use")                                                                       \
    X(84, 1, 0, SECURITY_COUNTER, u16, "security_counter", "", s->security_counter,                          \
      "security counter of the bundle in use")                                                               \
    X(85, 1, 0, VERSION, u16, "version", "x 100", s->version, "version of the software")                     \
    X(96, FG_BUNDLE_NAME_SIZE / 2, 0, BUNDLE_NAME, text, "bundle_name", "", s->bundle_name,                  \
      "name of the bundle in use; high byte first, zeros behind it")                                         \
    X(128, 1, FG_VIEW_STRIDE, VIEW_VERDICT, u16, "view_verdict", "", s->result.view[v].verdict,              \
      "the view's verdict on the result block's part; its block is 0 where it is not configured")            \
    X(129, 1, FG_VIEW_STRIDE, VIEW_REASON, u16, "view_reason", "",                                           \
      show_reason(s->result.view[v].verdict, s->result.view[v].reason),                                      \
      "why the view's verdict is INOPERATIVE; else 0")                                                       \
    X(130, 2, FG_VIEW_STRIDE, VIEW_SCORE, u32, "view_score", "x 10000",                                      \
      show_score(s->result.view[v].verdict, s->result.view[v].score),                                        \
      "the view's score; 4294967295 when INOPERATIVE")                                                       \
    X(132, 2, FG_VIEW_STRIDE, VIEW_THRESHOLD, u32, "view_threshold", "x 10000",                              \
      scale_u32(s->result.view[v].threshold, 10000),                                                         \
      "the threshold that the view's score was compared with")                                               \
    X(134, 1, FG_VIEW_STRIDE, VIEW_BOX_X, u16, "view_box_x", "pixels",                                       \
      show_box(s->result.view[v].verdict, s->result.view[v].x),                                              \
      "left edge of the view's worst defect's box in the camera's frame; 0 unless DEFECT")                   \
    X(135, 1, FG_VIEW_STRIDE, VIEW_BOX_Y, u16, "view_box_y", "pixels",                                       \
      show_box(s->result.view[v].verdict, s->result.view[v].y), "upper edge of the box; 0 unless DEFECT")    \
    X(136, 1, FG_VIEW_STRIDE, VIEW_BOX_WIDTH, u16, "view_box_width", "pixels",                               \
      show_box(s->result.view[v].verdict, s->result.view[v].w), "width of the box; 0 unless DEFECT")         \
    X(137, 1, FG_VIEW_STRIDE, VIEW_BOX_HEIGHT, u16, "view_box_height", "pixels",                             \
      show_box(s->result.view[v].verdict, s->result.view[v].h), "height of the box; 0 unless DEFECT")        \
    X(138, 2, FG_VIEW_STRIDE, VIEW_AREA, u32, "view_area", "pixels",                                         \
      show_box(s->result.view[v].verdict, s->result.view[v].area),                                           \
      "area of the view's worst defect; 0 unless DEFECT")                                                    \
    X(140, 1, FG_VIEW_STRIDE, VIEW_FLAGS, u16, "view_flags", "",                                             \
      s->result.view[v].decided | s->result.view[v].doubtful << 1,                                           \
      "bit 0: the view's verdict is the part's; bit 1: it is doubtful")                                      \
    X(141, 1, FG_VIEW_STRIDE, VIEW_SCENE, u16, "view_scene", "x 100", show_scene(s->result.view[v].scene),   \
      "distance of the frame from the scene of training; 65535 means more, 0 that the bundle does not know " \
      "it")                                                                                                  \
    X(143, 1, FG_VIEW_STRIDE, VIEW_SEQUENCE, u16, "view_sequence", "",                                       \
      s->result.view[v].verdict ? s->result_sequence : 0u,                                                   \
      "the number of register 16, to tell whether two requests read one result")                             \
    X(256, 2, FG_PROPOSAL_STRIDE, VIEW_PROPOSAL, u32, "view_proposal", "x 10000", s->proposed[v],            \
      "threshold that the view's scores on this line propose, after 200, 1000 and 5000 parts; 0 for none; "  \
      "nothing takes it by itself")

#define FG_INPUT_ENUM(address, width, stride, name, type, text, unit, value, meaning)                        \
    FG_INPUT_##name = (address),
enum fg_input_register { FG_INPUT_REGISTERS(FG_INPUT_ENUM) };
#undef FG_INPUT_ENUM

/* Holding registers, with the columns of the input registers. They start from the configuration, never from
 * before a restart. */
#define FG_HOLDING_REGISTERS(X)                                                                              \
    X(0, 1, 0, SLOT, u16, "slot", "", s->holding.slot,                                                       \
      "slot of the bundle to use; a new one is a job change")                                                \
    X(1, 1, 0, THRESHOLD, u16, "threshold", "x 10000", s->holding.threshold[0],                              \
      "threshold of view 0, as registers 16 and 17; 0 for the bundle's own, which any change of the bundle " \
      "sets")                                                                                                \
    X(2, 1, 0, COMMAND, u16, "command", "", s->holding.command,                                              \
      "command that coil 6 carries out: 0 none, 1 self-test, 2 save the next frame, 3 reload the "           \
      "configuration")                                                                                       \
    X(3, 1, 0, WATCHDOG, u16, "watchdog", "", s->holding.watchdog,                                           \
      "the PLC changes this at least every plc_watchdog_ms, where that is not 0; it is watched from its "    \
      "first change on, and until then no trigger is taken")                                                 \
    X(4, 2, 0, REJECT, u32, "reject", "0.1 ms", s->holding.reject, "delay from trigger to reject point")     \
    X(6, 1, 0, PULSE, u16, "pulse", "0.1 ms", s->holding.pulse, "length of the reject pulse")                \
    X(7, 1, 0, UNLOCK, u16, "unlock", "", 0u,                                                                \
      "code that unlocks registers 1, 4 to 6, 16 to 31 and command 3; reads 0")                              \
    X(16, 2, FG_VIEW_THRESHOLD_STRIDE, VIEW_THRESHOLD, u32, "view_threshold", "x 10000",                     \
      s->holding.threshold[v],                                                                               \
      "threshold of the view; 0 for the bundle's own, which any change of the "                              \
      "bundle sets")

#define FG_HOLDING_ENUM(address, width, stride, name, type, text, unit, value, meaning)                      \
    FG_HOLDING_##name = (address),
enum fg_holding_register { FG_HOLDING_REGISTERS(FG_HOLDING_ENUM) };
#undef FG_HOLDING_ENUM

/* ---- The tables as data, for what prints or searches them ---- */

struct fg_register_table {
    const char *name, *functions; /* Modbus functions that read and write it */
    uint16_t size;                /* addresses, from 0 */
    uint16_t one_based;           /* PLCs' number of address 0: 1, 10001, 30001 or 40001 */
    const char *access;           /* "r" or "rw" */
};

struct fg_register {
    const struct fg_register_table *table;
    uint16_t address, width; /* view 0's where each view has one; width in registers, or 1 bit */
    uint16_t stride;         /* 0: not repeated */
    const char *type, *name; /* type: "bit", "u16", "u32", "i32", "f32", "text" */
    const char *unit, *meaning;
};

extern const struct fg_register_table fg_discrete_inputs, fg_coils, fg_input_registers, fg_holding_registers;

/* The rows in the order of tables and addresses, *count of them. They live as long as the program. */
const struct fg_register *fg_registers(uint32_t *count);

/* The row that has an address of a table; NULL where it is left out. */
const struct fg_register *fg_register_find(const struct fg_register_table *table, uint32_t address);

/* A verdict's name; NULL for what is no verdict. */
static inline const char *fg_verdict_name(uint32_t verdict) {
    switch (verdict) {
#define FG_VERDICT_CASE(number, name, text, meaning)                                                         \
    case (number):                                                                                           \
        return (text);
        FG_VERDICTS(FG_VERDICT_CASE)
#undef FG_VERDICT_CASE
    default:
        return NULL;
    }
}

/* A reason's name; "" for FG_REASON_NONE, NULL for what is no reason. */
static inline const char *fg_reason_name(uint32_t reason) {
    switch (reason) {
#define FG_REASON_CASE(number, name, text, meaning, remedy)                                                  \
    case (number):                                                                                           \
        return (text);
        FG_REASONS(FG_REASON_CASE)
#undef FG_REASON_CASE
    default:
        return reason == FG_REASON_NONE ? "" : NULL;
    }
}

/* What happened; "" for FG_FAULT_NONE, NULL for what is no fault. */
static inline const char *fg_fault_text(uint32_t fault) {
    switch (fault) {
#define FG_FAULT_CASE(number, name, text, remedy)                                                            \
    case (number):                                                                                           \
        return (text);
        FG_FAULTS(FG_FAULT_CASE)
#undef FG_FAULT_CASE
    default:
        return fault == FG_FAULT_NONE ? "" : NULL;
    }
}

enum fg_modbus_exception {
    FG_MODBUS_DONE = 0, /* no exception */
    FG_MODBUS_ILLEGAL_FUNCTION = 1,
    FG_MODBUS_ILLEGAL_ADDRESS = 2,
    FG_MODBUS_ILLEGAL_VALUE = 3,
    FG_MODBUS_BUSY = 6,
};

#endif
