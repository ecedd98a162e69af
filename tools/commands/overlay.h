/* A picture with the anomaly map over it and the defect's box, for people to look at.
 *
 * Errors: FG_ENVIRONMENT for memory and disk. Owner: the caller, of all arguments. Thread: any. NULL: only a
 * message may be. */
#ifndef FG_TOOLS_COMMANDS_OVERLAY_H
#define FG_TOOLS_COMMANDS_OVERLAY_H

#include "runtime/engine/engine.h"
#include "runtime/image/image.h"

/* Writes a PNG of the picture's size. map {map_height, map_width}: values from half the threshold up glow,
 * from yellow to red at the threshold and above; where there is a box, it is drawn. */
FG_MUST_USE enum fg_status fg_overlay_write(const char *path, const struct fg_image *image, const float *map,
                                            int32_t map_height, int32_t map_width, float threshold,
                                            const struct fg_box *box, struct fg_message *message);

#endif
