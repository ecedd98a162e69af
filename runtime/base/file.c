/* Writes beside the place, flushes, renames. */
#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum fg_status fail_file(const struct fg_file *file, struct fg_message *message, const char *what) {
    const int error = errno;
    return fg_fail_errno(message, FG_ENVIRONMENT, error, "%.300s: cannot %s%s", file->path, what,
                         error == ENOSPC || error == EDQUOT ? " (make room on the disk)" : "");
}

enum fg_status fg_file_create(struct fg_file *file, const char *path, struct fg_message *message) {
    file->descriptor = -1;
    _Static_assert(sizeof file->path >= PATH_MAX, "realpath needs it; without a place it takes memory");
    if (!realpath(path, file->path)) { /* the file is not there yet */
        if (strlen(path) >= sizeof file->path)
            return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", path);
        memcpy(file->path, path, strlen(path) + 1);
    }
    struct stat old;
    if (!stat(file->path, &old) && S_ISDIR(old.st_mode)) {
        errno = EISDIR;
        return fail_file(file, message, "create");
    }
    snprintf(file->temporary, sizeof file->temporary, "%s.tmp", file->path);
    file->descriptor = open(file->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return file->descriptor < 0 ? fail_file(file, message, "create") : FG_OK;
}

enum fg_status fg_file_create_in_memory(struct fg_file *file, const char *name, struct fg_message *message) {
    snprintf(file->path, sizeof file->path, "%s", name);
    file->temporary[0] = 0;
    file->descriptor = memfd_create("flawgate", MFD_CLOEXEC);
    return file->descriptor < 0 ? fail_file(file, message, "create in memory") : FG_OK;
}

enum fg_status fg_file_write(struct fg_file *file, const void *bytes, size_t size,
                             struct fg_message *message) {
    const char *at = bytes;
    while (size) {
        ssize_t written = write(file->descriptor, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_file(file, message, "write");
        at += written;
        size -= (size_t)written;
    }
    return FG_OK;
}

enum fg_status fg_file_write_at(struct fg_file *file, size_t offset, const void *bytes, size_t size,
                                struct fg_message *message) {
    const char *at = bytes;
    while (size) {
        ssize_t written = pwrite(file->descriptor, at, size, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_file(file, message, "write");
        at += written;
        offset += (size_t)written;
        size -= (size_t)written;
    }
    return FG_OK;
}

/* The owner comes first: changing it may take bits of the mode away. */
static void keep_owner_and_mode(const struct fg_file *file) {
    struct stat old;
    if (stat(file->path, &old))
        return;
    if (fchown(file->descriptor, old.st_uid, old.st_gid) == 0 || errno == EPERM)
        fchmod(file->descriptor, old.st_mode & 07777);
}

/* The rename itself is on the disk only when the folder is. */
static int flush_folder(const char *path) {
    char copy[4096];
    snprintf(copy, sizeof copy, "%s", path);
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    int result = fsync(folder);
    int error = errno;
    close(folder);
    errno = error;
    return result;
}

enum fg_status fg_file_commit(struct fg_file *file, struct fg_message *message) {
    enum fg_status status = FG_OK;
    keep_owner_and_mode(file);
    if (fsync(file->descriptor))
        status = fail_file(file, message, "flush");
    if (close(file->descriptor) && status == FG_OK)
        status = fail_file(file, message, "close");
    file->descriptor = -1;
    if (status == FG_OK && rename(file->temporary, file->path))
        status = fail_file(file, message, "rename into place");
    if (status != FG_OK) {
        unlink(file->temporary);
        return status;
    }
    return flush_folder(file->path) ? fail_file(file, message, "flush the folder of") : FG_OK;
}

void fg_file_abandon(struct fg_file *file) {
    if (file->descriptor < 0)
        return;
    close(file->descriptor);
    if (*file->temporary)
        unlink(file->temporary);
    file->descriptor = -1;
}

static enum fg_status copy_bytes(int from, const char *path, struct fg_file *to, struct fg_message *message) {
    unsigned char chunk[65536];
    for (;;) {
        const ssize_t count = read(from, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot read", path);
        if (count == 0)
            return FG_OK;
        const enum fg_status status = fg_file_write(to, chunk, (size_t)count, message);
        if (status != FG_OK)
            return status;
    }
}

enum fg_status fg_file_copy(const char *from, const char *to, struct fg_message *message) {
    struct fg_file file;
    const int descriptor = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", from);
    enum fg_status status = fg_file_create(&file, to, message);
    if (status == FG_OK) {
        status = copy_bytes(descriptor, from, &file, message);
        if (status == FG_OK)
            status = fg_file_commit(&file, message);
        else
            fg_file_abandon(&file);
    }
    close(descriptor);
    return status;
}
