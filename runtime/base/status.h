/* Status codes and the message that goes with a failure.
 *
 * Libraries return an fg_status and, when it is not FG_OK, have filled the caller's message with one sentence
 * that says what failed, where (file, key, tensor, register) and what to do. They never print, exit or abort.
 *
 * Errors: none of its own. Owner: the caller, of the message. Thread: any. NULL: a message may be. */
#ifndef FG_RUNTIME_BASE_STATUS_H
#define FG_RUNTIME_BASE_STATUS_H

enum fg_status {
    FG_OK = 0,
    FG_INPUT,       /* a file, picture, configuration or request is wrong */
    FG_USAGE,       /* the command line or a caller's argument is wrong */
    FG_ENVIRONMENT, /* the machine refused: file system, memory, port, thread */
    FG_TIMEOUT,     /* a deadline passed; the operation may still be running */
    FG_DEVICE_LOST, /* the compute device failed: only a new process can mend it */
};

/* Stands before every declaration in a header that gives an fg_status: a result that is not looked at does
 * not compile. */
#define FG_MUST_USE __attribute__((warn_unused_result))

/* Drops a result that nothing depends on; a comment at the call says why. */
static inline void fg_ignore(enum fg_status status) {
    (void)status;
}

/* Long enough for a path and a sentence; a longer text is cut, never overrun. */
struct fg_message {
    char text[512];
};

/* Fills message (may be NULL) as printf does and gives status, so that a failure is one expression. Macros,
 * so that compilers and analysers see which status it is. */
#define fg_fail(message, status, ...) (fg_say((message), __VA_ARGS__), (enum fg_status)(status))

/* Does what fg_fail does, and puts ": " and the text of an errno value behind the message. */
#define fg_fail_errno(message, status, error, ...)                                                           \
    (fg_say_errno((message), (error), __VA_ARGS__), (enum fg_status)(status))

/* Puts "prefix: " before a message that a lower layer has filled, and gives status. */
#define fg_fail_in(message, status, prefix) (fg_say_in((message), (prefix)), (enum fg_status)(status))

/* The macros fill the message with these. */
void fg_say(struct fg_message *message, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fg_say_errno(struct fg_message *message, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void fg_say_in(struct fg_message *message, const char *prefix);

/* The exit status that a program ends with: 0, 2 (usage), 3 (environment, wrong input), 70 (device lost). */
int fg_exit_status(enum fg_status status);

#endif
