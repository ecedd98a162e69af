/* The patterns of procedural textures: each a scalar field over the plane.
 *
 * One unit of the plane is one period or cell of the pattern. A field's value is a mixture of two colours and
 * a height at once: 0 to 1, of the second colour and high. */
#ifndef FG_TOOLS_DEMO_PICTURE_PATTERN_H
#define FG_TOOLS_DEMO_PICTURE_PATTERN_H

#include <stdint.h>

/* What varies from one picture of a pattern to the next. */
struct fg_look {
    float pixel;              /* units per pixel: the width of an antialiased edge */
    float a, b, c;            /* free shape parameters, each uniform in [0, 1) */
    uint32_t salt;            /* of every noise */
    float centre_x, centre_y; /* the picture's middle, where patterns about a point have theirs */
};

typedef float fg_pattern(float x, float y, const struct fg_look *look);

struct fg_pattern_entry {
    const char *name;
    fg_pattern *field;
    float min_period, max_period; /* pixels in a unit, in a picture of 128 pixels */
};

/* The three families, each ended by a name that is NULL. */
extern const struct fg_pattern_entry fg_patterns_noise[]; /* grain, clouds, brushed, cells, cracks */
extern const struct fg_pattern_entry fg_patterns_grid[];  /* stripes, weaves, tiles, lattices */
extern const struct fg_pattern_entry fg_patterns_shape[]; /* strokes, letters, polygons, metal parts */

#endif
