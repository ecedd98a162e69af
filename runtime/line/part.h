/* The part: what passes the camera. It is made at the trigger's edge and walks the line once: frames, views,
 * verdict, reject.
 *
 * Places are fixed, one for each id modulo FG_PARTS. A part keeps its place until its verdict was given and
 * neither judge nor sink need its frames.
 *
 * Errors: none; a part that fails has the verdict INOPERATIVE and a reason. Owner: the line owns its parts; a
 * frame that a part holds goes back to its camera. Thread: the line's alone. NULL: never. */
#ifndef FG_RUNTIME_LINE_PART_H
#define FG_RUNTIME_LINE_PART_H

#include "board/camera/camera.h"
#include "config/config.h"
#include "runtime/line/rejects.h"
#include "runtime/line/snapshot.h"

/* Parts that wait for the verdict of an earlier one have a reject point to come. */
#define FG_PARTS FG_REJECTS

_Static_assert((FG_PARTS & (FG_PARTS - 1)) == 0, "an id modulo FG_PARTS goes on where ids begin again");
_Static_assert(FG_CONFIG_QUEUE <= FG_PARTS && FG_CONFIG_CAMERAS <= 32,
               "every part of the queue has a place, every camera a bit");

enum fg_part_state {
    FG_PART_NONE = 0, /* the place is free */
    FG_PART_EXPOSING, /* triggered; a frame has not come */
    FG_PART_FRAMED,   /* no more frames are to come; a view is not judged */
    FG_PART_DECIDED,  /* all views are judged; the verdict of an earlier part is not given */
    FG_PART_FINISHED, /* its verdict was given, but judge or sink still need one of its frames */
};

struct fg_part {
    enum fg_part_state state;
    bool taken; /* false: it was refused, and waits only for its turn */
    uint32_t id;
    int64_t trigger_ns, trigger_unix_ms;
    int64_t deadline_ns;  /* past it the part is INOPERATIVE at once */
    int64_t framed_ns;    /* when its last frame was in memory; 0: one never was */
    int32_t reject_place; /* in struct fg_rejects; -1: none */
    uint32_t awaited;     /* cameras, by bit, whose frame has not come */
    uint32_t held;        /* cameras, by bit, whose frame is lent to this part */
    int32_t judged;       /* the view that the judge is at; -1: none */
    uint32_t mapped;      /* views, by bit, that an engine has judged */
    uint32_t kept; /* views, by bit, whose picture the sink still has to get; frames stay held for it */
    bool asked;    /* command 2 asked for the pictures */
    struct fg_camera_frame frame[FG_CONFIG_CAMERAS];
    struct fg_result result; /* a view that is not judged yet has verdict 0 */
};

struct fg_line;

/* Whether a trigger now would find its place: fewer parts than trigger.queue are between trigger and verdict,
 * or abandoned with the judge, and none is exposed. */
bool fg_part_room(const struct fg_line *l);
/* Whether any part is between trigger and verdict. */
bool fg_part_any(const struct fg_line *l);
/* How many parts have no verdict yet that was counted. */
uint32_t fg_part_uncounted(struct fg_line *l);

/* Makes a part of a trigger and starts its exposure. Allowed only where fg_line_able is true. */
void fg_part_take(struct fg_line *l, int64_t trigger_ns);
/* Makes a part of a trigger that cannot be taken: INOPERATIVE, with the same reject point. */
void fg_part_refuse(struct fg_line *l, int64_t trigger_ns);

/* Gives a camera's frame to its part. False: no part takes it, or it is damaged, and the caller releases
 * it. */
bool fg_part_frame(struct fg_line *l, uint32_t camera, const struct fg_camera_frame *frame);
/* Tells the part that is exposed that this camera gives it no frame. */
void fg_part_no_frame(struct fg_line *l, uint32_t camera);

/* Finds the next view to judge, in the oldest part first. NULL: no part has a view with a frame and without a
 * verdict. */
struct fg_part *fg_part_next(struct fg_line *l, uint32_t *view);
/* Takes the verdict of a view from the judge. The part may have been abandoned meanwhile. result is without
 * threshold; inference is in 0.1 ms. */
void fg_part_judged(struct fg_line *l, uint32_t id, uint32_t view, const struct fg_view_result *result,
                    uint32_t inference);

/* Finds a view whose picture the sink is to get: of a part that is decided. NULL: there is none. */
struct fg_part *fg_part_keep(struct fg_line *l, uint32_t *view);
/* The sink has the picture of a view, or has dropped it. */
void fg_part_kept(struct fg_line *l, uint32_t id, uint32_t view);

/* Gives every part without a verdict this reason. */
void fg_part_abandon_all(struct fg_line *l, enum fg_reason reason);

/* The next deadline of a part; INT64_MAX: there is none. */
int64_t fg_part_due(const struct fg_line *l);
/* Abandons the parts whose deadline has passed. */
void fg_part_expire(struct fg_line *l, int64_t now_ns);

#endif
