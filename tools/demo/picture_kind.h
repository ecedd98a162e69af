/* What the kinds of part share: how one part differs from the next, and what a defect does to a surface.
 *
 * Places and lengths are in units of half a picture's side; the picture's middle is 0, 0. A kind is traced
 * ray by ray. A surface leans by slope, which points where its normal is tilted to.
 *
 * Errors: none. Owner: the caller owns what is drawn; the kinds are constant. Thread: one at a time for one
 * dice; any for the rest. NULL: never. */
#ifndef FG_TOOLS_DEMO_PICTURE_KIND_H
#define FG_TOOLS_DEMO_PICTURE_KIND_H

#include <stdbool.h>

#include "tools/demo/picture_noise.h"
#include "tools/demo/picture_part.h"

/* The defect of a part. Each kind of defect uses the fields that name it. */
struct fg_flaw {
    enum fg_picture_defect defect;
    float x, y;        /* middle, in the part's coordinates */
    float angle, bend; /* direction of a scratch, and its curvature in 1 / unit */
    float reach;       /* half the length of a scratch; mean radius of a chip or stain */
    float width;       /* half the width of a scratch */
    float strength;    /* how dark a stain is; how steep a scratch is */
    int32_t hole;      /* number of the missing hole */
    uint32_t salt;     /* makes the noise of two defects differ */
};

/* All that differs from one picture to the next. */
struct fg_scene {
    float x, y, cosine, sine;             /* the part's middle and turn */
    float slip_x, slip_y;                 /* place of the ground under the picture, or of the weave */
    float light_x, light_y;               /* direction to the lamp, in the picture's plane, unit length */
    float gain, slope_x, slope_y, warmth; /* exposure: mean, change across the picture, red against blue */
    float marks, noise;                   /* strength of the surface's marks and of the sensor's noise */
    uint32_t salt;
    struct fg_flaw flaw;
};

/* What one ray sees. */
struct fg_ray {
    float rgb[3];
    bool flawed; /* the defect has changed the colour */
};

struct fg_kind {
    const char *name;
    float turn, shift;    /* how far a part lies from straight, in radians, and from the middle */
    float slip_x, slip_y; /* range of the slip: 0 to slip_x, and slip_y to either side */
    /* Draws the defect: its salt, its place and, with fg_flaw_shape, its shape. */
    void (*draw_flaw)(struct fg_dice *dice, struct fg_flaw *flaw);
    /* Traces the ray through px, py of the picture, which is x, y in the part's coordinates. */
    struct fg_ray (*trace)(const struct fg_scene *scene, float x, float y, float px, float py);
};

extern const struct fg_kind fg_kind_flange, fg_kind_plate, fg_kind_strap;

/* Draws the shape of a defect whose kind is set; holes: of the part, which may be missing. */
void fg_flaw_shape(struct fg_dice *dice, int32_t holes, struct fg_flaw *flaw);

/* Gives the distance of a place from a stain's or chip's middle: 1 at its uneven border. */
float fg_flaw_distance(const struct fg_flaw *flaw, float x, float y);

/* Marks a place of the surface with the scratch or stain of its part: changes its slope, colour and
 * roughness, and gives true, where there is one. */
bool fg_flaw_mark(const struct fg_flaw *flaw, float x, float y, float slope[2], float tint[3],
                  float *roughness);

#endif
