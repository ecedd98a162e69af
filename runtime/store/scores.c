/* The score log's file: made whole, gone on with where its newest record lies, and read while it is written.
 * */
#include "runtime/store/scores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "runtime/base/bytes.h"
#include "runtime/base/file.h"

#define BYTES 32 /* of the header, and of a record */
#define VERSION 1
#define ROOM_MOST (1u << 28)
#define CHUNK 256 /* records that are read at a time */

static const char MAGIC[8] = {'F', 'G', 'S', 'C', 'O', 'R', 'E', 'S'};
static const unsigned char EMPTY[BYTES];

static uint32_t sum_up(const unsigned char *bytes, unsigned count) {
    return (uint32_t)crc32(0, bytes, count);
}

static void put_record(const struct fg_score *s, uint32_t sequence, unsigned char bytes[BYTES]) {
    fg_put_u32(bytes + 4, sequence);
    fg_put_u32(bytes + 8, s->part);
    fg_put_u32(bytes + 12, s->unix_s);
    fg_put_u32(bytes + 16, fg_float_bits(s->score));
    fg_put_u32(bytes + 20, fg_float_bits(s->threshold));
    fg_put_u32(bytes + 24, s->checksum);
    bytes[28] = (unsigned char)(s->verdict | s->reason << 4);
    bytes[29] = (unsigned char)(s->view | (s->decided | s->doubtful << 1) << 4);
    bytes[30] = s->slot;
    bytes[31] = 0;
    fg_put_u32(bytes, sum_up(bytes + 4, BYTES - 4));
}

static struct fg_score get_record(const unsigned char bytes[BYTES]) {
    return (struct fg_score){.part = fg_get_u32(bytes + 8),
                             .unix_s = fg_get_u32(bytes + 12),
                             .score = fg_bits_float(fg_get_u32(bytes + 16)),
                             .threshold = fg_bits_float(fg_get_u32(bytes + 20)),
                             .checksum = fg_get_u32(bytes + 24),
                             .verdict = bytes[28] & 15,
                             .reason = bytes[28] >> 4,
                             .view = bytes[29] & 15,
                             .slot = bytes[30],
                             .decided = bytes[29] >> 4 & 1,
                             .doubtful = bytes[29] >> 5 & 1};
}

/* ---- The file ---- */

static enum fg_status make_file(const char *path, uint32_t room, struct fg_message *message) {
    unsigned char header[BYTES] = {0};
    memcpy(header, MAGIC, sizeof MAGIC);
    fg_put_u32(header + 8, VERSION);
    fg_put_u32(header + 12, BYTES);
    fg_put_u32(header + 16, room);
    fg_put_u32(header + 28, sum_up(header, BYTES - 4));
    struct fg_file file;
    enum fg_status status = fg_file_create(&file, path, message);
    if (status != FG_OK)
        return status;
    status = fg_file_write(&file, header, sizeof header, message);
    /* The disk space is taken now, so that a disk that fills up later does not end the log. */
    const int error = status == FG_OK ? posix_fallocate(file.descriptor, 0, BYTES * ((off_t)room + 1)) : 0;
    if (error)
        status =
            fg_fail_errno(message, FG_ENVIRONMENT, error, "%.300s: no room on the disk for the log", path);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}

static enum fg_status read_header(int descriptor, const char *path, uint32_t *room,
                                  struct fg_message *message) {
    unsigned char header[BYTES];
    const ssize_t got = pread(descriptor, header, sizeof header, 0);
    if (got < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot read", path);
    if (got != BYTES || memcmp(header, MAGIC, sizeof MAGIC) ||
        fg_get_u32(header + 28) != sum_up(header, BYTES - 4))
        return fg_fail(message, FG_INPUT, "%.300s: no score log of flawgated, or damaged; move it away",
                       path);
    *room = fg_get_u32(header + 16);
    if (fg_get_u32(header + 8) != VERSION || fg_get_u32(header + 12) != BYTES || !*room ||
        *room > ROOM_MOST || (*room & (*room - 1)))
        return fg_fail(message, FG_INPUT, "%.300s: a score log of another version; move it away", path);
    return FG_OK;
}

/* What a visit of the whole ring finds. */
struct visitor {
    void (*see)(struct visitor *visitor, const unsigned char *record, uint32_t sequence); /* NULL: nothing */
    uint32_t torn;   /* records with a wrong CRC, or at another's place; places never written do not count */
    bool any;        /* there is a whole record */
    uint32_t newest; /* its sequence */
    /* By place, where see notes records. */
    uint32_t room, places; /* places: those that the file had when it was opened */
    struct fg_score *score;
    uint32_t *sequence;
    bool *whole;
};

/* Visits every place; a file that is shorter than the ring has no more. */
static enum fg_status visit_ring(int descriptor, const char *path, uint32_t room, struct visitor *v,
                                 struct fg_message *message) {
    unsigned char chunk[CHUNK][BYTES];
    for (uint32_t place = 0; place < room;) {
        const ssize_t got = pread(descriptor, chunk, sizeof chunk, BYTES + (off_t)place * BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot read", path);
        if (got < BYTES)
            return FG_OK;
        for (uint32_t i = 0; i < (uint32_t)got / BYTES && place < room; i++, place++) {
            const unsigned char *record = chunk[i];
            const uint32_t sequence = fg_get_u32(record + 4);
            const bool whole =
                fg_get_u32(record) == sum_up(record + 4, BYTES - 4) && (sequence & (room - 1)) == place;
            if (!whole) {
                v->torn += memcmp(record, EMPTY, BYTES) != 0;
                continue;
            }
            if (!v->any || (int32_t)(sequence - v->newest) > 0)
                v->newest = sequence;
            v->any = true;
            if (v->see)
                v->see(v, record, sequence);
        }
    }
    return FG_OK;
}

/* ---- Writing ---- */

enum fg_status fg_scores_open(struct fg_scores *scores, const char *path, uint32_t room,
                              struct fg_message *message) {
    *scores = (struct fg_scores){.descriptor = -1};
    struct stat found;
    enum fg_status status = stat(path, &found) ? make_file(path, room, message) : FG_OK;
    if (status != FG_OK)
        return status;
    scores->descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (scores->descriptor < 0)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot open", path);
    struct visitor newest = {.torn = 0};
    status = read_header(scores->descriptor, path, &scores->room, message);
    if (status == FG_OK)
        status = visit_ring(scores->descriptor, path, scores->room, &newest, message);
    scores->next = newest.any ? newest.newest + 1 : 0;
    if (status != FG_OK)
        fg_scores_close(scores);
    return status;
}

enum fg_status fg_scores_add(struct fg_scores *scores, const struct fg_score *score,
                             struct fg_message *message) {
    unsigned char bytes[BYTES];
    put_record(score, scores->next, bytes);
    const off_t at = BYTES + (off_t)(scores->next & (scores->room - 1)) * BYTES;
    const ssize_t written = pwrite(scores->descriptor, bytes, sizeof bytes, at);
    if (written != BYTES)
        return fg_fail_errno(message, FG_ENVIRONMENT, written < 0 ? errno : ENOSPC,
                             "the score log cannot be written");
    scores->next++;
    scores->dirty = true;
    return FG_OK;
}

enum fg_status fg_scores_flush(struct fg_scores *scores, struct fg_message *message) {
    if (!scores->dirty)
        return FG_OK;
    scores->dirty = false;
    return fdatasync(scores->descriptor)
               ? fg_fail_errno(message, FG_ENVIRONMENT, errno, "the score log cannot be flushed")
               : FG_OK;
}

void fg_scores_close(struct fg_scores *scores) {
    if (scores->descriptor >= 0)
        close(scores->descriptor);
    scores->descriptor = -1;
}

/* ---- Reading ---- */

static void note_record(struct visitor *v, const unsigned char *record, uint32_t sequence) {
    const uint32_t place = sequence & (v->room - 1);
    if (place >= v->places)
        return; /* the file has grown */
    v->score[place] = get_record(record);
    v->sequence[place] = sequence;
    v->whole[place] = true;
}

/* Puts the ring's records in order; what is newer than the newest that was seen was written meanwhile. */
static void sort_records(const struct visitor *v, struct fg_score *score, uint32_t *count) {
    for (uint32_t i = 1; i <= v->room; i++) {
        const uint32_t place = (v->newest + i) & (v->room - 1);
        if (place < v->places && v->whole[place] && v->newest - v->sequence[place] < v->room)
            score[(*count)++] = v->score[place];
    }
}

enum fg_status fg_scores_read(const char *path, struct fg_score **scores, uint32_t *count, uint32_t *torn,
                              struct fg_message *message) {
    *scores = NULL;
    *count = *torn = 0;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    struct visitor v = {.see = note_record};
    enum fg_status status = read_header(descriptor, path, &v.room, message);
    struct stat found;
    if (status == FG_OK && fstat(descriptor, &found))
        status = fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot read", path);
    if (status == FG_OK) {
        /* One more than there are, since calloc may give NULL for none. */
        const off_t places = found.st_size / BYTES;
        v.places = places < (off_t)v.room ? (uint32_t)places : v.room;
        v.score = calloc(v.places, sizeof *v.score);
        v.sequence = calloc(v.places, sizeof *v.sequence);
        v.whole = calloc(v.places, sizeof *v.whole);
        *scores = calloc(v.places, sizeof **scores);
        if (!v.score || !v.sequence || !v.whole || !*scores)
            status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for %u scores", path, v.places);
    }
    if (status == FG_OK)
        status = visit_ring(descriptor, path, v.room, &v, message);
    if (status == FG_OK && v.any)
        sort_records(&v, *scores, count);
    *torn = v.torn;
    if (status != FG_OK) {
        free(*scores);
        *scores = NULL;
    }
    free(v.score);
    free(v.sequence);
    free(v.whole);
    close(descriptor);
    return status;
}
