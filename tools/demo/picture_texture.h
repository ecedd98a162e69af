/* Procedural textures in many classes, to train a small teacher with: a classifier of these pictures learns
 * features of edges, grain, shapes and colours that surfaces and parts share.
 *
 * A class is a pattern (picture_pattern.h). Inside a class place, scale, turn, colours, relief, light, blur
 * and noise vary from one index to the next. */
#ifndef FG_TOOLS_DEMO_PICTURE_TEXTURE_H
#define FG_TOOLS_DEMO_PICTURE_TEXTURE_H

#include <stdint.h>

#include "runtime/base/status.h"

/* How many classes there are. */
uint32_t fg_picture_classes(void);

/* The name of a class's pattern; several classes share one. */
const char *fg_picture_class_pattern(uint32_t class);

/* Makes picture number index of a class (below fg_picture_classes()) into rgb, size * size * 3 bytes, rows
 * dense; size 16 to 1024. The same arguments give the same bytes. FG_ENVIRONMENT when memory is short. */
FG_MUST_USE enum fg_status fg_picture_texture(uint64_t seed, uint32_t class, uint32_t index, int32_t size,
                                              uint8_t *rgb, struct fg_message *message);

#endif
