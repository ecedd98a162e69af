/* Procedural textures in many classes, to train a small teacher with: a classifier of these pictures learns
 * features of edges, grain, shapes and colours that surfaces and parts share.
 *
 * A class has a pattern (picture_pattern.h) and a style. Place, scale, turn, light, blur and noise vary from
 * one picture of a class to the next.
 *
 * Errors: FG_ENVIRONMENT for memory. Owner: the caller owns the pixels. Thread: any. NULL: only a message may
 * be. */
#ifndef FG_TOOLS_DEMO_PICTURE_TEXTURE_H
#define FG_TOOLS_DEMO_PICTURE_TEXTURE_H

#include <stdint.h>

#include "runtime/base/status.h"

/* Gives the number of classes. */
uint32_t fg_picture_classes(void);

/* Gives the name of a class's pattern, constant; several classes share one. */
const char *fg_picture_class_pattern(uint32_t class);

/* Makes picture number index of a class (below fg_picture_classes()) into rgb, size * size * 3 bytes, rows
 * dense; size is 16 to 1024. Equal arguments give equal bytes. */
FG_MUST_USE enum fg_status fg_picture_texture(uint64_t seed, uint32_t class, uint32_t index, int32_t size,
                                              uint8_t *rgb, struct fg_message *message);

#endif
