/* What opening, parsing and loading share: an open safetensors file. Others use safetensors.h.
 *
 * Errors: FG_INPUT for a wrong header, FG_ENVIRONMENT for memory; messages name the path and the byte. Owner:
 * fg_safetensors_close frees the list, after a failure too. Thread: one at a time for one file. NULL: only a
 * message may be. */
#ifndef FG_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H
#define FG_RUNTIME_WEIGHTS_SAFETENSORS_FILE_H

#include <stdio.h>

#include "runtime/weights/safetensors.h"

/* Begins the names of the teacher's parameters in a network's file; a teacher's own file leaves it out. */
#define FG_SAFETENSORS_PREFIX "teacher."

struct fg_safetensors {
    char path[4096];
    FILE *stream;                         /* NULL before it is open */
    struct fg_safetensors_tensor *tensor; /* the list of tensors, by name once it is checked */
    uint32_t tensors;
};

/* Parses a header of size bytes into the file's list, in the order of the header. Offsets still count from
 * the header's end, and are not yet checked against each other. */
FG_MUST_USE enum fg_status fg_safetensors_parse(struct fg_safetensors *file, const char *header, size_t size,
                                                struct fg_message *message);

#endif
