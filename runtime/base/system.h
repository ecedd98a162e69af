/* What a program needs of the system that it runs on, asked without changing it, so that a running daemon is
 * not disturbed.
 *
 * Errors: FG_ENVIRONMENT; the message names the file or folder and says what to do. Owner: the caller, of all
 * arguments. Thread: any. NULL: only a message may be. */
#ifndef FG_RUNTIME_BASE_SYSTEM_H
#define FG_RUNTIME_BASE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/status.h"

/* Says whether this user can make files of so many bytes in a folder, which may still have to be made itself
 * in a folder that is there. */
FG_MUST_USE enum fg_status fg_system_folder(const char *path, size_t bytes, struct fg_message *message);

/* Says whether a path is a serial port that this user can open. */
FG_MUST_USE enum fg_status fg_system_tty(const char *path, struct fg_message *message);

/* Finds the process that holds a lock of flock on a file; 0: none does, or it cannot be seen from here. */
pid_t fg_system_lock_holder(const char *path);

/* Finds the process that listens on a TCP port; 0: none does, or it belongs to another user. */
pid_t fg_system_listener(uint16_t port);

#define FG_SYSTEM_NAME 16 /* bytes of a process's name, with the ending zero */
/* Gives the name of a process, "flawgated"; "" where there is no such process. */
void fg_system_name(pid_t process, char name[FG_SYSTEM_NAME]);

#endif
