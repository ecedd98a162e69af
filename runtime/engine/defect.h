/* Where the defect is: the 8-connected region above the threshold that holds the map's maximum (network.md
 * section 6). */
#ifndef FG_RUNTIME_ENGINE_DEFECT_H
#define FG_RUNTIME_ENGINE_DEFECT_H

#include "runtime/engine/engine.h"

/* Bytes of scratch for a map of this size. */
size_t fg_defect_scratch(int32_t height, int32_t width);

/* The region's box and area, scaled to a frame of the given size: the box covers every pixel that the region
 * touches. All 0 when no value is above the threshold. The map must be finite. */
struct fg_box fg_defect_find(const float *map, int32_t height, int32_t width, float threshold,
                             int32_t frame_height, int32_t frame_width, void *scratch);

#endif
