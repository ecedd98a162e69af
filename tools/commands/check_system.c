/* Asks the system what the daemon would ask it at its start. */
#include "tools/commands/check_system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/base/system.h"
#include "runtime/line/setup.h"
#include "runtime/modbus/server.h"

/* A process that already has what the configuration needs; number 0: none. */
struct process {
    pid_t number;
    char name[FG_SYSTEM_NAME];
    bool daemon; /* whether it is a flawgated */
};

static struct process find_process(pid_t number) {
    struct process process = {.number = number};
    if (number)
        fg_system_name(number, process.name);
    process.daemon = strncmp(process.name, "flawgated", strlen("flawgated")) == 0;
    return process;
}

/* Gives the process that has the board now. */
static struct process check_board(const struct fg_config *config, struct fg_report *report,
                                  struct fg_report *notes) {
    struct fg_message message;
    int32_t number;
    const enum fg_status status = fg_setup_probe_board(config, &number, &message);
    const struct process owner = find_process(number);
    if (status != FG_OK)
        fg_report_add(report, "%s", message.text);
    else if (owner.daemon)
        fg_report_add(notes, "board: flawgated runs with it now (process %d)", (int)owner.number);
    else if (owner.number)
        fg_report_add(report,
                      "board: another program owns it (%s, process %d): end that, or name another board",
                      owner.name, (int)owner.number);
    return owner;
}

static void check_port(const struct fg_config *config, const struct process *owner, struct fg_report *report,
                       struct fg_report *notes) {
    struct fg_message message;
    bool taken;
    if (fg_modbus_tcp_probe(config->modbus.bind, (uint16_t)config->modbus.port, &taken, &message) == FG_OK)
        return;
    const struct process listener =
        find_process(taken ? fg_system_listener((uint16_t)config->modbus.port) : 0);
    /* Whose sockets another user's process has cannot be seen: the board says it then. */
    if (taken && owner->daemon && (!listener.number || listener.number == owner->number))
        fg_report_add(notes, "Modbus: the flawgated of this line has port %u now (process %d)",
                      config->modbus.port, (int)owner->number);
    else if (listener.number)
        fg_report_add(report, "%s; it is %s%s (process %d)", message.text,
                      listener.daemon ? "the flawgated of another line, " : "", listener.name,
                      (int)listener.number);
    else
        fg_report_add(report, "%s", message.text);
}

static void check_state(const struct fg_config *config, const struct process *owner,
                        struct fg_report *report) {
    struct fg_message message;
    char lock[FG_CONFIG_TEXT + 8];
    snprintf(lock, sizeof lock, "%s/" FG_CONFIG_STATE_LOCK, config->state.path);
    const pid_t holder = fg_system_lock_holder(lock);
    if (fg_system_folder(config->state.path, FG_CONFIG_STATE_BYTES, &message) != FG_OK)
        fg_report_add(report, "state.path: %s", message.text);
    else if (holder && holder != owner->number)
        fg_report_add(report,
                      "state.path: another flawgated uses the folder %s: end it, or name another folder",
                      config->state.path);
}

/* A port that the daemon of this line has open is left alone. */
static void check_serial(const struct fg_config *config, const struct process *owner,
                         struct fg_report *report, struct fg_report *notes) {
    struct fg_message message;
    const char *device = config->modbus_rtu.device;
    if (*device && owner->daemon)
        fg_report_add(notes, "Modbus RTU: %s is left alone while flawgated runs (process %d)", device,
                      (int)owner->number);
    else if (*device && fg_system_tty(device, &message) != FG_OK)
        fg_report_add(report, "Modbus RTU: %s", message.text);
}

/* The device is not opened, since it would begin to count. */
static void check_watchdog(const struct fg_config *config, struct fg_report *report) {
    const char *device = config->watchdog.device;
    char reason[128];
    if (*device && access(device, W_OK) != 0)
        fg_report_add(report, "watchdog: cannot open %s: %s", device,
                      strerror_r(errno, reason, sizeof reason));
}

void fg_check_system(const struct fg_config *config, struct fg_report *report, struct fg_report *notes) {
    const struct process owner = check_board(config, report, notes);
    check_port(config, &owner, report, notes);
    check_serial(config, &owner, report, notes);
    check_state(config, &owner, report);
    check_watchdog(config, report);
    const struct passwd *user = getpwuid(geteuid());
    fg_report_add(
        notes, "rights: those of user %s were checked: to check those of flawgated's user, use sudo -u USER",
        user ? user->pw_name : "unknown");
}

/* ---- Ports ---- */

/* Says from where an address is reached. */
static const char *describe_address(const char *address) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address, &v4) == 1)
        return v4.s_addr == htonl(INADDR_ANY)                           ? "from every network of this machine"
               : ntohl(v4.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET ? "from this machine only"
                                                                        : "from the network of this address";
    if (inet_pton(AF_INET6, address, &v6) != 1)
        return "from nowhere";
    return IN6_IS_ADDR_UNSPECIFIED(&v6) ? "from every network of this machine"
           : IN6_IS_ADDR_LOOPBACK(&v6)  ? "from this machine only"
                                        : "from the network of this address";
}

void fg_check_print_ports(const struct fg_config *config) {
    printf("open ports\n  %s port %u: Modbus TCP, reached %s; ", config->modbus.bind, config->modbus.port,
           describe_address(config->modbus.bind));
    for (uint32_t i = 0; i < config->modbus.writers; i++)
        printf("%s%s", i ? ", " : "", config->modbus.writer[i]);
    puts(config->modbus.writers ? " may write, others only read" : "everyone who reaches it may write");
    if (*config->modbus_rtu.device)
        printf("  %s: Modbus RTU, unit %u, %u baud; its master may write\n", config->modbus_rtu.device,
               config->modbus.unit, config->modbus_rtu.baud);
}

void fg_check_print_json_ports(const struct fg_config *config) {
    printf("{\"address\": ");
    fg_json_text(stdout, config->modbus.bind);
    printf(", \"port\": %u, \"protocol\": \"Modbus TCP\", \"writers\": [", config->modbus.port);
    for (uint32_t i = 0; i < config->modbus.writers; i++) {
        fputs(i ? ", " : "", stdout);
        fg_json_text(stdout, config->modbus.writer[i]);
    }
    printf("]}");
    if (!*config->modbus_rtu.device)
        return;
    printf(", {\"device\": ");
    fg_json_text(stdout, config->modbus_rtu.device);
    printf(", \"unit\": %u, \"baud\": %u, \"protocol\": \"Modbus RTU\"}", config->modbus.unit,
           config->modbus_rtu.baud);
}
