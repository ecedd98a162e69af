/* The ring of pictures: names, files, and what is deleted. */
#include "runtime/store/pictures.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernels/cpu/operators/pixel.h"
#include "runtime/base/file.h"

#define NAME 80         /* bytes of a picture's name */
#define JSON_BYTES 2048 /* a picture's JSON is shorter */

/* Why a picture was kept, as names say it. */
static const char *const KINDS[] = {"defect", "doubtful", "good", "asked"};
enum kind { DEFECT, DOUBTFUL, GOOD, ASKED, KINDS_COUNT };

/* In the order of writing. Every picture has the first one, which is deleted last. */
static const char *const ENDINGS[] = {".png", ".map.png", ".json"};
#define ENDING_COUNT 3

/* ---- Memory ---- */

static size_t measure_rgb(int32_t width, int32_t height) {
    return fg_size_align((size_t)width * (size_t)height * 3);
}

static int32_t find_longer(int32_t width, int32_t height) {
    return width > height ? width : height;
}

size_t fg_pictures_memory(int32_t max_width, int32_t max_height) {
    return fg_size_align(FG_PICTURES_MOST * sizeof(struct fg_picture_entry)) +
           measure_rgb(max_width, max_height) + measure_rgb(max_width + 2, 1) +
           fg_size_align(fg_image_memory(find_longer(max_width, max_height)));
}

void fg_pictures_begin(struct fg_pictures *pictures, void *memory, int32_t max_width, int32_t max_height,
                       const char *folder, uint32_t quota_mib, uint32_t days) {
    struct fg_pictures *p = pictures;
    uint8_t *at = memory;
    *p = (struct fg_pictures){.quota = (uint64_t)quota_mib << 20, .age_ms = (int64_t)days * 86400 * 1000};
    snprintf(p->folder, sizeof p->folder, "%s", folder);
    p->entry = memory;
    at += fg_size_align(FG_PICTURES_MOST * sizeof(struct fg_picture_entry));
    p->rgb = at;
    at += measure_rgb(max_width, max_height);
    p->row = at;
    at += measure_rgb(max_width + 2, 1);
    p->encoder = (struct fg_image_memory){at, fg_image_memory(find_longer(max_width, max_height))};
}

/* ---- Names ---- */

/* Writes a time as 20261201T045840.123Z. */
static void write_time(int64_t unix_ms, char text[32]) {
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    const size_t length = strftime(text, 24, "%Y%m%dT%H%M%S", &utc);
    snprintf(text + length, 32 - length, ".%03dZ", (int)(unix_ms % 1000));
}

static void write_name(const struct fg_picture_entry *entry, char name[NAME]) {
    char when[32];
    write_time(entry->unix_ms, when);
    snprintf(name, NAME, "%010u_%s_part%u_view%u_%s", entry->sequence, when, entry->part, entry->view,
             KINDS[entry->kind]);
}

/* Reads a name with the first ending; false: no picture of this ring has it. */
static bool read_name(const char *file, struct fg_picture_entry *entry) {
    struct tm utc = {.tm_isdst = 0};
    char kind[12], name[NAME], whole[NAME + 8];
    uint32_t ms, view;
    int year, month;
    if (sscanf(file, "%10u_%4d%2d%2dT%2d%2d%2d.%3uZ_part%10u_view%1u_%8[a-z].png", &entry->sequence, &year,
               &month, &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &utc.tm_sec, &ms, &entry->part, &view,
               kind) != 11)
        return false;
    utc.tm_year = year - 1900;
    utc.tm_mon = month - 1;
    entry->unix_ms = (int64_t)timegm(&utc) * 1000 + ms;
    entry->view = (uint8_t)view;
    for (entry->kind = 0; entry->kind < KINDS_COUNT && strcmp(kind, KINDS[entry->kind]); entry->kind++)
        ;
    if (entry->kind == KINDS_COUNT)
        return false;
    write_name(entry, name); /* a name that reads alike but is another is nobody's to delete */
    snprintf(whole, sizeof whole, "%s%s", name, ENDINGS[0]);
    return strcmp(whole, file) == 0;
}

static void write_path(const struct fg_pictures *p, const struct fg_picture_entry *entry, int ending,
                       char path[FG_PICTURES_PATH]) {
    char name[NAME];
    write_name(entry, name);
    snprintf(path, FG_PICTURES_PATH, "%s/%s%s", p->folder, name, ENDINGS[ending]);
}

/* ---- The ring ---- */

static void delete_files(const struct fg_pictures *p, const struct fg_picture_entry *entry) {
    char path[FG_PICTURES_PATH];
    for (int ending = ENDING_COUNT - 1; ending >= 0; ending--) {
        write_path(p, entry, ending, path);
        unlink(path);
    }
}

static uint64_t measure_files(const struct fg_pictures *p, const struct fg_picture_entry *entry) {
    char path[FG_PICTURES_PATH];
    struct stat found;
    uint64_t bytes = 0;
    for (int ending = 0; ending < ENDING_COUNT; ending++) {
        write_path(p, entry, ending, path);
        bytes += stat(path, &found) ? 0 : (uint64_t)found.st_size;
    }
    return bytes;
}

static void drop_oldest(struct fg_pictures *p) {
    struct fg_picture_entry *oldest = &p->entry[p->first];
    delete_files(p, oldest);
    p->bytes -= oldest->bytes;
    p->first = (p->first + 1) % FG_PICTURES_MOST;
    p->count--;
}

void fg_pictures_trim(struct fg_pictures *pictures, int64_t now_unix_ms) {
    struct fg_pictures *p = pictures;
    while (p->count && (p->bytes > p->quota || now_unix_ms - p->entry[p->first].unix_ms > p->age_ms))
        drop_oldest(p);
}

static int compare_entries(const void *a, const void *b) {
    const struct fg_picture_entry *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void note_file(struct fg_pictures *p, const char *file) {
    char path[FG_PICTURES_PATH];
    struct fg_picture_entry entry;
    const size_t length = strlen(file);
    if (length > 4 && !strcmp(file + length - 4, ".tmp")) { /* a power cut has left it */
        snprintf(path, sizeof path, "%s/%.255s", p->folder, file);
        unlink(path);
    } else if (p->count < FG_PICTURES_MOST && read_name(file, &entry)) {
        entry.bytes = measure_files(p, &entry);
        p->bytes += entry.bytes;
        p->entry[p->count++] = entry;
    }
}

enum fg_status fg_pictures_open(struct fg_pictures *pictures, struct fg_message *message) {
    struct fg_pictures *p = pictures;
    p->first = p->count = p->next = 0;
    p->bytes = 0;
    if (mkdir(p->folder, 0777) && errno != EEXIST)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot make this folder", p->folder);
    DIR *folder = opendir(p->folder);
    if (!folder)
        return fg_fail_errno(message, FG_ENVIRONMENT, errno, "%.300s: cannot read this folder", p->folder);
    for (struct dirent *file; (file = readdir(folder));)
        note_file(p, file->d_name);
    closedir(folder);
    qsort(p->entry, p->count, sizeof *p->entry, compare_entries);
    p->next = p->count ? p->entry[p->count - 1].sequence + 1 : 1;
    return FG_OK;
}

/* ---- The picture ---- */

/* Where a pixel of the region lies in what is seen of it. */
static size_t turn_pixel(const struct fg_frame *frame, struct fg_region r, int32_t x, int32_t y) {
    const size_t w = (size_t)r.width, h = (size_t)r.height, column = (size_t)x, row = (size_t)y;
    switch (frame->rotation) {
    case 90:
        return column * h + (h - 1 - row);
    case 180:
        return (h - 1 - row) * w + (w - 1 - column);
    case 270:
        return (w - 1 - column) * h + row;
    default:
        return row * w + column;
    }
}

/* Makes what the view saw: its region, decoded and rotated. */
static struct fg_image show_view(const struct fg_pictures *p, const struct fg_frame *frame) {
    const struct fg_region r = fg_region_of(frame->region, frame->width, frame->height);
    const struct fg_cpu_frame encoded = {.bytes = frame->pixels,
                                         .pitch = frame->pitch,
                                         .height = frame->height,
                                         .width = frame->width,
                                         .format = frame->format};
    struct fg_image image = {.pixels = p->rgb, .channels = fg_pixel_channels(frame->format)};
    const size_t channels = (size_t)image.channels;
    const int32_t begin = r.x & ~1, odd_end = r.x + r.width, even_end = odd_end + (odd_end & 1),
                  end = even_end < frame->width ? even_end : frame->width;
    fg_frame_seen(frame, &image.width, &image.height);
    for (int32_t y = 0; y < r.height; y++) {
        const uint8_t *row = frame->pixels + (size_t)(r.y + y) * frame->pitch + (size_t)r.x * channels;
        if (fg_cpu_is_encoded(frame->format)) {
            fg_cpu_decode_row(&encoded, r.y + y, begin, end, p->row);
            row = p->row + (size_t)(r.x - begin) * channels;
        }
        for (int32_t x = 0; x < r.width; x++)
            memcpy(p->rgb + turn_pixel(frame, r, x, y) * channels, row + (size_t)x * channels, channels);
    }
    return image;
}

/* ---- JSON ---- */

struct json {
    char text[JSON_BYTES];
    size_t length;
};

static void add_json(struct json *j, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_json(struct json *j, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(j->text + j->length, sizeof j->text - j->length, format, args);
    va_end(args);
    j->length += length > 0 ? (size_t)length : 0;
    j->length = j->length < sizeof j->text ? j->length : sizeof j->text - 1;
}

/* A name in quotes; what JSON would have to escape becomes "_", as other odd characters did in the bundle. */
static void add_name(struct json *j, const char *key, const char *name) {
    char clean[FG_BUNDLE_NAME_SIZE + 1];
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof clean; i++)
        clean[i] = name[i] < 0x20 || name[i] > 0x7e || name[i] == '"' || name[i] == '\\' ? '_' : name[i];
    clean[i] = 0;
    add_json(j, "\"%s\": \"%s\", ", key, clean);
}

static void add_number(struct json *j, const char *key, double value) {
    if (isfinite(value))
        add_json(j, "\"%s\": %.9g, ", key, value);
    else
        add_json(j, "\"%s\": null, ", key);
}

static void describe_picture(const struct fg_picture *picture, const struct fg_picture_entry *entry,
                             struct json *j) {
    const struct fg_view_result *r = &picture->result.view[picture->view];
    const struct fg_frame *frame = &picture->frame;
    const struct fg_region region = fg_region_of(frame->region, frame->width, frame->height);
    const bool has_score = r->verdict != FG_INOPERATIVE;
    char name[NAME], when[32];
    float low = 0, high = 0;
    write_name(entry, name);
    write_time(entry->unix_ms, when);
    j->length = 0;
    add_json(j,
             "{\"part\": %u, \"time\": \"%.4s-%.2s-%.5s:%.2s:%s\", \"unix_ms\": %lld, \"kept_as\": \"%s\", ",
             entry->part, when, when + 4, when + 6, when + 11, when + 13, (long long)entry->unix_ms,
             KINDS[entry->kind]);
    add_name(j, "verdict", fg_verdict_name(r->verdict));
    add_name(j, "reason", fg_reason_name(r->reason));
    add_number(j, "score", has_score ? (double)r->score : NAN);
    add_number(j, "threshold", (double)r->threshold);
    add_json(j, "\"doubtful\": %s, ", r->doubtful ? "true" : "false");
    add_name(j, "part_verdict", fg_verdict_name(picture->result.verdict));
    add_json(j, "\"view\": %u, ", picture->view);
    add_name(j, "view_name", picture->view_name);
    add_json(j, "\"slot\": %u, ", picture->result.slot);
    add_name(j, "bundle", picture->bundle);
    add_json(j, "\"checksum\": \"%08x\", ", picture->checksum);
    add_number(j, "scene", (double)r->scene);
    add_json(j, "\"box\": [%u, %u, %u, %u], \"area\": %u, ", r->x, r->y, r->w, r->h, r->area);
    add_json(j, "\"frame\": [%d, %d], \"format\": \"%s\", \"region\": [%d, %d, %d, %d], \"rotation\": %d, ",
             frame->width, frame->height, fg_pixel_name(frame->format), region.x, region.y, region.width,
             region.height, frame->rotation);
    if (picture->map) {
        fg_map_range(picture->map, picture->map_height, picture->map_width, &low, &high);
        add_json(j, "\"map\": \"%s%s\", ", name, ENDINGS[1]);
        add_number(j, "map_low", (double)low);
        add_number(j, "map_high", (double)high);
    }
    add_json(j, "\"picture\": \"%s%s\"}\n", name, ENDINGS[0]);
}

static enum fg_status write_json(const char *path, const struct json *j, struct fg_message *message) {
    struct fg_file file;
    enum fg_status status = fg_file_create(&file, path, message);
    if (status != FG_OK)
        return status;
    status = fg_file_write(&file, j->text, j->length, message);
    if (status == FG_OK)
        return fg_file_commit(&file, message);
    fg_file_abandon(&file);
    return status;
}

static enum kind find_kind(const struct fg_picture *picture) {
    const struct fg_view_result *r = &picture->result.view[picture->view];
    return picture->asked ? ASKED : r->verdict == FG_DEFECT ? DEFECT : r->doubtful ? DOUBTFUL : GOOD;
}

enum fg_status fg_pictures_write(struct fg_pictures *pictures, const struct fg_picture *picture,
                                 struct fg_message *message) {
    struct fg_pictures *p = pictures;
    struct fg_picture_entry entry = {.sequence = p->next,
                                     .part = picture->result.id,
                                     .unix_ms = picture->result.trigger_unix_ms,
                                     .view = (uint8_t)picture->view,
                                     .kind = (uint8_t)find_kind(picture)};
    static struct json json; /* large for a stack; one thread writes pictures */
    char path[FG_PICTURES_PATH];
    const struct fg_image image = show_view(p, &picture->frame);
    describe_picture(picture, &entry, &json);
    write_path(p, &entry, 0, path);
    enum fg_status status = fg_image_write_png_in(&p->encoder, path, &image, message);
    write_path(p, &entry, 1, path);
    if (status == FG_OK && picture->map)
        status = fg_map_write_png_in(&p->encoder, path, picture->map, picture->map_height, picture->map_width,
                                     message);
    write_path(p, &entry, 2, path);
    if (status == FG_OK)
        status = write_json(path, &json, message);
    if (status != FG_OK) {
        delete_files(p, &entry);
        return status;
    }
    if (p->count == FG_PICTURES_MOST)
        drop_oldest(p);
    entry.bytes = measure_files(p, &entry);
    p->entry[(p->first + p->count++) % FG_PICTURES_MOST] = entry;
    p->bytes += entry.bytes;
    p->next++;
    return FG_OK;
}
