/* Frames of a serial line, told apart by silence. */
#include "runtime/modbus/rtu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"

/* A frame: unit, function, data, check sum. */
#define MAX_FRAME (1u + FG_MODBUS_MAX_PDU + 2u)
#define MIN_FRAME 4u
#define BROADCAST 0
#define BUFFER (4 * MAX_FRAME) /* room for frames that are read together; what is longer is no frame */

#define SHORTEST_SILENCE 1750000 /* ns; the specification's for all rates above 19200 */
#define FIRST_PAUSE (100 * FG_MS)
#define LONGEST_PAUSE (10 * FG_S)
#define UNLOCK (60 * FG_S) /* a serial line's master never disconnects */

struct fg_modbus_rtu {
    struct fg_modbus_service *service;
    struct fg_serial_settings settings;
    char *device;
    int port;          /* -1: it is gone */
    modbus_t *modbus;  /* writes the answers to the port */
    int64_t silence;   /* ns that end a frame */
    int64_t heard_ns;  /* when the last bytes came */
    int64_t pause;     /* ns until the port is tried once more */
    int64_t reopen_ns; /* when it is tried */
    struct fg_modbus_peer peer;
    bool looked; /* the bytes were no frame when the silence came */
    uint32_t used;
    uint8_t bytes[BUFFER];
};

enum fg_status fg_modbus_rtu_open(const struct fg_serial_settings *settings,
                                  struct fg_modbus_service *service, struct fg_modbus_rtu **rtu,
                                  struct fg_message *message) {
    static const char PARITY[] = {[FG_PARITY_NONE] = 'N', [FG_PARITY_EVEN] = 'E', [FG_PARITY_ODD] = 'O'};
    struct fg_message why = {{0}};
    *rtu = NULL;
    struct fg_modbus_rtu *r = calloc(1, sizeof *r);
    char *device = strdup(settings->device);
    modbus_t *modbus = modbus_new_rtu(settings->device, (int)settings->baud, PARITY[settings->parity], 8,
                                      (int)settings->stop_bits);
    enum fg_status status =
        r && device && modbus ? FG_OK : fg_fail(message, FG_ENVIRONMENT, "Modbus RTU: no memory");
    if (!r || status != FG_OK) {
        free(r);
        free(device);
        modbus_free(modbus);
        return status;
    }
    const int64_t silence = 7 * fg_serial_character_ns(settings) / 2;
    *r = (struct fg_modbus_rtu){.service = service,
                                .settings = *settings,
                                .device = device,
                                .port = -1,
                                .modbus = modbus,
                                .silence = silence > SHORTEST_SILENCE ? silence : SHORTEST_SILENCE,
                                .pause = FIRST_PAUSE,
                                .peer = {.may_write = true, .unlock_ns = UNLOCK}};
    r->settings.device = device;
    const size_t length = strlen(device), shown = length < FG_MODBUS_PEER ? length : FG_MODBUS_PEER - 1;
    memcpy(r->peer.name, device + length - shown, shown); /* the end of a long path tells more */
    status = fg_serial_open(&r->settings, &r->port, &why);
    if (status != FG_OK) {
        fg_modbus_rtu_close(r);
        return fg_fail(message, status, "Modbus RTU: %s", why.text);
    }
    modbus_set_socket(modbus, r->port);
    *rtu = r;
    return FG_OK;
}

void fg_modbus_rtu_close(struct fg_modbus_rtu *rtu) {
    if (!rtu)
        return;
    if (rtu->port >= 0)
        close(rtu->port);
    modbus_free(rtu->modbus);
    free(rtu->device);
    free(rtu);
}

/* ---- The port comes and goes ---- */

static void lose_port(struct fg_modbus_rtu *rtu, int error, int64_t now) {
    fg_log(FG_LOG_ERROR, "Modbus RTU: %s is gone (%s); it is opened again as soon as it is back", rtu->device,
           strerror(error));
    close(rtu->port);
    rtu->port = -1;
    rtu->used = 0;
    rtu->peer.unlocked_until_ns = 0;
    rtu->service->degraded = true;
    rtu->pause = FIRST_PAUSE;
    rtu->reopen_ns = now + rtu->pause;
}

static void try_port(struct fg_modbus_rtu *rtu, int64_t now) {
    if (fg_serial_open(&rtu->settings, &rtu->port, NULL) != FG_OK) {
        rtu->pause = 2 * rtu->pause < LONGEST_PAUSE ? 2 * rtu->pause : LONGEST_PAUSE;
        rtu->reopen_ns = now + rtu->pause;
        return;
    }
    fg_log(FG_LOG_INFO, "Modbus RTU: %s is back", rtu->device);
    modbus_set_socket(rtu->modbus, rtu->port);
    rtu->service->degraded = false;
}

/* ---- Frames ---- */

/* Adds what the port has; what has no room is not kept. */
static void read_port(struct fg_modbus_rtu *rtu, int64_t now) {
    uint8_t rest[MAX_FRAME];
    const size_t room = sizeof rtu->bytes - rtu->used;
    const ssize_t got =
        room > 0 ? read(rtu->port, rtu->bytes + rtu->used, room) : read(rtu->port, rest, sizeof rest);
    if (got > 0) {
        rtu->heard_ns = now;
        rtu->looked = false;
        rtu->used += room > 0 ? (uint32_t)got : 0;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        lose_port(rtu, got == 0 ? EIO : errno, now);
    }
}

static bool is_frame(const uint8_t *bytes, uint32_t size) {
    return size >= MIN_FRAME && size <= MAX_FRAME &&
           fg_modbus_crc(bytes, size - 2) == (bytes[size - 2] | bytes[size - 1] << 8);
}

static void answer_frame(struct fg_modbus_rtu *rtu, uint32_t size, int64_t now) {
    const uint8_t unit = rtu->bytes[0];
    if (unit != rtu->service->unit && unit != BROADCAST)
        return;
    struct fg_modbus_reply reply;
    fg_modbus_serve(rtu->service, &rtu->peer, rtu->bytes + 1, size - 3, now, &reply);
    if (unit == BROADCAST || fg_modbus_send(rtu->service, rtu->modbus, rtu->bytes, size, &reply))
        return;
    if (errno == EIO || errno == ENXIO || errno == ENODEV)
        lose_port(rtu, errno, now);
}

/* Takes the frame at the front away from the bytes behind it; false: there is none. Where this thread had no
 * turn in the silence between them, frames to and from other slaves are read together with one for this one.
 * Only a broadcast is obeyed late: a master that goes on has given up a request to this unit. */
static bool take_front(struct fg_modbus_rtu *rtu, int64_t now) {
    uint32_t size = MIN_FRAME;
    while (size < rtu->used && !is_frame(rtu->bytes, size))
        size++;
    if (size >= rtu->used)
        return false;
    if (rtu->bytes[0] == BROADCAST)
        answer_frame(rtu, size, now);
    rtu->used -= size;
    memmove(rtu->bytes, rtu->bytes + size, rtu->used);
    return true;
}

static void end_frame(struct fg_modbus_rtu *rtu, int64_t now) {
    while (!is_frame(rtu->bytes, rtu->used) && take_front(rtu, now))
        ;
    if (is_frame(rtu->bytes, rtu->used)) {
        answer_frame(rtu, rtu->used, now);
        rtu->used = 0;
    } else if (now - rtu->heard_ns >= FG_MODBUS_RTU_PATIENCE) {
        fg_notes_add(&rtu->service->notes, FG_NOTE_DAMAGED, now, FG_LOG_WARNING,
                     "Modbus RTU: %s: %u bytes are no frame: look at baud, parity, stop bits and the wiring",
                     rtu->peer.name, rtu->used);
        rtu->used = 0;
    }
    rtu->looked = true;
}

/* ---- The loop's side ---- */

/* When the bytes that came are looked at: once when the silence has come, and at last when they are dropped.
 */
static int64_t get_frame_due(const struct fg_modbus_rtu *rtu) {
    return rtu->heard_ns +
           (rtu->looked && rtu->silence < FG_MODBUS_RTU_PATIENCE ? FG_MODBUS_RTU_PATIENCE : rtu->silence);
}

struct pollfd fg_modbus_rtu_watch(const struct fg_modbus_rtu *rtu, int64_t *due) {
    int64_t mine = INT64_MAX;
    if (rtu->port < 0)
        mine = rtu->reopen_ns;
    else if (rtu->used > 0)
        mine = get_frame_due(rtu);
    if (mine < *due)
        *due = mine;
    return (struct pollfd){.fd = rtu->port, .events = POLLIN};
}

void fg_modbus_rtu_serve(struct fg_modbus_rtu *rtu, short events, int64_t now) {
    if (rtu->port < 0) {
        if (now >= rtu->reopen_ns)
            try_port(rtu, now);
        return;
    }
    /* What waits to be read may have come behind the silence. */
    if (rtu->used > 0 && now >= get_frame_due(rtu))
        end_frame(rtu, now);
    if (rtu->port >= 0 && events)
        read_port(rtu, now);
}
