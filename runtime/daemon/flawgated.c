/* flawgated -c CONFIG: the line's daemon. */
#include "runtime/base/descriptors.h"
#include "runtime/base/usage.h"
#include "runtime/daemon/daemon.h"

struct flawgated {
    char config[4096];
};

static const struct fg_option OPTIONS[] = {
    {"c", FG_OPTION_PATH, offsetof(struct flawgated, config), .size = 4096, .value = "CONFIG",
     .help = "serves the line that this file describes; flawgate check CONFIG says whether it is right"},
};
static const struct fg_usage USAGE = {
    .name = "flawgated",
    .takes = "-c CONFIG",
    .about = "Serves a line until SIGTERM or SIGINT. Its log goes to standard error.\n",
    .options = FG_OPTIONS(OPTIONS),
    .computes = true,
};

int main(int argc, char **argv) {
    fg_descriptors_fill();
    static struct flawgated f;
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &f, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK && !*f.config)
        status = fg_fail(&message, FG_USAGE, "the configuration is missing");
    return status == FG_OK ? fg_daemon_run(f.config) : fg_usage_fail(&USAGE, status, &message);
}
