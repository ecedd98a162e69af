/* Asks the file system, the terminal layer and /proc. */
#include "runtime/base/system.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

/* ---- Folders ---- */

/* Copies the path of the folder that a path stands in. False: it is too long. */
static bool find_parent(const char *path, char parent[4096]) {
    char copy[4096];
    if (strlen(path) >= sizeof copy)
        return false;
    strcpy(copy, path);
    strcpy(parent, dirname(copy));
    return true;
}

enum fg_status fg_system_folder(const char *path, size_t bytes, struct fg_message *message) {
    char parent[4096];
    const char *in = path;
    struct stat found;
    if (stat(path, &found) != 0) {
        if (errno != ENOENT)
            return fg_fail_errno(message, FG_ENVIRONMENT, errno, "the folder %s cannot be used", path);
        if (!find_parent(path, parent) || stat(parent, &found) != 0)
            return fg_fail(message, FG_ENVIRONMENT,
                           "the folder %s is not there, nor the one above it: make it, or name another",
                           path);
        in = parent;
    }
    if (!S_ISDIR(found.st_mode))
        return fg_fail(message, FG_ENVIRONMENT, "%s is a file, not a folder: name a folder", in);
    if (faccessat(AT_FDCWD, in, W_OK | X_OK, AT_EACCESS) != 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno,
                             "this user may not write in %s: give it the right, or name another folder", in);
    struct statvfs disk;
    /* Some file systems, as ramfs, do not say how large they are. */
    if (statvfs(in, &disk) == 0 && disk.f_blocks && (uint64_t)disk.f_bavail * disk.f_frsize < bytes)
        return fg_fail(message, FG_ENVIRONMENT,
                       "%s has no room for %zu bytes: remove files there, or name another folder", in, bytes);
    return FG_OK;
}

/* ---- Serial ports ---- */

enum fg_status fg_system_tty(const char *path, struct fg_message *message) {
    struct termios settings;
    /* Without O_NONBLOCK a port waits for a modem's carrier; without O_NOCTTY it could become this process's
     * terminal. */
    const int port = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (port < 0) {
        const char *advice = errno == EACCES   ? "is this user in the group dialout?"
                             : errno == EBUSY  ? "another program has it: stop that"
                             : errno == ENOENT ? "is the adapter plugged in?"
                                               : "name a serial port";
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "cannot open the serial port %s (%s)", path,
                             advice);
    }
    const bool serial = tcgetattr(port, &settings) == 0;
    close(port);
    if (!serial)
        return fg_fail(message, FG_ENVIRONMENT, "%s is no serial port: name one, as /dev/ttyUSB0", path);
    return FG_OK;
}

/* ---- Processes ---- */

/* Says whether anybody holds an exclusive lock on a file, by trying. */
static bool is_locked(const char *path) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const bool locked = file >= 0 && flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (file >= 0)
        close(file);
    return locked;
}

pid_t fg_system_lock_holder(const char *path) {
    struct stat found;
    char line[256];
    pid_t holder = 0, candidate = 0;
    FILE *locks = stat(path, &found) == 0 ? fopen("/proc/locks", "re") : NULL;
    /* "1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF": process, device, file. */
    while (locks && !holder && fgets(line, sizeof line, locks)) {
        int process;
        unsigned major_number, minor_number;
        uint64_t file;
        if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &process, &major_number, &minor_number,
                   &file) != 4 ||
            file != found.st_ino)
            continue;
        if (major_number == major(found.st_dev) && minor_number == minor(found.st_dev))
            holder = process;
        else
            candidate = process;
    }
    if (locks)
        fclose(locks);
    /* Some file systems say another device here than stat does: then the lock itself has to be asked. */
    return holder ? holder : candidate && is_locked(path) ? candidate : 0;
}

/* Finds the socket that listens on a port in one of the system's tables; 0: none. */
static uint64_t find_socket(const char *table, uint16_t port) {
    char line[512];
    uint64_t socket = 0;
    FILE *file = fopen(table, "re");
    /* "0: 0100007F:05DE 00000000:0000 0A ... inode": own address, the other's, state 10, and the socket. */
    while (file && !socket && fgets(line, sizeof line, file)) {
        unsigned own, state;
        uint64_t inode;
        if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %" SCNu64, &own, &state, &inode) ==
                3 &&
            own == port && state == 10)
            socket = inode;
    }
    if (file)
        fclose(file);
    return socket;
}

/* Says whether a process has a descriptor that is this socket. */
static bool has_socket(const char *process, uint64_t socket) {
    char path[300], target[64], sought[64];
    snprintf(sought, sizeof sought, "socket:[%" PRIu64 "]", socket);
    snprintf(path, sizeof path, "/proc/%s/fd", process);
    DIR *folder = opendir(path);
    bool found = false;
    for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
        const ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        found = strcmp(target, sought) == 0;
    }
    if (folder)
        closedir(folder);
    return found;
}

pid_t fg_system_listener(uint16_t port) {
    uint64_t socket = find_socket("/proc/net/tcp", port);
    if (!socket)
        socket = find_socket("/proc/net/tcp6", port);
    DIR *processes = socket ? opendir("/proc") : NULL;
    pid_t listener = 0;
    for (struct dirent *entry; processes && !listener && (entry = readdir(processes));)
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, socket))
            listener = (pid_t)strtol(entry->d_name, NULL, 10);
    if (processes)
        closedir(processes);
    return listener;
}

void fg_system_name(pid_t process, char name[FG_SYSTEM_NAME]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)process);
    FILE *file = fopen(path, "re");
    if (!file || !fgets(name, FG_SYSTEM_NAME, file))
        name[0] = 0;
    name[strcspn(name, "\n")] = 0;
    if (file)
        fclose(file);
}
