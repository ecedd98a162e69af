/* A data set of parts of one kind, written in MVTec's layout:
 *
 *   FOLDER/train/good/000.png ...
 *   FOLDER/test/good/000.png ...
 *   FOLDER/test/DEFECT/000.png ...
 *   FOLDER/ground_truth/DEFECT/000_mask.png ...
 *
 * Errors: FG_ENVIRONMENT names the file or folder that could not be written. Owner: the caller owns the set.
 * Thread: any, with a folder of its own. NULL: only progress and a message may be. */
#ifndef FG_TOOLS_DEMO_PICTURE_SET_H
#define FG_TOOLS_DEMO_PICTURE_SET_H

#include <stdint.h>

#include "runtime/base/progress.h"
#include "runtime/base/status.h"
#include "tools/demo/picture_part.h"

struct fg_picture_set {
    enum fg_picture_kind kind;
    uint64_t seed;
    int32_t size;       /* pixels of a picture's side, 32 to 4096 */
    uint32_t train;     /* good parts to train with */
    uint32_t good;      /* good parts to test with */
    uint32_t defective; /* parts to test with for each defect */
};

/* Makes the folders that are not there yet, none for what has no parts, and writes every picture; no two show
 * the same part. progress, called after each part, may be NULL. FG_ENVIRONMENT names the file or folder that
 * could not be written. */
FG_MUST_USE enum fg_status fg_picture_set_write(const char *folder, const struct fg_picture_set *set,
                                                fg_progress_function *progress, void *argument,
                                                struct fg_message *message);

#endif
