/* Checks the rules between the keys of a configuration. */
#include "config/check.h"

#include <string.h>

static void check_ios(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    for (int a = 0; a < FG_CONFIG_IOS; a++)
        for (int b = 0; b < a; b++)
            if (*config->io[a].name && strcmp(config->io[a].name, config->io[b].name) == 0)
                fg_report_add(report, "%s: lines %s and %s have the same name, %s", path,
                              fg_config_io_title((enum fg_config_io)b),
                              fg_config_io_title((enum fg_config_io)a), config->io[a].name);
    /* A released io is the safe state, so polarity and fail_safe say the same. */
    const bool named = *config->io[FG_IO_REJECT].name, low = config->io[FG_IO_REJECT].active_low;
    if (config->fail_safe == FG_REJECT_ALL && !(named && low))
        fg_report_add(
            report,
            "%s: fail_safe = reject-all needs line reject with active_low = true: released, it rejects",
            path);
    if (config->fail_safe == FG_STOP_LINE && named && low)
        fg_report_add(
            report,
            "%s: line reject is active_low, so it rejects when released: that is fail_safe = reject-all",
            path);
    if (config->io[FG_IO_READY].active_low)
        fg_report_add(report, "%s: line ready is active_low: a dead appliance would be ready", path);
    if (config->io[FG_IO_PASS].active_low)
        fg_report_add(report, "%s: line pass is active_low: a dead appliance would pass every part", path);
}

static void check_views(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    const struct fg_config_view *first = &config->view[0];
    for (uint32_t i = 0; i < config->views; i++) {
        const struct fg_config_view *view = &config->view[i];
        const struct fg_config_camera *camera = &config->camera[view->camera];
        const char *space = *view->name ? " " : "";
        if (!view->bundles)
            fg_report_add(report, "%s: %s%s%sbundles is missing: the list of slots", path,
                          *view->name ? "view " : "", view->name, *view->name ? "." : "");
        else if (first->bundles && view->bundles != first->bundles)
            fg_report_add(
                report,
                "%s: views %s and %s have %u and %u bundles: all views need bundles for the same slots", path,
                first->name, view->name, first->bundles, view->bundles);
        if (view->width &&
            (view->x + view->width > camera->max_width || view->y + view->height > camera->max_height))
            fg_report_add(report,
                          "%s: view%s%s.region = %u,%u,%ux%u is not inside the largest frame of its camera, "
                          "%u x %u pixels",
                          path, space, view->name, view->x, view->y, view->width, view->height,
                          camera->max_width, camera->max_height);
    }
    if (first->bundles && config->job.slot >= first->bundles)
        fg_report_add(report, "%s: job.slot = %u, but bundles has only slots 0 to %u", path, config->job.slot,
                      first->bundles - 1);
}

void fg_config_check(const struct fg_config *config, struct fg_report *report) {
    const char *path = config->path;
    if (config->reject.delay < config->deadline_ms * 10 + config->reject.lead)
        fg_report_add(
            report,
            "%s: reject.delay_ms = %g is shorter than deadline_ms + reject.lead_ms = %g: a part could "
            "pass its reject point before its verdict",
            path, config->reject.delay / 10.0, config->deadline_ms + config->reject.lead / 10.0);
    if (config->threshold.min > config->threshold.max)
        fg_report_add(report, "%s: threshold.min = %g is above threshold.max = %g", path,
                      (double)config->threshold.min, (double)config->threshold.max);
    if (config->trigger.queue > 1 && !config->results.buffer)
        fg_report_add(
            report,
            "%s: trigger.queue = %u needs results.buffer = true: without it a verdict could be read as "
            "the next part's",
            path, config->trigger.queue);
    if (*config->modbus_rtu.device && *config->modbus_rtu.device != '/')
        fg_report_add(report, "%s: modbus_rtu.device = \"%s\" is no whole path: give one like /dev/ttyS0",
                      path, config->modbus_rtu.device);
    check_views(config, report);
    check_ios(config, report);
}
