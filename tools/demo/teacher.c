/* Looks for the demo's teacher beside the build. */
#include "tools/demo/teacher.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

enum fg_status fg_teacher_find(char path[FG_TEACHER_PATH], struct fg_message *message) {
    if (*path)
        return access(path, R_OK) ? fg_fail_errno(message, FG_INPUT, errno, "%.300s", path) : FG_OK;
    char own[FG_TEACHER_PATH];
    const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "cannot find this program's folder");
    own[length] = 0;
    const int written =
        snprintf(path, FG_TEACHER_PATH, "%s/../../tools/demo/teacher.safetensors", dirname(own));
    if (written >= FG_TEACHER_PATH || access(path, R_OK))
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: not there; give --teacher FILE.safetensors", path);
    return FG_OK;
}
