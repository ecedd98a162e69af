/* Opens a safetensors file, checks that its tensors fill it, and finds them by name. */
#include "runtime/weights/safetensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/bytes.h"
#include "runtime/weights/safetensors_file.h"

#define MOST_HEADER_BYTES ((uint64_t)4 * 1024 * 1024)

static int compare_names(const void *a, const void *b) {
    const struct fg_safetensors_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_offsets(const void *a, const void *b) {
    const struct fg_safetensors_tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Tensors must lie side by side from the header's end to the file's end, and no name may come twice. */
static enum fg_status check_layout(struct fg_safetensors *file, uint64_t data, uint64_t size,
                                   struct fg_message *message) {
    if (!file->tensors)
        return fg_fail(message, FG_INPUT, "%.300s: no tensor is in it", file->path);
    qsort(file->tensor, file->tensors, sizeof *file->tensor, compare_offsets);
    uint64_t at = data;
    for (uint32_t i = 0; i < file->tensors; i++) {
        struct fg_safetensors_tensor *t = &file->tensor[i];
        if (t->offset != at - data || t->bytes > size - at)
            return fg_fail(message, FG_INPUT,
                           "%.300s: %s: %llu bytes at %llu of the data, but it must begin at %llu and end "
                           "within the data's %llu bytes",
                           file->path, t->name, (unsigned long long)t->bytes, (unsigned long long)t->offset,
                           (unsigned long long)(at - data), (unsigned long long)(size - data));
        t->offset = at;
        at += t->bytes;
    }
    if (at != size)
        return fg_fail(message, FG_INPUT, "%.300s: %llu bytes behind the last tensor", file->path,
                       (unsigned long long)(size - at));
    qsort(file->tensor, file->tensors, sizeof *file->tensor, compare_names);
    for (uint32_t i = 1; i < file->tensors; i++)
        if (!strcmp(file->tensor[i - 1].name, file->tensor[i].name))
            return fg_fail(message, FG_INPUT, "%.300s: %s is there twice", file->path, file->tensor[i].name);
    return FG_OK;
}

/* Says why a file cannot be safetensors, and how to convert a PyTorch file. */
static enum fg_status refuse_start(const struct fg_safetensors *file, const unsigned char *start,
                                   struct fg_message *message) {
    if (!memcmp(start, "PK\003\004", 4) || (start[0] == 0x80 && start[1] < 6))
        return fg_fail(message, FG_INPUT,
                       "%.100s: a PyTorch file, not safetensors. Convert it: python3 -c \"import torch, "
                       "safetensors.torch as s; s.save_file(torch.load('%.100s', map_location='cpu'), "
                       "'teacher.safetensors')\"",
                       file->path, file->path);
    return fg_fail(message, FG_INPUT, "%.300s: not a safetensors file", file->path);
}

static enum fg_status read_header(struct fg_safetensors *file, struct fg_message *message) {
    struct stat info;
    file->stream = fopen(file->path, "rb");
    if (!file->stream || fstat(fileno(file->stream), &info))
        return fg_fail_errno(message, FG_INPUT, errno, "%.300s: cannot open", file->path);
    const uint64_t size = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    unsigned char start[8];
    if (size < sizeof start || fread(start, sizeof start, 1, file->stream) != 1)
        return fg_fail(message, FG_INPUT, "%.300s: not a safetensors file", file->path);
    const uint64_t length = fg_get_u64(start);
    if (length < 2 || length > MOST_HEADER_BYTES || length > size - sizeof start)
        return refuse_start(file, start, message);
    char *header = malloc((size_t)length);
    if (!header)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for its header", file->path);
    enum fg_status status = fread(header, (size_t)length, 1, file->stream) == 1
                                ? fg_safetensors_parse(file, header, (size_t)length, message)
                                : fg_fail(message, FG_INPUT, "%.300s: cannot read its header", file->path);
    free(header);
    return status == FG_OK ? check_layout(file, sizeof start + length, size, message) : status;
}

enum fg_status fg_safetensors_open(const char *path, struct fg_safetensors **file,
                                   struct fg_message *message) {
    struct fg_safetensors *f = calloc(1, sizeof *f);
    if (!f)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory to open it", path);
    enum fg_status status = FG_OK;
    if ((size_t)snprintf(f->path, sizeof f->path, "%s", path) >= sizeof f->path)
        status = fg_fail(message, FG_USAGE, "%.100s...: the path is too long", path);
    if (status == FG_OK)
        status = read_header(f, message);
    if (status == FG_OK)
        *file = f;
    else
        fg_safetensors_close(f);
    return status;
}

void fg_safetensors_close(struct fg_safetensors *file) {
    if (!file)
        return;
    if (file->stream)
        fclose(file->stream);
    free(file->tensor);
    free(file);
}

uint32_t fg_safetensors_count(const struct fg_safetensors *file) {
    return file->tensors;
}

const struct fg_safetensors_tensor *fg_safetensors_tensor(const struct fg_safetensors *file, uint32_t i) {
    return &file->tensor[i];
}

const struct fg_safetensors_tensor *fg_safetensors_find(const struct fg_safetensors *file, const char *name) {
    struct fg_safetensors_tensor key;
    if ((size_t)snprintf(key.name, sizeof key.name, "%s", name) >= sizeof key.name)
        return NULL;
    return bsearch(&key, file->tensor, file->tensors, sizeof key, compare_names);
}
