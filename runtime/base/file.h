/* Files that are whole or not there: written beside their place, flushed to the disk, then renamed over it.
 *
 * What it replaces lends it owner and mode, as far as this user may; a link is followed, and stays one.
 *
 * A power cut or a full disk at any moment leaves the old file, or the new one; PATH.tmp may stay behind and
 * is overwritten by the next attempt. */
#ifndef FG_RUNTIME_BASE_FILE_H
#define FG_RUNTIME_BASE_FILE_H

#include <stddef.h>

#include "runtime/base/status.h"

struct fg_file {
    char path[4096], temporary[4096 + 8];
    int descriptor;
};

/* Opens PATH.tmp for writing. FG_ENVIRONMENT names the path and the system's reason, here and below. */
FG_MUST_USE enum fg_status fg_file_create(struct fg_file *file, const char *path, struct fg_message *message);
FG_MUST_USE enum fg_status fg_file_write(struct fg_file *file, const void *bytes, size_t size,
                                         struct fg_message *message);
/* Writes at a place before the current end, to fill in what is known last. */
FG_MUST_USE enum fg_status fg_file_write_at(struct fg_file *file, size_t offset, const void *bytes,
                                            size_t size, struct fg_message *message);
/* Flushes, renames, flushes the folder. Closes in every case; on failure PATH is untouched and PATH.tmp
 * removed. */
FG_MUST_USE enum fg_status fg_file_commit(struct fg_file *file, struct fg_message *message);
/* Closes and removes PATH.tmp. */
void fg_file_abandon(struct fg_file *file);

#endif
