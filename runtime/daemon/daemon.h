/* The daemon: from a configuration to a running line. */
#ifndef FG_RUNTIME_DAEMON_DAEMON_H
#define FG_RUNTIME_DAEMON_DAEMON_H

/* Everything: checks, logs the memory plan (setup.h), takes the memory, opens camera and board, serves
 * until SIGTERM. The exit status. Whatever is wrong is said on standard error, all of it. Where the device is
 * lost the process ends here, with 70. */
int fg_daemon_run(const char *config_path);

#endif
