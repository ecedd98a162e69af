/* The score log: a ring of 32 bytes for each view of each part, in one file.
 *
 * The file begins with a header of 32 bytes: "FGSCORES", then as 32-bit numbers the version (1), the bytes of
 * a record (32), the records that the ring holds (a power of two) and two zeros, and the CRC-32 of all that.
 * A record is: CRC-32 of what follows it; sequence; part; unix time in seconds; score; threshold; the
 * bundle's checksum; and four bytes: verdict and 16 x reason; view and 16 x flags (1: its verdict is the
 * part's, 2: doubtful); slot; 0. All is little-endian. The record of sequence s lies at place s modulo the
 * ring's size.
 *
 * A record that a power cut has torn has a wrong CRC, and readers skip it. A file is made whole or not at
 * all, with its disk space. Readers need no lock: a record that is just being written is skipped too.
 *
 * Errors: FG_INPUT for a file that is no score log, FG_ENVIRONMENT for the disk; messages name the path.
 * Owner: who opens a log closes it; who reads one frees the scores. Thread: one writes, any number read.
 * NULL: only a message may be. */
#ifndef FG_RUNTIME_STORE_SCORES_H
#define FG_RUNTIME_STORE_SCORES_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* What one view said of one part. */
struct fg_score {
    uint32_t part, unix_s;
    float score, threshold; /* score is no number when INOPERATIVE */
    uint32_t checksum;      /* fg_bundle_checksum of the bundle that judged */
    uint8_t verdict, reason, view, slot;
    bool decided, doubtful;
};

struct fg_scores {
    int descriptor; /* -1: not open */
    uint32_t room;  /* records of the ring */
    uint32_t next;  /* sequence of the next record; it wraps */
    bool dirty;     /* records were added since the last flush */
};

/* Opens the log at path to go on with it, or makes one for room records, a power of two. Reads the whole
 * ring. */
FG_MUST_USE enum fg_status fg_scores_open(struct fg_scores *scores, const char *path, uint32_t room,
                                          struct fg_message *message);
FG_MUST_USE enum fg_status fg_scores_add(struct fg_scores *scores, const struct fg_score *score,
                                         struct fg_message *message);
/* Brings what was added to the disk. */
FG_MUST_USE enum fg_status fg_scores_flush(struct fg_scores *scores, struct fg_message *message);
void fg_scores_close(struct fg_scores *scores);

/* Reads a log, also one that is being written: the scores from the oldest to the newest, to be freed; *torn
 * counts records that were skipped. */
FG_MUST_USE enum fg_status fg_scores_read(const char *path, struct fg_score **scores, uint32_t *count,
                                          uint32_t *torn, struct fg_message *message);

#endif
