/* Draws the anomaly map and the box over a picture. */
#include "tools/commands/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Gives the map's value at a picture's pixel: the nearest is enough, since the map is blurred with sigma
 * 4. */
static float find_value(const float *map, int32_t map_height, int32_t map_width, const struct fg_image *image,
                        int32_t y, int32_t x) {
    const int64_t my = (int64_t)y * map_height / image->height, mx = (int64_t)x * map_width / image->width;
    return map[my * map_width + mx];
}

static void blend_pixel(uint8_t *pixel, const uint8_t colour[3], float share) {
    for (int k = 0; k < 3; k++)
        pixel[k] = (uint8_t)lrintf((float)pixel[k] * (1 - share) + (float)colour[k] * share);
}

static void draw_box(struct fg_image *out, const struct fg_box *box) {
    static const uint8_t red[3] = {230, 30, 30};
    const int32_t side = out->width < out->height ? out->width : out->height, thick = 1 + side / 300;
    for (int32_t y = box->y - thick; y < box->y + box->h + thick; y++)
        for (int32_t x = box->x - thick; x < box->x + box->w + thick; x++) {
            const bool inside = x >= box->x && x < box->x + box->w && y >= box->y && y < box->y + box->h;
            if (!inside && x >= 0 && y >= 0 && x < out->width && y < out->height)
                memcpy(out->pixels + ((size_t)y * (size_t)out->width + (size_t)x) * 3, red, 3);
        }
}

enum fg_status fg_overlay_write(const char *path, const struct fg_image *image, const float *map,
                                int32_t map_height, int32_t map_width, float threshold,
                                const struct fg_box *box, struct fg_message *message) {
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    struct fg_image out = {
        .pixels = malloc(pixels * 3), .height = image->height, .width = image->width, .channels = 3};
    if (!out.pixels)
        return fg_fail(message, FG_ENVIRONMENT, "%.300s: no memory for the overlay", path);
    for (int32_t y = 0; y < image->height; y++)
        for (int32_t x = 0; x < image->width; x++) {
            const size_t i = (size_t)y * (size_t)image->width + (size_t)x;
            for (size_t k = 0; k < 3; k++)
                out.pixels[i * 3 + k] =
                    image->pixels[i * (size_t)image->channels + (image->channels == 3 ? k : 0)];
            /* The heat is 0 at half the threshold and 1 at the threshold. */
            const float heat = 2 * find_value(map, map_height, map_width, image, y, x) / threshold - 1;
            if (!(heat > 0))
                continue;
            const float level = fminf(heat, 1);
            const uint8_t colour[3] = {255, (uint8_t)lrintf(220 * (1 - level)), 0};
            blend_pixel(out.pixels + i * 3, colour, 0.15f + 0.4f * level);
        }
    if (box->w > 0)
        draw_box(&out, box);
    enum fg_status status = fg_image_write_png(path, &out, message);
    free(out.pixels);
    return status;
}
