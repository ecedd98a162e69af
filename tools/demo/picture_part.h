/* Pictures of three kinds of part, as a camera above a line sees them. Pose, light, surface, what lies under
 * the part, and the sensor's noise differ from part to part. A part may have one defect.
 *
 * To add a kind, write its file with a struct fg_kind (picture_kind.h), and add it to enum fg_picture_kind
 * and to the table in picture_part.c.
 *
 * Errors: none. Owner: the caller owns rgb and mask. Thread: any. NULL: only mask may be. */
#ifndef FG_TOOLS_DEMO_PICTURE_PART_H
#define FG_TOOLS_DEMO_PICTURE_PART_H

#include <stdint.h>

enum fg_picture_kind {
    FG_PICTURE_FLANGE, /* turned aluminium with six bolt holes, a hub and a keyway, on a dark belt */
    FG_PICTURE_PLATE,  /* moulded plastic with ribs, slots and two bosses, on a light tray */
    FG_PICTURE_STRAP,  /* woven cloth with two brass eyelets, across a steel table */
    FG_PICTURE_KINDS
};

enum fg_picture_defect {
    FG_PICTURE_GOOD,
    FG_PICTURE_SCRATCH,      /* a groove across the face; in cloth a snag */
    FG_PICTURE_CHIP,         /* a piece broken out of the border; of cloth torn out */
    FG_PICTURE_STAIN,        /* oil on the face, of low contrast */
    FG_PICTURE_MISSING_HOLE, /* one bolt hole, slot or eyelet was not made */
    FG_PICTURE_DEFECTS
};

/* Gives a kind's name, constant: "flange", ... */
const char *fg_picture_kind_name(enum fg_picture_kind kind);

/* Gives the name of the defect's folder, constant: "good", "scratch", ... */
const char *fg_picture_defect_name(enum fg_picture_defect defect);

/* Makes the picture of part number index into rgb (size * size * 3 bytes, rows dense) and, where mask is not
 * NULL, its ground truth (size * size bytes: 255 where the defect is, else 0). size is 32 to 4096. Equal
 * arguments give equal bytes. One part with two defects differs only where either mask is set. */
void fg_picture_part(enum fg_picture_kind kind, uint64_t seed, uint32_t index, enum fg_picture_defect defect,
                     int32_t size, uint8_t *rgb, uint8_t *mask);

#endif
