/* Lists folders of pictures, pairs defective pictures with their masks, and reads masks. */
#include "trainer/data/files.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/image/image.h"

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists the paths of a folder's entries for which take says yes, sorted. */
static enum fg_status list_entries(struct fg_paths *paths, const char *folder, bool (*take)(const char *path),
                                   struct fg_message *message) {
    memset(paths, 0, sizeof *paths);
    DIR *dir = opendir(folder);
    if (!dir)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot read the folder", folder);
    enum fg_status status = FG_OK;
    uint32_t room = 0;
    for (struct dirent *entry; status == FG_OK && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = NULL;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0)
            status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to list the folder", folder);
        else if (!take(path))
            free(path);
        else if (paths->count == room) {
            room = room ? 2 * room : 64;
            char **grown = realloc(paths->path, room * sizeof *grown);
            if (grown) {
                paths->path = grown;
                paths->path[paths->count++] = path;
            } else {
                free(path);
                status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to list the folder", folder);
            }
        } else {
            paths->path[paths->count++] = path;
        }
    }
    closedir(dir);
    if (status != FG_OK)
        fg_paths_free(paths);
    else if (paths->count)
        qsort(paths->path, paths->count, sizeof *paths->path, compare_names);
    return status;
}

static bool is_folder(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

enum fg_status fg_paths_list(struct fg_paths *paths, const char *folder, struct fg_message *message) {
    return list_entries(paths, folder, fg_image_name, message);
}

void fg_paths_free(struct fg_paths *paths) {
    for (uint32_t i = 0; i < paths->count; i++)
        free(paths->path[i]);
    free(paths->path);
    memset(paths, 0, sizeof *paths);
}

/* Names the mask DIR/ground_truth/DEFECT/NAME_mask.png of DIR/test/DEFECT/NAME.png, which must be there. */
static enum fg_status find_mask(struct fg_test_picture *picture, const char *folder,
                                struct fg_message *message) {
    const char *name = strrchr(picture->path, '/') + 1, *dot = strrchr(name, '.');
    if (asprintf(&picture->mask, "%s/ground_truth/%s/%.*s_mask.png", folder, picture->defect,
                 (int)(dot - name), name) < 0) {
        picture->mask = NULL;
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory", folder);
    }
    struct stat info;
    if (stat(picture->mask, &info))
        return fg_fail(message, FG_INPUT, "%.300s: the mask of a defective picture is missing",
                       picture->mask);
    return FG_OK;
}

/* Says whether a category has a folder ground_truth: then each defective picture needs a mask. */
static bool has_masks(const char *folder) {
    char path[4096];
    struct stat info;
    return (size_t)snprintf(path, sizeof path, "%s/ground_truth", folder) < sizeof path && !stat(path, &info);
}

static enum fg_status add_defect(struct fg_test_set *set, const char *folder, const char *test,
                                 struct fg_message *message) {
    const char *defect = strrchr(test, '/') + 1;
    if (strlen(defect) >= FG_NAME_SIZE)
        return fg_fail(message, FG_INPUT, "%.300s: the defect's name is longer than %d characters", test,
                       FG_NAME_SIZE - 1);
    struct fg_paths paths;
    enum fg_status status = fg_paths_list(&paths, test, message);
    if (status != FG_OK)
        return status;
    struct fg_test_picture *grown =
        realloc(set->picture, (set->count + paths.count + 1) * sizeof *set->picture);
    if (!grown)
        status = fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory", folder);
    else
        set->picture = grown;
    const bool masked = strcmp(defect, "good") && has_masks(folder);
    for (uint32_t i = 0; i < paths.count && status == FG_OK; i++) {
        struct fg_test_picture *picture = &set->picture[set->count++];
        memset(picture, 0, sizeof *picture);
        picture->path = paths.path[i];
        paths.path[i] = NULL;
        snprintf(picture->defect, sizeof picture->defect, "%s", defect);
        if (masked)
            status = find_mask(picture, folder, message);
    }
    fg_paths_free(&paths);
    return status;
}

bool fg_test_set_exists(const char *folder) {
    char test[4096];
    return (size_t)snprintf(test, sizeof test, "%s/test", folder) < sizeof test && is_folder(test);
}

enum fg_status fg_test_set_open(struct fg_test_set *set, const char *folder, struct fg_message *message) {
    memset(set, 0, sizeof *set);
    char test[4096];
    if ((size_t)snprintf(test, sizeof test, "%s/test", folder) >= sizeof test)
        return fg_fail(message, FG_USAGE, "%.100s...: the path is too long", folder);
    struct fg_paths defects;
    enum fg_status status = list_entries(&defects, test, is_folder, message);
    for (uint32_t i = 0; status == FG_OK && i < defects.count; i++)
        status = add_defect(set, folder, defects.path[i], message);
    fg_paths_free(&defects);
    if (status == FG_OK && !set->count)
        status = fg_fail(message, FG_INPUT, "%.300s: no pictures in test/", folder);
    if (status != FG_OK)
        fg_test_set_close(set);
    return status;
}

void fg_test_set_close(struct fg_test_set *set) {
    for (uint32_t i = 0; i < set->count; i++) {
        free(set->picture[i].path);
        free(set->picture[i].mask);
    }
    free(set->picture);
    memset(set, 0, sizeof *set);
}

enum fg_status fg_mask_read(const char *path, int32_t height, int32_t width, uint8_t *mask,
                            struct fg_message *message) {
    struct fg_image image;
    enum fg_status status = fg_image_read(path, &image, message);
    if (status != FG_OK)
        return status;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++) {
            const int64_t from_y = (2 * (int64_t)y + 1) * image.height / (2 * (int64_t)height);
            const int64_t from_x = (2 * (int64_t)x + 1) * image.width / (2 * (int64_t)width);
            mask[(size_t)y * (size_t)width + (size_t)x] =
                image.pixels[(from_y * image.width + from_x) * image.channels] > 127;
        }
    fg_image_free(&image);
    return FG_OK;
}

enum fg_status fg_file_hash(const char *path, uint8_t hash[FG_HASH_SIZE], struct fg_message *message) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", path);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, FG_HASH_SIZE);
    unsigned char block[65536];
    size_t read;
    while ((read = fread(block, 1, sizeof block, file)) > 0)
        crypto_generichash_update(&state, block, read);
    crypto_generichash_final(&state, hash, FG_HASH_SIZE);
    const bool whole = !ferror(file);
    fclose(file);
    return whole ? FG_OK : fg_fail(message, FG_INPUT, "%.300s: cannot be read to its end", path);
}
