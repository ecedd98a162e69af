/* Files that are whole or not there: written beside their place, flushed to the disk, then renamed over it.
 *
 * A new file takes owner and mode from the file that it replaces, as far as this user may set them. A link is
 * followed and stays a link.
 *
 * A power cut or a full disk at any moment leaves the old file or the new one. PATH.tmp may stay behind; the
 * next attempt overwrites it.
 *
 * Errors: FG_ENVIRONMENT names the path and the system's reason, FG_USAGE says that the path is too long.
 * Owner: who creates a file commits or abandons it, after a failed write too. Thread: one at a time for one
 * file. NULL: only a message may be. */
#ifndef FG_RUNTIME_BASE_FILE_H
#define FG_RUNTIME_BASE_FILE_H

#include <stddef.h>

#include "runtime/base/status.h"

struct fg_file {
    char path[4096], temporary[4096 + 8];
    int descriptor; /* -1 before creation and after the end */
};

/* Opens PATH.tmp for writing. */
FG_MUST_USE enum fg_status fg_file_create(struct fg_file *file, const char *path, struct fg_message *message);
/* Makes a file in memory, which has no place and is never committed: it ends when its descriptor is closed.
 * name stands for it in messages. */
FG_MUST_USE enum fg_status fg_file_create_in_memory(struct fg_file *file, const char *name,
                                                    struct fg_message *message);
FG_MUST_USE enum fg_status fg_file_write(struct fg_file *file, const void *bytes, size_t size,
                                         struct fg_message *message);
/* Writes at an offset before the current end, to fill in what is known last. */
FG_MUST_USE enum fg_status fg_file_write_at(struct fg_file *file, size_t offset, const void *bytes,
                                            size_t size, struct fg_message *message);
/* Flushes the file, renames it over PATH and flushes the folder. Closes the file in every case. A failure
 * leaves PATH untouched and removes PATH.tmp, except where the folder alone could not be flushed. */
FG_MUST_USE enum fg_status fg_file_commit(struct fg_file *file, struct fg_message *message);
/* Copies a file, whole or not at all. FG_INPUT: from cannot be read. */
FG_MUST_USE enum fg_status fg_file_copy(const char *from, const char *to, struct fg_message *message);
/* Closes and removes PATH.tmp. Does nothing where no file is open. */
void fg_file_abandon(struct fg_file *file);

#endif
