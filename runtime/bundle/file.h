/* What the bundle's own files share: the open bundle, its fields, reading at a place. Others use bundle.h.
 *
 * Errors: FG_INPUT for the file, FG_ENVIRONMENT for memory, FG_USAGE for a header that cannot be written;
 * messages name the file or the field. Owner: as bundle.h says. Thread: one opens or writes a bundle; any
 * reads an open one. NULL: only a message may be. */
#ifndef FG_RUNTIME_BUNDLE_FILE_H
#define FG_RUNTIME_BUNDLE_FILE_H

#include "runtime/bundle/format.h"

enum { FG_SELF_TEST_INPUT, FG_SELF_TEST_MAP, FG_SELF_TESTS };

struct fg_bundle {
    char path[4096];
    int descriptor;
    uint32_t checksum;
    uint8_t key_id[8]; /* zeros when unsigned */
    struct fg_bundle_header header;
    struct fg_network network;
    struct fg_bundle_tensor tensor[FG_NETWORK_PARAMS]; /* in the order of the file */
    uint32_t tensors;
    struct fg_bundle_tensor
        self_test[FG_SELF_TESTS]; /* param is not used; stored is 0 where there is no self-test */
};

/* Gives the tensor that self-test stream i holds: {1, height, width, 3} u8, {1, height, width, 1} float32. */
struct fg_tensor fg_bundle_self_test_tensor(const struct fg_network_spec *spec, int i);

/* Opens and checks the bundle that a descriptor holds, and takes the descriptor over, which a failure
 * closes. path names it in messages. */
FG_MUST_USE enum fg_status fg_bundle_take(int descriptor, const char *path, struct fg_bundle **bundle,
                                          struct fg_message *message);

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
