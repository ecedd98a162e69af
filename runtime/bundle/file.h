/* What the bundle's own files share: the open bundle, its fields, reading at a place. Others use bundle.h.
 *
 * Errors: FG_INPUT for the file, FG_ENVIRONMENT for memory, FG_USAGE for a header that cannot be written;
 * messages name the file or the field. Owner: as bundle.h says. Thread: one opens or writes a bundle; any
 * reads an open one. NULL: only a message may be. */
#ifndef FG_RUNTIME_BUNDLE_FILE_H
#define FG_RUNTIME_BUNDLE_FILE_H

#include "runtime/bundle/format.h"

/* The entries of the table that are not the network's parameters: what int8 weights need, and behind it a
 * calibrated bundle's evidence. */
enum fg_annex {
    FG_ANNEX_WEIGHT_SCALE,
    FG_ANNEX_INPUT_SCALE,
    FG_ANNEX_INPUT_ZERO,
    FG_ANNEX_EVIDENCE,
    FG_ANNEX_GOOD = FG_ANNEX_EVIDENCE,
    FG_ANNEX_SCENE_MEAN,
    FG_ANNEX_SCENE_SCALE,
    FG_ANNEX_PLACE_MEAN,
    FG_ANNEX_PLACE_SCALE,
    FG_ANNEX_INPUT,
    FG_ANNEX_MAP,
    FG_ANNEXES
};

struct fg_bundle {
    char path[4096];
    int descriptor;
    uint32_t checksum;
    uint8_t key_id[8]; /* zeros when unsigned */
    struct fg_bundle_header header;
    struct fg_network network;
    struct fg_bundle_tensor tensor[FG_NETWORK_PARAMS]; /* in the order of the file */
    uint32_t tensors;
    uint32_t quantised, channels; /* tensors that are int8, and output channels of all of them */
    float *scale;                 /* {channels}: what the tensors' scale points into; NULL: none is int8 */
    struct fg_reading reading[FG_NETWORK_PARAMS]; /* of the inputs of int8 weights, by parameter */
    struct fg_bundle_tensor annex[FG_ANNEXES];    /* param is not used; stored is 0 where there is none */
};

/* Gives the name of an annex, and the tensor that it must hold under a header of the bundle's network; n is
 * 0 where there is no such entry. */
const char *fg_annex_name(enum fg_annex annex);
struct fg_tensor fg_annex_tensor(const struct fg_bundle *bundle, const struct fg_bundle_header *header,
                                 enum fg_annex annex);

/* Opens and checks the bundle that a descriptor holds, and takes the descriptor over, which a failure
 * closes. path names it in messages. */
FG_MUST_USE enum fg_status fg_bundle_take(int descriptor, const char *path, struct fg_bundle **bundle,
                                          struct fg_message *message);

/* Reads the annexes of int8 weights and checks them: each int8 tensor gets its scale and reading. */
FG_MUST_USE enum fg_status fg_bundle_load_int8(struct fg_bundle *bundle, struct fg_message *message);

/* Reads an annex that the bundle has. values: {fg_annex_tensor}, bytes or, where it is of floats, float32;
 * NULL: they are not wanted. */
FG_MUST_USE enum fg_status fg_annex_read(const struct fg_bundle *bundle, enum fg_annex annex, void *values,
                                         void *scratch, struct fg_message *message);

/* Reads exactly size bytes at a place of the file. */
FG_MUST_USE enum fg_status fg_bundle_read(const struct fg_bundle *bundle, uint64_t offset, void *bytes,
                                          size_t size, struct fg_message *message);

/* Encodes a header as fields, at most FG_BUNDLE_FIELD_BYTES. FG_USAGE for a value that the format refuses. */
FG_MUST_USE enum fg_status fg_bundle_fields_write(const struct fg_bundle_header *header, unsigned char *bytes,
                                                  size_t *size, struct fg_message *message);
/* Decodes and bounds every field; the network says whether they fit together. FG_INPUT names the field. */
FG_MUST_USE enum fg_status fg_bundle_fields_read(const unsigned char *bytes, size_t size,
                                                 struct fg_bundle_header *header, struct fg_message *message);

/* Hashes (BLAKE2b-256) the head up to its own hash, then fields and table. bytes: head, fields, table. */
void fg_bundle_hash(const unsigned char *bytes, size_t size, uint8_t hash[FG_HASH_SIZE]);

#endif
