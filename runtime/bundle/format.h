/* The bundle's bytes, exactly: what a stranger needs to write a reader.
 *
 * All numbers are little-endian, floats IEEE 754. A file is head, fields, table, streams, one right behind
 * the other: no gap, no padding, nothing behind the last stream. So a hash or an exact rule covers every
 * byte.
 *
 *   head, 128 bytes
 *       0   4  magic "FGB1"
 *       4   4  u32 version of this layout: 1
 *       8   8  u64 size of the file
 *      16   4  u32 bytes of the fields, at most 65536
 *      20   4  u32 entries of the table, at most 778
 *      24   8  key id: which key has signed; zeros when unsigned
 *      32  64  Ed25519 signature over BLAKE2b-256 of bytes 0 to 23, fields and table; zeros when unsigned
 *      96  32  BLAKE2b-256 (no key) over bytes 0 to 95, fields and table
 *
 *   fields, each 8 bytes and its value; ids strictly ascending
 *       0   2  u16 id (the list is FG_BUNDLE_FIELDS below)
 *       2   1  type: 1 u32, 2 u64, 3 f32, 4 switch (u32 0 or 1), 5 text (printable ASCII, no end mark),
 *              6 bytes
 *       3   1  bit 0: must be understood. A reader skips an unknown field without it and refuses the file for
 *              an unknown field with it. The other bits are 0
 *       4   4  u32 bytes of the value: 4, 8, 4, 4; a text's and bytes' own
 *
 *   table, entries of 132 bytes
 *       0  64  name, ASCII, filled up with zeros, of which there is at least one
 *      64  16  u32 extents n, h, w, c, each 1 or more; channels c are innermost. A convolution's weight is
 *              {output channels, kernel, kernel, input channels / groups}, a transposed one's
 *              {input channels, 2, 2, output channels}, a vector {1, 1, 1, channels}
 *      80   4  u32 element type: 1 float32, 2 float16, 3 u8, 4 int8 (two's complement)
 *      84   8  u64 offset of the stream in the file: where the one before ends, the first behind the table
 *      92   8  u64 bytes of the stream, at least 1
 *     100  32  BLAKE2b-256 (no key) over the stream
 *
 * Entries are the network's folded parameters under their names (runtime/network/network.h; a batch norm's
 * bias is what is left of it; its weight, mean and variance are in the convolution before it), all and no
 * other, in any order. They are float32 or float16; a convolution's weight may be int8, of -127 to 127, where
 * section 12 of that file lets it. Where a number of K weights is int8, the table also has, each in the order
 * in which these weights stand in it,
 *
 *   "int8.weight_scale"  float32 {1, 1, 1, output channels of all of them}: what the weights of an output
 *                        channel are multiplied by; finite, above 0
 *   "int8.input_scale"   float32 {1, 1, 1, K}: the scale of each one's input; finite, above 0
 *   "int8.input_zero"    u8 {1, 1, 1, K}: the number that stands for 0 in each one's input
 *
 * A calibrated bundle's table also has "self_test.input" (u8 {1, height, width, 3}), "self_test.map" (float32
 * {1, height, width, 1}) and, unless that is empty, "good.pictures" (u8 {1, 1, calibration.pictures +
 * calibration.odd, 32}), for each picture that the threshold was found with
 *
 *       0   4  its score, float32
 *       4   1  its group (enum fg_good_group)
 *       5  11  zeros
 *      16  16  the first bytes of the BLAKE2b-256 (no key) of its file
 *
 * where scene_limit is above 0, "scene.mean" and "scene.scale" (float32 {1, 1, 1, descriptors}), and where
 * spec.score is local, "place.mean" and "place.scale" (float16 {1, height, width, 1}).
 *
 * A stream is one zlib stream (RFC 1950) over the values in blocks of 8192 (the last has the rest). In a
 * block the first bytes of all its values come first, then all second bytes, and so on: what changes little
 * from value to value lies together.
 *
 * Errors: none; bundle.h says those of reading and writing. Owner: nobody, as there are only constants.
 * Thread: any. NULL: never. */
#ifndef FG_RUNTIME_BUNDLE_FORMAT_H
#define FG_RUNTIME_BUNDLE_FORMAT_H

#include "runtime/bundle/bundle.h"

#define FG_BUNDLE_MAGIC "FGB1"
#define FG_BUNDLE_VERSION 1u

/* Bytes of the head, of a field without its value, and of an entry of the table; and places in the head. */
#define FG_BUNDLE_HEAD 128
#define FG_BUNDLE_HEAD_SIGNED 24
#define FG_BUNDLE_HEAD_HASH 96
#define FG_BUNDLE_FIELD 8
#define FG_BUNDLE_ENTRY 132

#define FG_BUNDLE_FIELD_BYTES 65536
#define FG_BUNDLE_ENTRIES (FG_NETWORK_PARAMS + 10)
#define FG_BUNDLE_BLOCK 8192 /* values of a block */

#define FG_BUNDLE_WEIGHT_SCALE "int8.weight_scale"
#define FG_BUNDLE_INPUT_SCALE "int8.input_scale"
#define FG_BUNDLE_INPUT_ZERO "int8.input_zero"
#define FG_BUNDLE_INPUT "self_test.input"
#define FG_BUNDLE_MAP "self_test.map"
#define FG_BUNDLE_SCENE_MEAN "scene.mean"
#define FG_BUNDLE_SCENE_SCALE "scene.scale"
#define FG_BUNDLE_PLACE_MEAN "place.mean"
#define FG_BUNDLE_PLACE_SCALE "place.scale"
#define FG_BUNDLE_GOOD "good.pictures"
#define FG_BUNDLE_GOOD_BYTES 32      /* of one picture; a block holds whole ones */
#define FG_BUNDLE_GOOD_MOST 1000000u /* pictures that counted, and odd ones */

enum fg_bundle_type {
    FG_BUNDLE_U32 = 1,
    FG_BUNDLE_U64,
    FG_BUNDLE_F32,
    FG_BUNDLE_SWITCH,
    FG_BUNDLE_TEXT,
    FG_BUNDLE_BYTES
};
#define FG_BUNDLE_MUST 1 /* the bit of a field's flags that says: must be understood */
/* In the list below only: the file has FG_BUNDLE_MUST where the value is not 0, which is what a reader takes
 * that does not know the field. */
#define FG_BUNDLE_MUST_UNLESS_0 2

enum fg_bundle_element { FG_BUNDLE_FLOAT32 = 1, FG_BUNDLE_FLOAT16, FG_BUNDLE_BYTE, FG_BUNDLE_INT8 };

/* All fields of version 1: FIELD(id, type, flags, member of struct fg_bundle_header, largest value or 0 for
 * the type's own). Those with FG_BUNDLE_MUST are present; others may be absent, as in a bundle of an older
 * program, and are then 0 or empty. A text's largest length is its member's size less one. A backbone's
 * number is its place in FG_BACKBONE_TABLE (runtime/network/network.h), from 0. */
#define FG_BUNDLE_FIELDS(FIELD)                                                                              \
    FIELD(1, U32, FG_BUNDLE_MUST, spec.backbone, FG_BACKBONES - 1)                                           \
    FIELD(2, U32, FG_BUNDLE_MUST, spec.height, FG_SIDE_MOST)                                                 \
    FIELD(3, U32, FG_BUNDLE_MUST, spec.width, FG_SIDE_MOST)                                                  \
    FIELD(4, U32, FG_BUNDLE_MUST, spec.base, FG_NETWORK_BASE)                                                \
    FIELD(5, SWITCH, FG_BUNDLE_MUST, spec.scconv, 0)                                                         \
    FIELD(6, SWITCH, FG_BUNDLE_MUST, spec.simam, 0)                                                          \
    FIELD(7, SWITCH, FG_BUNDLE_MUST, spec.fmm, 0)                                                            \
    FIELD(8, SWITCH, FG_BUNDLE_MUST, spec.soft_gate, 0)                                                      \
    FIELD(9, U32, FG_BUNDLE_MUST, spec.levels, 7)                                                            \
    FIELD(10, U32, FG_BUNDLE_MUST_UNLESS_0, spec.score, FG_SCORE_FORMS - 1)                                  \
    FIELD(16, U32, FG_BUNDLE_MUST, contract.width, FG_SIDE_FRAME)                                            \
    FIELD(17, U32, FG_BUNDLE_MUST, contract.height, FG_SIDE_FRAME)                                           \
    FIELD(18, U32, FG_BUNDLE_MUST, contract.channels, 3)                                                     \
    FIELD(19, TEXT, FG_BUNDLE_MUST, contract.format, 0)                                                      \
    FIELD(32, SWITCH, FG_BUNDLE_MUST, calibrated, 0)                                                         \
    FIELD(33, F32, FG_BUNDLE_MUST, calibration.threshold, 0)                                                 \
    FIELD(38, F32, 0, calibration.false_rejects, 0)                                                          \
    FIELD(41, F32, FG_BUNDLE_MUST, self_test_score, 0)                                                       \
    FIELD(42, F32, 0, calibration.doubtful, 0)                                                               \
    FIELD(43, U32, 0, calibration.family, FG_TAIL_FAMILIES - 1)                                              \
    FIELD(44, F32, 0, calibration.location, 0)                                                               \
    FIELD(45, F32, 0, calibration.spread, 0)                                                                 \
    FIELD(46, F32, 0, calibration.expected, 0)                                                               \
    FIELD(47, F32, 0, calibration.bound, 0)                                                                  \
    FIELD(48, U32, 0, calibration.pictures, FG_BUNDLE_GOOD_MOST)                                             \
    FIELD(49, U32, 0, calibration.odd, FG_BUNDLE_GOOD_MOST)                                                  \
    FIELD(50, U32, 0, calibration.unseen, 0)                                                                 \
    FIELD(51, U32, 0, calibration.rejected, 0)                                                               \
    FIELD(52, F32, 0, scene_limit, 0)                                                                        \
    FIELD(53, F32, 0, calibration.bump, 0)                                                                   \
    FIELD(54, F32, 0, calibration.bump_anywhere, 0)                                                          \
    FIELD(64, BYTES, 0, provenance.data_hash, 0)                                                             \
    FIELD(65, U32, 0, provenance.train_pictures, 0)                                                          \
    FIELD(66, U32, 0, provenance.held_out_pictures, 0)                                                       \
    FIELD(67, U32, 0, provenance.epochs, 0)                                                                  \
    FIELD(68, U32, 0, provenance.best_epoch, 0)                                                              \
    FIELD(69, U32, 0, provenance.batch, 0)                                                                   \
    FIELD(70, F32, 0, provenance.learning_rate, 0)                                                           \
    FIELD(71, F32, 0, provenance.l2, 0)                                                                      \
    FIELD(72, F32, 0, provenance.mask_rate, 0)                                                               \
    FIELD(73, SWITCH, 0, provenance.global_loss, 0)                                                          \
    FIELD(74, U64, 0, provenance.seed, 0)                                                                    \
    FIELD(75, U64, 0, provenance.unix_time, 0)                                                               \
    FIELD(76, F32, 0, provenance.held_out_loss, 0)                                                           \
    FIELD(77, TEXT, 0, provenance.program, 0)                                                                \
    FIELD(78, TEXT, 0, provenance.name, 0)                                                                   \
    FIELD(79, U32, 0, provenance.test_pictures, 0)                                                           \
    FIELD(80, F32, 0, provenance.image_auroc, 0)                                                             \
    FIELD(81, F32, 0, provenance.pixel_auroc, 0)                                                             \
    FIELD(82, F32, 0, provenance.pro, 0)                                                                     \
    FIELD(96, TEXT, FG_BUNDLE_MUST, compatible, 0)                                                           \
    FIELD(97, U32, FG_BUNDLE_MUST, security_counter, 0)

#endif
