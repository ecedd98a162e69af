/* flawgate calibrate --from-line: a threshold from the scores that a line has logged.
 *
 * The newest scores of the bundle itself, known by its checksum, count: at most FG_LINE_SCORES. Middle and
 * spread are robust (runtime/store/refit.h), since some of the scores are defects'. The scores that are not
 * above the new threshold take the place of those of an earlier calibration among the bundle's good pictures,
 * so that drift is watched from them on.
 *
 * Errors: FG_INPUT for a bundle, a log or scores that cannot be used, FG_ENVIRONMENT for memory and disk.
 * Owner: the caller, of all arguments. Thread: the main thread. NULL: only a message may be. */
#ifndef FG_TOOLS_COMMANDS_CALIBRATE_LINE_H
#define FG_TOOLS_COMMANDS_CALIBRATE_LINE_H

#include "trainer/bundle/calibrate.h"

#define FG_LINE_SCORES 5000

struct fg_line_calibrating {
    const char *bundle, *log; /* paths */
    float false_rejects;
    float threshold; /* set by hand; 0: found */
    bool dry_run, force;
};

/* Finds the threshold, and writes the bundle unless it is a dry run; the old one stays beside it. found gets
 * scores where it has pictures. */
FG_MUST_USE enum fg_status fg_calibrate_line(const struct fg_line_calibrating *calibrating,
                                             struct fg_calibrated *found, struct fg_message *message);

#endif
