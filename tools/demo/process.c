/* Starts programs of this program's folder and waits for them. */
#include "tools/demo/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_ARGUMENTS 1024

enum fg_status fg_process_start(const char *program, const char *const *arguments, int descriptor,
                                const char *output, pid_t *child, struct fg_message *message) {
    char own[4096], path[4096 + 64];
    const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%s: cannot find this program's folder",
                             program);
    own[length] = 0;
    snprintf(path, sizeof path, "%s/%s", dirname(own), program);
    char *argv[MOST_ARGUMENTS + 2] = {path};
    for (size_t i = 0; arguments[i]; i++) {
        if (i == MOST_ARGUMENTS)
            return fg_fail(message, FG_USAGE, "%s: more than %d arguments", program, MOST_ARGUMENTS);
        argv[i + 1] = (char *)(size_t)arguments[i];
    }
    const int file = output ? open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : descriptor;
    if (file < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot create", output);
    fflush(stdout);
    *child = fork();
    if (*child == 0) {
        dup2(file, descriptor);
        execv(path, argv);
        _exit(127);
    }
    const int error = errno;
    if (output)
        close(file);
    return *child > 0 ? FG_OK : fg_fail_errno(message, FG_ENVIRONMENT, error, "%s: cannot start", program);
}

bool fg_process_has_ended(pid_t child) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == child;
}

int fg_process_wait(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

enum fg_status fg_process_run(const char *program, const char *const *arguments, const char *output, int most,
                              struct fg_message *message) {
    pid_t child;
    enum fg_status status = fg_process_start(program, arguments, STDOUT_FILENO, output, &child, message);
    if (status != FG_OK)
        return status;
    const int result = fg_process_wait(child);
    return result <= most ? FG_OK
                          : fg_fail(message, FG_ENVIRONMENT, "%s ended with status %d%s", program, result,
                                    result == 127 ? ": it is not in this program's folder" : "");
}
