/* The words of the Modbus map that the line, its servers and people share: verdicts, reasons and faults, each
 * table with the number that a PLC reads, the name and what a person should know. */
#ifndef FG_RUNTIME_MODBUS_REGISTERS_H
#define FG_RUNTIME_MODBUS_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

#define FG_VIEWS 8             /* most views of a part */
#define FG_BUNDLE_NAME_SIZE 64 /* bytes of the map; no ending zero when all are used */

enum fg_verdict { FG_PASS = 1, FG_DEFECT = 2, FG_INOPERATIVE = 3 };

/* Why a verdict is INOPERATIVE (input register 25): number, C name, name. */
#define FG_REASONS(X)                                                                                        \
    X(1, NOT_READY, "not_ready")                                                                             \
    X(2, NO_FRAME, "no_frame")                                                                               \
    X(3, BAD_FRAME, "bad_frame")                                                                             \
    X(4, DEADLINE, "deadline")                                                                               \
    X(5, INFERENCE_FAILED, "inference_failed")                                                               \
    X(6, NOT_FINITE, "not_finite")                                                                           \
    X(7, NOT_VERIFIED, "not_verified")                                                                       \
    X(8, POSITION_LOST, "position_lost")                                                                     \
    X(9, DEVICE_LOST, "device_lost")

#define FG_REASON_ENUM(number, name, text) FG_REASON_##name = (number),
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
    X(21, JOB, "a bundle could not be loaded; the old one stays in use",                                     \
      "run flawgate bundle verify on the bundle")                                                            \
    X(22, SELF_TEST, "the self-test failed",                                                                 \
      "load the bundle again; if the fault comes back, this machine computes wrongly")                       \
    X(23, EDGES_LOST, "edges of the trigger were lost",                                                      \
      "make the trigger's pulse longer, or send fewer edges")                                                \
    X(24, OUTPUT, "an output could not be set", "look at the board")                                         \
    X(25, DEVICE_LOST, "the compute device is lost",                                                         \
      "wait: the daemon ends with 70 after two seconds and systemd starts it again")

#define FG_FAULT_ENUM(number, name, text, remedy) FG_FAULT_##name = (number),
enum fg_fault { FG_FAULT_NONE = 0, FG_FAULTS(FG_FAULT_ENUM) };
#undef FG_FAULT_ENUM

/* A reason's name; "" for FG_REASON_NONE, NULL for what is no reason. */
static inline const char *fg_reason_name(uint32_t reason) {
    switch (reason) {
#define FG_REASON_CASE(number, name, text)                                                                   \
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
