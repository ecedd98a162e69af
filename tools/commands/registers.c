/* flawgate registers: prints the Modbus map for people, for PLC projects and for the manual. config/modbus.md
 * and config/modbus.csv are its output. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/usage.h"
#include "runtime/line/states.h"
#include "runtime/modbus/registers.h"
#include "tools/commands/tool.h"

struct registers {
    bool csv, markdown;
};

static const struct fg_option OPTIONS[] = {
    {"csv", FG_OPTION_BOOL, offsetof(struct registers, csv), .help = "prints it for programs"},
    {"markdown", FG_OPTION_BOOL, offsetof(struct registers, markdown), .help = "prints it for a manual"},
};
static const struct fg_usage USAGE = {
    .name = "flawgate registers",
    .takes = "",
    .about = "Prints the Modbus map: each coil, input and register with what it means, and the numbers of\n"
             "verdicts, reasons and faults.\n",
    .options = FG_OPTIONS(OPTIONS),
};

enum form { LIST, MARKDOWN, CSV };

/* ---- Headings ---- */

static void print_heading(enum form form, const char *title, const char *note, const char *columns) {
    if (form == LIST)
        printf("\n%s%s\n", title, note);
    if (form != MARKDOWN)
        return;
    printf("\n## %c%s%s\n\n%s\n|", toupper(*title), title + 1, note, columns);
    for (const char *c = columns + 1; *c; c++)
        if (*c == '|')
            printf("---|");
    putchar('\n');
}

static void print_table_heading(enum form form, const struct fg_register_table *table) {
    char title[32], note[64];
    snprintf(title, sizeof title, "%ss", table->name);
    snprintf(note, sizeof note, " (%s)", table->functions);
    print_heading(form, title, note, "| address | 1-based | type | name | unit | meaning |");
    if (form == LIST)
        printf("  %-14s  %-7s  %-4s  %-22s  %s\n", "address", "1-based", "type", "name", "meaning [unit]");
}

/* ---- Rows ---- */

static void print_csv_row(const struct fg_register *r, uint32_t address, const char *name) {
    printf("%s,%u,%05u,%u,%s,%s,%s,%s,\"%s\"\n", r->table->name, address, r->table->one_based + address,
           r->width, r->type, r->table->access, name, r->unit, r->meaning);
}

/* Prints a row of the map. CSV is for programs, and has a row for each view. */
static void print_row(enum form form, const struct fg_register *r) {
    const uint32_t one_based = (uint32_t)r->table->one_based + r->address;
    char last[16] = "", step[16] = "", address[48], name[64];
    if (r->width > 1)
        snprintf(last, sizeof last, "-%u", r->address + r->width - 1u);
    if (r->stride > 0)
        snprintf(step, sizeof step, " + %u v", r->stride);
    snprintf(address, sizeof address, "%u%s%s", r->address, last, step);
    if (form == LIST) {
        printf("  %-14s  %05u    %-4s  %-22s  %s%s%s%s\n", address, one_based, r->type, r->name, r->meaning,
               *r->unit ? " [" : "", r->unit, *r->unit ? "]" : "");
    } else if (form == MARKDOWN) {
        printf("| %s | %05u%s | %s | %s | %s | %s |\n", address, one_based, step, r->type, r->name, r->unit,
               r->meaning);
    } else if (r->stride == 0) {
        print_csv_row(r, r->address, r->name);
    } else {
        for (uint32_t view = 0; view < FG_VIEWS; view++) { /* view_score becomes view3_score */
            snprintf(name, sizeof name, "view%u%s", view, r->name + strlen("view"));
            print_csv_row(r, r->address + view * r->stride, name);
        }
    }
}

/* Prints a verdict, a reason or a fault; a fault has no name, and a verdict no remedy. */
static void print_number(enum form form, const char *kind, uint32_t number, const char *name,
                         const char *meaning, const char *remedy) {
    const char *advice = *remedy ? "; what to do: " : "";
    if (form == LIST)
        printf("  %-2u  %s%s%s%s%s\n", number, name, *name ? ": " : "", meaning, advice, remedy);
    else if (form == CSV)
        printf("%s,%u,,,,,%s,,\"%s%s%s\"\n", kind, number, name, meaning, advice, remedy);
    else
        printf("| %u |%s%s%s %s |%s%s%s\n", number, *name ? " " : "", name, *name ? " |" : "", meaning,
               *remedy ? " " : "", remedy, *remedy ? " |" : "");
}

static void print_numbers(enum form form) {
    print_heading(form, "verdicts", " (input registers 19 and 128 + 16 v)", "| number | name | meaning |");
#define PRINT_VERDICT(number, name, text, meaning) print_number(form, "verdict", number, text, meaning, "");
    FG_VERDICTS(PRINT_VERDICT)
    print_heading(form, "reasons", " (input registers 25 and 129 + 16 v)",
                  "| number | name | meaning | what to do |");
#define PRINT_REASON(number, name, text, meaning, remedy)                                                    \
    print_number(form, "reason", number, text, meaning, remedy);
    FG_REASONS(PRINT_REASON)
    print_heading(form, "faults", " (input register 1)", "| number | meaning | what to do |");
#define PRINT_FAULT(number, name, text, remedy) print_number(form, "fault", number, "", text, remedy);
    FG_FAULTS(PRINT_FAULT)
}

/* ---- States ---- */

static const char *show(enum fg_shown shown) {
    return shown == FG_SHOWN_EITHER ? "0 or 1" : shown == FG_SHOWN_1 ? "1" : "0";
}

static void print_states(enum form form) {
    const char *row = form == MARKDOWN ? "| %s | %s | %s | %s | %s | %s | %s |\n"
                                       : "  %-29s  %-6s  %-13s  %-6s  %-6s  %-12s  %s\n";
    print_heading(form, "states", " (what the PLC sees in each)",
                  "| state | online | trigger_ready | busy | fault | output ready | meaning |");
    if (form == LIST)
        printf(row, "state", "online", "trigger_ready", "busy", "fault", "output ready", "meaning");
    for (uint32_t i = 0; i < FG_STATE_COUNT; i++) {
        const struct fg_state_row *s = &fg_states[i];
        printf(row, s->name, show(s->online), show(s->trigger_ready), show(s->busy), show(s->fault),
               show(s->ready), s->meaning);
    }
    uint32_t count;
    const struct fg_transition *t = fg_transitions(&count);
    print_heading(form, "transitions", " (the first one of a state that may be taken is)",
                  "| from | to | when |");
    for (uint32_t i = 0; i < count; i++)
        printf(form == MARKDOWN ? "| %s | %s | %s |\n" : "  %-29s  %-29s  %s\n", fg_states[t[i].from].name,
               fg_states[t[i].to].name, t[i].when);
}

static void print_map(enum form form) {
    uint32_t count;
    const struct fg_register *rows = fg_registers(&count);
    if (form == MARKDOWN)
        printf(
            "# The Modbus map\n\nPrinted by `flawgate registers --markdown`; `modbus.csv` beside it has the "
            "same for programs.\n\n");
    if (form == CSV)
        puts("table,address,1-based,width,type,access,name,unit,meaning");
#define PRINT_RULE(text) printf("%s%s\n", form == MARKDOWN ? "- " : "", text);
    if (form != CSV) {
        FG_MODBUS_RULES(PRINT_RULE)
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || rows[i].table != rows[i - 1].table)
            print_table_heading(form, rows[i].table);
        print_row(form, &rows[i]);
    }
    print_numbers(form);
    if (form != CSV) /* no register has a state */
        print_states(form);
}

int fg_tool_registers(int argc, char **argv) {
    struct registers r = {.csv = false};
    struct fg_message message;
    bool over;
    enum fg_status status = fg_usage_read(&USAGE, &argc, argv, &r, &over, &message);
    if (over)
        return 0;
    if (status == FG_OK && r.csv && r.markdown)
        status = fg_fail(&message, FG_USAGE, "--csv and --markdown are two forms: give one");
    if (status != FG_OK)
        return fg_usage_fail(&USAGE, status, &message);
    print_map(r.csv ? CSV : r.markdown ? MARKDOWN : LIST);
    return 0;
}
