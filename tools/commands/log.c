/* flawgate log CONFIG: prints the score of every part that flawgated has logged, also while it runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/line/setup.h"
#include "runtime/store/scores.h"
#include "runtime/store/storage.h"
#include "tools/commands/common.h"
#include "tools/commands/tool.h"

struct log {
    bool csv;
    struct fg_config config;
    struct fg_report report;
};

static const struct fg_option OPTIONS[] = {
    {"csv", FG_OPTION_BOOL, offsetof(struct log, csv), .help = "prints CSV, with a line of titles"},
};
static const struct fg_usage USAGE = {
    .name = "flawgate log",
    .takes = "CONFIG",
    .least = 1,
    .most = 1,
    .about = "Prints the score of each view of each part that flawgated with CONFIG has logged, the oldest "
             "first.\n"
             "The log lies in the folder store.path. It can be printed while flawgated runs.\n",
    .options = FG_OPTIONS(OPTIONS),
};

/* Writes the time in UTC: 2026-12-01T04:58:40Z. */
static void write_time(uint32_t unix_s, char text[32]) {
    const time_t seconds = (time_t)unix_s;
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* A damaged record has a wrong checksum, so these numbers have names; a later program may know more. */
static const char *name_or(const char *name) {
    return name ? name : "?";
}

static const char *name_view(const struct log *l, uint32_t view) {
    return view < l->config.views ? l->config.view[view].name : "";
}

static void print_csv(const struct log *l, const struct fg_score *s) {
    char when[32], score[24] = "";
    write_time(s->unix_s, when);
    if (isfinite(s->score))
        snprintf(score, sizeof score, "%.9g", (double)s->score);
    printf("%s,%u,%u,%s,%s,%s,%s,%.9g,%d,%d,%u,%08x\n", when, s->part, s->view, name_view(l, s->view),
           name_or(fg_verdict_name(s->verdict)), name_or(fg_reason_name(s->reason)), score,
           (double)s->threshold, s->decided, s->doubtful, s->slot, s->checksum);
}

static void print_line(const struct log *l, const struct fg_score *s) {
    char when[32], what[64];
    const char *view = name_view(l, s->view);
    write_time(s->unix_s, when);
    if (isfinite(s->score))
        snprintf(what, sizeof what, ", score %.4f, threshold %.4f", (double)s->score, (double)s->threshold);
    else
        snprintf(what, sizeof what, ", %s", name_or(fg_reason_name(s->reason)));
    printf("%s part %u%s%s: %s%s%s, slot %u, bundle %08x\n", when, s->part, *view ? ", view " : "", view,
           name_or(fg_verdict_name(s->verdict)), s->doubtful ? " (doubtful)" : "", what, s->slot,
           s->checksum);
}

static enum fg_status print_log(const struct log *l, struct fg_message *message) {
    char path[FG_CONFIG_TEXT + 16];
    struct fg_score *score;
    uint32_t count, torn;
    if (!*l->config.store.path)
        return fg_fail(message, FG_INPUT, "%.300s: no scores are logged: give the key store.path",
                       l->config.path);
    snprintf(path, sizeof path, "%s/%s", l->config.store.path, FG_STORAGE_SCORES);
    const enum fg_status status = fg_scores_read(path, &score, &count, &torn, message);
    if (status != FG_OK)
        return status;
    if (l->csv)
        puts("time,part,view,view_name,verdict,reason,score,threshold,decided,doubtful,slot,checksum");
    for (uint32_t i = 0; i < count; i++)
        (l->csv ? print_csv : print_line)(l, &score[i]);
    if (torn)
        fprintf(stderr, "%u damaged records were skipped: a power cut tears the one that is just written\n",
                torn);
    free(score);
    return FG_OK;
}

int fg_tool_log(int argc, char **argv) {
    static struct log l;
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &l, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK) {
        status = fg_setup_read(argv[1], &l.config, &l.report);
        if (status != FG_OK)
            status = fg_report_fail(&l.report, &message, status, "the configuration cannot be used");
    }
    if (status == FG_OK)
        status = print_log(&l, &message);
    fg_report_free(&l.report);
    return status == FG_OK ? 0 : fg_usage_fail(&USAGE, status, &message);
}
