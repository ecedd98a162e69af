/* Terminal settings, signals and painting by the sequences that every terminal has had since the VT100. */
#include "tools/commands/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define ROWS 24 /* where the terminal does not say its size */
#define COLUMNS 80

enum fg_status fg_screen_open(struct fg_screen *screen, struct fg_message *message) {
    static const int SIGNALS[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t wanted;
    sigemptyset(&wanted);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++)
        sigaddset(&wanted, SIGNALS[i]);
    screen->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (screen->signals < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "cannot watch the terminal's size");
    pthread_sigmask(SIG_BLOCK, &wanted, &screen->mask);
    screen->keys = tcgetattr(STDIN_FILENO, &screen->before) == 0;
    if (screen->keys) {
        struct termios settings = screen->before;
        settings.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        settings.c_cc[VMIN] = 0; /* a read takes what is there */
        settings.c_cc[VTIME] = 0;
        settings.c_cc[VSUSP] = _POSIX_VDISABLE; /* a stopped program would leave the terminal so */
        tcsetattr(STDIN_FILENO, TCSANOW, &settings);
    }
    fputs("\033[?1049h\033[?25l", stdout); /* the other screen, without a cursor */
    return FG_OK;
}

void fg_screen_close(struct fg_screen *screen) {
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (screen->keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
    struct signalfd_siginfo taken;
    while (read(screen->signals, &taken, sizeof taken) > 0)
        ; /* they were heard */
    close(screen->signals);
    pthread_sigmask(SIG_SETMASK, &screen->mask, NULL);
}

/* Prints a line that leaves the last column free, where a cursor could wrap, and gives its end in the text.
 * What could move the cursor is not printed: the text comes from a network. */
static const char *paint_line(const char *text, uint32_t columns) {
    uint32_t used = 0;
    fputs("\033[K", stdout);
    for (; *text && *text != '\n'; text++) {
        const unsigned char byte = (unsigned char)*text;
        used += (byte & 0xc0) != 0x80; /* the later bytes of a letter take no column */
        if (used < columns)
            putchar(byte < ' ' || byte == 0x7f ? '?' : byte);
    }
    return text + (*text == '\n');
}

static struct winsize find_size(void) {
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    size.ws_row = size.ws_row ? size.ws_row : ROWS;
    size.ws_col = size.ws_col ? size.ws_col : COLUMNS;
    return size;
}

uint32_t fg_screen_columns(void) {
    return find_size().ws_col;
}

void fg_screen_paint(const char *first, bool warning, const char *text) {
    const uint32_t rows = find_size().ws_row, columns = find_size().ws_col;
    fputs(warning ? "\033[H\033[7m" : "\033[H", stdout);
    paint_line(first, columns);
    fputs("\033[0m", stdout);
    uint32_t lines = 0;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    for (uint32_t row = 2; row <= rows && lines > 0; row++) {
        fputs("\r\n", stdout);
        if (row < rows || lines == 1) {
            text = paint_line(text, columns);
            lines--;
            continue;
        }
        char more[64];
        snprintf(more, sizeof more, "(%u more lines: make the terminal larger)", lines);
        paint_line(more, columns);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

/* Says whether a key that leaves was pressed. */
static bool take_keys(void) {
    char keys[64];
    const ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
    return count > 0 && (memchr(keys, 'q', (size_t)count) || memchr(keys, 'Q', (size_t)count));
}

enum fg_screen_event fg_screen_wait(const struct fg_screen *screen, int64_t deadline_ns) {
    for (;;) {
        struct pollfd watched[] = {{.fd = screen->signals, .events = POLLIN},
                                   {.fd = screen->keys ? STDIN_FILENO : -1, .events = POLLIN}};
        const int64_t left_ms = (deadline_ns - fg_clock_ns()) / FG_MS;
        const int ready = poll(watched, 2, left_ms > 0 ? (int)left_ms + 1 : 0);
        struct signalfd_siginfo signal;
        if (read(screen->signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
            return signal.ssi_signo == SIGWINCH ? FG_SCREEN_RESIZED : FG_SCREEN_QUIT;
        if ((watched[1].revents & POLLIN && take_keys()) || watched[1].revents & (POLLHUP | POLLERR))
            return FG_SCREEN_QUIT;
        if (ready == 0)
            return FG_SCREEN_TIME;
    }
}
