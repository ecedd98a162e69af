/* Files that come with the programs: beside them where they were built, elsewhere where they were installed.
 *
 * Errors: none. Owner: the caller's path. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BASE_OWN_FILE_H
#define FG_RUNTIME_BASE_OWN_FILE_H

#include <stdbool.h>

#define FG_OWN_FILE_SIZE 4608 /* bytes of a path with the ending zero */

/* Finds a file that this program may read: where it is built, else where it is installed. Both are relative
 * to the program's own folder. false: in neither place; path is then the place where it is built, for a
 * message. */
bool fg_own_file_find(const char *built, const char *installed, char path[FG_OWN_FILE_SIZE]);

#endif
