/* Every operator against the reference, both passes, on drawn shapes: cmocka tests for whichever backends are
 * to be held to it.
 *
 * Errors: a case that does not hold fails its test. Owner: the backends stay the caller's and must outlive
 * the cases. Thread: the test's. NULL: the state, which no case uses; nothing else. */
#ifndef FG_TESTS_REFERENCE_CASES_H
#define FG_TESTS_REFERENCE_CASES_H

#include "kernels/backend.h"

struct fg_cases {
    struct fg_backend *backend[3];     /* which take turns */
    double direct, winograd, backward; /* bounds of max |a - b| / max |b| */
    double half;                       /* not 0: forward passes alone, in float16, with this bound */
    uint64_t seed;                     /* set by fg_cases_open: 1, or FG_SEED of the environment */
};

/* What the cases below run on. Prints the seed. */
void fg_cases_open(const struct fg_cases *cases);
/* Prints the largest error of each operator and pass. */
void fg_cases_print(void);

void fg_case_conv(void **state);
void fg_case_large_conv(void **state);
void fg_case_deconv(void **state);
void fg_case_batch_norm(void **state);
void fg_case_max_pool(void **state);
void fg_case_concat(void **state);
void fg_case_sru(void **state);
void fg_case_cru(void **state);
void fg_case_simam(void **state);
void fg_case_moments(void **state);
void fg_case_normalise(void **state);
void fg_case_mask(void **state);
void fg_case_cosine_and_distill(void **state);
void fg_case_anomaly_map(void **state);
void fg_case_adam(void **state);

#endif
