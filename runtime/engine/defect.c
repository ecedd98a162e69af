/* Finds the defect in a map and brings its box back to the frame. */
#include "runtime/engine/defect.h"

#include <string.h>

size_t fg_defect_scratch(int32_t height, int32_t width) {
    /* Every pixel enters the stack at most once; one byte each says whether it has. */
    return (size_t)height * (size_t)width * (sizeof(int32_t) + 1);
}

/* The seen pixels [floor(begin), ceil(end)) that map pixels [begin, end) cover. */
static void scale_side(int32_t begin, int32_t end, int32_t map, int32_t seen, int32_t *start,
                       int32_t *length) {
    int64_t first = (int64_t)begin * seen / map, last = ((int64_t)end * seen + map - 1) / map;
    *start = (int32_t)first;
    *length = (int32_t)(last - first);
}

/* From what is seen of a frame to the frame: turned back, then moved to the region's place. */
static struct fg_box place_box(struct fg_box seen, const struct fg_frame *frame) {
    const struct fg_region region = fg_region_of(frame->region, frame->width, frame->height);
    struct fg_box box = seen;
    if (fg_rotation_turns(frame->rotation)) {
        box.w = seen.h;
        box.h = seen.w;
    }
    switch (frame->rotation) {
    case 90:
        box.x = seen.y;
        box.y = region.height - seen.x - seen.w;
        break;
    case 180:
        box.x = region.width - seen.x - seen.w;
        box.y = region.height - seen.y - seen.h;
        break;
    case 270:
        box.x = region.width - seen.y - seen.h;
        box.y = seen.x;
        break;
    default:
        break;
    }
    box.x += region.x;
    box.y += region.y;
    return box;
}

struct fg_box fg_defect_find(const float *map, int32_t height, int32_t width, float threshold,
                             const struct fg_frame *frame, void *scratch) {
    int32_t seen_width, seen_height;
    fg_frame_seen(frame, &seen_width, &seen_height);
    const int32_t pixels = height * width;
    int32_t *stack = scratch, top = 0, peak = 0;
    uint8_t *seen = (uint8_t *)(stack + pixels);
    struct fg_box box = {0};
    for (int32_t i = 1; i < pixels; i++)
        if (map[i] > map[peak])
            peak = i;
    if (!(map[peak] > threshold))
        return box;
    memset(seen, 0, (size_t)pixels);
    int32_t left = width, right = 0, upper = height, lower = 0, count = 0;
    stack[top++] = peak;
    seen[peak] = 1;
    while (top) {
        const int32_t i = stack[--top], y = i / width, x = i % width;
        count++;
        left = x < left ? x : left;
        right = x > right ? x : right;
        upper = y < upper ? y : upper;
        lower = y > lower ? y : lower;
        for (int32_t ny = y > 0 ? y - 1 : 0; ny <= y + 1 && ny < height; ny++)
            for (int32_t nx = x > 0 ? x - 1 : 0; nx <= x + 1 && nx < width; nx++) {
                const int32_t k = ny * width + nx;
                if (seen[k] || !(map[k] > threshold))
                    continue;
                seen[k] = 1;
                stack[top++] = k;
            }
    }
    scale_side(left, right + 1, width, seen_width, &box.x, &box.w);
    scale_side(upper, lower + 1, height, seen_height, &box.y, &box.h);
    const double ratio = (double)seen_height * seen_width / ((double)height * width);
    box.area = (int32_t)(count * ratio + 0.5);
    return place_box(box, frame);
}
