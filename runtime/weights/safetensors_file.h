/* What reading and loading share. Others use safetensors.h. */
#ifndef FG_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H
#define FG_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H

#include <stdio.h>

#include "runtime/weights/safetensors.h"

struct fg_safetensors {
    char path[4096];
    FILE *stream;
    struct fg_safetensors_tensor *tensor; /* sorted by name */
    uint32_t tensors;
};

/* Parses a header of size bytes into file's list, in the order of the header; offsets are still relative to
 * the header's end and unchecked against each other. */
FG_MUST_USE enum fg_status fg_safetensors_parse(struct fg_safetensors *file, const char *header, size_t size,
                                                struct fg_message *message);

#endif
