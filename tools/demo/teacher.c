/* Looks for the demo's teacher. */
#include "tools/demo/teacher.h"

#include <errno.h>
#include <unistd.h>

enum fg_status fg_teacher_find(char path[FG_TEACHER_PATH], struct fg_message *message) {
    if (*path)
        return access(path, R_OK) ? fg_fail_errno(message, FG_INPUT, errno, "%.300s", path) : FG_OK;
    if (!fg_own_file_find("../../tools/demo/teacher.safetensors", "../share/flawgate/teacher.safetensors",
                          path))
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: not there; give --teacher FILE.safetensors", path);
    return FG_OK;
}
