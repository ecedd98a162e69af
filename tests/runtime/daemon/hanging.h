/* What a test and flawgated-hanging share: the time that the daemon sees, and what its device does. It lies
 * in a file that both map, whose name is in FG_HANGING.
 *
 * Errors: none. Owner: the test makes the file and maps it. Thread: any of both processes. NULL: never. */
#ifndef FG_TESTS_RUNTIME_DAEMON_HANGING_H
#define FG_TESTS_RUNTIME_DAEMON_HANGING_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>

/* The calls of a backend that can hang, one a kind. */
enum hanging_call { HANG_NOTHING, HANG_PREPARE, HANG_SUBMIT, HANG_POLL };

struct hanging {
    _Atomic int64_t now_ns; /* fg_clock_ns; it stands still until the test moves it */
    _Atomic int call;       /* enum hanging_call: hangs from now on */
    _Atomic int lost; /* enum hanging_call: fails with FG_DEVICE_LOST from now on; if it hangs, after that */
    sem_t go;         /* lets one call that hangs go on */
};

#endif
