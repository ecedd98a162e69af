/* The daemon: from a configuration to a running line.
 *
 * Errors: an exit status; the log says all that is wrong. Owner: the daemon owns all that it opens. Thread:
 * the main one, once in a process. NULL: never. */
#ifndef FG_RUNTIME_DAEMON_DAEMON_H
#define FG_RUNTIME_DAEMON_DAEMON_H

/* Checks the configuration, logs the memory plan (setup.h), takes the memory, opens cameras and board, and
 * serves until SIGTERM. Gives the exit status. All that is wrong is said on standard error. Where the device
 * is lost the process ends here, with 70. */
int fg_daemon_run(const char *config_path);

#endif
