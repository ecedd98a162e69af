/* The part: made at the trigger edge, it walks the line once - frame, network, verdict, reject - and is gone.
 */
#ifndef FG_RUNTIME_LINE_PART_H
#define FG_RUNTIME_LINE_PART_H

#include "board/camera/camera.h"
#include "runtime/line/snapshot.h"

enum fg_module_state {
    FG_PART_NONE,
    FG_PART_EXPOSING, /* triggered; its frame has not come */
    FG_PART_JUDGED,   /* its frame is with the inference thread */
};

struct fg_line_part {
    enum fg_module_state state;
    uint32_t id;
    int64_t trigger_ns, trigger_unix_ms;
    int64_t deadline_ns;  /* past it the part is INOPERATIVE at once */
    int64_t framed_ns;    /* when its frame was in memory; 0: it never was */
    int32_t reject_place; /* in struct fg_rejects; -1: none */
    uint16_t slot;
    float threshold; /* that decides */
};

#endif
