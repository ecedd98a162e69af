/* Finds the demo's teacher.
 *
 * Errors: FG_ENVIRONMENT where it is neither beside the build nor installed, FG_INPUT for a file of the
 * user's that cannot be read; messages name the file. Owner: the caller. Thread: any. NULL: only a message
 * may be. */
#ifndef FG_TOOLS_DEMO_TEACHER_H
#define FG_TOOLS_DEMO_TEACHER_H

#include "runtime/base/own_file.h"
#include "runtime/base/status.h"

#define FG_TEACHER_PATH FG_OWN_FILE_SIZE

/* Finds tools/demo/teacher.safetensors from where this program was built (build/PRESET/PROGRAM) or was
 * installed; a path that is not empty is the user's, and only has to be readable. */
FG_MUST_USE enum fg_status fg_teacher_find(char path[FG_TEACHER_PATH], struct fg_message *message);

#endif
