/* Writes a snapshot as metrics. */
#include "runtime/store/metrics.h"

#include <stdarg.h>
#include <stdio.h>

#include "runtime/base/file.h"

#define TEXT_BYTES 8192

struct text {
    char bytes[TEXT_BYTES];
    size_t length;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(t->bytes + t->length, sizeof t->bytes - t->length, format, args);
    va_end(args);
    t->length += length > 0 ? (size_t)length : 0;
    t->length = t->length < sizeof t->bytes ? t->length : sizeof t->bytes - 1;
}

static void head(struct text *t, const char *name, const char *type, const char *help) {
    add(t, "# TYPE flawgate_%s %s\n# HELP flawgate_%s %s\n", name, type, name, help);
}

static void counter(struct text *t, const char *name, uint32_t value, const char *help) {
    head(t, name, "counter", help);
    add(t, "flawgate_%s_total %u\n", name, value);
}

static void gauge(struct text *t, const char *name, double value, const char *help) {
    head(t, name, "gauge", help);
    add(t, "flawgate_%s %.9g\n", name, value);
}

static void describe_parts(struct text *t, const struct fg_snapshot *s) {
    const struct fg_counters *c = &s->counters;
    head(t, "parts", "counter", "Parts by their verdict.");
    add(t, "flawgate_parts_total{verdict=\"pass\"} %u\n", c->pass);
    add(t, "flawgate_parts_total{verdict=\"defect\"} %u\n", c->defect);
    add(t, "flawgate_parts_total{verdict=\"inoperative\"} %u\n", c->inoperative);
    counter(t, "triggers", c->triggers, "Triggers.");
    counter(t, "missed_triggers", c->missed_triggers, "Triggers that could not be taken.");
    counter(t, "late_verdicts", c->late, "Verdicts after their reject point, and missed rejects.");
    counter(t, "camera_errors", c->camera_errors, "Frames that a camera did not give whole and in time.");
    counter(t, "result_overruns", c->overruns, "Results dropped, or not acknowledged in time.");
}

static void describe_state(struct text *t, const struct fg_snapshot *s) {
    head(t, "latency_seconds", "gauge", "Time from trigger to verdict since the counters were reset.");
    add(t, "# UNIT flawgate_latency_seconds seconds\n");
    add(t, "flawgate_latency_seconds{statistic=\"min\"} %.4f\n", s->total_min / 1e4);
    add(t, "flawgate_latency_seconds{statistic=\"mean\"} %.4f\n", s->total_mean / 1e4);
    add(t, "flawgate_latency_seconds{statistic=\"p99\"} %.4f\n", s->total_p99 / 1e4);
    add(t, "flawgate_latency_seconds{statistic=\"max\"} %.4f\n", s->total_max / 1e4);
    gauge(t, "online", s->online, "1 while the line is in operation.");
    gauge(t, "degraded", s->degraded, "1 while a person should look at the line.");
    gauge(t, "fault", s->error, "Code of the first fault that is not cleared, 0 for none.");
    gauge(t, "drift", (double)s->drift, "Logarithm of the statistic of drift, to base 10; drift from 5 on.");
    gauge(t, "drift_state", s->drift_state, "0 not watched, 1 as calibrated, 2 drifted.");
    gauge(t, "results_queued", s->results_queued, "Results that wait behind the result block.");
    gauge(t, "uptime_seconds", s->uptime_s, "Time since the start.");
    gauge(t, "resident_mebibytes", s->resident_mib, "Memory of the daemon.");
    head(t, "proposed_threshold", "gauge", "Threshold that the scores of the line propose, 0 for none.");
    for (uint32_t v = 0; v < FG_VIEWS; v++)
        if (s->proposed[v])
            add(t, "flawgate_proposed_threshold{view=\"%u\"} %.4f\n", v, s->proposed[v] / 1e4);
}

enum fg_status fg_metrics_write(const char *path, const struct fg_snapshot *snapshot,
                                const struct fg_store_counts *counts, struct fg_message *message) {
    static struct text t; /* large for a stack; one thread writes metrics */
    t.length = 0;
    describe_parts(&t, snapshot);
    describe_state(&t, snapshot);
    counter(&t, "pictures", counts->pictures, "Pictures that were stored.");
    counter(&t, "dropped_pictures", counts->dropped_pictures, "Pictures that could not be stored.");
    counter(&t, "scores", counts->scores, "Scores that were logged.");
    counter(&t, "dropped_scores", counts->dropped_scores, "Scores that could not be logged.");
    add(&t, "# EOF\n");
    struct fg_file file;
    enum fg_status status = fg_file_create(&file, path, message);
    if (status != FG_OK)
        return status;
    status = fg_file_write(&file, t.bytes, t.length, message);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}
