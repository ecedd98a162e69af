/* The bundle NAME.fgb: one file with everything that a line needs to judge a part.
 *
 * Layout: magic "FGB1" + version; header = typed, length-prefixed fields, each with a must-understand bit; a
 * table of tensors; the tensors, each its own zlib stream. Batch norm is folded into the convolutions;
 * nothing else is composed. The exact format is described in runtime/bundle/format.h. Every field is bounded
 * before it is used: the file is hostile until magic, version, counts, sizes, offsets, duplicates and hashes
 * have been checked, in that order. */
#ifndef FG_RUNTIME_BUNDLE_BUNDLE_H
#define FG_RUNTIME_BUNDLE_BUNDLE_H

#include "runtime/network/network.h"

#define FG_TEXT_SIZE 128
#define FG_HASH_SIZE 32 /* BLAKE2b-256 */
#define FG_BUNDLE_ENDING ".fgb"

/* What a camera or a picture file must be. */
struct fg_contract {
    int32_t width,
        height; /* of the region in the source's pixels; 0 when the training pictures differed in size */
    int32_t channels; /* 1 grey, 3 colour; 0 when the training pictures had both */
    char format[16];  /* "grey8", "rgb8": the source format */
};

/* How the threshold was found: threshold = max(tail, largest). */
struct fg_calibration {
    float threshold;               /* score above it is DEFECT */
    float tail_quantile;           /* log-normal tail quantile at false_rejects */
    float largest_score;           /* largest held-out score */
    float log_mean, log_deviation; /* of the log scores */
    float false_rejects;           /* the rate asked for */
    float rate_bound;              /* 95 % upper bound that the count supports: 3/n when none exceeds */
    uint32_t pictures;             /* held-out pictures scored */
};

/* Where it comes from. */
struct fg_provenance {
    uint8_t data_hash[FG_HASH_SIZE]; /* BLAKE2b over the good pictures' sorted names and contents */
    uint32_t train_pictures, held_out_pictures;
    uint32_t epochs, best_epoch, batch;
    float learning_rate, l2, mask_rate;
    bool global_loss;
    uint64_t seed;
    uint64_t unix_time;                  /* seconds */
    float held_out_loss;                 /* of the best epoch */
    uint32_t test_pictures;              /* of the category's test set, 0: it had none, or was not judged; */
    float image_auroc, pixel_auroc, pro; /* of them (network.h, section 8), 0 to 1; -1 where undefined */
    char program[FG_TEXT_SIZE];          /* "flawgate-train 0.1" */
    char name[FG_NAME_SIZE];             /* the bundle's name: 64 ASCII bytes of the Modbus map */
};

struct fg_bundle_header {
    struct fg_network_spec spec;
    struct fg_contract contract;
    bool calibrated; /* false: only the trainer opens it */
    struct fg_calibration calibration;
    struct fg_provenance provenance;
    char compatible[FG_TEXT_SIZE]; /* which appliances may take it; empty: any */
    uint32_t security_counter;
    /* Self-test: one input (H x W x 3 bytes, as RESIZE makes it) and what it must give. Absent until
     * calibrated. */
    float self_test_score;
};

struct fg_bundle_tensor {
    uint32_t param;             /* index in the network's list */
    enum fg_dtype dtype;        /* as stored: FG_F16, or FG_F32 where float16 cannot hold it */
    uint64_t offset, stored;    /* of its stream in the file */
    uint8_t hash[FG_HASH_SIZE]; /* BLAKE2b-256 of the stream */
};

struct fg_bundle;

/* Opens and checks header and table (not yet the streams' hashes). FG_INPUT says what is wrong and where. The
 * header and table live as long as the bundle. */
FG_MUST_USE enum fg_status fg_bundle_open(const char *path, struct fg_bundle **bundle,
                                          struct fg_message *message);
void fg_bundle_close(struct fg_bundle *bundle);

const struct fg_bundle_header *fg_bundle_header(const struct fg_bundle *bundle);
const struct fg_network *fg_bundle_network(const struct fg_bundle *bundle);
uint32_t fg_bundle_tensors(const struct fg_bundle *bundle);
const struct fg_bundle_tensor *fg_bundle_tensor(const struct fg_bundle *bundle, uint32_t i);
/* CRC-32 over header and table: the Modbus map's bundle checksum. */
uint32_t fg_bundle_checksum(const struct fg_bundle *bundle);
const char *fg_bundle_path(const struct fg_bundle *bundle);
/* The 8 bytes that name the key which has signed it, or NULL when it is unsigned. Not a verified signature.
 */
const uint8_t *fg_bundle_key_id(const struct fg_bundle *bundle);

/* Scratch that one call of fg_bundle_load or fg_bundle_send needs: inflate state and window, the compressed
 * chunk, a block shuffled and a block of values. */
size_t fg_bundle_scratch(void);

/* Inflates tensor i to float32 in NHWC order at values (fg_param_tensor's count), checking hash and exact
 * length. Takes no memory but scratch; several threads may load different tensors at once. */
FG_MUST_USE enum fg_status fg_bundle_load(const struct fg_bundle *bundle, uint32_t i, float *values,
                                          void *scratch, struct fg_message *message);

/* Where a tensor's values go, a block after the other: count of them, of a type, from position at. */
struct fg_bundle_sink {
    enum fg_dtype dtype; /* FG_F32 or FG_F16 */
    FG_MUST_USE enum fg_status (*put)(void *argument, size_t at, size_t count, const void *values,
                                      struct fg_message *message);
    void *argument;
    int64_t *read_ns; /* grows by what reading and checking took, the rest is inflating; NULL: nobody asks */
};

/* Like fg_bundle_load, into a sink. FG_INPUT, naming the tensor, also where a value is too large for float16.
 */
FG_MUST_USE enum fg_status fg_bundle_send(const struct fg_bundle *bundle, uint32_t i,
                                          const struct fg_bundle_sink *sink, void *scratch,
                                          struct fg_message *message);

/* The self-test's input and expected map (height * width float32), inflated like a tensor; input or map may
 * be NULL. */
FG_MUST_USE enum fg_status fg_bundle_self_test(const struct fg_bundle *bundle, uint8_t *input, float *map,
                                               void *scratch, struct fg_message *message);

/* Writes a bundle: header, tensors (float32 NHWC, by parameter index, NULL where not folded), and, when the
 * header says calibrated, the self-test's input and map. Atomic: PATH.tmp, fsync, rename. */
FG_MUST_USE enum fg_status fg_bundle_write(const char *path, const struct fg_bundle_header *header,
                                           const float *const *values, const uint8_t *self_test_input,
                                           const float *self_test_map, struct fg_message *message);

/* Writes the same tensors (streams copied as they are) under a new header, of the same network, and
 * self-test: what calibration does. Without a new self-test (NULL, NULL) a calibrated bundle keeps its own.
 * path may be the bundle's own. */
FG_MUST_USE enum fg_status fg_bundle_rewrite(const struct fg_bundle *bundle, const char *path,
                                             const struct fg_bundle_header *header,
                                             const uint8_t *self_test_input, const float *self_test_map,
                                             struct fg_message *message);

/* What reading all of a bundle has shown, fact by fact. */
struct fg_bundle_facts {
    bool header;       /* format, the header's checksum and the list of tensors are right */
    uint32_t streams;  /* weights and self-test; known when header is true, as is all below */
    uint32_t damaged;  /* of them: checksum, compression or length is wrong */
    uint32_t infinite; /* of them: with a value that is not finite, so that no part can pass */
    bool calibrated;
    bool has_signature; /* not checked here */
};

/* Reads and decodes every byte; takes memory for the largest tensor. FG_INPUT, with the first damage in the
 * message, unless all is intact; facts are filled in either case. */
FG_MUST_USE enum fg_status fg_bundle_verify(const char *path, struct fg_bundle_facts *facts,
                                            struct fg_message *message);

#endif
