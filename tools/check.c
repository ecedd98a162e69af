/* flawgate check CONFIG: everything that is wrong with a configuration, and the memory plan. */
#include <stdio.h>

#include "runtime/device.h"
#include "runtime/setup.h"
#include "tools/tool.h"

int fg_tool_check(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: flawgate check CONFIG\n");
        return 2;
    }
    static struct fg_config config;
    static struct fg_memory_plan plan;
    struct fg_report report = {0};
    struct fg_message message;
    struct fg_backend *backend = NULL;
    enum fg_status status = fg_config_read(argv[1], &config, &report);
    if (status != FG_ENVIRONMENT) { /* the bundles can be looked at even where other keys are wrong */
        enum fg_status device = fg_device_open(config.device, config.threads, &backend, &message);
        if (device != FG_OK)
            fg_report_add(&report, "%s: %s", argv[1], message.text);
        else
            fg_setup_plan(&config, backend, &plan, &report);
    }
    if (report.lines)
        fprintf(stderr, "%s%u wrong\n", report.text ? report.text : "", report.lines);
    else
        fg_setup_print(&config, &plan);
    if (backend)
        backend->close(backend);
    const int result = status == FG_ENVIRONMENT ? 3 : report.lines ? 1 : 0;
    fg_report_free(&report);
    return result;
}
