/* The bundle NAME.fgb: one file with everything that a line needs to judge a part.
 *
 * It has a header of fields, a table of tensors, and the tensors, each in a zlib stream of its own; every
 * batch norm is folded into its convolution. runtime/bundle/format.h has the exact bytes. A file is hostile
 * until magic, version, counts, sizes, offsets, duplicates and hashes have been checked, in that order.
 *
 * Errors: FG_INPUT for a file that is damaged or hostile, FG_ENVIRONMENT for this machine's memory and disk;
 * messages name the file, and the tensor. Owner: who opens or makes a bundle closes it; what the getters give
 * lives as long as it. Thread: any, since an open bundle does not change. NULL: a message, and what its
 * function says. */
#ifndef FG_RUNTIME_BUNDLE_BUNDLE_H
#define FG_RUNTIME_BUNDLE_BUNDLE_H

#include "runtime/network/reading.h"

#define FG_TEXT_SIZE 128
#define FG_HASH_SIZE 32 /* BLAKE2b-256 */
#define FG_GOOD_HASH 16
#define FG_BUNDLE_ENDING ".fgb"

/* What a view's pictures, or a picture file, must be like. */
struct fg_contract {
    int32_t width, height; /* pixels; both 0: the training pictures differed in size */
    int32_t channels;      /* 1 grey, 3 colour; 0: the training pictures were of both kinds */
    char format[16];       /* the pictures' format as fg_pixel_name calls it; "any8" where channels is 0 */
};

/* Whether training saw a good picture. The numbers stand in the file. */
enum fg_good_group {
    FG_GOOD_TRAINING, /* training learned from it */
    FG_GOOD_HELD_OUT, /* training held it out to set the threshold */
    FG_GOOD_ADDED,    /* calibration added it later */
    FG_GOOD_GROUPS
};

/* A good picture that the threshold was found with. */
struct fg_good {
    enum fg_good_group group;
    float score;
    uint8_t hash[FG_GOOD_HASH]; /* the first bytes of the BLAKE2b-256 of its file */
};

/* The distribution whose tail gave the threshold. The numbers stand in the file. */
enum fg_tail_family { FG_TAIL_LOG_NORMAL, FG_TAIL_GUMBEL, FG_TAIL_FAMILIES };

/* How the threshold was found: trainer/bundle/decision.h has the rule. Rates are 0 to 1. */
struct fg_calibration {
    float threshold;            /* a part with a higher score is DEFECT */
    float doubtful;             /* a part with a higher score that is no DEFECT is doubtful */
    enum fg_tail_family family; /* the family that was likelier */
    float location, spread;     /* of unseen and of all scores; of their logarithms where log-normal */
    float false_rejects;        /* the rate that was asked for */
    float expected;             /* the rate that the threshold stands for */
    float bound;                /* the rate is below it with 95 % confidence, by unseen pictures alone */
    uint32_t pictures, odd;     /* good pictures that counted, and that were left out as odd */
    uint32_t unseen, rejected;  /* pictures that training did not see, and those above the threshold */
    /* By how many times the usual unevenness of a good part something must stand out to be found: at half of
     * all places of unseen pictures, and at nine of ten; 0: not known. */
    float bump, bump_anywhere;
};

/* Where the bundle comes from. */
struct fg_provenance {
    uint8_t data_hash[FG_HASH_SIZE]; /* BLAKE2b-256 over the good pictures' sorted names and contents */
    uint32_t train_pictures, held_out_pictures;
    uint32_t epochs, best_epoch, batch;
    float learning_rate, l2, mask_rate;
    bool global_loss;
    uint64_t seed;
    uint64_t unix_time;     /* seconds since 1970 */
    float held_out_loss;    /* the best epoch's loss */
    uint32_t test_pictures; /* pictures of the test set that were judged; 0: there was none */
    /* Figures of the test set (trainer/evaluate/metrics.h), 0 to 1; -1: there is none. */
    float image_auroc, pixel_auroc, pro;
    char program[FG_TEXT_SIZE]; /* the program that made it: "flawgate-train 0.1" */
    char name[FG_NAME_SIZE];    /* the bundle's name: ASCII, as the Modbus map shows it */
};

struct fg_bundle_header {
    struct fg_network_spec spec;
    struct fg_contract contract;
    bool calibrated; /* false: no threshold, no self-test; only the trainer opens it */
    struct fg_calibration calibration;
    struct fg_provenance provenance;
    char compatible[FG_TEXT_SIZE]; /* the appliances that may take it; empty: any */
    uint32_t security_counter;     /* higher in a bundle that must not be replaced by an older one */
    float scene_limit;             /* a picture further from the scene is unlike training; 0: not known */
    float self_test_score;         /* what the self-test's input must give; 0 until calibrated */
};

struct fg_bundle_tensor {
    uint32_t param;      /* index in the network's list */
    enum fg_dtype dtype; /* as stored: FG_F16, FG_F32 where float16 cannot hold it, or FG_I8 */
    /* Of FG_I8 (runtime/network/network.h, section 12): {output channels}, what a channel's weights are
     * multiplied by; and how the convolution reads its input. */
    const float *scale;
    struct fg_reading reading;
    uint64_t offset, stored;    /* where its stream begins in the file, and the stream's bytes */
    uint8_t hash[FG_HASH_SIZE]; /* the stream's BLAKE2b-256 */
};

struct fg_bundle;

/* Opens a bundle and checks header and table, and what int8 weights need. The other streams' hashes are
 * checked when they are loaded. */
FG_MUST_USE enum fg_status fg_bundle_open(const char *path, struct fg_bundle **bundle,
                                          struct fg_message *message);
/* Closes a bundle; does nothing with NULL. */
void fg_bundle_close(struct fg_bundle *bundle);

const struct fg_bundle_header *fg_bundle_header(const struct fg_bundle *bundle);
const struct fg_network *fg_bundle_network(const struct fg_bundle *bundle);
uint32_t fg_bundle_tensors(const struct fg_bundle *bundle);
const struct fg_bundle_tensor *fg_bundle_tensor(const struct fg_bundle *bundle, uint32_t i);
/* Gives the CRC-32 over header and table, which the Modbus map shows. */
uint32_t fg_bundle_checksum(const struct fg_bundle *bundle);
const char *fg_bundle_path(const struct fg_bundle *bundle);
/* Gives the 8 bytes that name the key of the signature, which nothing has verified; NULL: it is unsigned. */
const uint8_t *fg_bundle_key_id(const struct fg_bundle *bundle);

/* Gives the bytes of scratch that one call of fg_bundle_load, fg_bundle_send or fg_bundle_self_test needs. */
size_t fg_bundle_scratch(void);

/* Says whether any weight is int8. */
bool fg_bundle_is_int8(const struct fg_bundle *bundle);
/* Gives how int8 convolutions read their input, by the parameter of the weight, {FG_NETWORK_PARAMS}. */
const struct fg_reading *fg_bundle_readings(const struct fg_bundle *bundle);

/* Checks tensor i's hash and length, and inflates it to float32 in NHWC order; values: {fg_param_tensor}. An
 * int8 weight is multiplied by its channel's scale; one of -128 is FG_INPUT. Takes no memory but scratch, so
 * several threads may load different tensors at once. */
FG_MUST_USE enum fg_status fg_bundle_load(const struct fg_bundle *bundle, uint32_t i, float *values,
                                          void *scratch, struct fg_message *message);

/* The function that gets a tensor's values, block after block. */
struct fg_bundle_sink {
    enum fg_dtype dtype; /* the values' type: FG_F32, FG_F16, or FG_I8 of a tensor that is stored so */
    /* Takes the next count values; at is the position of the first one in the tensor. */
    FG_MUST_USE enum fg_status (*put)(void *argument, size_t at, size_t count, const void *values,
                                      struct fg_message *message);
    void *argument;
    int64_t *read_ns; /* grows by the time that reading and checking took; NULL: it is not wanted */
};

/* Does what fg_bundle_load does, into a sink; one for FG_I8 gets int8 weights as they are stored. FG_INPUT
 * also for a value that is too large for the sink's float16; FG_USAGE for FG_I8 of a tensor that is not
 * stored so. */
FG_MUST_USE enum fg_status fg_bundle_send(const struct fg_bundle *bundle, uint32_t i,
                                          const struct fg_bundle_sink *sink, void *scratch,
                                          struct fg_message *message);

/* Inflates the self-test's input {height, width, 3} and the map {height, width} that it must give; each may
 * be NULL: it is not wanted. FG_INPUT also for a bundle that is not calibrated. */
FG_MUST_USE enum fg_status fg_bundle_self_test(const struct fg_bundle *bundle, uint8_t *input, float *map,
                                               void *scratch, struct fg_message *message);

/* Reads the good pictures that the threshold was found with; good: {calibration.pictures + calibration.odd},
 * which is 0 in a bundle of an older program. */
FG_MUST_USE enum fg_status fg_bundle_good(const struct fg_bundle *bundle, struct fg_good *good, void *scratch,
                                          struct fg_message *message);

/* Gives the group of the pictures that training did not see: those that calibration added, where there are
 * such, else those held out. Their scores are what a line's good parts will have. */
enum fg_good_group fg_bundle_unseen(const struct fg_good *good, uint32_t count);

/* Reads mean and scale of the scene's descriptor, {network.descriptors} each; each may be NULL: it is not
 * wanted. FG_INPUT also for a bundle whose scene_limit is 0. */
FG_MUST_USE enum fg_status fg_bundle_scene(const struct fg_bundle *bundle, float *mean, float *scale,
                                           void *scratch, struct fg_message *message);

/* Reads mean and scale of each place of the map, {height, width} each; each may be NULL: it is not wanted.
 * FG_INPUT also for a bundle whose score is not local, for a value that is not finite and for a scale that is
 * not above 0. */
FG_MUST_USE enum fg_status fg_bundle_places(const struct fg_bundle *bundle, float *mean, float *scale,
                                            void *scratch, struct fg_message *message);

/* A convolution's weights of 8 bits (runtime/network/network.h, section 12). */
struct fg_quantised {
    int8_t *weight; /* {fg_param_tensor}, -127 to 127; NULL: it stays float */
    float *scale;   /* {output channels} */
    struct fg_reading reading;
};

/* Makes an uncalibrated bundle in memory, under a header whose calibration and score do not count yet.
 * values: each folded parameter's {fg_param_tensor} in float32, by parameter index; others are not read.
 * quantised: {FG_NETWORK_PARAMS}, what takes the place of values; NULL: all stay float. An engine opens it as
 * any other bundle, from the very streams that fg_bundle_write then puts into a file. path: where that will
 * be; messages name it, nothing is written there. FG_USAGE for weights, scales or readings that could not be
 * read again. */
FG_MUST_USE enum fg_status fg_bundle_make(const char *path, const struct fg_bundle_header *header,
                                          const float *const *values, const struct fg_quantised *quantised,
                                          struct fg_bundle **bundle, struct fg_message *message);

/* What a calibrated bundle can be checked by: its self-test, and the pictures that its threshold was found
 * with. All is borrowed. */
struct fg_evidence {
    const uint8_t *input;       /* the self-test's picture {height, width, 3} */
    const float *map;           /* the map {height, width} that it must give */
    const struct fg_good *good; /* {calibration.pictures + calibration.odd} */
    /* {network.descriptors}: mean and scale of the scene's descriptor (runtime/network/network.h, section
     * 11); NULL where scene_limit is 0. */
    const float *scene_mean, *scene_scale;
    /* {height, width}: mean and scale of each place of the map; not read where the score is not local. */
    const float *place_mean, *place_scale;
};

/* Writes a bundle's tensors, streams copied as they are, under a new header of the same network and, where
 * that says calibrated, with this evidence; NULL: with the evidence that the bundle has. path may be the
 * bundle's own. Atomic: PATH.tmp, fsync, rename; an old file stays until then. FG_USAGE for a header that
 * could not be read again. */
FG_MUST_USE enum fg_status fg_bundle_write(const struct fg_bundle *bundle, const char *path,
                                           const struct fg_bundle_header *header,
                                           const struct fg_evidence *evidence, struct fg_message *message);

/* Makes in memory what fg_bundle_write would write, a bundle that the caller closes. */
FG_MUST_USE enum fg_status fg_bundle_copy(const struct fg_bundle *bundle,
                                          const struct fg_bundle_header *header,
                                          const struct fg_evidence *evidence, struct fg_bundle **copy,
                                          struct fg_message *message);

/* What reading all of a bundle has shown, fact by fact. */
struct fg_bundle_facts {
    /* Format, header, list of tensors and what int8 weights need are right; false: nothing else is known. */
    bool header;
    uint32_t streams;  /* streams of weights, of what int8 weights need, and of evidence */
    uint32_t damaged;  /* streams with a wrong checksum, compression or length */
    uint32_t infinite; /* streams with a value that is not finite, so that no part can pass */
    bool calibrated;
    bool has_signature; /* there is a signature, which nothing has verified */
};

/* Reads and decodes every byte; takes memory for the largest tensor. FG_INPUT, with the first damage in the
 * message, unless all is intact; facts are filled in either case. */
FG_MUST_USE enum fg_status fg_bundle_verify(const char *path, struct fg_bundle_facts *facts,
                                            struct fg_message *message);

#endif
