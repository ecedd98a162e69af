/* The file of measured choices: a line that says what it is, a line of facts, a line with the length and
 * checksum of what follows; then for each choice its description, APART or nothing, and its plan's text. Any
 * doubt means that there is no file. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/host/context.h"
#include "runtime/base/file.h"

#define MAGIC "flawgate choices 2" /* another number when more is asked of an engine */
#define APART "ReLU apart"
#define MOST_BYTES ((size_t)64 << 20)

struct fg_cuda_kept {
    size_t size;
    char text[]; /* the choices, and a zero behind each line and text */
};

/* FNV-1a; against damage, not against malice. Goes on from the hash of what comes before. */
#define NOTHING 0xcbf29ce484222325u
static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

uint64_t fg_cuda_kept_key(const struct fg_cuda_choice *choice, uint32_t choices) {
    uint64_t hash = NOTHING;
    for (uint32_t i = 0; i < choices; i++)
        hash = hash_bytes(hash, choice[i].text, strlen(choice[i].text) + 1);
    return hash;
}

/* Reads the next line of a file, without its end; false at the end of the file or where it is longer. */
static bool read_line(FILE *file, char *line, size_t size) {
    if (!fgets(line, (int)size, file))
        return false;
    char *end = strchr(line, '\n');
    if (end)
        *end = 0;
    return end != NULL;
}

struct fg_cuda_kept *fg_cuda_kept_read(const char *path, const char *facts) {
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char line[512];
    size_t size = 0;
    uint64_t sum = 0;
    struct fg_cuda_kept *kept = NULL;
    if (read_line(file, line, sizeof line) && !strcmp(line, MAGIC) && read_line(file, line, sizeof line) &&
        !strcmp(line, facts) && read_line(file, line, sizeof line) &&
        sscanf(line, "%zu %" SCNx64, &size, &sum) == 2 && size <= MOST_BYTES)
        kept = calloc(1, sizeof *kept + size + 1);
    if (kept) {
        kept->size = size;
        if (fread(kept->text, 1, size + 1, file) != size || hash_bytes(NOTHING, kept->text, size) != sum) {
            free(kept);
            kept = NULL;
        }
    }
    fclose(file);
    return kept;
}

/* Finds the string behind this one; the end where there is none. */
static const char *find_next(const char *at, const char *end) {
    return at < end ? at + strlen(at) + 1 : end;
}

const char *fg_cuda_kept_find(const struct fg_cuda_kept *kept, const char *text, bool *relu_apart) {
    const char *at = kept ? kept->text : NULL, *end = kept ? kept->text + kept->size : NULL;
    while (at < end) {
        const char *form = find_next(at, end), *plan = find_next(form, end);
        if (plan < end && !strcmp(at, text)) {
            *relu_apart = !strcmp(form, APART);
            return plan;
        }
        at = find_next(plan, end);
    }
    return NULL;
}

void fg_cuda_kept_free(struct fg_cuda_kept *kept) {
    free(kept);
}

/* Appends a string and its zero. */
static bool append_text(char **bytes, size_t *size, const char *text) {
    const size_t more = strlen(text) + 1;
    char *larger = realloc(*bytes, *size + more);
    if (!larger)
        return false;
    memcpy(larger + *size, text, more);
    *bytes = larger;
    *size += more;
    return true;
}

void fg_cuda_kept_write(const char *path, const char *facts, const struct fg_cuda_choice *choice,
                        uint32_t choices) {
    char *bytes = NULL;
    size_t size = 0;
    for (uint32_t i = 0; i < choices; i++) {
        char *plan = NULL;
        if (!choice[i].plan.plan)
            continue;
        const bool there = fg_cudnn_plan_write(&choice[i].plan, &plan, NULL) == FG_OK &&
                           append_text(&bytes, &size, choice[i].text) &&
                           append_text(&bytes, &size, choice[i].relu_apart ? APART : "") &&
                           append_text(&bytes, &size, plan);
        free(plan);
        if (!there)
            goto out;
    }
    if (size > MOST_BYTES)
        goto out;
    char head[1024];
    const int length = snprintf(head, sizeof head, MAGIC "\n%s\n%zu %016" PRIx64 "\n", facts, size,
                                hash_bytes(NOTHING, bytes, size));
    struct fg_file file;
    if (fg_file_create(&file, path, NULL) != FG_OK)
        goto out;
    if (fg_file_write(&file, head, (size_t)length, NULL) == FG_OK &&
        fg_file_write(&file, bytes, size, NULL) == FG_OK)
        fg_ignore(fg_file_commit(&file, NULL)); /* without the file engines are measured again */
    else
        fg_file_abandon(&file);
out:
    free(bytes);
}
