/* Pictures of known defective parts: what each threshold would find of them. They never set a threshold.
 *
 * Errors: FG_INPUT for a folder without pictures and for a picture that cannot be judged, FG_ENVIRONMENT for
 * memory, FG_DEVICE_LOST for the device; messages name the folder or the picture. Owner: who judges closes,
 * after a failure too. Thread: one at a time on one desk. NULL: only a message may be. */
#ifndef FG_TRAINER_BUNDLE_DEFECTIVE_H
#define FG_TRAINER_BUNDLE_DEFECTIVE_H

#include <stdio.h>

#include "runtime/engine/desk.h"
#include "trainer/bundle/calibrate.h"

struct fg_defective {
    float *score; /* {count}; infinity: the picture passes at no threshold. NULL: none are known */
    uint32_t count;
};

/* Says whether the folder has pictures. */
FG_MUST_USE enum fg_status fg_defective_look(const char *folder, struct fg_message *message);

/* Judges all pictures of the folder. defective is all zero before. */
FG_MUST_USE enum fg_status fg_defective_judge(struct fg_defective *defective, struct fg_desk *desk,
                                              const char *folder, struct fg_message *message);
void fg_defective_close(struct fg_defective *defective);

/* Prints what each threshold of a calibration does to good and to these pictures, and where one tells them
 * apart. by_hand: the threshold that was set by hand, or 0. */
void fg_defective_print(const struct fg_defective *defective, const struct fg_calibrated *found,
                        float by_hand, FILE *file);

/* Prints the members "defective" and "table" of a JSON object that has a member before them. */
void fg_defective_print_json(const struct fg_defective *defective, const struct fg_calibrated *found,
                             FILE *file);

#endif
