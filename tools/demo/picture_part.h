/* Pictures of one kind of part, as a camera above a conveyor sees them: a turned aluminium flange with six
 * bolt holes, a hub and a keyway, on a dark belt. Pose, light, tool marks, belt and sensor noise differ from
 * part to part. A part may have one defect.
 *
 * Errors: none. Owner: the caller owns rgb and mask. Thread: any. NULL: only mask may be. */
#ifndef FG_TOOLS_DEMO_PICTURE_PART_H
#define FG_TOOLS_DEMO_PICTURE_PART_H

#include <stdint.h>

enum fg_picture_defect {
    FG_PICTURE_GOOD,
    FG_PICTURE_SCRATCH,      /* a groove across face, hub or both */
    FG_PICTURE_CHIP,         /* a piece broken out of the rim */
    FG_PICTURE_STAIN,        /* oil on the face, of low contrast */
    FG_PICTURE_MISSING_HOLE, /* one bolt hole was not drilled */
    FG_PICTURE_DEFECTS
};

/* Gives the name of the defect's folder, constant: "good", "scratch", ... */
const char *fg_picture_defect_name(enum fg_picture_defect defect);

/* Makes the picture of part number index into rgb (size * size * 3 bytes, rows dense) and, where mask is not
 * NULL, its ground truth (size * size bytes: 255 where the defect is, else 0). size is 32 to 4096. Equal
 * arguments give equal bytes. One part with two defects differs only where either mask is set. */
void fg_picture_part(uint64_t seed, uint32_t index, enum fg_picture_defect defect, int32_t size, uint8_t *rgb,
                     uint8_t *mask);

#endif
