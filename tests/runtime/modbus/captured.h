/* What the program writes to standard error while a test looks. Include after cmocka.
 *
 * Errors: a failure fails the test. Owner: who begins a capture ends it. Thread: the test's. NULL: never. */
#ifndef FG_TESTS_RUNTIME_MODBUS_CAPTURED_H
#define FG_TESTS_RUNTIME_MODBUS_CAPTURED_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct captured {
    int file, before;
    char text[1 << 16];
};

static inline void begin_capture(struct captured *captured) {
    captured->before = dup(STDERR_FILENO);
    captured->file = memfd_create("captured", MFD_CLOEXEC);
    assert_true(captured->before >= 0 && captured->file >= 0);
    assert_true(dup2(captured->file, STDERR_FILENO) >= 0);
}

/* Reads what has come so far. */
static inline void look_at_capture(struct captured *captured) {
    const ssize_t got = pread(captured->file, captured->text, sizeof captured->text - 1, 0);
    assert_true(got >= 0);
    captured->text[got] = 0;
}

static inline void end_capture(struct captured *captured) {
    look_at_capture(captured);
    dup2(captured->before, STDERR_FILENO);
    close(captured->before);
    close(captured->file);
}

/* How many lines of it have the words. */
static inline uint32_t count_lines(const struct captured *captured, const char *words) {
    uint32_t count = 0;
    for (const char *line = captured->text; *line;
         line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
        const char *found = strstr(line, words);
        count += found && found < line + strcspn(line, "\n");
    }
    return count;
}

#endif
