/* Looks for a file from the folder of the program that runs. */
#include "runtime/base/own_file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool fg_own_file_find(const char *built, const char *installed, char path[FG_OWN_FILE_SIZE]) {
    char folder[4096];
    const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[1] = 0;
    snprintf(path, FG_OWN_FILE_SIZE, "%s%s", folder, built);
    if (!access(path, R_OK))
        return true;
    snprintf(path, FG_OWN_FILE_SIZE, "%s%s", folder, installed);
    if (!access(path, R_OK))
        return true;
    snprintf(path, FG_OWN_FILE_SIZE, "%s%s", folder, built);
    return false;
}
