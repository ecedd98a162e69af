/* Judges known defective pictures, and prints what thresholds find of them. */
#include "trainer/bundle/defective.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/json.h"
#include "trainer/data/files.h"

static enum fg_status list_pictures(struct fg_paths *paths, const char *folder, struct fg_message *message) {
    const enum fg_status status = fg_paths_list(paths, folder, message);
    if (status != FG_OK || paths->count)
        return status;
    fg_paths_free(paths);
    return fg_fail(message, FG_INPUT, "%.300s: no pictures in it", folder);
}

enum fg_status fg_defective_look(const char *folder, struct fg_message *message) {
    struct fg_paths paths;
    const enum fg_status status = list_pictures(&paths, folder, message);
    if (status == FG_OK)
        fg_paths_free(&paths);
    return status;
}

static enum fg_status judge_picture(struct fg_defective *defective, struct fg_desk *desk, const char *path,
                                    struct fg_message *message) {
    struct fg_image image;
    struct fg_judgement judgement;
    enum fg_status status = fg_image_read(path, &image, message);
    if (status != FG_OK)
        return status;
    status = fg_desk_judge(desk, path, &image, INFINITY, &judgement, message);
    fg_image_free(&image);
    if (status == FG_OK)
        defective->score[defective->count++] =
            judgement.finite && judgement.alike ? judgement.score : INFINITY;
    return status;
}

enum fg_status fg_defective_judge(struct fg_defective *defective, struct fg_desk *desk, const char *folder,
                                  struct fg_message *message) {
    struct fg_paths paths;
    enum fg_status status = list_pictures(&paths, folder, message);
    if (status != FG_OK)
        return status;
    defective->score = calloc(paths.count, sizeof *defective->score);
    if (!defective->score)
        status = fg_fail(message, FG_ENVIRONMENT, "no memory for %u scores", paths.count);
    for (uint32_t i = 0; i < paths.count && status == FG_OK; i++)
        status = judge_picture(defective, desk, paths.path[i], message);
    fg_paths_free(&paths);
    return status;
}

void fg_defective_close(struct fg_defective *defective) {
    free(defective->score);
    *defective = (struct fg_defective){.score = NULL};
}

static uint32_t count_missed(const struct fg_defective *d, float threshold) {
    uint32_t missed = 0;
    for (uint32_t i = 0; i < d->count; i++)
        missed += d->score[i] <= threshold;
    return missed;
}

static float find_smallest(const struct fg_defective *d) {
    float smallest = INFINITY;
    for (uint32_t i = 0; i < d->count; i++)
        smallest = fminf(smallest, d->score[i]);
    return smallest;
}

void fg_defective_print(const struct fg_defective *d, const struct fg_calibrated *found, float by_hand,
                        FILE *file) {
    const struct fg_calibration *c = &found->calibration;
    fprintf(file, "threshold   good parts above it   unseen pictures above it   defective pictures missed\n");
    for (uint32_t i = 0; i < found->rows; i++) {
        const struct fg_decision_row *row = &found->row[i];
        fprintf(file, "%9.4f   %18.2g %%   %17u of %u   %18u of %u\n", (double)row->threshold,
                100 * (double)row->expected, row->rejected, c->unseen, count_missed(d, row->threshold),
                d->count);
    }
    if (by_hand > 0)
        fprintf(file, "%9.4f   %20s   %17u of %u   %18u of %u\n", (double)by_hand, "set by hand", c->rejected,
                c->unseen, count_missed(d, by_hand), d->count);
    const float smallest = find_smallest(d);
    if (isfinite(smallest) && smallest > found->largest)
        fprintf(file,
                "Every threshold from %.4f to %.4f tells these good and defective pictures apart; %.4f is in "
                "the middle.\n",
                (double)found->largest, (double)smallest,
                (double)found->largest + ((double)smallest - (double)found->largest) / 2);
}

void fg_defective_print_json(const struct fg_defective *d, const struct fg_calibrated *found, FILE *file) {
    fprintf(file, ", \"defective\": %u, \"table\": [", d->count);
    for (uint32_t i = 0; i < found->rows; i++) {
        const struct fg_decision_row *row = &found->row[i];
        fprintf(file, "%s{\"threshold\": ", i ? ", " : "");
        fg_json_number(file, (double)row->threshold);
        fprintf(file, ", \"expected_rejects\": ");
        fg_json_number(file, (double)row->expected);
        fprintf(file, ", \"rejected\": %u, \"missed\": %u}", row->rejected, count_missed(d, row->threshold));
    }
    fprintf(file, "]");
}
