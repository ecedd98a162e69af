/* Where the defect is: the 8-connected set of pixels above the threshold that holds the map's maximum
 * (runtime/network/network.h, section 6).
 *
 * Errors: none. Owner: the caller, of map and scratch. Thread: any. NULL: never. */
#ifndef FG_RUNTIME_ENGINE_DEFECT_H
#define FG_RUNTIME_ENGINE_DEFECT_H

#include "runtime/engine/engine.h"

/* Bytes of scratch for a map of this size. */
size_t fg_defect_scratch(int32_t height, int32_t width);

/* The defect's box and area, scaled to what is seen of the frame, and brought to where that is in the frame:
 * the box covers every pixel that the defect touches. All 0 when no value is above the threshold. The map
 * {height, width} must be finite; the frame's pixels are not read. */
struct fg_box fg_defect_find(const float *map, int32_t height, int32_t width, float threshold,
                             const struct fg_frame *frame, void *scratch);

#endif
