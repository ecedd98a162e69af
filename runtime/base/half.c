/* Decides whether float16 is precise enough for a tensor. */
#include "runtime/base/half.h"

#include <math.h>

#define LARGEST_ERROR 1e-3 /* relative RMS */

bool fg_half_holds(const float *values, size_t count) {
    double squares = 0, errors = 0;
    for (size_t i = 0; i < count; i++) {
        const double value = values[i], error = value - (double)fg_half_to_float(fg_float_to_half(values[i]));
        squares += value * value;
        errors += error * error;
    }
    /* Overflow makes errors infinite, a value that is not finite makes it NaN: both compare false. */
    return errors <= LARGEST_ERROR * LARGEST_ERROR * squares && isfinite(errors);
}
